#!/usr/bin/env bash
# Runs the recipe of the part $PART, which leaves its result in $OUT. This file is an input of every part; common.sh
# and parts.sh, which lend recipes their paths and messages, are not, and a library that a recipe sources is one of its part.
set -euo pipefail
# shellcheck source=common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
# shellcheck source=parts.sh
. "$SANDBOX/lib/parts.sh"

download() { curl --fail --silent --show-error --location --retry 3 --output "$2" "$1"; }

# The name under which buildah keeps the image of a part.
image_of() { echo "localhost/$1:$(part_key "$1")"; }

# build_image CONTEXT [BUILDAH ARGUMENTS]: makes an image of ./Containerfile and the files in CONTEXT.
# The machine's certificates are lent to steps that ask for them, for machines that reach the package registries
# through a proxy of their own. In an image everybody may read, however strict the umask of the checkout was.
build_image() {
  chmod -R a+rX "$1"
  "${IMAGE_STORE[@]}" build --isolation chroot --network host --pull-never --layers=false \
    --secret id=certificates,src=/etc/ssl/certs/ca-certificates.crt \
    --tag "localhost/$PART:$KEY" --file Containerfile "${@:2}" "$1"
  "${IMAGE_STORE[@]}" images --quiet "localhost/$PART:$KEY" >"$OUT/image-id"
}

cd "$SANDBOX/$PART"
# shellcheck disable=SC1091
. ./build
