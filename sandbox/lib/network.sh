# The network namespace the cluster lives in, joined to the host by a pair of interfaces. Its addresses,
# iptables rules and pod network touch nothing else, and nothing in it reaches out. Sourced.

HOST_LINK=las-host
NODE_LINK=las-node

network_is_up() {
  [[ $(ip netns list) =~ (^|$'\n')"$NETNS"([[:space:]]|$) ]] &&
    [[ $(ip link show "$HOST_LINK" 2>/dev/null) == *"state UP"* ]] &&
    [[ $(ip -n "$NETNS" address show "$NODE_LINK" 2>/dev/null) == *" $NODE_IP/"* ]] &&
    [[ $(ip route show "$LOAD_BALANCER_NETWORK") == *"$HOST_LINK"* ]]
}

# Always a new one. In the old one the kernel takes away the interfaces and routes of pods that were killed in its own time,
# and a new pod with the address of one of them would be left without a route.
network_up() {
  network_down
  make_network
  write_network_files
}

# `ip netns exec`, which runs helm, shows a process these files in place of the host's.
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
  # Stands for the hosts of the internet that the sandbox plays towards pods.
  ip -n "$NETNS" address add "$INTERNET_IP/32" dev lo
  ip route add "$LOAD_BALANCER_NETWORK" via "$NODE_IP"
  in_network sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
}

network_down() {
  if [ -e "/run/netns/$NETNS" ]; then ip netns delete "$NETNS"; fi
  # The pair of interfaces may already be on its way out with the namespace.
  ip link delete "$HOST_LINK" 2>/dev/null || true
  wait_until 10 host_link_is_gone || fail "the network interface $HOST_LINK cannot be removed"
  rm -rf "/etc/netns/$NETNS"
  rmdir /etc/netns 2>/dev/null || true
  # The `ip` command makes this folder a mount with the first namespace, and leaves it one after the last.
  if [ -d /run/netns ] && [ -z "$(ls -A /run/netns)" ]; then umount /run/netns 2>/dev/null || true; fi
}

host_link_is_gone() { ! ip link show "$HOST_LINK"; }

in_network() { "${WITHOUT_PROXY[@]}" nsenter --net="/run/netns/$NETNS" "$@"; }
