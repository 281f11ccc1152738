<?php
namespace src;

// Returns a result for each event: its statements, and whether they were created and sent.
function handler(array $config, array $events) {
    $logs = ['log_error' => $config['log_error'], 'log_info' => $config['log_info']];
    try {
        return \src\loader\handler($logs + $config['loader'], \src\transformer\handler($logs + $config['transformer'], $events));
    } catch (\Exception $e) {
        $config['log_error']($e);
        return [];
    }
}
