<?php
namespace src\loader\none;

function load(array $config, array $events) { return \src\loader\utils\construct_loaded_events($events, true); }
