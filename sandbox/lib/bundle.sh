# Logs of one component, or of everything. Sourced.

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

write_bundle() {
  local folder=$1 namespace pod
  mkdir -p "$folder/components" "$folder/pods"
  cp "$STATE"/logs/*.log "$folder/components/" 2>/dev/null || true
  cp "$STATE"/logs/*.log.before "$folder/components/" 2>/dev/null || true
  if ! kubectl get --raw /readyz >/dev/null 2>&1; then
    echo "The API server did not respond, so the objects of the cluster are missing here." >"$folder/README.txt"
    return
  fi
  kubectl get events --all-namespaces --sort-by=.metadata.creationTimestamp >"$folder/events.txt" 2>&1 || true
  kubectl get all,pvc,pv,configmaps,ingresses,networkpolicies --all-namespaces -o wide >"$folder/objects.txt" 2>&1 || true
  kubectl get elasticsearches --all-namespaces -o yaml >"$folder/elasticsearch.yaml" 2>&1 || true
  kubectl describe nodes >"$folder/node.txt" 2>&1 || true
  while read -r namespace pod; do
    kubectl describe pod --namespace "$namespace" "$pod" >"$folder/pods/$namespace.$pod.describe.txt" 2>&1 || true
    kubectl logs --namespace "$namespace" "$pod" --all-containers --prefix --ignore-errors \
      >"$folder/pods/$namespace.$pod.log" 2>&1 || true
    kubectl logs --namespace "$namespace" "$pod" --all-containers --prefix --ignore-errors --previous \
      >"$folder/pods/$namespace.$pod.previous.log" 2>/dev/null || true
  done < <(kubectl get pods --all-namespaces --no-headers -o custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name)
  find "$folder" -type f -empty -delete
  say "wrote $(find "$folder" -type f | wc -l) files to $folder"
}
