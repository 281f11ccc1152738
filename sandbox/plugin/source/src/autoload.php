<?php
namespace src;

defined('MOODLE_INTERNAL') || die();

// Functions have no autoloader, so every file is loaded.
foreach (new \RecursiveIteratorIterator(new \RecursiveDirectoryIterator(__DIR__, \FilesystemIterator::SKIP_DOTS)) as $file) {
    if ($file->getExtension() === 'php' && $file->getPathname() !== __FILE__) require_once($file->getPathname());
}
