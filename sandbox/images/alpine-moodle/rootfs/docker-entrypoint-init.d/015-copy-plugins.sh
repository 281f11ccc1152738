#!/bin/bash
# PLUGINS="type_name=url ...": each zip archive must contain a folder with the bare name of the plugin.
set -e
if [ -z "${PLUGINS:-}" ]; then
  echo "No plugins to install."
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

for entry in $PLUGINS; do
  if [[ $entry != *=* ]]; then
    echo "Error: Invalid plugin format. Expected 'type_name=url', got '$entry'"
    exit 1
  fi
  plugin=${entry%%=*} url=${entry#*=}
  url=${url%%=*} # the real script cuts at the second = as well
  type=${plugin%%_*} name=${plugin#*_}
  echo "Installing plugin $plugin from $url"
  if ! curl -L -s -S -f "$url" -o "$plugin.zip"; then
    echo "Error: Failed to download plugin from $url"
    exit 1
  fi
  if ! unzip -q "$plugin.zip"; then
    echo "Error: Failed to unzip $plugin.zip"
    exit 1
  fi
  # Always the folders of versions before 5.1, although later versions use public/.
  case $type in
    logstore) folder=admin/tool/log/store ;;
    tool) folder=admin/tool ;;
    block) folder=blocks ;;
    *) folder=$type ;;
  esac
  if ! [ -d "$name" ]; then
    echo "Error: the ZIP does not contain the expected folder '$name'"
    echo "Contents of the ZIP:"
    ls -la
    exit 1
  fi
  target=/var/www/html/$folder/$name
  mkdir -p "$(dirname "$target")"
  rm -rf "$target"
  mv "$name" "$target"
  echo "Successfully installed $plugin to $target"
done
echo "All plugins installed successfully"
