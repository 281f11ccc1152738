<?php
namespace src\transformer;

// Returns events that fail separately. An unknown event gives no statement and is not a failure.
function handler(array $config, array $events) {
    $functions = get_event_function_map();
    return array_map(function ($event) use ($config, $functions) {
        $event = (object)$event;
        $result = ['event' => $event, 'statements' => [], 'transformed' => true];
        try {
            $name = $event->eventname;
            if (isset($functions[$name])) {
                $function = '\src\transformer\events\\' . $functions[$name];
                $result['statements'] = [statement(['event_function' => $function] + $config, $event)];
            }
        } catch (\Exception $e) {
            $text = 'Failed transform for event id #' . ($event->id ?? ' (id not present on event object) ') . ': ' . $e->getMessage();
            $config['log_error']($text);
            $event->response = json_encode(['transfromerror' => $text]);
            $result['transformed'] = false;
        }
        return $result;
    }, $events);
}
