<?php
namespace src\transformer\repos;

require_once(__DIR__ . '/Repository.php');

class MoodleRepository extends Repository {
    private $store;
    public function __construct($store) { $this->store = $store; }
    public function read_records(string $type, array $query, string $sort = '') { return $this->store->get_records($type, $query, $sort); }
    public function read_record(string $type, array $query) {
        $record = $this->store->get_record($type, $query);
        if ($record === false) throw new \Exception("$type not found.");
        return $record;
    }
}
