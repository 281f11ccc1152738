<?php
namespace src\loader\utils;

// With or without a final slash, or /statements itself.
function correct_endpoint(string $endpoint) {
    return substr($endpoint, -11) === '/statements' ? substr($endpoint, 0, -11) : rtrim($endpoint, '/');
}
