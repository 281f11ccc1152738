<?php
namespace tool_log\helper;

// Buffers events, and writes them when the buffer is full, or at the end of the script.
trait buffered_writer {
    protected $buffer = [], $count = 0, $buffersize, $jsonformat = false;

    abstract protected function is_event_ignored(\core\event\base $event);
    abstract protected function insert_event_entries($evententries);

    public function write(\core\event\base $event) {
        global $PAGE;
        if ($this->is_event_ignored($event)) return;
        $entry = $event->get_data();
        $entry['other'] = $this->jsonformat ? json_encode($entry['other']) : serialize($entry['other']);
        $entry['origin'] = $PAGE->requestorigin;
        $entry['ip'] = $PAGE->requestip;
        $entry['realuserid'] = null;
        $this->buffer[] = $entry;
        $this->count++;
        $this->buffersize ??= $this->get_config('buffersize', 50);
        if ($this->count >= $this->buffersize) $this->flush();
    }
    public function flush() {
        $events = $this->buffer;
        $this->count = 0;
        $this->buffer = [];
        if ($events) $this->insert_event_entries($events);
    }
    public function dispose() { $this->flush(); }
}
