<?php
// Libraries that plugins ask for by this name: HTTP by curl.
defined('MOODLE_INTERNAL') || die();
