<?php
namespace core\lock;

class lock_config {
    public static function get_lock_factory(string $type): postgres_lock_factory { return new postgres_lock_factory($type); }
}
