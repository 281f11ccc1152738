<?php
// What command line scripts share.
defined('MOODLE_INTERNAL') || die();

function cli_get_params(array $longoptions, ?array $shortmapping = null) {
    $shortmapping = $shortmapping ?? [];
    $options = [];
    $unrecognized = [];
    foreach (array_slice($_SERVER['argv'] ?? [], 1) as $raw) {
        if (substr($raw, 0, 2) === '--') {
            $parts = explode('=', substr($raw, 2), 2);
            $key = $parts[0];
            $value = $parts[1] ?? true;
            if (array_key_exists($key, $longoptions)) $options[$key] = $value;
            else $unrecognized[] = $raw;
        } else if (substr($raw, 0, 1) === '-') {
            $parts = explode('=', substr($raw, 1), 2);
            if (isset($shortmapping[$parts[0]])) $options[$shortmapping[$parts[0]]] = $parts[1] ?? true;
            else $unrecognized[] = $raw;
        } else {
            $unrecognized[] = $raw;
        }
    }
    return [$options + $longoptions, $unrecognized];
}
function cli_write($text, $stream = STDOUT) { fwrite($stream, $text); }
function cli_writeln($text, $stream = STDOUT) { fwrite($stream, $text . PHP_EOL); }
function cli_input($prompt, $default = '', ?array $options = null, $casesensitiveoptions = false) {
    while (true) {
        cli_write("$prompt\n: ");
        $line = fgets(STDIN);
        // The real script repeats the question until PHP has no memory left.
        if ($line === false && $options && !in_array($default, $options, true)) exit(255);
        $input = trim((string)$line) === '' ? $default : trim($line);
        if ($options && !$casesensitiveoptions) $input = strtolower($input);
        if (!$options || in_array($input, $options, true)) return $input;
        cli_writeln('Incorrect value, please retry');
    }
}
function cli_heading($string, $return = false) {
    $text = "== $string ==\n";
    if ($return) return $text;
    echo $text;
}
function cli_separator($return = false) {
    $text = str_repeat('-', 79) . "\n";
    if ($return) return $text;
    echo $text;
}
function cli_problem($text) { fwrite(STDERR, $text . "\n"); }
function cli_error($text, $errorcode = 1) {
    fwrite(STDERR, $text . "\n\n");
    exit((int)$errorcode);
}
function cli_reject_unknown(array $unrecognized) {
    if ($unrecognized) cli_error(get_string('cliunknowoption', 'admin', implode("\n  ", $unrecognized)));
}
