#!/bin/sh
# Runs before Moodle is configured. Cleans up after an interrupted installation or upgrade, so that the next one can continue, and
# copies the plugins into Moodle's tree, where the installation or upgrade finds them.
set -eu

files=${LASTACK_FILES:-/opt/lastack}
plugins=${LASTACK_PLUGINS:-/plugins}
tree=${MOODLE_HTML_DIR:-/var/www/html}

if [ -f "$files/unfinished.php" ]; then
  php "$files/unfinished.php"
fi

# from 5.1 on the web root is public/; the directory alone does not identify the version
if [ -f "$tree/public/version.php" ]; then
  tree=$tree/public
elif ! [ -f "$tree/version.php" ]; then
  echo "error: there is no Moodle in $tree" >&2
  exit 1
fi

for plugin in "$plugins"/*; do
  [ -f "$plugin/version.php" ] || continue
  target=$tree/admin/tool/log/store/$(basename "$plugin")
  # files that the new version lacks must not remain
  rm -rf "$target"
  cp -R "$plugin" "$target"
  echo "put $target there"
done
