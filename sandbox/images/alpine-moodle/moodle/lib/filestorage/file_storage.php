<?php
// File storage: a row in mdl_files for each file and directory, and each content once in moodledata/filedir, under its SHA-1.
defined('MOODLE_INTERNAL') || die();

class file_exception extends moodle_exception {
    public function __construct($errorcode, $a = null, $debuginfo = null) { parent::__construct($errorcode, 'error', '', $a, $debuginfo); }
}
class stored_file_creation_exception extends file_exception {
    public function __construct($record, $debuginfo) { parent::__construct('storedfilenotcreated', $record, $debuginfo); }
}

// get_id(), get_contenthash() and so on return the columns of the row.
class stored_file {
    private $storage, $record;
    public function __construct($storage, $record) { [$this->storage, $this->record] = [$storage, $record]; }
    public function __call($name, $arguments) {
        $column = substr($name, 4);
        if (strpos($name, 'get_') !== 0 || !property_exists($this->record, $column)) throw new coding_exception("stored_file has no method $name");
        return $this->record->$column;
    }
    public function is_directory() { return $this->record->filename === '.'; }
    // Returns false when the content is missing in the file pool.
    public function get_content() { return $this->record->filesize ? file_get_contents($this->storage->path_of($this->record->contenthash)) : ''; }
    public function delete() {
        global $DB;
        $DB->delete_records('files', ['id' => $this->record->id]);
        $this->storage->remove_content($this->record->contenthash);
        return true;
    }
}

class file_storage {
    private $pool, $trash;

    public function __construct() {
        global $CFG;
        [$this->pool, $this->trash] = ["{$CFG->dataroot}/filedir", "{$CFG->dataroot}/trashdir"];
        if (!is_dir($this->pool)) {
            $this->make_directory($this->pool);
            file_put_contents("{$this->pool}/warning.txt", 'Moodle manages the files in this directory. Do not move, change or rename them.');
            chmod("{$this->pool}/warning.txt", $CFG->filepermissions);
        }
        foreach ([$this->trash, "{$CFG->tempdir}/filestorage"] as $directory) $this->make_directory($directory);
    }
    private function make_directory($directory) {
        global $CFG;
        if (!is_dir($directory) && !@mkdir($directory, $CFG->directorypermissions, true) && !is_dir($directory)) throw new file_exception('storedfilecannotcreatefiledirs');
    }

    public static function get_pathname_hash($contextid, $component, $filearea, $itemid, $filepath, $filename) { return sha1("/$contextid/$component/$filearea/$itemid$filepath$filename"); }
    public function path_of($contenthash, $root = null) { return ($root ?? $this->pool) . '/' . substr($contenthash, 0, 2) . '/' . substr($contenthash, 2, 2) . "/$contenthash"; }

    private function add_to_pool($content) {
        global $CFG;
        $hash = sha1($content);
        $path = $this->path_of($hash);
        if (is_file($path) && filesize($path) === strlen($content)) return $hash;
        $this->make_directory(dirname($path));
        // The final name appears only when the content is complete.
        if (@file_put_contents("$path.tmp", $content, LOCK_EX) !== strlen($content) || !rename("$path.tmp", $path)) throw new file_exception('storedfilecannotcreatefile');
        chmod($path, $CFG->filepermissions);
        return $hash;
    }
    // Moves content that no row refers to into the trash.
    public function remove_content($contenthash) {
        global $DB;
        $path = $this->path_of($contenthash);
        if ($contenthash === sha1('') || $DB->record_exists('files', ['contenthash' => $contenthash]) || !is_file($path)) return;
        $this->make_directory(dirname($this->path_of($contenthash, $this->trash)));
        rename($path, $this->path_of($contenthash, $this->trash));
    }

    private function instance($record) { return $record ? new stored_file($this, $record) : false; }
    public function get_file_by_hash($pathnamehash) { global $DB; return $this->instance($DB->get_record('files', ['pathnamehash' => $pathnamehash])); }
    public function get_file($contextid, $component, $filearea, $itemid, $filepath, $filename) {
        return $this->get_file_by_hash(self::get_pathname_hash($contextid, $component, $filearea, $itemid, $filepath, $filename));
    }
    public function get_area_files($contextid, $component, $filearea, $itemid = false, $sort = 'itemid, filepath, filename', $includedirs = true) {
        global $DB;
        $conditions = ['contextid' => $contextid, 'component' => $component, 'filearea' => $filearea] + ($itemid === false ? [] : ['itemid' => $itemid]);
        $files = [];
        foreach ($DB->get_records('files', $conditions, $sort) as $record) if ($includedirs || $record->filename !== '.') $files[$record->pathnamehash] = $this->instance($record);
        return $files;
    }

    public function create_file_from_string($filerecord, $content) {
        global $DB;
        $record = (object)((array)$filerecord + ['userid' => null, 'source' => null, 'author' => null, 'license' => null, 'status' => 0, 'sortorder' => 0, 'timecreated' => time(), 'timemodified' => time()]);
        if (!preg_match('~^/(.*/)?$~', $record->filepath)) throw new file_exception('storedfileproblem', 'Invalid file path');
        if ((string)$record->filename === '') throw new file_exception('storedfileproblem', 'Invalid file name');
        [$record->contenthash, $record->filesize] = [$this->add_to_pool($content), strlen($content)];
        $record->mimetype ??= ['txt' => 'text/plain', 'png' => 'image/png'][pathinfo($record->filename, PATHINFO_EXTENSION)] ?? 'document/unknown';
        $file = $this->insert($record);
        $this->create_directory($record->contextid, $record->component, $record->filearea, $record->itemid, $record->filepath, $record->userid);
        return $file;
    }
    // A directory is a row with the name "." and no content. Its parents have rows too.
    public function create_directory($contextid, $component, $filearea, $itemid, $filepath, $userid = null) {
        if ($directory = $this->get_file($contextid, $component, $filearea, $itemid, $filepath, '.')) return $directory;
        $directory = $this->insert((object)['contextid' => $contextid, 'component' => $component, 'filearea' => $filearea, 'itemid' => $itemid, 'filepath' => $filepath, 'filename' => '.', 'userid' => $userid,
            'contenthash' => $this->add_to_pool(''), 'filesize' => 0, 'timecreated' => time(), 'timemodified' => time()]);
        if ($filepath !== '/') $this->create_directory($contextid, $component, $filearea, $itemid, preg_replace('~[^/]+/$~', '', $filepath), $userid);
        return $directory;
    }
    private function insert($record) {
        global $DB;
        $record->pathnamehash = self::get_pathname_hash($record->contextid, $record->component, $record->filearea, $record->itemid, $record->filepath, $record->filename);
        try {
            $id = $DB->insert_record('files', $record);
        } catch (dml_exception $e) {
            $this->remove_content($record->contenthash);
            throw new stored_file_creation_exception($record, $e->debuginfo);
        }
        return $this->instance($DB->get_record('files', ['id' => $id]));
    }
}
