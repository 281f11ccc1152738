# A cluster from nothing to a ready node, and back to nothing. Sourced.

kubectl() { "${WITHOUT_PROXY[@]}" "$BIN/kubectl" --kubeconfig "$PKI/admin.kubeconfig" "$@"; }

cluster_up() { # WITH LOAD BALANCER: yes or no
  mkdir -p "$STATE/cluster/volumes"
  start_etcd
  wait_until 120 etcd_answers_or_ended || fail "etcd does not answer after two minutes: see $(component_log etcd)"
  if component_ended etcd; then
    say "etcd cannot read the cluster's state (see $(component_log etcd)): starting an empty cluster"
    stop_component etcd
    forget_cluster
    start_etcd
  fi
  start_apiserver
  wait_for_component apiserver 60 api_answers
  start_controller_manager
  start_scheduler
  start_kubelet
  start_proxy
  start_coredns
  start_volume_provisioner
  start_ingress_controller
  if [ "$1" = yes ]; then start_load_balancer; else stop_component load-balancer; fi
  kubectl apply --filename "$SANDBOX/cluster/storage-class.yaml" --filename "$SANDBOX/cluster/ingress-class.yaml" >/dev/null
  wait_for_component kubelet 60 node_is_ready
  wait_for_component coredns 20 in_network bash -c ": </dev/tcp/$NODE_IP/53"
}

etcd_answers_or_ended() { in_network curl --silent --fail http://127.0.0.1:2379/health || component_ended etcd; }

api_answers() { kubectl get --raw /readyz; }

# A node that comes back after a pause says Ready before its kubelet does: only what the kubelet reported
# since its start counts.
node_is_ready() {
  local status heartbeat
  read -r status heartbeat < <(kubectl get node "$NODE_NAME" -o \
    jsonpath='{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}')
  [ "$status" = True ] && [ "$(date -d "$heartbeat" +%s)" -ge "$(stat -c %Y "$STATE/run/kubelet.pid")" ]
}

# Pods and volumes belong to the state that etcd holds: they go together.
forget_cluster() {
  rm -rf "$STATE/cluster"
  mkdir -p "$STATE/cluster/volumes"
}

start_all() { # WITH LOAD BALANCER: yes or no
  network_up
  if [ "$(cat "$STATE/run/node-key" 2>/dev/null)" != "$(node_key)" ]; then node_down; fi
  node_up
  make_certificates
  write_tools
  write_settings
  node_key >"$STATE/run/node-key"
  echo "$1" >"$STATE/load-balancer"
  start_registry
  start_containerd
  push_images
  start_chart_repository
  start_package_index
  cluster_up "$1"
}

# By name, in case LASTACK_SANDBOX is a folder that holds other things too.
purge_state() {
  (cd "$STATE" && rm -rf bin buildah cluster compared containerd helm3 helm4 kubeconfig load-balancer lock logs parts pki registry run tools)
  rmdir --ignore-fail-on-non-empty "$STATE"
}
