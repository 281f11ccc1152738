# The network namespace the cluster lives in, joined to the host by a pair of interfaces. Its addresses,
# iptables rules and pod network touch nothing else, and nothing in it reaches out. Sourced.

HOST_LINK=las-host
NODE_LINK=las-node

network_is_up() {
  ip netns list | grep -qw "^$NETNS" &&
    ip link show "$HOST_LINK" 2>/dev/null | grep -q 'state UP' &&
    ip -n "$NETNS" address show "$NODE_LINK" 2>/dev/null | grep -q "$NODE_IP/"
}

network_up() {
  if network_is_up; then return; fi
  network_down
  ip netns add "$NETNS"
  ip link add "$HOST_LINK" type veth peer name "$NODE_LINK" netns "$NETNS"
  ip address add "$HOST_IP/30" dev "$HOST_LINK"
  ip link set "$HOST_LINK" up
  ip -n "$NETNS" address add "$NODE_IP/30" dev "$NODE_LINK"
  ip -n "$NETNS" link set "$NODE_LINK" up
  ip -n "$NETNS" link set lo up
  ip -n "$NETNS" route add default via "$HOST_IP"
  ip route add "$LOAD_BALANCER_NETWORK" via "$NODE_IP"
  in_network sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'

  # `ip netns exec`, which runs helm, shows a process these files in place of the host's.
  mkdir -p "/etc/netns/$NETNS"
  printf '127.0.0.1 localhost helm.elastic.co\n' >"/etc/netns/$NETNS/hosts"
  printf 'nameserver %s\n' "$NODE_IP" >"/etc/netns/$NETNS/resolv.conf"
}

network_down() {
  ip netns list | grep -qw "^$NETNS" && ip netns delete "$NETNS"
  ip link show "$HOST_LINK" >/dev/null 2>&1 && ip link delete "$HOST_LINK"
  rm -rf "/etc/netns/$NETNS"
  rmdir /etc/netns 2>/dev/null || true
}

in_network() { nsenter --net="/run/netns/$NETNS" "$@"; }
