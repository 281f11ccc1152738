<?php
// Tables: the ones of core from lib/db/tables.php, those of a plugin from its db/install.xml.
defined('MOODLE_INTERNAL') || die();

class database_manager {
    private $db;
    public function __construct($db) { $this->db = $db; }
    private function name($table) { return is_object($table) ? $table->getName() : $table; }
    public function table_exists($table) { return isset($this->db->get_tables(false)[$this->name($table)]); }
    public function field_exists($table, $field) { return isset($this->db->get_columns($this->name($table), false)[is_object($field) ? $field->getName() : $field]); }

    private function create($table, array $columns, array $indexes) {
        global $CFG;
        $sql = ["CREATE TABLE {$CFG->prefix}$table (id BIGSERIAL PRIMARY KEY" . implode('', array_map(fn($column) => ", $column", $columns)) . ')'];
        foreach ($indexes as $number => [$unique, $fields]) {
            $sql[] = 'CREATE ' . ($unique ? 'UNIQUE ' : '') . "INDEX {$CFG->prefix}" . substr($table, 0, 40) . "_{$number}_ix ON {$CFG->prefix}$table ($fields)";
        }
        $this->db->change_database_structure($sql);
    }

    public function create_core_table($table, array $lines) {
        $columns = $indexes = [];
        foreach ($lines as $line) {
            if ($line[0] === '~' || $line[0] === '-') { $indexes[] = [$line[0] === '~', substr($line, 1)]; continue; }
            preg_match('/^(\w+) (text|int|c(\d+)|numeric\([^)]*\))(!?)(?: =(.*))?$/', $line, $part);
            $type = $part[2] === 'int' ? 'BIGINT' : ($part[3] !== '' ? "VARCHAR({$part[3]})" : strtoupper($part[2]));
            $columns[] = "\"{$part[1]}\" $type" . ($part[4] ? ' NOT NULL' : '') . (isset($part[5]) ? " DEFAULT '{$part[5]}'" : '');
        }
        $this->create($table, $columns, $indexes);
    }

    public function install_from_xmldb_file($file) {
        $xml = @simplexml_load_file($file);
        if (!$xml) throw new ddl_exception('ddlxmlfileerror', null, $file);
        foreach ($xml->TABLES->TABLE as $table) {
            $columns = $indexes = [];
            foreach ($table->FIELDS->FIELD as $field) {
                if ((string)$field['SEQUENCE'] === 'true') continue;
                $type = ['int' => 'BIGINT', 'char' => 'VARCHAR(' . ($field['LENGTH'] ?? 255) . ')', 'text' => 'TEXT', 'number' => 'NUMERIC(' . ($field['LENGTH'] ?? 20) . ',' . ($field['DECIMALS'] ?? 0) . ')'][(string)$field['TYPE']] ?? 'TEXT';
                $column = "\"{$field['NAME']}\" $type";
                if ((string)$field['NOTNULL'] === 'true') {
                    $column .= ' NOT NULL';
                    if (isset($field['DEFAULT'])) $column .= " DEFAULT '{$field['DEFAULT']}'";
                    else if ((string)$field['TYPE'] === 'char') $column .= " DEFAULT ''";
                } else if (isset($field['DEFAULT'])) {
                    $column .= " DEFAULT '{$field['DEFAULT']}'";
                }
                $columns[] = $column;
            }
            foreach ($table->INDEXES->INDEX ?? [] as $index) $indexes[] = [(string)$index['UNIQUE'] === 'true', (string)$index['FIELDS']];
            $this->create((string)$table['NAME'], $columns, $indexes);
        }
    }

    public function drop_table($table) {
        global $CFG;
        $this->db->change_database_structure("DROP TABLE {$CFG->prefix}" . $this->name($table));
    }
}
class xmldb_table {
    private $name;
    public function __construct($name) { $this->name = $name; }
    public function getName() { return $this->name; }
}
