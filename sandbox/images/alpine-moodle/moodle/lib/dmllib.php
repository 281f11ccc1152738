<?php
// The database, as Moodle's own layer shows it: {table} names, `?` and `:name` parameters, records as objects.
defined('MOODLE_INTERNAL') || die();

class moodle_transaction {
    private $database, $open = true;
    public function __construct($database) { $this->database = $database; }
    public function is_disposed() { return !$this->open; }
    public function allow_commit() {
        if (!$this->open) throw new dml_transaction_exception('Transactions already disposed');
        $this->open = false;
        $this->database->commit_delegated_transaction();
    }
    public function rollback($e) {
        if (!$this->open) throw new dml_transaction_exception('Transactions already disposed');
        $this->open = false;
        $this->database->force_transaction_rollback();
        throw $e;
    }
}

class moodle_recordset implements Iterator {
    private $rows;
    public function __construct(array $rows) { $this->rows = $rows; }
    public function current(): mixed { return (object)current($this->rows); }
    public function key(): mixed { $row = current($this->rows); return $row ? reset($row) : false; }
    public function next(): void { next($this->rows); }
    public function rewind(): void { reset($this->rows); }
    public function valid(): bool { return current($this->rows) !== false; }
    public function close() { $this->rows = []; }
}

class moodle_database {
    private $connection, $depth = 0, $broken = false, $columns = [], $tables = null, $reads = 0, $writes = 0, $debug = false;

    public function connect($cfg) {
        if ($cfg->dbtype !== 'pgsql') throw new dml_exception('dbdriverproblem', "Unknown driver {$cfg->dblibrary}/{$cfg->dbtype}");
        $options = $cfg->dboptions ?? [];
        $parts = ['host' => $cfg->dbhost, 'port' => $options['dbport'] ?? '', 'dbname' => $cfg->dbname, 'user' => $cfg->dbuser, 'password' => $cfg->dbpass];
        $text = "connect_timeout='20' options='--client_encoding=utf8 --standard_conforming_strings=on'";
        foreach ($parts as $name => $value) {
            if ((string)$value !== '') $text .= " $name='" . addcslashes((string)$value, "'\\") . "'";
        }
        $said = '';
        set_error_handler(function ($level, $message) use (&$said) { $said = $message; return true; });
        $this->connection = pg_connect($text, PGSQL_CONNECT_FORCE_NEW);
        restore_error_handler();
        if (!$this->connection) throw new dml_connection_exception($said);
    }

    public function get_dbfamily() { return 'postgres'; }
    public function get_dbvendor() { return 'postgres'; }
    public function get_name() { return 'PostgreSQL'; }
    public function get_server_info() {
        $version = pg_version($this->connection)['server'];
        return ['description' => $version, 'version' => preg_replace('/[^0-9.].*/', '', $version)];
    }
    public function get_prefix() { global $CFG; return $CFG->prefix; }
    public function perf_get_reads() { return $this->reads; }
    public function perf_get_writes() { return $this->writes; }
    public function perf_get_queries() { return $this->reads + $this->writes; }
    public function dispose() { if ($this->connection) pg_close($this->connection); $this->connection = null; }
    public function set_debug($state) { $this->debug = $state; }
    public function reset_caches($tablenames = null) { $this->columns = []; $this->tables = null; }

    // The query with PostgreSQL's own numbered parameters.
    private function prepared($sql, ?array $params) {
        $params = $params ?? [];
        foreach ($params as $key => $value) if (is_bool($value)) $params[$key] = (int)$value;
        $sql = preg_replace('/\{([a-z][a-z0-9_]*)\}/', $this->get_prefix() . '$1', $sql);
        $named = []; $used = 0;
        $hasnames = preg_match('/(?<!:):[a-z][a-z0-9_]*/', $sql);
        if ($hasnames) {
            $sql = preg_replace_callback('/(?<!:):([a-z][a-z0-9_]*)/', function ($found) use ($params, &$named) {
                if (!array_key_exists($found[1], $params)) throw new dml_exception('missingkeyinsql', $found[1]);
                $named[] = $params[$found[1]];
                return '$' . count($named);
            }, $sql);
            return [$sql, $named];
        }
        $list = array_values($params);
        $sql = preg_replace_callback('/\?/', function () use (&$used) { return '$' . ++$used; }, $sql);
        if ($used !== count($list)) {
            if ($used === 0 && $params && !array_is_list($params)) return [$sql, []];
            throw new dml_exception('invalidqueryparam', (object)['expected' => $used, 'actual' => count($list)], $sql);
        }
        return [$sql, $list];
    }

