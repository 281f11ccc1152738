<?php
// Runs before Moodle starts and cleans up after a killed Pod. Moodle cannot be loaded here, because config.php does not
// exist yet.
//
// - A first installation: Moodle can neither continue nor restart it, so the script deletes its tables. It is complete when
//   `rolesactive` is set and the site has a name. Before that no user can sign in, so no data is lost.
// - Caches of a database that no longer exists: Moodle fails with them, so the script deletes them.
// - An upgrade: its lock blocks all users, and also the next upgrade, until it expires. Moodle's upgrades continue where
//   they stopped, so the script deletes the lock.

require(__DIR__ . '/database.php');

$list = fn() => array_column($ask('SELECT tablename FROM pg_tables WHERE schemaname = current_schema() AND left(tablename, length($1)) = $1', $prefix), 'tablename');
$delete_caches = function () {
    foreach (['cache', 'localcache', 'muc', 'temp'] as $folder) {
        passthru("rm -rf /var/www/moodledata/$folder");
    }
};
$tables = $list();
if (!$tables) {
    $delete_caches();
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
$course = pg_escape_identifier($connection, "{$prefix}course");
$is_complete = in_array("{$prefix}config", $tables, true) && in_array("{$prefix}course", $tables, true)
    && $ask("SELECT 1 FROM $config WHERE name = 'rolesactive' AND value <> '0'")
    && $ask("SELECT 1 FROM $course WHERE format = 'site' AND fullname <> ''");
if ($is_complete) {
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
// the other connection may have created more
$tables = $list();
echo 'an installation was stopped half-way: deleting its ' . count($tables) . " tables to start again\n";
foreach (array_chunk($tables, 50) as $chunk) {
    pg_query($connection, 'DROP TABLE IF EXISTS ' . implode(', ', array_map(fn($table) => pg_escape_identifier($connection, $table), $chunk)) . ' CASCADE');
}
// this file of the killed installation or upgrade would block all users
@unlink('/var/www/moodledata/climaintenance.html');
$delete_caches();
