//! The inputs of statements: opens files, directories and standard input, and decompresses gzip.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::error::{Problem, ReadError};

/// The name of the file with the expected results of a generated data set.
pub const EXPECTED_RESULTS_FILE: &str = "expected-results.json";
/// The endings of files that are read from a directory, in any case. `.gz` may follow each.
const ENDINGS: [&str; 3] = [".json", ".jsonl", ".ndjson"];

/// The first key of the file with expected results.
const EXPECTED_RESULTS_KEY: &[u8] = b"\"active_learners_per_day\"";

const READ_AHEAD: usize = 64 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One input.
pub enum Input {
    File(PathBuf),
    Stdin,
    /// Another stream of bytes, with its name in errors.
    Stream(Arc<str>, Box<dyn Read + Send>),
}

/// The uncompressed bytes of an input.
pub struct Opened {
    pub name: Arc<str>,
    pub bytes: Box<dyn Read + Send>,
    pub compressed: bool,
}

/// The inputs of a path.
#[derive(Default)]
pub struct Inputs {
    pub inputs: Vec<Input>,
    /// Entries of directories that are not read.
    pub skipped: Vec<Skipped>,
}

/// A file or a directory that is not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    pub path: PathBuf,
    pub reason: &'static str,
}

impl Input {
    /// The inputs of a path: standard input for `-`, a file, or all statement files of a directory. A directory includes its
    /// subdirectories, and files are in the order of their paths.
    ///
    /// # Errors
    /// When the path or a subdirectory cannot be read, or contains no statement file.
    pub fn from_path(path: &Path) -> Result<Inputs, ReadError> {
        let one = |input| Ok(Inputs { inputs: vec![input], skipped: Vec::new() });
        if path.as_os_str() == "-" {
            return one(Self::Stdin);
        }
        if !fs::metadata(path).map_err(|error| fault(path, Problem::Open(error)))?.is_dir() {
            return one(Self::File(path.to_owned()));
        }
        let mut found = Inputs::default();
        let mut parents = Vec::new();
        walk(path, &mut parents, &mut found)?;
        if found.inputs.is_empty() {
            let endings = ENDINGS.map(|ending| format!("{ending}, {ending}.gz")).join(", ");
            return Err(fault(path, Problem::EmptyDirectory(endings)));
        }
        Ok(found)
    }

    /// The name in errors.
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::File(path) => path.display().to_string().into(),
            Self::Stdin => "standard input".into(),
            Self::Stream(name, _) => Arc::clone(name),
        }
    }

    pub(super) fn open(self) -> Result<Opened, ReadError> {
        let name = self.name();
        let fault = |problem| ReadError {
            source_name: Arc::clone(&name),
            position: None,
            problem,
            unread: 0,
        };
        let mut bytes: Box<dyn Read + Send> = match self {
            Self::File(path) => {
                Box::new(File::open(path).map_err(|error| fault(Problem::Open(error)))?)
            }
            Self::Stdin => Box::new(io::stdin()),
            Self::Stream(_, bytes) => bytes,
        };
        let mut magic = Vec::with_capacity(GZIP_MAGIC.len());
        bytes
            .by_ref()
            .take(GZIP_MAGIC.len() as u64)
            .read_to_end(&mut magic)
            .map_err(|error| fault(Problem::Read(error)))?;
        let compressed = magic == GZIP_MAGIC;
        let whole = io::Cursor::new(magic).chain(bytes);
        let bytes: Box<dyn Read + Send> = if compressed {
            Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_AHEAD, whole)))
        } else {
            Box::new(whole)
        };
        Ok(Opened { name, bytes, compressed })
    }
}

fn fault(path: &Path, problem: Problem) -> ReadError {
    let source_name = path.display().to_string().into();
    ReadError { source_name, position: None, problem, unread: 0 }
}

