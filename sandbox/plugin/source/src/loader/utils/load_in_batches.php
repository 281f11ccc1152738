<?php
namespace src\loader\utils;

function load_in_batches(array $config, array $events, callable $loader) {
    $loaded = [];
    foreach (get_event_batches($config, filter_transformed_events($events, true)) as $batch) $loaded = array_merge($loaded, load_batch($config, $batch, $loader));
    $untransformed = filter_transformed_events($events, false);
    foreach ($untransformed as $event) $event['event']->errortype = XAPI_REPORT_ERRORTYPE_TRANSFORM;
    return array_merge($loaded, construct_loaded_events($untransformed, false));
}
