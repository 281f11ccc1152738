# Building the missing parts, with progress. Sourced.

build_missing_parts() {
  local compile images parts seconds lanes=() started=$SECONDS
  mapfile -t compile < <(missing_parts "${COMPILE_LANE[@]}")
  mapfile -t images < <(missing_parts "${IMAGE_LANE[@]}")
  if [ $((${#compile[@]} + ${#images[@]})) -eq 0 ]; then return; fi

  seconds=$(longest_lane)
  parts=("${compile[@]%:*}" "${images[@]%:*}")
  say "building ${parts[*]}: about $(((seconds + 59) / 60)) min on two cores, logs in $STATE/logs/build"
  rm -f "$STATE"/building.*
  build_lane "${compile[@]}" &
  lanes+=($!)
  build_lane "${images[@]}" &
  lanes+=($!)
  # shellcheck disable=SC2064
  trap "stop_lanes ${lanes[*]}; exit 130" INT TERM
  watch_lanes "${lanes[@]}"
  trap - INT TERM
  say "everything is built after $(elapsed "$started") s"
}

longest_lane() {
  local compile_seconds image_seconds
  compile_seconds=$(lane_seconds "${compile[@]}")
  image_seconds=$(lane_seconds "${images[@]}")
  echo $((compile_seconds > image_seconds ? compile_seconds : image_seconds))
}

lane_seconds() {
  local entry sum=0
  for entry in "$@"; do sum=$((sum + ${entry#*:})); done
  echo "$sum"
}

build_lane() {
  local entry
  for entry in "$@"; do
    build_part "${entry%:*}" || exit 1
  done
}

# The first lane that fails ends the other one as well.
watch_lanes() {
  local running=("$@") lane still
  while [ ${#running[@]} -gt 0 ]; do
    still=()
    for lane in "${running[@]}"; do
      if kill -0 "$lane" 2>/dev/null; then
        still+=("$lane")
      elif ! wait "$lane"; then
        stop_lanes "$@"
        exit 1
      fi
    done
    running=("${still[@]}")
    show_progress
    sleep 0.5
  done
}

stop_lanes() {
  local lane child
  for lane in "$@"; do
    for child in $(pgrep -P "$lane"); do stop_lanes "$child"; done
    kill "$lane" 2>/dev/null || true
  done
}

# One line that is overwritten, on a terminal only.
show_progress() {
  local file line=''
  if ! [ -t 2 ]; then return; fi
  for file in "$STATE"/building.*; do
    if [ -f "$file" ]; then line+="${line:+, }$(cat "$file") $(($(date +%s) - $(stat -c %Y "$file"))) s"; fi
  done
  printf '\r\033[Kbuilding %s' "$line" >&2
}
