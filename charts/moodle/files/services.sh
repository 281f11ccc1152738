#!/bin/sh
# Runs before runit. Sets the number of concurrent requests of PHP and whether cron runs. The image has no setting for the first.
# If cron is disabled but its service exists, runit restarts it every second.
set -eu

etc=${LASTACK_ETC:-/etc}

if [ "${RUN_CRON_TASKS:-true}" = false ] && [ -d "$etc/service/cron" ]; then
  touch "$etc/service/cron/down"
fi

# not sed -i, which creates a file in the same directory: only the files themselves are certainly writable
for pool in "$etc"/php*/php-fpm.d/www.conf; do
  [ -f "$pool" ] || continue
  changed=$(sed "s/^pm\.max_children = .*/pm.max_children = $LASTACK_WORKERS/" "$pool")
  printf '%s\n' "$changed" >"$pool"
done
