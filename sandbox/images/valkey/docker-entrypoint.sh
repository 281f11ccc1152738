#!/bin/sh
# Options or a configuration file start valkey-server. root changes to the user valkey.
set -eu
case ${1:-} in
  -* | *.conf) set -- valkey-server "$@" ;;
esac
if [ "${1:-}" = valkey-server ] && [ "$(id -u)" = 0 ]; then
  chown -R valkey:valkey /data
  exec setpriv --reuid valkey --regid valkey --init-groups "$@"
fi
exec "$@"
