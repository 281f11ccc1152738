//! Writes generated statements to files, with the expected results of dashboards.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use crate::xapi::batch::Batch;
use crate::xapi::reader::EXPECTED_RESULTS_FILE;

use super::cases::PlantedCases;
use super::expected::Collector;
use super::{Generator, Shift, TERM_STATEMENTS};

/// The seed of the data set in this repository.
pub const DEFAULT_SEED: u64 = 1;
/// The number of statements of the data set in this repository: one term.
pub const DEFAULT_COUNT: u64 = TERM_STATEMENTS;
/// Statements in each file.
const FILE_STATEMENTS: u64 = 1000;
const PREFIX: &str = "statements-";
const SUFFIX: &str = ".json.gz";
/// The planted cases. The second file repeats statements of the first, because a request must not contain an id twice.
const CASES_FILES: [&str; 2] = ["statements-cases-0.json.gz", "statements-cases-1.json.gz"];

/// What to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataSet {
    pub seed: u64,
    /// The number of statements, counted from the begin of the first term.
    pub count: u64,
    pub shift: Shift,
    pub cases: Cases,
}

/// Whether planted cases follow the statements of the term.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cases {
    #[default]
    Omitted,
    Included,
}

impl DataSet {
    /// The first statements of a seed, with the dates of the data set in this repository.
    pub fn new(seed: u64, count: u64) -> Self {
        Self { seed, count, shift: Shift::NONE, cases: Cases::Omitted }
    }

    /// The number of statements to send.
    pub fn statements(&self) -> u64 {
        match self.cases {
            Cases::Omitted => self.count,
            Cases::Included => self.count.saturating_add(PlantedCases::statements()),
        }
    }

