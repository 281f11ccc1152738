//! Where statements are read from: opening files, directories and standard input, and unpacking gzip.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;

use super::error::{Problem, ReadError};

/// The file beside the statements of a written data set that holds the figures of them.
pub const ANSWERS_FILE: &str = "answers.json";
/// Endings of the files that are taken out of a directory; each may be followed by `.gz`.
const ENDINGS: [&str; 3] = [".json", ".jsonl", ".ndjson"];

const READ_AHEAD: usize = 64 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// One thing to read.
pub enum Input {
    File(PathBuf),
    Stdin,
    /// Anything else that gives bytes, with the name that errors show.
    Stream(Arc<str>, Box<dyn Read + Send>),
}

/// The uncompressed bytes of an input.
pub struct Opened {
    pub name: Arc<str>,
    pub bytes: Box<dyn Read + Send>,
    pub compressed: bool,
}

impl Input {
    /// The inputs that a path stands for: standard input for `-`, a directory's statement files in the order
    /// of their names (not those of its subdirectories, and not the answers of a written data set), or the file.
    pub fn from_path(path: &Path) -> Result<Vec<Self>, ReadError> {
        if path.as_os_str() == "-" {
            return Ok(vec![Self::Stdin]);
        }
        let fault = |problem| ReadError {
            source_name: path.display().to_string().into(),
            position: None,
            problem,
        };
        if !fs::metadata(path).map_err(|error| fault(Problem::Open(error)))?.is_dir() {
            return Ok(vec![Self::File(path.to_owned())]);
        }
        let files = statement_files(path).map_err(|error| fault(Problem::Open(error)))?;
        if files.is_empty() {
            let endings = ENDINGS.map(|ending| format!("{ending}, {ending}.gz")).join(", ");
            return Err(fault(Problem::EmptyDirectory(endings)));
        }
        Ok(files.into_iter().map(Self::File).collect())
    }

    /// The name that errors show.
    pub fn name(&self) -> Arc<str> {
        match self {
            Self::File(path) => path.display().to_string().into(),
            Self::Stdin => "standard input".into(),
            Self::Stream(name, _) => Arc::clone(name),
        }
    }

    pub(super) fn open(self) -> Result<Opened, ReadError> {
        let name = self.name();
        let fault = |problem| ReadError { source_name: Arc::clone(&name), position: None, problem };
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

fn statement_files(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        if ENDINGS.iter().any(|ending| plain.ends_with(ending))
            && plain != ANSWERS_FILE
            && path.is_file()
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_gives_its_statement_files_in_order() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["b.json.gz", "a.ndjson", "c.jsonl", "README.md", "answers.json"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        fs::create_dir(directory.path().join("d.json")).unwrap();
        let names: Vec<_> = Input::from_path(directory.path())
            .unwrap()
            .iter()
            .map(|input| Path::new(&*input.name()).file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.ndjson", "b.json.gz", "c.jsonl"]);
    }

    #[test]
    fn a_directory_without_statement_files_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let error = Input::from_path(directory.path()).err().unwrap().to_string();
        assert!(error.ends_with("looked for names ending in .json, .json.gz, .jsonl, .jsonl.gz, .ndjson, .ndjson.gz)"), "{error}");
    }
}
