# The node: a process namespace and a mount namespace that contain every process and mount of the cluster.
# Killing the first process ends all of them, and the mounts end with the last one. No clean-up is necessary
# after an interrupted run. Sourced.

# The first process is identified by its name and its argument, the state folder. There is no pid file that can become stale.
node_process() {
  local pid
  for pid in $(pgrep -x lastack-init); do
    if [ "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" = "lastack-init $STATE " ]; then
      echo "$pid"
      return
    fi
  done
  return 1
}

# Two sandboxes would share addresses and names.
reject_second_sandbox() {
  local pid other
  for pid in $(pgrep -x lastack-init); do
    other=$(tr '\0' '\n' <"/proc/$pid/cmdline" | sed -n 2p)
    if [ "$other" != "$STATE" ]; then
      fail "a sandbox with the state folder $other is running, and only one can run at a time" \
        "hint: LASTACK_SANDBOX=$other sandbox/down"
    fi
  done
}

node_up() {
  NODE=$(node_process) || NODE=
  if [ -n "$NODE" ] && network_is_up && [ "/run/netns/$NETNS" -ef "/proc/$NODE/ns/net" ]; then
    write_network_files
    return
  fi
  node_down
  network_up
  rm -rf "$STATE/run"
  mkdir -p "$STATE/run" "$STATE/logs"
  make_cgroups
  cp "$(part_path images/pause)/pause" "$STATE/run/lastack-init"
  # The programs of the cluster always write below /run, /var/lib and /var/log, so the node mounts its own.
  # shellcheck disable=SC2016
  setsid nsenter --net="/run/netns/$NETNS" unshare --pid --fork --mount --propagation slave bash -euc '
    mount --make-rshared /
    mount -t proc proc /proc
    for folder in /run /var/lib /var/log; do mount -t tmpfs -o mode=755 tmpfs "$folder"; done
    exec -a lastack-init "$1/run/lastack-init" "$1"
  ' init "$STATE" >"$STATE/logs/init.log" 2>&1 </dev/null {LOCK}>&- &
  wait_until 10 node_process || fail "the node's first process did not start; $STATE/logs/init.log contains:" "$(cat "$STATE/logs/init.log")"
  NODE=$(node_process)
}

node_down() {
  local pid
  if pid=$(node_process); then
    kill -KILL "$pid"
    wait_until 30 node_is_gone "$pid" || fail "process $pid and its children cannot be killed"
  fi
  remove_cgroups
}

node_is_gone() { ! [ -d "/proc/$1" ]; }

in_node() { nsenter --target "$NODE" --net --pid --mount -- "$@"; }

# Containers have a separate control group, so that their remains can be distinguished from other containers.
make_cgroups() {
  local controller
  if [ -f /sys/fs/cgroup/cgroup.controllers ]; then
    mkdir -p "/sys/fs/cgroup/$CGROUP"
    hand_down_controllers /sys/fs/cgroup "/sys/fs/cgroup/$CGROUP"
    return
  fi
  for controller in /sys/fs/cgroup/*/; do
    mkdir -p "$controller$CGROUP"
  done
  # Version 1 requires processors and memory nodes before a group can be used.
  cat /sys/fs/cgroup/cpuset/cpuset.cpus >"/sys/fs/cgroup/cpuset/$CGROUP/cpuset.cpus"
  cat /sys/fs/cgroup/cpuset/cpuset.mems >"/sys/fs/cgroup/cpuset/$CGROUP/cpuset.mems"
}

# In version 2 a group has the controllers that its parent delegates. Not every kernel has all. A group that delegates
# must not contain processes; this one does not, because the kubelet puts containers into groups below it.
hand_down_controllers() { # GROUP...
  local group controller
  for group in "$@"; do
    for controller in cpu cpuset memory pids hugetlb io; do
      { echo "+$controller" >"$group/cgroup.subtree_control"; } 2>/dev/null || true
    done
  done
}

remove_cgroups() {
  local group
  for group in "/sys/fs/cgroup/$CGROUP" /sys/fs/cgroup/*/"$CGROUP"; do
    if [ -d "$group" ]; then find "$group" -depth -type d -exec rmdir {} +; fi
  done
}
