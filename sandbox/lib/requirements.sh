# Requirements for the machine, and the Debian packages to install. Sourced.

# Commands and their packages. The command decides, so that for example a containerd from another source is used and
# not replaced.
COMMANDS=(
  ip:iproute2 iptables:iptables conntrack:conntrack nsenter:util-linux openssl:openssl envsubst:gettext-base
  containerd:containerd runc:runc docker-registry:docker-registry buildah:buildah
  mmdebstrap:mmdebstrap curl:curl unzip:unzip xz:xz-utils gcc:gcc javac:openjdk-17-jdk-headless pgrep:procps
)
FILES=(
  /usr/lib/cni/ptp:containernetworking-plugins
  /usr/lib/x86_64-linux-gnu/libc.a:libc6-dev
  /etc/ssl/certs/ca-certificates.crt:ca-certificates
)

check_machine() {
  local missing=() system
  [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || missing+=("Linux on x86-64 (this is $(uname -s) on $(uname -m))")
  [ "$(id -u)" -eq 0 ] || missing+=("root: the sandbox makes network namespaces, mounts and containers")
  system=$(operating_system)
  [ "${system%%:*}" = debian-12 ] || missing+=("Debian 12, to take packages from (this is ${system#*:})")
  case $STATE/ in
    /run/* | /var/run/* | /var/lib/* | /var/log/*) missing+=("a LASTACK_SANDBOX outside of /run, /var/lib and /var/log (it is $STATE)") ;;
  esac
  if [ ${#missing[@]} -gt 0 ]; then
    printf 'error: the sandbox cannot run here\n' >&2
    printf '  needs %s\n' "${missing[@]}" >&2
    printf 'hint: with a cluster of your own (kind, k3d, minikube, ...): make demo CLUSTER=current\n' >&2
    exit 2
  fi
}

operating_system() ( # as id-version:name
  ID='' VERSION_ID='' PRETTY_NAME='no Debian'
  # shellcheck disable=SC1090
  if [ -r "${OS_RELEASE:=/etc/os-release}" ]; then . "$OS_RELEASE"; fi
  echo "$ID-$VERSION_ID:$PRETTY_NAME"
)

# Needs of the first build and of a stack in GiB. Less can be enough for some uses, so it is only a warning.
NEEDED_DISK=20
NEEDED_MEMORY=7
check_room() {
  local free memory
  mkdir -p "$STATE"
  free=$(df --output=avail --block-size=1G "$STATE" | tail -n 1)
  memory=$(awk '/^MemTotal:/ { print int($2 / 1048576) }' /proc/meminfo)
  if ! [ -d "$STATE/registry" ] && [ "$free" -lt $NEEDED_DISK ]; then
    say "warning: the first build needs up to $NEEDED_DISK GiB in $STATE and Go's caches, and only ${free// /} GiB are free"
  fi
  if [ "$memory" -lt $NEEDED_MEMORY ]; then
    say "warning: a stack needs a machine with 8 GiB of memory, and this one has $memory GiB"
  fi
}

missing_packages() {
  local entry
  for entry in "${COMMANDS[@]}"; do
    if ! command -v "${entry%%:*}" >/dev/null; then echo "${entry#*:}"; fi
  done
  for entry in "${FILES[@]}"; do
    if ! [ -e "${entry%%:*}" ]; then echo "${entry#*:}"; fi
  done
}

install_packages() {
  local packages log=$STATE/logs/build/packages.log
  mapfile -t packages < <(missing_packages)
  if [ ${#packages[@]} -eq 0 ]; then return; fi
  say "installing Debian packages: ${packages[*]}"
  mkdir -p "$(dirname "$log")"
  install_without_services "${packages[@]}" >"$log" 2>&1 {LOCK}>&- ||
    fail "installing the packages failed; the end of $log:" "$(tail -n 15 "$log")"
}

# Some packages contain services that the sandbox does not use. They are neither started nor enabled.
SERVICE_POLICY=/usr/sbin/policy-rc.d
install_without_services() (
  allow_services
  if ! [ -e "$SERVICE_POLICY" ]; then
    printf '#!/bin/sh\n%s\nexit 101\n' "$POLICY_IS_OURS" >"$SERVICE_POLICY"
    chmod +x "$SERVICE_POLICY"
    trap allow_services EXIT
  fi
  before=$(installed_packages)
  apt-get update
  DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends --no-remove "$@" || exit
  mapfile -t added < <(comm -13 <(echo "$before") <(installed_packages))
  disable_services "${added[@]}"
)

# Deletes the policy of a killed run, which would prevent the machine from starting any service.
POLICY_IS_OURS='# for as long as the sandbox of kubectl-lastack installs packages'
allow_services() {
  if grep -qsxF "$POLICY_IS_OURS" "$SERVICE_POLICY"; then rm "$SERVICE_POLICY"; fi
}

installed_packages() { dpkg-query --show --showformat '${db:Status-Abbrev}${Package}\n' | sed -n 's/^ii //p' | sort -u; }

disable_services() { # PACKAGE...
  local units
  if [ $# -eq 0 ] || ! command -v systemctl >/dev/null; then return; fi
  mapfile -t units < <(dpkg-query --listfiles "$@" | sed -nE 's#^(/usr)?/lib/systemd/system/([^/]+\.(service|socket|timer))$#\2#p')
  if [ ${#units[@]} -gt 0 ]; then systemctl disable --quiet "${units[@]}" || true; fi
}
