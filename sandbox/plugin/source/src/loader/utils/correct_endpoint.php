<?php
namespace src\loader\utils;

// Removes a final slash, or a final /statements.
function correct_endpoint(string $endpoint) {
    return substr($endpoint, -11) === '/statements' ? substr($endpoint, 0, -11) : rtrim($endpoint, '/');
}
