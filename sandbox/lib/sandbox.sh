# Loads everything a command of the sandbox uses. Sourced.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
for library in requirements parts progress images network node certificates processes components cluster tools; do
  . "$SANDBOX/lib/$library.sh"
done
unset library
