# The log of one component. Sourced.

list_logs() { find "$1" -maxdepth 1 -name '*.log' -printf '%f\n' 2>/dev/null | sed 's/\.log$//' | sort | tr '\n' ' '; }

show_log() {
  local file namespace
  for file in "$STATE/logs/$1.log" "$STATE/logs/build/${1//\//-}.log"; do
    if [ -f "$file" ]; then
      cat "$file"
      return
    fi
  done
  namespace=$(kubectl get pods --all-namespaces --field-selector "metadata.name=$1" \
    -o jsonpath='{.items[0].metadata.namespace}' 2>/dev/null) || return 1
  kubectl logs --namespace "$namespace" "$1" --all-containers --prefix --ignore-errors
}
