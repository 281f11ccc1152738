# Compiling with the pinned Go. A recipe that sources this is built again when the Go changes. Sourced.

# Any Go from 1.21 on fetches the pinned one itself; where there is none, the part `go` has it.
use_go() {
  if ! has_go; then PATH=$(part_path go)/bin:$PATH; fi
  export GOTOOLCHAIN=go$GO_VERSION CGO_ENABLED=0
}

# go_build PACKAGE FILE [LINKER FLAGS]
go_build() {
  use_go
  GOFLAGS=-buildvcs=false go build -trimpath -ldflags "-s -w ${3:-}" -o "$2" "$1"
}

# The versions file and go.mod both name a module's version: they must not drift apart.
check_module() {
  local locked
  locked=$(sed -nE "s|^(require)?[[:space:]]*$1 v([^ ]+).*|\2|p" go.mod)
  if [ "$locked" != "$2" ]; then
    fail "$PART/go.mod has $1 at $locked, versions.env has $2"
  fi
}