    private function run($sql, ?array $params, bool $writes) {
        [$text, $list] = $this->prepared($sql, $params);
        $writes ? $this->writes++ : $this->reads++;
        $line = str_repeat('-', 32) . "\n";
        if ($this->debug) echo "$line$text\n" . (is_null($params) ? '' : '[' . var_export($list, true) . "]\n") . $line;
        $start = microtime(true);
        $result = $list ? @pg_query_params($this->connection, $text, $list) : @pg_query($this->connection, $text);
        if ($result === false) {
            $error = pg_last_error($this->connection);
            throw $writes ? new dml_write_exception($error, $text, $list) : new dml_read_exception($error, $text, $list);
        }
        if ($this->debug) echo 'Query took: ' . (microtime(true) - $start) . " seconds.\n$line";
        return $result;
    }

    private function limited($sql, $from, $number) {
        if ((int)$number > 0) $sql .= ' LIMIT ' . (int)$number;
        if ((int)$from > 0) $sql .= ' OFFSET ' . (int)$from;
        return $sql;
    }

    private function where(?array $conditions) {
        $parts = []; $params = [];
        foreach ($conditions ?? [] as $field => $value) {
            if (is_null($value)) { $parts[] = "$field IS NULL"; continue; }
            $parts[] = "$field = ?";
            $params[] = $value;
        }
        return [$parts ? implode(' AND ', $parts) : '', $params];
    }

    private function select($table, $where, $sort = '', $fields = '*') {
        return "SELECT $fields FROM {" . $table . '}' . ($where !== '' && !is_null($where) ? " WHERE $where" : '') . ($sort ? " ORDER BY $sort" : '');
    }

    public function get_records_sql($sql, ?array $params = null, $limitfrom = 0, $limitnum = 0) {
        $records = [];
        foreach (pg_fetch_all($this->run($this->limited($sql, $limitfrom, $limitnum), $params, false)) as $row) {
            $key = reset($row);
            if (isset($records[$key])) debugging("Did you remember to make the first column something unique in your call to get_records? Duplicate value '$key' found in column '" . key($row) . "'.", DEBUG_DEVELOPER);
            $records[$key] = (object)$row;
        }
        return $records;
    }
    public function get_records_select($table, $select, ?array $params = null, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        return $this->get_records_sql($this->select($table, $select, $sort, $fields), $params, $limitfrom, $limitnum);
    }
    public function get_records($table, ?array $conditions = null, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        [$where, $params] = $this->where($conditions);
        return $this->get_records_select($table, $where, $params, $sort, $fields, $limitfrom, $limitnum);
    }
    public function get_records_list($table, $field, array $values, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        if (!$values) return [];
        [$in, $params] = $this->get_in_or_equal($values);
        return $this->get_records_select($table, "$field $in", $params, $sort, $fields, $limitfrom, $limitnum);
    }
    public function get_records_sql_menu($sql, ?array $params = null, $limitfrom = 0, $limitnum = 0) {
        $menu = [];
        foreach (pg_fetch_all($this->run($this->limited($sql, $limitfrom, $limitnum), $params, false), PGSQL_NUM) as $row) $menu[$row[0]] = $row[1] ?? $row[0];
        return $menu;
    }
    public function get_records_select_menu($table, $select, ?array $params = null, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        return $this->get_records_sql_menu($this->select($table, $select, $sort, $fields), $params, $limitfrom, $limitnum);
    }
    public function get_records_menu($table, ?array $conditions = null, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        [$where, $params] = $this->where($conditions);
        return $this->get_records_select_menu($table, $where, $params, $sort, $fields, $limitfrom, $limitnum);
    }
    public function get_recordset_sql($sql, ?array $params = null, $limitfrom = 0, $limitnum = 0) {
        return new moodle_recordset(pg_fetch_all($this->run($this->limited($sql, $limitfrom, $limitnum), $params, false)));
    }
    public function get_recordset_select($table, $select, ?array $params = null, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        return $this->get_recordset_sql($this->select($table, $select, $sort, $fields), $params, $limitfrom, $limitnum);
    }
    public function get_recordset($table, ?array $conditions = null, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        [$where, $params] = $this->where($conditions);
        return $this->get_recordset_select($table, $where, $params, $sort, $fields, $limitfrom, $limitnum);
    }
    public function get_recordset_list($table, $field, array $values, $sort = '', $fields = '*', $limitfrom = 0, $limitnum = 0) {
        [$in, $params] = $this->get_in_or_equal($values, 1, 'param', true, null);
        return $this->get_recordset_select($table, "$field $in", $params, $sort, $fields, $limitfrom, $limitnum);
    }

