<?php
namespace src\loader;

function handler(array $config, array $events) {
    $load = "\\src\\loader\\{$config['loader']}\\load";
    return $load($config, $events);
}
