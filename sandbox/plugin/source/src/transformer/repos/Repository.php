<?php
namespace src\transformer\repos;

abstract class Repository {
    abstract public function read_records(string $type, array $query, string $sort = '');
    abstract public function read_record(string $type, array $query);
    public function read_record_by_id(string $type, $id) { return $this->read_record($type, ['id' => $id]); }
}
