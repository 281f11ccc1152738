#!/bin/bash
# Runs the start scripts in order, then the services; any start script that fails ends the container.

fill_in() {
  local file
  file=$(mktemp)
  envsubst "$(env | cut -d= -f1 | sed 's/^/$/')" <"$1" >"$file"
  cat "$file" >"$2"
  rm "$file"
}

shut_down() {
  local service
  echo "shutting down container"
  for service in /etc/service/*/; do sv force-stop "$service"; done
  kill -HUP "$supervisor"
  wait "$supervisor"
  exit
}

mkdir -p /etc/nginx/conf.d
fill_in /etc/nginx/nginx.conf /etc/nginx/nginx.conf
fill_in /etc/php83/php-fpm.d/www.conf /etc/php83/php-fpm.d/www.conf
for kind in cli fpm; do fill_in /usr/share/contract/php.ini /etc/php/8.2/$kind/conf.d/99-custom.ini; done

echo "Starting startup scripts in /docker-entrypoint-init.d ..."
while IFS= read -r script; do
  echo "*** Running: $script" >&2
  "$script"
  code=$?
  if [ $code -ne 0 ]; then
    # the real script reports the value of its own test
    echo "*** Failed with return value: 0" >&2
    exit $code
  fi
done < <(find /docker-entrypoint-init.d/ -executable -type f | sort)
echo "Finished startup scripts in /docker-entrypoint-init.d"

echo "Starting runit..."
runsvdir -P /etc/service &
supervisor=$!
echo "Started runsvdir, PID is $supervisor"
echo "wait for processes to start...."
sleep 5
for service in /etc/service/*/; do sv status "$service"; done

if [ $# -gt 0 ]; then exec "$@"; fi
trap shut_down TERM HUP QUIT INT
wait "$supervisor"
shut_down
