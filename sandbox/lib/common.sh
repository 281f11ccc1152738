# Paths, versions and messages that all scripts of the sandbox share. Sourced, never run.

# The keys of parts are made of sorted lists, and images of copied files: neither may depend on who builds.
export LC_ALL=C.UTF-8
umask 022

SANDBOX=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPOSITORY=$(dirname "$SANDBOX")
STATE=${LASTACK_SANDBOX:-$HOME/.cache/lastack-sandbox}
# Elsewhere than on Linux it knows no -m, and check_machine is to say that the sandbox is not for there.
STATE=$(realpath -m "$STATE" 2>/dev/null || echo "$STATE")

NETNS=lastack
NODE_NAME=sandbox
NODE_IP=10.213.0.2
HOST_IP=10.213.0.1
INTERNET_IP=10.213.2.1
LOAD_BALANCER_NETWORK=10.213.1.0/24
POD_NETWORK=10.244.0.0/16
SERVICE_NETWORK=10.96.0.0/16
CGROUP=lastack-sandbox
BUILDAH_RUN=/run/lastack-sandbox${STATE//\//-}/buildah

set -a
# shellcheck source=../versions.env
. "$SANDBOX/versions.env"
set +a

# A proxy is the way out of the machine, for what builds. Nothing goes that way that talks to the sandbox or within it.
WITHOUT_PROXY=(env -u http_proxy -u https_proxy -u all_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY)

# On a terminal a message takes the place of the progress line.
say() {
  if [ -t 2 ]; then printf '\r\033[K' >&2; fi
  printf 'sandbox: %s\n' "$*" >&2
}

fail() {
  printf 'error: %s\n' "$1" >&2
  shift
  if [ $# -gt 0 ]; then printf '  %s\n' "$@" >&2; fi
  exit 1
}

# Seconds since this script began.
elapsed() { echo $((SECONDS - ${1:-0})); }

# One run at a time: a second one waits for the first, which says in the file who it is. Whoever starts a process that
# outlives the script closes the descriptor for it, see start_component.
take_lock() {
  local lock=$STATE/lock
  while true; do
    mkdir -p "$STATE"
    exec {LOCK}>>"$lock"
    if ! flock --nonblock "$LOCK"; then
      say "waiting for $(cat "$lock" 2>/dev/null), or what it left running"
      flock "$LOCK"
    fi
    # One that purged the state took the file away, and the next to come would lock another one.
    if [ "$lock" -ef "/proc/self/fd/$LOCK" ]; then break; fi
    exec {LOCK}>&-
  done
  echo "$0, process $$" >"$lock"
}

# Polls until a command succeeds. Gives up after so many seconds.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then return 1; fi
    sleep 0.2
  done
}
