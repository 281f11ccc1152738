#!/usr/bin/env bash
# Runs the recipe of the part $PART, which leaves its result in $OUT. What recipes use is defined here, and
# this file counts as an input of every part.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=parts.sh
. "$SANDBOX/lib/parts.sh"

download() { curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"; }

# go_build PACKAGE FILE [LINKER FLAGS]: compiles with the pinned toolchain, which any Go from 1.21 on fetches itself.
go_build() {
  if ! command -v go >/dev/null; then
    local toolchain
    toolchain=$(part_path go)
    export PATH=$toolchain/bin:$PATH
  fi
  GOTOOLCHAIN=go$GO_VERSION CGO_ENABLED=0 GOFLAGS=-buildvcs=false \
    go build -trimpath -ldflags "-s -w ${3:-}" -o "$2" "$1"
}

# The versions file and go.mod both name a module's version: they must not drift apart.
check_module() {
  local locked
  locked=$(sed -nE "s|^(require)?[[:space:]]*$1 v([^ ]+).*|\2|p" go.mod)
  if [ "$locked" != "$2" ]; then
    fail "$PART/go.mod has $1 at $locked, versions.env has $2"
  fi
}

# The name under which buildah keeps the image of a part.
image_of() { echo "localhost/$1:$(part_key "$1")"; }

# build_image CONTEXT [BUILDAH ARGUMENTS]: makes an image of ./Containerfile and the files in CONTEXT.
# The machine's certificates are lent to steps that ask for them, for machines that reach the package registries
# through a proxy of their own.
build_image() {
  "${IMAGE_STORE[@]}" build --isolation chroot --network host --pull-never --layers=false \
    --secret id=certificates,src=/etc/ssl/certs/ca-certificates.crt \
    --tag "localhost/$PART:$KEY" --file Containerfile "${@:2}" "$1"
  "${IMAGE_STORE[@]}" images --quiet "localhost/$PART:$KEY" >"$OUT/image-id"
}

cd "$SANDBOX/$PART"
# shellcheck disable=SC1091
. ./build
