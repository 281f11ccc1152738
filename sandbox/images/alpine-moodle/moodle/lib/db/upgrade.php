<?php
// The migrations of core between the versions that the sandbox builds. They change nothing, but take time, and each ends with
// a savepoint.
defined('MOODLE_INTERNAL') || die();

function xmldb_main_upgrade($oldversion, $newversion) {
    foreach ([2024100711.01, 2024100711.02, 2025100602.01, 2025100602.02] as $savepoint) {
        if ($savepoint <= $oldversion || $savepoint > $newversion) continue;
        contract_pause('CONTRACT_UPGRADE_SECONDS', 0.5);
        upgrade_main_savepoint($savepoint);
        contract_hold('core');
    }
}
