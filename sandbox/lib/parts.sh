# Parts: everything that must be built before a cluster can start. A part is a folder with a recipe (`build`),
# an optional list of parts it `needs`, and sources. Its result is in a folder named after the hash of all
# inputs, so a part is built once, and again only when an input changes. Sourced.

# Two lanes, built at the same time: one keeps the compiler busy, the other mostly waits for downloads.
# The number is the approximate build time of a part in seconds on two cores.
COMPILE_LANE=(kube:720 eck-operator:190 helm4:120 helm3:80 images/eck-operator:5 eck-operator-older:36 charts:2 images/eck-operator-older:5)
IMAGE_LANE=(images/pause:2 images/base:55 images/elasticsearch:40 images/ralph:120 authority:1 images/superset:180 package-index:15
  images/base-trixie:40 images/postgresql:30 images/valkey:15 images/base-php:35 images/alpine-moodle:2 plugin:1
  images/ralph-older:6 images/postgresql-older:28 images/alpine-moodle-older:2 images/alpine-moodle-newer:2
  images/elasticsearch-older:40 versitygw:100)

# A Go before 1.21 cannot download the pinned version.
has_go() { [ -n "$(cd / && go env GOTOOLCHAIN 2>/dev/null)" ]; }
if ! has_go; then COMPILE_LANE=(go:30 "${COMPILE_LANE[@]}"); fi

# buildah with a separate store.
IMAGE_STORE=(buildah --root "$STATE/buildah" --runroot "$BUILDAH_RUN" --storage-driver overlay)

# A variant is another version of a part, its model: the same recipe (lib/variant.sh) with the versions in the variant's
# file `versions`. Files of the variant replace those of the model. The file `variant-of` names the model.
part_model() {
  if [ -f "$SANDBOX/$1/variant-of" ]; then cat "$SANDBOX/$1/variant-of"; fi
}

# Prints a file of a part or of its model, if one of them has it.
part_file() { # PART FILE
  local folder
  for folder in "$1" $(part_model "$1"); do
    if [ -f "$SANDBOX/$folder/$2" ]; then
      cat "$SANDBOX/$folder/$2"
      return
    fi
  done
}

part_needs() { part_file "$1" needs; }

# Inputs in the repository outside of the folder of the part.
part_inputs() { part_file "$1" inputs; }

use_versions() { # PART
  # shellcheck source=/dev/null
  if [ -f "$SANDBOX/$1/versions" ]; then . "$SANDBOX/$1/versions"; fi
}

# The files of a part, without its tests and its README, and the files of lib/ that its recipe sources.
own_files() {
  find "$1" -type f ! -name '*_test.go' ! -path "$1/README.md"
  # shellcheck disable=SC2016
  sed -nE 's|^\. "\$SANDBOX/(lib/[a-z]+\.sh)"$|\1|p' "$1/build"
}

# For a variant also the files of its model that it does not replace. A variant has a recipe that runs that of the model.
part_files() {
  local model file
  own_files "$1"
  model=$(part_model "$1")
  if [ -n "$model" ]; then
    own_files "$model" | while read -r file; do
      if [ "$file" = "$model/build" ] || ! [ -f "$1/${file#"$model"/}" ]; then echo "$file"; fi
    done
  fi
}

# The versions whose names occur in these files.
VERSIONS=$(sed -nE 's/^([A-Z0-9_]+)=.*/\1/p' "$SANDBOX/versions.env" | paste -sd '|' -)
part_versions() (
  use_versions "$1"
  while read -r name; do echo "$name=${!name}"; done < <(part_files "$1" | xargs -d '\n' grep -ohwE "$VERSIONS" | sort -u)
)

part_key() {
  local need file
  {
    cd "$SANDBOX" || exit
    part_files "$1" | sort | xargs -d '\n' sha256sum
    # shellcheck disable=SC2046
    find "$1" $(part_model "$1") -type f -perm -u=x -printf '%p can be run\n' -o -type l -printf '%p leads to %l\n' | sort
    part_versions "$1"
    for file in $(part_inputs "$1"); do sha256sum <"$REPOSITORY/$file"; done
    sha256sum <lib/recipe.sh
    for need in $(part_needs "$1"); do part_key "$need"; done
  } | sha256sum | cut -c1-16
}

part_path() { echo "$STATE/parts/$1/$(part_key "$1")"; }

# The result of an image is in buildah's store, and the part's folder holds its id.
part_is_built() {
  local out
  out=$(part_path "$1")
  [ -d "$out" ] || return 1
  touch "$out" # it is in use, see forget_old_results
  ! [ -f "$out/image-id" ] || compgen -G "$STATE/buildah/overlay-images/$(cat "$out/image-id")*" >/dev/null
}

part_log() { echo "$STATE/logs/build/${1//\//-}.log"; }

# Builds a part and its needs. The result gets its final name atomically, after all of it is on the disk. So a killed
# build or a power failure leaves no incomplete result.
build_part() {
  local part=$1 need out log started status=0
  for need in $(part_needs "$part"); do build_part "$need" || return; done
  out=$(part_path "$part")
  log=$(part_log "$part")
  mkdir -p "$(dirname "$out")" "$(dirname "$log")"
  (
    flock 9
    if part_is_built "$part"; then exit 0; fi
    started=$SECONDS
    echo "$part" >"$STATE/building.$BASHPID"
    trap 'rm -f "$STATE/building.$BASHPID"' EXIT
    rm -rf "$out" "$out.new"
    mkdir -p "$out.new"
    PART=$part KEY=$(basename "$out") OUT=$out.new bash "$SANDBOX/lib/recipe.sh" >"$log" 2>&1 9>&- || status=$?
    if [ $status -ne 0 ]; then
      fail "building $part failed after $(elapsed "$started") s; the end of $log:" "$(tail -n 15 "$log")"
    fi
    sync --file-system "$out.new"
    mv "$out.new" "$out"
    say "built $part in $(elapsed "$started") s"
    forget_old_results "$part" >>"$log" 2>&1 9>&-
  ) 9>"$STATE/parts/$part/lock"
}

# Some results of former inputs remain for other clones and branches.
KEPT_RESULTS=3
forget_old_results() {
  local result
  find "$STATE/parts/$1" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %p\n' | sort -rn | tail -n +$((KEPT_RESULTS + 1)) | while read -r _ result; do
    if [ -f "$result/image-id" ]; then "${IMAGE_STORE[@]}" rmi "localhost/$1:$(basename "$result")" || true; fi
    rm -rf "$result"
  done
}

missing_parts() {
  local entry
  for entry in "$@"; do
    if ! part_is_built "${entry%:*}"; then echo "$entry"; fi
  done
}
