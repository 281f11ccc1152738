#!/bin/sh
# Before Moodle is configured: undoes what keeps it from going on where an installation or upgrade was cut off, and puts
# the plugins into Moodle's tree, where the installation or upgrade that follows finds them.
set -eu

files=${LASTACK_FILES:-/opt/lastack}
plugins=${LASTACK_PLUGINS:-/plugins}
tree=${MOODLE_HTML_DIR:-/var/www/html}

if [ -f "$files/unfinished.php" ]; then
  php "$files/unfinished.php"
fi

# from 5.1 on the web's part of Moodle is below public/; a directory of that name says nothing
if [ -f "$tree/public/version.php" ]; then
  tree=$tree/public
elif ! [ -f "$tree/version.php" ]; then
  echo "error: there is no Moodle in $tree" >&2
  exit 1
fi

for plugin in "$plugins"/*; do
  [ -f "$plugin/version.php" ] || continue
  target=$tree/admin/tool/log/store/$(basename "$plugin")
  # a file that the new version no longer has must not stay
  rm -rf "$target"
  cp -R "$plugin" "$target"
  echo "put $target there"
done
