# The network namespace of the cluster, connected to the host by a pair of interfaces. Its addresses,
# iptables rules and Pod network do not affect the host, and nothing in it reaches the internet. Sourced.

HOST_LINK=las-host
NODE_LINK=las-node

network_is_up() {
  [[ $(ip netns list) =~ (^|$'\n')"$NETNS"([[:space:]]|$) ]] &&
    [[ $(ip link show "$HOST_LINK" 2>/dev/null) == *"state UP"* ]] &&
    [[ $(ip -n "$NETNS" address show "$NODE_LINK" 2>/dev/null) == *" $NODE_IP/"* ]] &&
    [[ $(ip route show "$LOAD_BALANCER_NETWORK") == *"$HOST_LINK"* ]]
}

# Always a new namespace. In the old one the kernel removes interfaces and routes of killed Pods asynchronously,
# and a new Pod with the address of one of them would lose its route.
network_up() {
  network_down
  make_network
  write_network_files
}

# `ip netns exec`, which runs helm, replaces the host's files by these.
write_network_files() {
  mkdir -p "/etc/netns/$NETNS"
  printf '127.0.0.1 localhost helm.elastic.co\n' >"/etc/netns/$NETNS/hosts"
  printf 'nameserver %s\n' "$NODE_IP" >"/etc/netns/$NETNS/resolv.conf"
}

make_network() {
  ip netns add "$NETNS"
  ip link add "$HOST_LINK" type veth peer name "$NODE_LINK" netns "$NETNS"
  ip address add "$HOST_IP/30" dev "$HOST_LINK"
  ip link set "$HOST_LINK" up
  ip -n "$NETNS" address add "$NODE_IP/30" dev "$NODE_LINK"
  ip -n "$NETNS" link set "$NODE_LINK" up
  ip -n "$NETNS" link set lo up
  ip -n "$NETNS" route add default via "$HOST_IP"
  # The address of the internet hosts that the sandbox simulates for Pods.
  ip -n "$NETNS" address add "$INTERNET_IP/32" dev lo
  ip route add "$LOAD_BALANCER_NETWORK" via "$NODE_IP"
  in_network sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

network_down() {
  if [ -e "/run/netns/$NETNS" ]; then ip netns delete "$NETNS"; fi
  # The kernel may already be removing the pair of interfaces with the namespace.
  ip link delete "$HOST_LINK" 2>/dev/null || true
  wait_until 10 host_link_is_gone || fail "the network interface $HOST_LINK cannot be removed"
  rm -rf "/etc/netns/$NETNS"
  rmdir /etc/netns 2>/dev/null || true
  # The `ip` command mounts this folder with the first namespace, and does not unmount it after the last.
  if [ -d /run/netns ] && [ -z "$(ls -A /run/netns)" ]; then umount /run/netns 2>/dev/null || true; fi
}

host_link_is_gone() { ! ip link show "$HOST_LINK"; }

in_network() { "${WITHOUT_PROXY[@]}" nsenter --net="/run/netns/$NETNS" "$@"; }
