<?php
// Runs before Moodle starts and cleans up after a killed Pod. Moodle cannot be loaded here, because config.php does not
// exist yet.
//
// - A first installation: Moodle can neither continue nor restart it, so the script deletes its tables. Before `rolesactive` is
//   set no user has signed in to the site, so no data is lost.
// - An upgrade: its lock blocks all users, and also the next upgrade, until it expires. Moodle's upgrades continue where
//   they stopped, so the script deletes the lock.

if ((getenv('DB_TYPE') ?: 'pgsql') !== 'pgsql') {
    exit(0);
}
$quote = fn($value) => "'" . addcslashes((string)$value, "'\\") . "'";
$parts = ['host' => getenv('DB_HOST'), 'port' => getenv('DB_PORT') ?: 5432, 'dbname' => getenv('DB_NAME'), 'user' => getenv('DB_USER'), 'password' => getenv('DB_PASS')];
$connection = pg_connect(implode(' ', array_map(fn($key, $value) => "$key={$quote($value)}", array_keys($parts), $parts)) . ' connect_timeout=10');
if (!$connection) {
    // the image waits for the database itself and reports errors
    exit(0);
}
$prefix = getenv('DB_PREFIX') ?: 'mdl_';
$ask = fn($sql, ...$values) => pg_fetch_all(pg_query_params($connection, $sql, $values));
$tables = array_column($ask('SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND left(tablename, length($1)) = $1', $prefix), 'tablename');
if (!$tables) {
    exit(0);
}
$config = pg_escape_identifier($connection, "{$prefix}config");
// the connection of a killed Pod closes after a short time; that of a running Pod stays open
$is_alone = function () use ($ask) {
    $others = 'SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND usename = current_user AND pid <> pg_backend_pid()';
    for ($seconds = 0; $ask($others); $seconds++) {
        if ($seconds === 60) {
            return false;
        }
        sleep(1);
    }
    return true;
};
if (in_array("{$prefix}config", $tables, true) && $ask("SELECT 1 FROM $config WHERE name = 'rolesactive' AND value <> '0'")) {
    $upgrade = "name = 'upgraderunning' AND value > $1";
    if ($ask("SELECT 1 FROM $config WHERE $upgrade", time()) && $is_alone()) {
        echo "an upgrade was stopped half-way: Moodle continues it\n";
        pg_query_params($connection, "DELETE FROM $config WHERE $upgrade", [time()]);
    }
    exit(0);
}
if (!$is_alone()) {
    fwrite(STDERR, "error: the installation of the database is not complete, and another connection uses it\n");
    exit(1);
}
echo 'an installation was stopped half-way: deleting its ' . count($tables) . " tables to start again\n";
foreach (array_chunk($tables, 50) as $chunk) {
    pg_query($connection, 'DROP TABLE IF EXISTS ' . implode(', ', array_map(fn($table) => pg_escape_identifier($connection, $table), $chunk)) . ' CASCADE');
}
// this file of the killed installation or upgrade would block all users
@unlink('/var/www/moodledata/climaintenance.html');
