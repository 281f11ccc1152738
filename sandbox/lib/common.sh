# Paths, versions and messages of all scripts of the sandbox. Sourced, never run.

# Keys of parts depend on sorted lists, and images on copied files. Neither may depend on the user's locale or umask.
export LC_ALL=C.UTF-8
umask 022

SANDBOX=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
REPOSITORY=$(dirname "$SANDBOX")
STATE=${LASTACK_SANDBOX:-$HOME/.cache/lastack-sandbox}
# realpath lacks -m outside of Linux, where check_machine must report that the sandbox cannot run.
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

# Builds use a proxy to reach the internet. Connections to the sandbox and within it do not.
WITHOUT_PROXY=(env -u http_proxy -u https_proxy -u all_proxy -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY)

# On a terminal a message replaces the progress line.
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

# Seconds since the start of the script.
elapsed() { echo $((SECONDS - ${1:-0})); }

# One run at a time: a second one waits for the first, whose name is in the file. A process that outlives the script must
# not inherit the descriptor. See start_component.
take_lock() {
  local lock=$STATE/lock
  while true; do
    mkdir -p "$STATE"
    exec {LOCK}>>"$lock"
    if ! flock --nonblock "$LOCK"; then
      say "waiting for $(cat "$lock" 2>/dev/null), or for processes that it left running"
      flock "$LOCK"
    fi
    # A purge deletes the file, and the next run would lock another one.
    if [ "$lock" -ef "/proc/self/fd/$LOCK" ]; then break; fi
    exec {LOCK}>&-
  done
  echo "$0, process $$" >"$lock"
}

# Polls until a command succeeds, at most for the given number of seconds.
wait_until() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then return 1; fi
    sleep 0.2
  done
}
