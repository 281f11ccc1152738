#!/bin/sh
# Init container: unpacks the plugin from the ConfigMap, and installs the services for runit.
set -eu

fail() {
  echo "error: $1" >&2
  exit 1
}

archive=$LASTACK_ARCHIVE
plugins=${LASTACK_PLUGINS:-/plugins}
services=${LASTACK_SERVICES:-/services}
files=${LASTACK_FILES:-/opt/lastack}
source="$(basename "$archive") of ConfigMap $LASTACK_CONFIGMAP"

[ -f "$archive" ] || fail "there is no $source"
# an init container can run more than once in a Pod
rm -rf "$plugins/xapi"
tar -xzf "$archive" -C "$plugins" || fail "$source is not a whole tar.gz"
[ -f "$plugins/xapi/version.php" ] || fail "$source has no plugin: xapi/version.php is missing"
echo "unpacked $source"

for service in "$services"/*; do
  [ -d "$service" ] || continue
  cp "$files/service-run" "$service/run"
  chmod 0755 "$service/run"
done
