#!/bin/sh
# Init container: unpacks the plugin from the ConfigMap, and installs the replay service for runit.
set -eu

fail() {
  echo "error: $1" >&2
  exit 1
}

archive=$LASTACK_ARCHIVE
plugins=${LASTACK_PLUGINS:-/plugins}
replay=${LASTACK_REPLAY:-/replay}
files=${LASTACK_FILES:-/opt/lastack}
source="$(basename "$archive") of ConfigMap $LASTACK_CONFIGMAP"

[ -f "$archive" ] || fail "there is no $source"
# an init container can run more than once in a Pod
rm -rf "$plugins/xapi"
tar -xzf "$archive" -C "$plugins" || fail "$source is not a whole tar.gz"
[ -f "$plugins/xapi/version.php" ] || fail "$source has no plugin: xapi/version.php is missing"
echo "unpacked $source"

if [ -d "$replay" ]; then
  cp "$files/replay-run" "$replay/run"
  chmod 0755 "$replay/run"
fi
