<?php
// Connects to the database for scripts that run while Moodle is configured, when Moodle itself cannot be loaded. Ends the
// script when the database accepts no connection: the image waits for it and reports errors.
// Defines $connection, $prefix, and $ask, which runs a query and returns its rows.

if ((getenv('DB_TYPE') ?: 'pgsql') !== 'pgsql') {
    exit(0);
}
$quote = fn($value) => "'" . addcslashes((string)$value, "'\\") . "'";
$parts = ['host' => getenv('DB_HOST'), 'port' => getenv('DB_PORT') ?: 5432, 'dbname' => getenv('DB_NAME'), 'user' => getenv('DB_USER'), 'password' => getenv('DB_PASS')];
$text = implode(' ', array_map(fn($key, $value) => "$key={$quote($value)}", array_keys($parts), $parts)) . ' connect_timeout=10';
// after a change of its password, a database may still run with the old one for some seconds
for ($seconds = 0; !($connection = @pg_connect($text)); $seconds++) {
    if ($seconds === 30 || !str_contains(error_get_last()['message'] ?? '', 'authentication failed')) {
        exit(0);
    }
    sleep(1);
}
$prefix = getenv('DB_PREFIX') ?: 'mdl_';
$ask = fn($sql, ...$values) => pg_fetch_all(pg_query_params($connection, $sql, $values));
