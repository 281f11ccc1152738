#!/bin/bash
# Waits for the database, writes config.php, and installs or upgrades.
set -eo pipefail
config=/var/www/html/config.php
helpers=/usr/local/lib/alpine-moodle/cli
if [ -n "$MOODLE_DATABASE_TYPE" ]; then DB_TYPE=$MOODLE_DATABASE_TYPE; fi

# Values pass through sed and unquoted words, so they fail as in the real script.
# A key without a value loses its line.
set_config_value() {
  local key=$1 value=$2 quote="'"
  if [ -z "$value" ]; then
    sed -i "/$key/d" "$config"
    return
  fi
  case $value in true | false | \[*) quote= ;; esac
  if grep -q "$key" "$config"; then
    sed -i "s|\($key\s*=\s*\)[^;]*;|\1$quote$value$quote;|g" "$config"
  else
    sed -i "/require_once/i $key\t= $quote$value$quote;" "$config"
  fi
}

moodle() { php -d max_input_vars=10000 "/var/www/html/admin/cli/$1" "${@:2}"; }

wait_for_database() {
  echo "Waiting for $1:$2 to be ready..."
  while ! nc -z -w 1 "$1" "$2" >/dev/null 2>&1; do
    echo -n '.'
    sleep 1
  done
  printf '\n\nGreat, %s is ready!\n' "$1"
}

# shellcheck disable=SC2086
write_config() {
  echo "Generating config.php file..."
  moodle install.php --lang=$MOODLE_LANGUAGE --wwwroot=$SITE_URL --dataroot=/var/www/moodledata/ --dbtype=$DB_TYPE --dbname=$DB_NAME \
    --prefix=$DB_PREFIX --dbhost=$DB_HOST --dbuser=$DB_USER --dbpass=$DB_PASS --dbport=$DB_PORT --fullname=$MOODLE_SITENAME \
    --shortname=moodle --adminuser=$MOODLE_USERNAME --adminpass=$MOODLE_PASSWORD --adminemail=$MOODLE_EMAIL \
    --non-interactive --agree-license --skip-database --allow-unstable
}

renew_config() {
  echo "Upgrading config.php..."
  # shellcheck disable=SC2016
  set -- '$CFG->wwwroot' "$SITE_URL" '$CFG->dbtype' "$DB_TYPE" '$CFG->dblibrary' native '$CFG->dbhost' "$DB_HOST" '$CFG->dbuser' "$DB_USER" \
    '$CFG->dbpass' "$DB_PASS" '$CFG->dbport' "$DB_PORT" '$CFG->dbname' "$DB_NAME" '$CFG->prefix' "$DB_PREFIX" '$CFG->reverseproxy' "$REVERSEPROXY" \
    '$CFG->sslproxy' "$SSLPROXY" '$CFG->preventexecpath' true '$CFG->enableanalytics' false
  while [ $# -gt 0 ]; do
    set_config_value "$1" "$2"
    shift 2
  done
}

# shellcheck disable=SC2086
install_database() {
  echo "Installing database..."
  moodle install_database.php --lang=$MOODLE_LANGUAGE --adminuser=$MOODLE_USERNAME --adminpass=$MOODLE_PASSWORD --adminemail=$MOODLE_EMAIL \
    --fullname=$MOODLE_SITENAME --shortname=moodle --agree-license
}

set_settings() {
  echo "Configuring settings..."
  local name
  declare -A settings=([pathtophp]=/usr/bin/php [pathtodu]=/usr/bin/du [enableblogs]=0 [smtphosts]="$SMTP_HOST:$SMTP_PORT" [smtpuser]="$SMTP_USER"
    [smtppass]="$SMTP_PASSWORD" [smtpsecure]="$SMTP_PROTOCOL" [noreplyaddress]="$MOODLE_MAIL_NOREPLY_ADDRESS" [emailsubjectprefix]="$MOODLE_MAIL_PREFIX")
  if [ "${DEBUG:-false}" = true ]; then
    echo "Enabling debug mode..."
    settings[debug]=32767 settings[debugdisplay]=1
  else
    echo "Disabling debug mode..."
    settings[debug]=0 settings[debugdisplay]=0
  fi
  for name in "${!settings[@]}"; do moodle cfg.php --name="$name" --set="${settings[$name]}"; done
}

upgrade() {
  echo "Upgrading moodle..."
  moodle maintenance.php --enable
  moodle upgrade.php --non-interactive --allow-unstable
  moodle maintenance.php --disable
}

wait_for_database "$DB_HOST" "$DB_PORT"
if [ -n "$PRE_CONFIGURE_COMMANDS" ]; then
  echo "Executing pre-configure commands..."
  eval "$PRE_CONFIGURE_COMMANDS"
fi
if ! [ -f "$config" ]; then write_config; fi
public=false
if [ -d /var/www/html/public ]; then
  public=true
  sed -i 's|root .*;|root /var/www/html/public;|' /etc/nginx/nginx.conf
  echo "Running composer install for Moodle 5.1+..."
  composer install --no-dev --classmap-authoritative
fi
renew_config

set +e
php -d max_input_vars=10000 "$helpers/isinstalled.php"
installed=$?
set -e
case $installed in
  0)
    install_database
    set_settings
    chmod 444 config.php
    if [ $public = false ]; then sed -i 's/wwwroot/wwwroot\ \. \"\:8080\"/g' /var/www/html/lib/classes/check/environment/publicpaths.php; fi
    ;;
  2)
    set_settings
    echo "Upgrading admin user"
    # shellcheck disable=SC2086
    php -d max_input_vars=10000 "$helpers/update_admin_user.php" --username=$MOODLE_USERNAME --password=$MOODLE_PASSWORD --email=$MOODLE_EMAIL
    if [ -z "$AUTO_UPDATE_MOODLE" ] || [ "$AUTO_UPDATE_MOODLE" = true ]; then upgrade; else echo "Skipped auto update of Moodle"; fi
    ;;
  *)
    echo "ERROR: could not determine whether Moodle is installed" >&2
    echo "       ($helpers/isinstalled.php exited with $installed)." >&2
    echo "       Check the database connectivity and the messages above." >&2
    exit 1
    ;;
esac
if [ -n "$POST_CONFIGURE_COMMANDS" ]; then
  echo "Executing post-configure commands..."
  eval "$POST_CONFIGURE_COMMANDS"
fi
