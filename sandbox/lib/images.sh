# The images in the sandbox's registry, under the names in manifests/versions.yaml, and other versions of them. Sourced.

# Every image that has a `name` is published under it.
published_images() {
  local folder part name
  for folder in "$SANDBOX"/images/*/; do
    part=images/$(basename "$folder")
    name=$(part_file "$part" name)
    if [ -n "$name" ]; then echo "$part $(use_versions "$part" && envsubst <<<"$name")"; fi
  done
}

# The product pulls the images in its versions file, so the sandbox must have all of these.
check_image_names() {
  local image published named=$REPOSITORY/manifests/versions.yaml
  if ! [ -f "$named" ]; then fail "$named is missing: it contains the names of the images"; fi
  published=$(published_images | cut -d' ' -f2)
  while read -r image; do
    if ! grep -qxF "$image" <<<"$published"; then
      fail "manifests/versions.yaml names $image, which the sandbox does not build" \
        "hint: make sandbox/versions.env and sandbox/images/*/name agree with it; they name ${published//$'\n'/, }"
    fi
  done < <(sed 's/ *#.*//' "$named" | grep -oE '[a-z0-9._-]+(/[a-z0-9._-]+)*:[A-Za-z0-9._-]+$')
}

push_images() {
  local part image pushed
  while read -r part image; do
    pushed=$STATE/registry/pushed/${part##*/}
    if [ "$(cat "$pushed" 2>/dev/null)" != "$image $(part_key "$part")" ]; then
      push_image "$part" "$image"
      mkdir -p "$(dirname "$pushed")"
      echo "$image $(part_key "$part")" >"$pushed"
    fi
  done < <(published_images)
}

push_image() {
  local log name
  log=$STATE/logs/build/push-${1//\//-}.log
  name=$(full_name "$2")
  say "publishing $2"
  # Fast compression, because the image stays on this machine.
  in_network "${IMAGE_STORE[@]}" push --tls-verify=false --compression-format zstd --compression-level 1 "localhost/$1:$(part_key "$1")" "docker://127.0.0.1:5000/${name#*/}" >"$log" 2>&1 {LOCK}>&- ||
    fail "$2 publishing failed; the end of $log:" "$(tail -n 15 "$log")"
  forget_image "$name" >>"$log" 2>&1
}

# The node may have the former image of this name and would not pull again. It keeps three references to an image:
# by name, by digest and by id. Running Pods are not affected.
forget_image() {
  containers images list | awk -v name="$1" -v digests="${1%:*}@" '
    NR > 1 { digest[$1] = $3; if ($1 == name || index($1, digests) == 1) old[$3] }
    END { for (reference in digest) if (digest[reference] in old) print reference }' |
    xargs --no-run-if-empty ctr --address "$STATE/run/containerd.sock" --namespace k8s.io images remove --sync
}

# The full name with its registry: names without a host are on Docker's registry, and names without a folder in its library.
full_name() {
  if [[ $1 != */* ]]; then
    echo "docker.io/library/$1"
  elif [[ ${1%%/*} == *.* ]]; then
    echo "$1"
  else
    echo "docker.io/$1"
  fi
}

# Remains of a killed build: mounts below the store and unfinished containers.
repair_image_store() {
  release_image_store
  if [ -d "$STATE/buildah" ]; then "${IMAGE_STORE[@]}" rm --all >/dev/null; fi
  rm -rf "$STATE"/parts/*/*.new "$STATE"/parts/images/*/*.new
}

release_image_store() {
  local target
  while read -r target; do
    if [[ $target == "$STATE"/buildah/* || $target == "$BUILDAH_RUN"/* ]]; then umount --lazy "$target"; fi
  done < <(findmnt --raw --noheadings --output TARGET | tac)
  rm -rf "$(dirname "$BUILDAH_RUN")"
}
