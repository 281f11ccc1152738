<?php
namespace src\loader\utils;

// Without events there is one empty batch, so the plugin also posts an empty queue.
function get_event_batches(array $config, array $events) {
    $size = (int)$config['lrs_max_batch_size'];
    return $size > 0 && $size < count($events) ? array_chunk($events, $size) : [$events];
}