/// Adds the files of a directory and its subdirectories. `parents` contains the resolved paths of its parents.
fn walk(directory: &Path, parents: &mut Vec<PathBuf>, found: &mut Inputs) -> Result<(), ReadError> {
    let fault = |error| fault(directory, Problem::Open(error));
    let real = fs::canonicalize(directory).map_err(fault)?;
    if parents.contains(&real) {
        found.skipped.push(skipped(directory, "the link leads to one of its parent directories"));
        return Ok(());
    }
    parents.push(real);
    let entries: Result<Vec<_>, _> = fs::read_dir(directory).map_err(fault)?.collect();
    let mut paths: Vec<PathBuf> =
        entries.map_err(fault)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        match skip_reason(&path) {
            Some(reason) => found.skipped.push(skipped(&path, reason)),
            None if path.is_dir() => walk(&path, parents, found)?,
            None => found.inputs.push(Input::File(path)),
        }
    }
    parents.pop();
    Ok(())
}

fn skipped(path: &Path, reason: &'static str) -> Skipped {
    Skipped { path: path.to_owned(), reason }
}

/// Why an entry of a directory is not read. None: it is read.
fn skip_reason(path: &Path) -> Option<&'static str> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    if name == "__macosx" || name.starts_with("._") {
        return Some("metadata of macOS");
    }
    if name.starts_with('.') {
        return Some("hidden");
    }
    if path.is_dir() {
        return None;
    }
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    if !ENDINGS.iter().any(|ending| plain.ends_with(ending)) {
        return Some("its name does not end in .json, .jsonl or .ndjson, with or without .gz");
    }
    if !path.is_file() {
        return Some("not a file");
    }
    if name == EXPECTED_RESULTS_FILE && holds_expected_results(path) {
        return Some("the expected results of generated statements");
    }
    None
}

/// Whether the file contains expected results that `seed --write` wrote.
fn holds_expected_results(path: &Path) -> bool {
    let mut begin = Vec::new();
    let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut begin));
    read.is_ok() && memchr::memmem::find(&begin, EXPECTED_RESULTS_KEY).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_is_read_with_subdirectories_and_skipped_files_are_named() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir_all(directory.path().join("2026/d.json")).unwrap();
        fs::create_dir_all(directory.path().join("__MACOSX")).unwrap();
        for name in ["b.json.gz", "a.NDJSON", "c.jsonl", "2026/x.Json", "expected-results.json"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        for name in ["README.md", "._a.json", ".hidden.json", "__MACOSX/c.json"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let results = "{\n  \"active_learners_per_day\": {}}";
        fs::write(directory.path().join("2026/expected-results.json"), results).unwrap();
        let found = Input::from_path(directory.path()).unwrap();
        let relative = |path: &Path| {
            path.strip_prefix(directory.path()).unwrap().to_string_lossy().replace('\\', "/")
        };
        let read: Vec<_> =
            found.inputs.iter().map(|input| relative(Path::new(&*input.name()))).collect();
        assert_eq!(
            read,
            ["2026/x.Json", "a.NDJSON", "b.json.gz", "c.jsonl", "expected-results.json"]
        );
        let skipped: Vec<_> =
            found.skipped.iter().map(|one| (relative(&one.path), one.reason)).collect();
        let name = "its name does not end in .json, .jsonl or .ndjson, with or without .gz";
        assert_eq!(
            skipped,
            [
                ("._a.json".into(), "metadata of macOS"),
                (".hidden.json".into(), "hidden"),
                (
                    "2026/expected-results.json".into(),
                    "the expected results of generated statements"
                ),
                ("README.md".into(), name),
                ("__MACOSX".into(), "metadata of macOS"),
            ]
        );
    }

    #[cfg(unix)]
    #[test]
    fn directory_with_link_to_itself_ends() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("a.json"), "").unwrap();
        std::os::unix::fs::symlink(directory.path(), directory.path().join("again")).unwrap();
        let found = Input::from_path(directory.path()).unwrap();
        assert_eq!((found.inputs.len(), found.skipped.len()), (1, 1));
    }

    #[test]
    fn directory_without_statement_files_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = Input::from_path(directory.path()).err().unwrap().to_string();
        assert!(error.ends_with("searched for names that end in .json, .json.gz, .jsonl, .jsonl.gz, .ndjson, .ndjson.gz)"), "{error}");
    }
}
