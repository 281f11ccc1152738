<?php
namespace tool_log\log;

interface store {
    public function __construct(manager $manager);
    public function dispose();
}
