//! Zip archives of people and of the internet: read in memory, with limits, and never written to disk.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use anyhow::Result;
use zip::ZipArchive;

use crate::error::Failure;

/// What an honest archive of its kind stays below.
pub struct Limits {
    pub files: usize,
    /// Bytes of one file, unpacked.
    pub file: u64,
    /// Bytes of all files together, unpacked.
    pub total: u64,
}

impl Limits {
    pub fn check_file(&self, what: &str, bytes: u64) -> Result<()> {
        match bytes > self.file {
            true => {
                Err(Failure::usage(format!("{what} is larger than {} MB", self.file >> 20)).into())
            }
            false => Ok(()),
        }
    }
}

/// The files whose names `wanted` takes. Names that point out of the archive are refused even if they are not
/// wanted, because whoever made them meant no good.
pub fn unzip(
    archive: impl Read + Seek,
    shown: &str,
    limits: &Limits,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let fault = |what: String| Failure::usage(format!("{shown} {what}"));
    let mut archive = ZipArchive::new(archive)
        .map_err(|error| fault(format!("is not a zip archive that can be read: {error}")))?;
    if archive.len() > limits.files {
        return Err(
            fault(format!("holds {} files, more than {}", archive.len(), limits.files)).into()
        );
    }
    let mut files = BTreeMap::new();
    let mut total = 0;
    for index in 0..archive.len() {
        let entry =
            archive.by_index(index).map_err(|error| fault(format!("is broken: {error}")))?;
        let name = entry.name().map_err(|error| fault(format!("is broken: {error}")))?.into_owned();
        if name.starts_with(['/', '\\']) || entry.enclosed_name().is_none() || entry.is_symlink() {
            return Err(fault(format!("holds `{name}`, which points out of the archive")).into());
        }
        if entry.is_dir() || is_of_macos(&name) || !wanted(&name) {
            continue;
        }
        let mut bytes = Vec::new();
        // the size that the archive claims is not to be trusted
        entry
            .take(limits.file + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| fault(format!("is broken at `{name}`: {error}")))?;
        limits.check_file(&format!("{name} in {shown}"), bytes.len() as u64)?;
        total += bytes.len() as u64;
        if total > limits.total {
            return Err(fault(format!("unpacks to more than {} MB", limits.total >> 20)).into());
        }
        files.insert(name, bytes);
    }
    Ok(files)
}

/// Whether the Finder of macOS added this entry: it is the metadata of another one, whatever its ending says.
fn is_of_macos(name: &str) -> bool {
    name.split('/').any(|folder| folder == "__MACOSX" || folder.starts_with("._"))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Write};

    use super::*;

    #[test]
    fn zip_of_macos_gives_its_files_without_their_metadata() {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["a/x.yaml", "__MACOSX/a/._x.yaml", "a/._x.yaml"] {
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(b"x").unwrap();
        }
        let limits = Limits { files: 10, file: 10, total: 100 };
        let files = unzip(archive.finish().unwrap(), "a.zip", &limits, |_| true).unwrap();
        assert_eq!(files.into_keys().collect::<Vec<_>>(), ["a/x.yaml"]);
    }
}
