<?php
namespace src\loader\utils;

// Sends a batch in one request. After a 400 it halves the batch until only the rejected events fail, if the setting allows it.
function load_batch(array $config, array $events, callable $loader) {
    try {
        $loader($config, array_merge([], ...array_column($events, 'statements')));
        return construct_loaded_events($events, true);
    } catch (\Exception $e) {
        $count = count($events);
        $config['log_error']("Failed load batch ($count events)" . $e->getMessage());
        foreach ($events as $event) {
            if (!$event['transformed']) continue;
            $event['event']->response = $e->getMessage();
            $event['event']->errortype = $e->getCode();
        }
        if ($count <= 1 || $e->getCode() !== 400 || $config['lrs_resend_failed_batches'] !== '1') return construct_loaded_events($events, false);
        $smaller = ['lrs_max_batch_size' => (int)round($count / 2)] + $config;
        return array_merge(...array_map(fn($batch) => load_batch($smaller, $batch, $loader), get_event_batches($smaller, $events)));
    }
}