    private function one($table, $sql, ?array $params, $strictness) {
        $rows = pg_fetch_all($this->run($this->limited($sql, 0, $strictness == IGNORE_MULTIPLE ? 1 : 2), $params, false));
        if (!$rows) {
            if ($strictness == MUST_EXIST) throw new dml_missing_record_exception($table, $sql, $params);
            return false;
        }
        if (count($rows) > 1) {
            if ($strictness == MUST_EXIST) throw new dml_multiple_records_exception($sql, $params);
            debugging('Error: mdb->get_record() found more than one record!');
        }
        return (object)$rows[0];
    }
    public function get_record_sql($sql, ?array $params = null, $strictness = IGNORE_MISSING) { return $this->one('', $sql, $params, $strictness); }
    public function get_record_select($table, $select, ?array $params = null, $fields = '*', $strictness = IGNORE_MISSING) {
        return $this->one($table, $this->select($table, $select, '', $fields), $params, $strictness);
    }
    public function get_record($table, array $conditions, $fields = '*', $strictness = IGNORE_MISSING) {
        [$where, $params] = $this->where($conditions);
        return $this->get_record_select($table, $where, $params, $fields, $strictness);
    }
    private function first($record) {
        if (!$record) return false;
        $values = get_object_vars($record);
        return reset($values);
    }
    public function get_field($table, $return, array $conditions, $strictness = IGNORE_MISSING) {
        return $this->first($this->get_record($table, $conditions, $return, $strictness));
    }
    public function get_field_select($table, $return, $select, ?array $params = null, $strictness = IGNORE_MISSING) {
        return $this->first($this->get_record_select($table, $select, $params, $return, $strictness));
    }
    public function get_field_sql($sql, ?array $params = null, $strictness = IGNORE_MISSING) {
        return $this->first($this->get_record_sql($sql, $params, $strictness));
    }
    public function get_fieldset_sql($sql, ?array $params = null) {
        return array_column(pg_fetch_all($this->run($sql, $params, false), PGSQL_NUM), 0);
    }
    public function get_fieldset_select($table, $return, $select, ?array $params = null) {
        return $this->get_fieldset_sql($this->select($table, $select, '', $return), $params);
    }
    public function get_fieldset($table, $return, ?array $conditions = null) {
        [$where, $params] = $this->where($conditions);
        return $this->get_fieldset_select($table, $return, $where, $params);
    }
    public function count_records_sql($sql, ?array $params = null) { return (int)$this->get_field_sql($sql, $params); }
    public function count_records_select($table, $select, ?array $params = null, $countitem = "COUNT('x')") {
        return $this->count_records_sql($this->select($table, $select, '', $countitem), $params);
    }
    public function count_records($table, ?array $conditions = null) {
        [$where, $params] = $this->where($conditions);
        return $this->count_records_select($table, $where, $params);
    }
    public function record_exists_sql($sql, ?array $params = null) { return (bool)pg_fetch_all($this->run($this->limited($sql, 0, 1), $params, false)); }
    public function record_exists_select($table, $select, ?array $params = null) { return $this->record_exists_sql($this->select($table, $select, '', "'x'"), $params); }
    public function record_exists($table, ?array $conditions = null) {
        [$where, $params] = $this->where($conditions);
        return $this->record_exists_select($table, $where, $params);
    }

    public function get_columns($table, $usecache = true) {
        if (!$usecache || !isset($this->columns[$table])) {
            $sql = "SELECT column_name, column_name AS name, data_type, is_nullable, column_default, character_maximum_length AS max_length,
                CASE data_type WHEN 'text' THEN 'X' WHEN 'character varying' THEN 'C' WHEN 'numeric' THEN 'N' ELSE 'I' END AS meta_type FROM information_schema.columns
                WHERE table_schema = current_schema() AND table_name = '" . pg_escape_string($this->connection, $this->get_prefix() . $table) . "' ORDER BY ordinal_position";
            $this->columns[$table] = $this->get_records_sql($sql);
        }
        return $this->columns[$table];
    }

