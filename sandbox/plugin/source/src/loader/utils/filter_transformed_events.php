<?php
namespace src\loader\utils;

function filter_transformed_events(array $events, bool $transformed) {
    return array_filter($events, fn($event) => $event['transformed'] === $transformed);
}
