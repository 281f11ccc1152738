# The components of the cluster: their settings and their command lines. Sourced.

BIN=$STATE/bin

# Inputs of the node itself. A change needs a new node. A change of a component's program, settings or flags needs
# only a restart of this component, see start_component.
node_key() {
  {
    part_key images/pause
    sha256sum <"$SANDBOX/lib/node.sh"
  } | sha256sum | cut -c1-16
}

write_settings() {
  export STATE NODE_IP INTERNET_IP POD_NETWORK CGROUP PACKAGE_INDEX_HOST
  PACKAGE_INDEX_HOST=$(cat "$(part_path package-index)/host")
  mkdir -p "$STATE/run/cni" "$STATE/run/registries/_default"
  render containerd.toml >"$STATE/run/containerd.toml"
  CONTAINERD_ALSO_DISABLED=', "io.containerd.grpc.v1.cri"' render containerd.toml >"$STATE/run/containerd-cleanup.toml"
  render registries.toml >"$STATE/run/registries/_default/hosts.toml"
  render registry.yml >"$STATE/run/registry.yml"
  render cni.conflist >"$STATE/run/cni/10-sandbox.conflist"
  render Corefile >"$STATE/run/Corefile"
  render kubelet.yaml >"$STATE/run/kubelet.yaml"
  printf 'nameserver %s\n' "$NODE_IP" >"$STATE/run/resolv.conf"
}

render() { CONTAINERD_ALSO_DISABLED=${CONTAINERD_ALSO_DISABLED:-} envsubst <"$SANDBOX/cluster/$1"; }

start_registry() {
  # Untagged content can be deleted only while no image is being published.
  if ! component_runs registry && [ -d "$STATE/registry/docker" ]; then
    docker-registry garbage-collect --delete-untagged "$STATE/run/registry.yml" >"$STATE/logs/registry-cleanup.log" 2>&1 || true
  fi
  start_component registry docker-registry serve "$STATE/run/registry.yml"
  wait_for_component registry 20 in_network curl --silent --fail http://127.0.0.1:5000/v2/
}

start_chart_repository() {
  start_component chart-repository "$BIN/file-server" --directory "$(part_path charts)/helm.elastic.co" \
    --cert "$PKI/chart-repository.crt" --key "$PKI/chart-repository.key"
}

start_package_index() {
  local index
  index=$(part_path package-index)
  start_component package-index "$BIN/file-server" --directory "$index/index" --listen "$INTERNET_IP:443" \
    --cert "$index/server.crt" --key "$index/server.key"
}

start_containerd() {
  if ! [ -f "$STATE/run/containers-forgotten" ]; then forget_containers; fi
  start_component containerd containerd --config "$STATE/run/containerd.toml"
  wait_for_component containerd 30 containers version
}

containers() { ctr --address "$STATE/run/containerd.sock" --namespace k8s.io "$@"; }

# Images survive the node, but its containers do not. They can be deleted only before the CRI plugin of
# containerd has loaded them.
forget_containers() {
  start_component containerd-cleanup containerd --config "$STATE/run/containerd-cleanup.toml"
  wait_for_component containerd-cleanup 30 containers version
  containers containers list --quiet | xargs --no-run-if-empty \
    ctr --address "$STATE/run/containerd.sock" --namespace k8s.io containers delete
  stop_component containerd-cleanup
  rm -rf "$STATE/containerd/io.containerd.grpc.v1.cri"
  touch "$STATE/run/containers-forgotten"
}

# For speed nothing waits for the disk. After a power failure etcd may be unable to read its data.
start_etcd() {
  start_component etcd "$BIN/etcd" --data-dir "$STATE/cluster/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --log-level warn
}

start_apiserver() {
  start_component apiserver "$BIN/kube-apiserver" \
    --etcd-servers=http://127.0.0.1:2379 \
    --advertise-address="$NODE_IP" --secure-port=6443 \
    --service-cluster-ip-range="$SERVICE_NETWORK" \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" --client-ca-file="$PKI/ca.crt" \
    --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$PKI/apiserver-kubelet-client.key" \
    --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc \
    --service-account-key-file="$PKI/service-accounts.pub" \
    --service-account-signing-key-file="$PKI/service-accounts.key" \
    --authorization-mode=Node,RBAC --allow-privileged=true --profiling=false \
    --requestheader-client-ca-file="$PKI/ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key"
}

start_controller_manager() {
  local kubeconfig=$PKI/kube-controller-manager.kubeconfig
  # the ECK operator changes its claim while the volume is being provisioned; after that conflict the controller retries only
  # in its next round, usually 15 s later
  start_component controller-manager "$BIN/kube-controller-manager" \
    --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig" --authorization-kubeconfig="$kubeconfig" \
    --root-ca-file="$PKI/ca.crt" --service-account-private-key-file="$PKI/service-accounts.key" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
    --use-service-account-credentials=true --leader-elect=false --profiling=false --pvclaimbinder-sync-period=1s
}

start_scheduler() {
  local kubeconfig=$PKI/kube-scheduler.kubeconfig
  start_component scheduler "$BIN/kube-scheduler" --leader-elect=false --profiling=false \
    --kubeconfig="$kubeconfig" --authentication-kubeconfig="$kubeconfig" --authorization-kubeconfig="$kubeconfig"
}

start_kubelet() {
  start_component kubelet "$BIN/kubelet" --config="$STATE/run/kubelet.yaml" --kubeconfig="$PKI/kubelet.kubeconfig" \
    --root-dir="$STATE/cluster/kubelet" --hostname-override="$NODE_NAME" --node-ip="$NODE_IP"
}

# Connection tracking limits belong to the machine and cannot be changed everywhere.
start_proxy() {
  start_component proxy "$BIN/kube-proxy" --kubeconfig="$PKI/kube-proxy.kubeconfig" \
    --hostname-override="$NODE_NAME" --proxy-mode=iptables --cluster-cidr="$POD_NETWORK" \
    --conntrack-max-per-core=0 --conntrack-min=0
}

start_coredns() { start_component coredns "$BIN/coredns" -conf "$STATE/run/Corefile"; }

start_volume_provisioner() {
  start_component volume-provisioner "$BIN/volume-provisioner" --kubeconfig "$PKI/sandbox.kubeconfig" \
    --directory "$STATE/cluster/volumes" --node "$NODE_NAME"
}

start_load_balancer() {
  start_component load-balancer "$BIN/load-balancer" --kubeconfig "$PKI/sandbox.kubeconfig" \
    --network "$LOAD_BALANCER_NETWORK"
}

start_ingress_controller() {
  start_component ingress-controller "$BIN/ingress-controller" --kubeconfig "$PKI/sandbox.kubeconfig" --address "$NODE_IP"
}