    // Only what the table has columns for, as the real one takes it; false becomes 0 and "" no number.
    private function known($table, $data) {
        $values = [];
        $columns = $this->get_columns($table);
        foreach ((array)$data as $field => $value) {
            if (!isset($columns[$field])) continue;
            if (is_bool($value)) $value = (int)$value;
            if ($value === '' && in_array($columns[$field]->data_type, ['bigint', 'integer', 'smallint', 'numeric'])) $value = 0;
            $values[$field] = $value;
        }
        return $values;
    }
    public function insert_record($table, $dataobject, $returnid = true, $bulk = false) {
        $values = $this->known($table, $dataobject);
        unset($values['id']);
        if (!$values) throw new coding_exception('moodle_database::insert_record_raw() no fields found.');
        $marks = implode(', ', array_fill(0, count($values), '?'));
        $result = $this->run('INSERT INTO {' . $table . '} (' . implode(', ', array_keys($values)) . ") VALUES ($marks) RETURNING id", array_values($values), true);
        return $returnid ? (int)pg_fetch_result($result, 0, 0) : true;
    }
    public function insert_record_raw($table, $params, $returnid = true, $bulk = false, $customsequence = false) {
        if (!$customsequence) return $this->insert_record($table, $params, $returnid);
        $values = (array)$params;
        $marks = implode(', ', array_fill(0, count($values), '?'));
        $this->run('INSERT INTO {' . $table . '} (' . implode(', ', array_keys($values)) . ") VALUES ($marks)", array_values($values), true);
        return true;
    }
    public function insert_records($table, $dataobjects) {
        if (!is_array($dataobjects) && !$dataobjects instanceof Traversable) throw new coding_exception('insert_records() passed non-traversable object');
        $rows = [];
        foreach ($dataobjects as $dataobject) {
            $values = $this->known($table, $dataobject);
            unset($values['id']);
            if ($rows && array_keys($values) !== array_keys($rows[0])) throw new coding_exception('All dataobjects in insert_records() must have the same structure!');
            $rows[] = $values;
        }
        // as the real one does: one statement for 500 rows
        foreach (array_chunk($rows, 500) as $chunk) {
            $marks = '(' . implode(', ', array_fill(0, count($chunk[0]), '?')) . ')';
            $marks = implode(', ', array_fill(0, count($chunk), $marks));
            $this->run('INSERT INTO {' . $table . '} (' . implode(', ', array_keys($chunk[0])) . ") VALUES $marks", array_merge(...array_map('array_values', $chunk)), true);
        }
    }
    public function update_record($table, $dataobject, $bulk = false) {
        $values = $this->known($table, $dataobject);
        $id = $values['id'] ?? null;
        unset($values['id']);
        if (is_null($id)) throw new coding_exception('moodle_database::update_record_raw() id field must be specified.');
        if (!$values) return true;
        $this->run('UPDATE {' . $table . '} SET ' . implode(', ', array_map(fn($f) => "$f = ?", array_keys($values))) . ' WHERE id = ?', [...array_values($values), $id], true);
        return true;
    }
    public function set_field_select($table, $newfield, $newvalue, $select, ?array $params = null) {
        $params = $params ?? [];
        if ($params && !array_is_list($params)) { $mark = ':newfieldtoset'; $params['newfieldtoset'] = $newvalue; } else { $mark = '?'; array_unshift($params, $newvalue); }
        $this->run('UPDATE {' . $table . "} SET $newfield = $mark" . ($select ? " WHERE $select" : ''), $params, true);
        return true;
    }
    public function set_field($table, $newfield, $newvalue, ?array $conditions = null) {
        [$where, $params] = $this->where($conditions);
        return $this->set_field_select($table, $newfield, $newvalue, $where, $params);
    }
    public function delete_records_select($table, $select, ?array $params = null) {
        $this->run('DELETE FROM {' . $table . '}' . ($select ? " WHERE $select" : ''), $params, true);
        return true;
    }
    public function delete_records($table, ?array $conditions = null) {
        [$where, $params] = $this->where($conditions);
        return $this->delete_records_select($table, $where, $params);
    }
    public function delete_records_list($table, $field, array $values) {
        if (!$values) return true;
        [$in, $params] = $this->get_in_or_equal($values);
        return $this->delete_records_select($table, "$field $in", $params);
    }
    public function execute($sql, ?array $params = null) {
        if (strpos($sql, ';') !== false) throw new coding_exception('moodle_database::execute() Multiple sql statements found or bound parameters not used properly in query!');
        $this->run($sql, $params, true);
        return true;
    }
    public function replace_all_text_supported() { return true; }
    // A longer text is cut at the length of its column.
    public function replace_all_text($table, $column, $search, $replace) {
        if (!in_array($column->meta_type, ['X', 'C'])) return;
        $name = '"' . $column->name . '"';
        $new = "REPLACE($name, ?, ?)";
        if ($column->meta_type === 'C' && mb_strlen($search) < mb_strlen($replace)) $new = "SUBSTR($new, 1, {$column->max_length})";
        $this->execute('UPDATE {' . $table . "} SET $name = $new WHERE " . $this->sql_like($name, '?'), [$search, $replace, '%' . $this->sql_like_escape($search) . '%']);
    }
    public function change_database_structure($sql) {
        foreach ((array)$sql as $statement) $this->run($statement, null, true);
        $this->reset_caches();
        return true;
    }

