# Starting, watching and stopping the components inside the node. Sourced.

component_log() { echo "$STATE/logs/$1.log"; }

# The pid file holds a pid in the process namespace of the node, which is new for each node. The command line is
# compared in addition.
component_runs() {
  local pid
  pid=$(cat "$STATE/run/$1.pid" 2>/dev/null) || return 1
  [ "$(tr '\0' '\n' 2>/dev/null <"/proc/$NODE/root/proc/$pid/cmdline" | head -n 1)" = "$(cat "$STATE/run/$1.command")" ]
}

# The program, its flags, and the content of the files that they name.
command_key() {
  local word
  {
    readlink -f "$(command -v "$1")"
    for word in "${@:2}"; do
      echo "$word"
      word=${word#*=}
      if [ -f "$word" ]; then sha256sum <"$word"; fi
    done
  } | sha256sum | cut -c1-16
}

# Starts a component unless it runs with the same key. Pods keep running.
start_component() { # NAME COMMAND...
  local name=$1 log key
  shift
  key=$(command_key "$@")
  if component_runs "$name"; then
    if [ "$(cat "$STATE/run/$name.key" 2>/dev/null)" = "$key" ]; then return; fi
    say "restarting $name, because it changed"
    stop_component "$name"
  fi
  log=$(component_log "$name")
  if [ -f "$log" ]; then mv "$log" "$log.before"; fi
  rm -f "$STATE/run/$name.pid"
  echo "$1" >"$STATE/run/$name.command"
  echo "$key" >"$STATE/run/$name.key"
  # shellcheck disable=SC2016
  setsid "${WITHOUT_PROXY[@]}" nsenter --target "$NODE" --net --pid --mount -- \
    sh -c 'echo $$ >"$0"; exec "$@"' "$STATE/run/$name.pid" "$@" >"$log" 2>&1 </dev/null {LOCK}>&- &
  disown
}

stop_component() {
  if component_runs "$1"; then
    in_node kill "$(cat "$STATE/run/$1.pid")"
    if ! wait_until 10 component_is_gone "$1"; then
      in_node kill -KILL "$(cat "$STATE/run/$1.pid")"
      wait_until 10 component_is_gone "$1" || fail "$1 cannot be killed"
    fi
  fi
  rm -f "$STATE/run/$1.pid"
}

component_is_gone() { ! component_runs "$1"; }

# For a component that has just started: false until it runs.
component_ended() {
  local pid
  pid=$(cat "$STATE/run/$1.pid" 2>/dev/null) && [ -n "$pid" ] && ! [ -e "/proc/$NODE/root/proc/$pid" ]
}

# Waits until a component responds. After a failure it shows the end of the log.
wait_for_component() { # NAME SECONDS COMMAND...
  local log
  log=$(component_log "$1")
  wait_until "$2" "${@:3}" ||
    fail "$1 does not respond after $2 s; the end of $log:" "$(tail -n 15 "$log")"
}
