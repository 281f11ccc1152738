# Starting a cluster until its node is ready, and deleting it. Sourced.

kubectl() { "${WITHOUT_PROXY[@]}" "$BIN/kubectl" --kubeconfig "$PKI/admin.kubeconfig" "$@"; }

# Returns 1 only when the stored state cannot be read, which an empty cluster resolves.
etcd_up() {
  local log
  log=$(component_log etcd)
  mkdir -p "$STATE/cluster/volumes"
  start_etcd
  wait_until 120 etcd_is_ready_or_ended ||
    fail "etcd does not respond after two minutes: see $log" "hint: sandbox/reset starts an empty cluster"
  if ! component_ended etcd; then return; fi
  if state_is_unreadable "$log"; then return 1; fi
  fail "etcd exited; the end of $log:" "$(tail -n 15 "$log")"
}

etcd_is_ready_or_ended() { in_network curl --silent --fail --max-time 2 http://127.0.0.1:2379/health || component_ended etcd; }

# Messages of etcd about files that a power failure left half written. A full disk, for example, damages nothing.
state_is_unreadable() {
  ! grep -q 'no space left on device' "$1" &&
    grep -qE 'crc mismatch|checksum error|corrupt|cannot be repaired|invalid (database|freelist)|unexpected fault address|Page expected|is out of range|high water mark|freepages: |(snap|wal|proto): |cannot use none as id' "$1"
}

cluster_up() { # WITH LOAD BALANCER: yes or no
  start_apiserver
  wait_for_component apiserver 60 api_is_ready
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

api_is_ready() { kubectl get --raw /readyz; }

# After a pause a node is shown as Ready before its kubelet has reported: only reports since the start of the
# kubelet count.
node_is_ready() {
  local status heartbeat
  read -r status heartbeat < <(kubectl get node "$NODE_NAME" -o \
    jsonpath='{.status.conditions[?(@.type=="Ready")].status} {.status.conditions[?(@.type=="Ready")].lastHeartbeatTime}')
  [ "$status" = True ] && [ "$(date -d "$heartbeat" +%s)" -ge "$(stat -c %Y "$STATE/run/kubelet.pid")" ]
}

# Pods and volumes belong to the state in etcd and are deleted with it.
forget_cluster() {
  rm -rf "$STATE/cluster"
  mkdir -p "$STATE/cluster/volumes"
}

# The same for a state that cannot be read. The last one is saved for inspection, with the messages of etcd.
set_cluster_aside() {
  rm -rf "$STATE/cluster.broken"
  mv "$STATE/cluster" "$STATE/cluster.broken"
  cp "$(component_log etcd)" "$STATE/cluster.broken/"
  forget_cluster
}

start_all() { # WITH LOAD BALANCER: yes or no
  echo "$1" >"$STATE/load-balancer"
  start_node
  if ! etcd_up; then
    say "etcd cannot read the state of the cluster: starting an empty cluster; the former state is in $STATE/cluster.broken"
    node_down
    set_cluster_aside
    start_node
    etcd_up || fail "etcd cannot read its own new state: see $(component_log etcd)"
  fi
  cluster_up "$1"
}

# Starts everything that Kubernetes needs.
start_node() {
  reject_second_sandbox
  if [ "$(cat "$STATE/run/node-key" 2>/dev/null)" != "$(node_key)" ]; then node_down; fi
  # A cluster trusts only the authority that it was created with.
  if ! certificates_are_current; then
    if [ -d "$PKI" ]; then say "the certificates must change: starting an empty cluster"; fi
    node_down
    forget_cluster
    make_certificates
  fi
  node_up
  write_tools
  write_settings
  node_key >"$STATE/run/node-key"
  start_registry
  start_containerd
  push_images
  start_chart_repository
  start_package_index
}

# By name, because LASTACK_SANDBOX may be a folder with other files. A process that waits for the lock creates a new one.
purge_state() {
  (cd "$STATE" && rm -rf bin buildah cluster cluster.broken compared containerd helm3 helm4 kubeconfig load-balancer lock logs parts pki pki.new registry run tools building.*)
  rmdir --ignore-fail-on-non-empty "$STATE"
}
