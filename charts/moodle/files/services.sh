#!/bin/sh
# Before runit starts: how many requests PHP handles at once, and whether there is cron. The image has no setting for the
# first, and without the file of the second would start cron every second to be told that it is off.
set -eu

etc=${LASTACK_ETC:-/etc}

if [ "${RUN_CRON_TASKS:-true}" = false ] && [ -d "$etc/service/cron" ]; then
  touch "$etc/service/cron/down"
fi

# not sed -i, which writes beside the file: only the files themselves are ours for certain
for pool in "$etc"/php*/php-fpm.d/www.conf; do
  [ -f "$pool" ] || continue
  changed=$(sed "s/^pm\.max_children = .*/pm.max_children = $LASTACK_WORKERS/" "$pool")
  printf '%s\n' "$changed" >"$pool"
done
