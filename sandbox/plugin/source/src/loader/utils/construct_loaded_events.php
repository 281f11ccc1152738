<?php
namespace src\loader\utils;

function construct_loaded_events(array $events, bool $loaded) {
    return array_map(fn($event) => ['event' => $event['event'], 'statements' => $event['statements'], 'transformed' => $event['transformed'], 'loaded' => $loaded], $events);
}