    pub(super) fn planted_cases(&self) -> Option<PlantedCases> {
        match self.cases {
            Cases::Omitted => None,
            Cases::Included => Some(PlantedCases::new(self.seed, self.shift)),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{} cannot be written: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} belongs to another data set: remove it, or choose another directory", .0.display())]
    ForeignFile(PathBuf),
}

/// Writes the statements of a data set to `statements-00.json.gz` and so on, and their expected results to
/// [`EXPECTED_RESULTS_FILE`]. Writes each file atomically. Returns the files in the order of writing.
///
/// # Errors
/// When a file cannot be written, and when the directory contains other statement files, which would mix two data sets.
pub fn write(directory: &Path, data_set: DataSet) -> Result<Vec<PathBuf>, WriteError> {
    let DataSet { seed, count, shift, .. } = data_set;
    let names = file_names(count);
    let mut cases = data_set.planted_cases();
    let names_of_cases = if cases.is_some() { CASES_FILES.as_slice() } else { &[] };
    fs::create_dir_all(directory)
        .map_err(|source| WriteError::Io { path: directory.to_owned(), source })?;
    let known: Vec<&str> =
        names.iter().map(String::as_str).chain(names_of_cases.iter().copied()).collect();
    reject_foreign_files(directory, &known)?;

    let mut generator = Generator::new(seed, shift);
    let mut collector = Collector::new(shift);
    let mut batch = Batch::new();
    let mut written = Vec::new();
    let mut remaining = count;
    for name in &names {
        let statements = remaining.min(FILE_STATEMENTS);
        remaining -= statements;
        generator.fill_and_observe(&mut batch, statements as usize, |event, learner| {
            collector.observe(event, learner)
        });
        written.push(write_atomically(directory, name, |file| write_gzip(file, batch.body()))?);
    }
    if let Some(cases) = &mut cases {
        for name in names_of_cases {
            cases.fill(&mut batch, usize::MAX);
            written.push(write_atomically(directory, name, |file| write_gzip(file, batch.body()))?);
        }
        cases.stored().for_each(|(event, learner)| collector.observe(event, learner));
    }
    let results = collector.expected_results(seed, cases.as_ref());
    written.push(write_atomically(directory, EXPECTED_RESULTS_FILE, |file| {
        serde_json::to_writer_pretty(&mut *file, &results)?;
        file.write_all(b"\n")
    })?);
    Ok(written)
}

/// The names of the files. All numbers have the same number of digits, so that the names sort in the order of the files.
fn file_names(count: u64) -> Vec<String> {
    let files = count.div_ceil(FILE_STATEMENTS);
    let width = files.saturating_sub(1).to_string().len().max(2);
    (0..files).map(|number| format!("{PREFIX}{number:0width$}{SUFFIX}")).collect()
}

fn reject_foreign_files(directory: &Path, names: &[&str]) -> Result<(), WriteError> {
    let fault = |source| WriteError::Io { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && !names.contains(&&*name) {
            return Err(WriteError::ForeignFile(path));
        }
    }
    Ok(())
}

/// Writes reproducibly, without time and file name: the same statements give the same file.
fn write_gzip(file: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let mut encoder = GzBuilder::new().mtime(0).write(file, Compression::best());
    encoder.write_all(body)?;
    encoder.write_all(b"\n")?;
    encoder.finish()?;
    Ok(())
}

fn write_atomically(
    directory: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> Result<PathBuf, WriteError> {
    let path = directory.join(name);
    let partial = directory.join(format!(".{name}.partial"));
    let result = File::create(&partial)
        .and_then(|file| {
            let mut file = BufWriter::new(file);
            write(&mut file)?;
            file.into_inner()?.sync_all()
        })
        .and_then(|()| fs::rename(&partial, &path));
    match result {
        Ok(()) => Ok(path),
        Err(source) => {
            // report the first error, because the file may not exist
            _ = fs::remove_file(&partial);
            Err(WriteError::Io { path, source })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::simulator::Generated;
    use crate::xapi::batch::Source;
    use crate::xapi::reader::{Input, Limits, Reader};

    /// The data set of this repository; see `data/README.md`.
    const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

    fn unpacked(path: &Path) -> Vec<u8> {
        let mut bytes = Vec::new();
        GzDecoder::new(File::open(path).unwrap()).read_to_end(&mut bytes).unwrap();
        bytes
    }

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn data_set_of_repository_is_generated_from_its_seed() {
        let mut generator = Generator::new(DEFAULT_SEED, Shift::NONE);
        let mut collector = Collector::new(Shift::NONE);
        let mut batch = Batch::new();
        let mut expected = file_names(DEFAULT_COUNT);
        for name in &expected {
            generator.fill_and_observe(&mut batch, FILE_STATEMENTS as usize, |event, learner| {
                collector.observe(event, learner)
            });
            assert!(
                unpacked(&Path::new(CHECKED_IN).join(name)) == [batch.body(), b"\n"].concat(),
                "data/{name} has other statements"
            );
        }
        let results = serde_json::to_string_pretty(&collector.expected_results(DEFAULT_SEED, None))
            .unwrap()
            + "\n";
        assert!(
            fs::read_to_string(Path::new(CHECKED_IN).join(EXPECTED_RESULTS_FILE)).unwrap()
                == results,
            "data/{EXPECTED_RESULTS_FILE} has other expected results"
        );
        expected.splice(0..0, ["README.md".to_owned(), EXPECTED_RESULTS_FILE.to_owned()]);
        assert_eq!(names(Path::new(CHECKED_IN)), expected);
    }

    #[test]
    fn written_data_set_equals_generated_statements() {
        let directory = tempfile::tempdir().unwrap();
        let written = write(directory.path(), DataSet::new(7, 1500)).unwrap();
        assert_eq!(
            names(directory.path()),
            ["expected-results.json", "statements-00.json.gz", "statements-01.json.gz"]
        );
        assert_eq!(written.len(), 3);
        let inputs = Input::from_path(directory.path()).unwrap().inputs;
        let mut read = Reader::new(inputs, Limits::default(), jiff::Timestamp::UNIX_EPOCH);
        let mut generated = Generated::new(DataSet::new(7, 1500), 1000);
        let (mut from_files, mut from_seed) = (Batch::new(), Batch::new());
        while generated.fill(&mut from_seed).unwrap() {
            assert!(read.fill(&mut from_files).unwrap());
            assert_eq!(from_files.body(), from_seed.body());
        }
        assert!(!read.fill(&mut from_files).unwrap());
    }

    #[test]
    fn file_names_sort_in_the_order_of_their_statements() {
        assert_eq!(file_names(1), ["statements-00.json.gz"]);
        assert_eq!(file_names(22_000).last().unwrap(), "statements-21.json.gz");
        let many = file_names(100_001);
        assert_eq!(
            (many[0].as_str(), many.len(), many.is_sorted()),
            ("statements-000.json.gz", 101, true)
        );
    }

    #[test]
    fn directory_with_other_data_set_is_rejected() {
        let directory = tempfile::tempdir().unwrap();
        write(directory.path(), DataSet::new(1, 1500)).unwrap();
        let error = write(directory.path(), DataSet::new(1, 1000)).unwrap_err().to_string();
        assert!(error.ends_with("statements-01.json.gz belongs to another data set: remove it, or choose another directory"));
    }

    #[test]
    fn unwritable_directory_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        let error = write(&file, DataSet::new(1, 1)).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{} cannot be written: ", file.display())), "{error}");
    }
}
