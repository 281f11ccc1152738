#!/bin/bash
# Fills an empty code folder, and updates one with another version. config.php and plugins stay.
set -eu
source=${MOODLE_SRC_DIR:-/usr/src/moodle} target=${MOODLE_HTML_DIR:-/var/www/html}
mode=${SYNC_MOODLE_CODE:-auto}

version_in() {
  local file
  for file in "$1/version.php" "$1/public/version.php"; do
    # shellcheck disable=SC2016
    if [ -f "$file" ]; then sed -n 's/^[[:space:]]*\$version[[:space:]]*=[[:space:]]*\([0-9.]*\).*/\1/p' "$file" | head -n 1; return; fi
  done
}

image=$(version_in "$source")
present=$(version_in "$target")
case $mode in
  never) exit 0 ;;
  always) ;;
  *) if [ "$present" = "$image" ]; then exit 0; fi ;;
esac
echo "Syncing Moodle code $image to $target (was: ${present:-empty})"
cp -rT "$source" "$target"
