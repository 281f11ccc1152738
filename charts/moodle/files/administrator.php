<?php
// Keeps a password that the administrator changed in Moodle. The image sets the password of the Secret at every start.
//
//   before   runs before the image sets the password, and saves the hash of a changed one
//   after    runs after it, and restores the saved hash
//
// A changed password stays until the password in the Secret changes. The rows are in Moodle's own table of settings, so
// that they share the life of the account:
//
//   given    a hash of the password in the Secret at the last start
//   saved    the saved hash, from `before` to `after`. It survives a killed Pod.

require(__DIR__ . '/database.php');

$table = pg_escape_identifier($connection, "{$prefix}config_plugins");
$config = pg_escape_identifier($connection, "{$prefix}config");
$user = pg_escape_identifier($connection, "{$prefix}user");
foreach ([$table, $config, $user] as $name) {
    if (!$ask('SELECT 1 WHERE to_regclass($1) IS NOT NULL', $name)) {
        // Moodle is not installed yet
        exit(0);
    }
}
$read = fn($name) => $ask("SELECT value FROM $table WHERE plugin = 'lastack' AND name = \$1", $name)[0]['value'] ?? null;
$delete = fn($name) => $ask("DELETE FROM $table WHERE plugin = 'lastack' AND name = \$1", $name);
$write = function ($name, $value) use ($ask, $delete, $table) {
    $delete($name);
    $ask("INSERT INTO $table (plugin, name, value) VALUES ('lastack', \$1, \$2)", $name, $value);
};

// as get_admin() of Moodle, which the image uses
$admin = $ask("SELECT u.id, u.password FROM $user u, (SELECT string_to_array(value, ',')::bigint[] AS ids FROM $config WHERE name = 'siteadmins') a
    WHERE u.deleted = 0 AND u.id = ANY(a.ids) ORDER BY array_position(a.ids, u.id) LIMIT 1")[0] ?? null;
if (!$admin) {
    exit(0);
}
$secret = getenv('MOODLE_PASSWORD');
$given = $read('given');
$is_unchanged = $given !== null && password_verify($secret, $given);
$ask('BEGIN');
if ($argv[1] === 'before') {
    if (!$is_unchanged) {
        $delete('saved');
    } elseif (!password_verify($secret, $admin['password'])) {
        $write('saved', $admin['password']);
    }
} else {
    $saved = $read('saved');
    if ($saved !== null) {
        $ask("UPDATE $user SET password = \$1 WHERE id = \$2", $saved, $admin['id']);
        $delete('saved');
        echo "the administrator keeps the password that was changed in Moodle\n";
    }
    if (!$is_unchanged) {
        $write('given', password_hash($secret, PASSWORD_DEFAULT));
    }
}
$ask('COMMIT');
