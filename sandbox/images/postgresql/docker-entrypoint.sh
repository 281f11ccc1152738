#!/usr/bin/env bash
# Creates the database at the first start, and starts the server. It accepts and rejects the same environment as the
# script of the official image.
set -euo pipefail

fail() {
  printf 'Error: %s\n' "$@" >&2
  exit 1
}

# NAME, or the content of the file that NAME_FILE names
from_file() {
  local name=$1 file=${1}_FILE
  if [ -z "${!file:-}" ]; then return; fi
  if [ -n "${!name:-}" ]; then fail "both $name and $file are set (but are exclusive)"; fi
  export "$name"="$(<"${!file}")"
  unset "$file"
}

make_folders() {
  mkdir -p "$PGDATA" /var/run/postgresql
  chmod 700 "$PGDATA" 2>/dev/null || true
  chmod 3777 /var/run/postgresql 2>/dev/null || true
  if [ "$(id -u)" = 0 ]; then chown -R postgres "$PGDATA" /var/run/postgresql; fi
}

# PostgreSQL requires a name for its user.
name_user() {
  local files
  if getent passwd "$(id -u)" >/dev/null; then return; fi
  files=$(mktemp -d)
  echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" >"$files/passwd"
  echo "postgres:x:$(id -g):" >"$files/group"
  export LD_PRELOAD=libnss_wrapper.so NSS_WRAPPER_PASSWD=$files/passwd NSS_WRAPPER_GROUP=$files/group
}

check_password() {
  if [ -z "${POSTGRES_PASSWORD:-}" ] && [ "${POSTGRES_HOST_AUTH_METHOD:-}" != trust ]; then
    fail "Database is uninitialized and superuser password is not specified." \
      "Set POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE to a value that is not empty."
  fi
}

make_database() {
  local options=()
  if [ -n "${POSTGRES_INITDB_WALDIR:-}" ]; then options+=(--waldir "$POSTGRES_INITDB_WALDIR"); fi
  # The arguments may hold quotes, as in a shell.
  eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$POSTGRES_PASSWORD\") ${POSTGRES_INITDB_ARGS:-} \"\${options[@]}\""
  # Listen on every address, and put the socket into the folder of Debian's psql. The defaults of initdb differ.
  printf '%s\n' "listen_addresses = '*'" "unix_socket_directories = '/var/run/postgresql'" >>"$PGDATA/postgresql.conf"
  printf '\nhost all all all %s\n' "${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption "${server_options[@]}")}" >>"$PGDATA/pg_hba.conf"
}

# A server on the socket only, for the first SQL statements: no client can reach an incomplete database.
with_private_server() {
  PGPORT=${PGPORT:-5432} pg_ctl --pgdata "$PGDATA" --wait --options "$(printf '%q ' -c listen_addresses= "${server_options[@]}")" start
  "$@"
  pg_ctl --pgdata "$PGDATA" --mode fast --wait stop
}

run_sql() {
  PGHOST='' PGHOSTADDR='' PGPASSWORD=${POSTGRES_PASSWORD:-} psql --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --no-password --no-psqlrc "$@"
}

fill_database() {
  local file
  if [ "$POSTGRES_DB" != postgres ]; then
    run_sql --dbname postgres --set db="$POSTGRES_DB" <<<'CREATE DATABASE :"db" ;'
  fi
  for file in /docker-entrypoint-initdb.d/*; do
    case $file in
      *.sh)
        if [ -x "$file" ]; then
          "$file"
        else
          # shellcheck disable=SC1090
          . "$file"
        fi
        ;;
      *.sql) run_sql --dbname "$POSTGRES_DB" --file "$file" ;;
      *.sql.gz) gunzip --stdout "$file" | run_sql --dbname "$POSTGRES_DB" ;;
      *.sql.xz) xz --decompress --stdout "$file" | run_sql --dbname "$POSTGRES_DB" ;;
      *.sql.zst) zstd --decompress --stdout "$file" | run_sql --dbname "$POSTGRES_DB" ;;
    esac
  done
}

if [ $# -eq 0 ] || [ "${1:0:1}" = - ]; then set -- postgres "$@"; fi
if [ "$1" != postgres ]; then exec "$@"; fi
for argument in "$@"; do
  case $argument in
    -'?' | --help | --describe-config | -V | --version) exec "$@" ;;
  esac
done

make_folders
if [ "$(id -u)" = 0 ]; then exec setpriv --reuid postgres --regid postgres --init-groups "${BASH_SOURCE[0]}" "$@"; fi
name_user
server_options=("${@:2}")
if ! [ -s "$PGDATA/PG_VERSION" ]; then
  for name in POSTGRES_PASSWORD POSTGRES_USER POSTGRES_DB POSTGRES_INITDB_ARGS; do from_file "$name"; done
  export POSTGRES_USER=${POSTGRES_USER:-postgres}
  export POSTGRES_DB=${POSTGRES_DB:-$POSTGRES_USER}
  check_password
  make_database
  with_private_server fill_database
  echo 'PostgreSQL init process complete; ready for start up.'
fi
unset POSTGRES_PASSWORD
exec "$@"
