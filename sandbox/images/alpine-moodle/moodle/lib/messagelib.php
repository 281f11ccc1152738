<?php
// Plugins ask for it by name; the stand-in sends no messages.
defined('MOODLE_INTERNAL') || die();