    public function get_in_or_equal($items, $type = 1, $prefix = 'param', $equal = true, $onemptyitems = false) {
        static $unique = 0;
        if (is_array($items) && !$items) {
            if ($onemptyitems === false) throw new coding_exception('moodle_database::get_in_or_equal() does not accept empty arrays');
            return is_null($onemptyitems) ? [$equal ? '= NULL' : '!= NULL', []] : $this->get_in_or_equal([$onemptyitems], $type, $prefix, $equal);
        }
        $items = array_values((array)$items);
        if ($type == 2) { // SQL_PARAMS_NAMED
            $params = [];
            foreach ($items as $item) $params[$prefix . ++$unique] = $item;
            $marks = array_map(fn($name) => ":$name", array_keys($params));
        } else {
            $params = $items;
            $marks = array_fill(0, count($items), '?');
        }
        if (count($items) === 1) return [($equal ? '= ' : '<> ') . $marks[0], $params];
        return [($equal ? 'IN (' : 'NOT IN (') . implode(',', $marks) . ')', $params];
    }
    public function sql_like($fieldname, $param, $casesensitive = true, $accentsensitive = true, $notlike = false, $escapechar = '\\') {
        return "$fieldname COLLATE \"C\" " . ($notlike ? 'NOT ' : '') . ($casesensitive ? 'LIKE' : 'ILIKE') . " $param ESCAPE '$escapechar'";
    }
    public function sql_like_escape($text, $escapechar = '\\') { return addcslashes($text, "%_$escapechar"); }
    public function sql_compare_text($fieldname, $numchars = 32) { return $fieldname; }
    public function sql_cast_char2int($fieldname, $text = false) { return " CAST($fieldname AS INT) "; }
    public function sql_cast_char2real($fieldname, $text = false) { return " $fieldname::real "; }
    public function sql_concat(...$parts) { return " '' || " . implode(' || ', $parts) . ' '; }
    public function sql_isempty($table, $field, $nullable, $text) { return " ($field = '') "; }
    public function sql_isnotempty($table, $field, $nullable, $text) { return " ($field <> '') "; }
    public function sql_length($fieldname) { return " LENGTH($fieldname)"; }
    public function sql_order_by_text($fieldname, $numchars = 32) { return $fieldname; }

    public function get_tables($usecache = true) {
        if ($usecache && !is_null($this->tables)) return $this->tables;
        $prefix = $this->get_prefix();
        $this->tables = [];
        $found = pg_fetch_all($this->run("SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'r' AND n.nspname = current_schema() AND c.relname LIKE '" . str_replace('_', '\\_', $prefix) . "%' ORDER BY 1", null, false));
        foreach ($found as $row) {
            $name = substr($row['relname'], strlen($prefix));
            $this->tables[$name] = $name;
        }
        return $this->tables;
    }
    public function get_manager() { return new database_manager($this); }

    public function start_delegated_transaction() {
        if ($this->depth++ === 0) { $this->broken = false; $this->run('BEGIN ISOLATION LEVEL READ COMMITTED', null, true); }
        return new moodle_transaction($this);
    }
    public function commit_delegated_transaction() {
        if ($this->broken) throw new dml_transaction_exception('Tried to commit transaction after lower level rollback');
        if (--$this->depth === 0) $this->run('COMMIT', null, true);
    }
    public function force_transaction_rollback() {
        if ($this->depth > 0) { @pg_query($this->connection, 'ROLLBACK'); }
        $this->depth = 0;
    }
    public function is_transaction_started() { return $this->depth > 0; }
    public function transactions_supported() { return true; }
}
define('SQL_PARAMS_QM', 1);
define('SQL_PARAMS_NAMED', 2);
