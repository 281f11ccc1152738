<?php
// Called before Moodle starts, for what a pod that was killed left undone. Moodle itself cannot be loaded here: config.php
// is not written yet.
//
// - A first installation: Moodle can neither finish it nor begin again, so its tables are removed. Until `rolesactive` is
//   set nobody has ever signed in to the site, so nothing of anybody is lost.
// - An upgrade: it keeps everybody out until its time is over, those that would go on with it, too. Moodle's upgrades go on
//   where they stopped, so its mark is removed.

if ((getenv('DB_TYPE') ?: 'pgsql') !== 'pgsql') {
    exit(0);
}
$quote = fn($value) => "'" . addcslashes((string)$value, "'\\") . "'";
$parts = ['host' => getenv('DB_HOST'), 'port' => getenv('DB_PORT') ?: 5432, 'dbname' => getenv('DB_NAME'), 'user' => getenv('DB_USER'), 'password' => getenv('DB_PASS')];
$connection = pg_connect(implode(' ', array_map(fn($key, $value) => "$key={$quote($value)}", array_keys($parts), $parts)) . ' connect_timeout=10');
if (!$connection) {
    // the image waits for the database by itself and says why it cannot
    exit(0);
}
$prefix = getenv('DB_PREFIX') ?: 'mdl_';
$ask = fn($sql, ...$values) => pg_fetch_all(pg_query_params($connection, $sql, $values));
$tables = array_column($ask('SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND left(tablename, length($1)) = $1', $prefix), 'tablename');
if (!$tables) {
    exit(0);
}
$config = pg_escape_identifier($connection, "{$prefix}config");
// a pod that was killed hangs up a little later; one that is at work at this moment does not
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
        echo "an upgrade was stopped half-way: Moodle goes on with it\n";
        pg_query_params($connection, "DELETE FROM $config WHERE $upgrade", [time()]);
    }
    exit(0);
}
if (!$is_alone()) {
    fwrite(STDERR, "error: the database is not finished, and somebody else works on it\n");
    exit(1);
}
echo 'an installation was stopped half-way: removing its ' . count($tables) . " tables to begin again\n";
foreach (array_chunk($tables, 50) as $chunk) {
    pg_query($connection, 'DROP TABLE IF EXISTS ' . implode(', ', array_map(fn($table) => pg_escape_identifier($connection, $table), $chunk)) . ' CASCADE');
}
// what the killed installation, or an upgrade of half a database, left would keep everybody out
@unlink('/var/www/moodledata/climaintenance.html');
