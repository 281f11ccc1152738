# Loads all functions of the sandbox. Sourced.

# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for library in requirements parts progress images network node certificates processes components cluster tools; do
  # shellcheck disable=SC1090
  . "$SANDBOX/lib/$library.sh"
done
unset library
