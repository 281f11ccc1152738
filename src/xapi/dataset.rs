//! Writes generated statements as files, with the figures that dashboards must show for them.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use flate2::{Compression, GzBuilder};

use super::answers::Collector;
use super::batch::Batch;
use super::generator::Generator;

/// The file with the figures of a written data set.
pub const ANSWERS_FILE: &str = "answers.json";
/// Statements in each file.
const FILE_STATEMENTS: u64 = 1000;
const PREFIX: &str = "statements-";
const SUFFIX: &str = ".json.gz";

#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{} cannot be written: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{} is not one of the files to be written: remove it, or choose another directory", .0.display())]
    Stranger(PathBuf),
}

/// Writes the first `count` statements of a seed to `statements-00.json.gz` and so on, and their figures to
/// [`ANSWERS_FILE`]. Each file is there as a whole or not at all. Returns the files in the order of writing.
///
/// A directory with other statement files is refused, because reading it would mix two data sets.
pub fn write(directory: &Path, seed: u64, count: u64) -> Result<Vec<PathBuf>, WriteError> {
    let files = count.div_ceil(FILE_STATEMENTS);
    let width = files.saturating_sub(1).to_string().len().max(2);
    let names: Vec<String> = (0..files).map(|number| format!("{PREFIX}{number:0width$}{SUFFIX}")).collect();
    fs::create_dir_all(directory).map_err(|source| WriteError::Io { path: directory.to_owned(), source })?;
    refuse_strangers(directory, &names)?;

    let mut generator = Generator::new(seed);
    let mut collector = Collector::default();
    let mut batch = Batch::new();
    let mut written = Vec::new();
    let mut left = count;
    for name in &names {
        let statements = left.min(FILE_STATEMENTS);
        left -= statements;
        generator.fill_and_observe(&mut batch, statements as usize, |event, learner| collector.observe(event, learner));
        written.push(write_whole(directory, name, |file| write_gzip(file, batch.body()))?);
    }
    let answers = collector.answers(seed);
    written.push(write_whole(directory, ANSWERS_FILE, |file| {
        serde_json::to_writer_pretty(&mut *file, &answers)?;
        file.write_all(b"\n")
    })?);
    Ok(written)
}

fn refuse_strangers(directory: &Path, names: &[String]) -> Result<(), WriteError> {
    let fault = |source| WriteError::Io { path: directory.to_owned(), source };
    for entry in fs::read_dir(directory).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) && names.iter().all(|known| *known != name) {
            return Err(WriteError::Stranger(path));
        }
    }
    Ok(())
}

/// Neither time nor name go into the file, so that the same statements give the same file.
fn write_gzip(file: &mut impl Write, body: &[u8]) -> io::Result<()> {
    let mut encoder = GzBuilder::new().mtime(0).write(file, Compression::best());
    encoder.write_all(body)?;
    encoder.write_all(b"\n")?;
    encoder.finish()?;
    Ok(())
}

fn write_whole(directory: &Path, name: &str, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> Result<PathBuf, WriteError> {
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
            // It may not exist; the error to report is the first one.
            _ = fs::remove_file(&partial);
            Err(WriteError::Io { path, source })
        }
    }
}
