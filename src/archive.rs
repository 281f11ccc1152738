//! Untrusted zip archives: unpacked in memory, within limits, and never written to disk.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use anyhow::Result;
use zip::ZipArchive;

use crate::error::Failure;

/// The limits of one kind of archive. A larger archive is rejected.
pub struct Limits {
    /// Number of entries.
    pub files: usize,
    /// Unpacked size of one file, in bytes.
    pub file: u64,
    /// Unpacked size of all files, in bytes.
    pub total: u64,
}

impl Limits {
    /// # Errors
    /// When a file of `bytes` bytes exceeds the limit. `what` names the file.
    pub fn check_file(&self, what: &str, bytes: u64) -> Result<()> {
        match bytes > self.file {
            true => {
                Err(Failure::usage(format!("{what}: larger than {} MB", self.file >> 20)).into())
            }
            false => Ok(()),
        }
    }
}

/// Unpacks the files whose names satisfy `wanted`. `shown` names the archive in errors.
///
/// # Errors
/// When the archive is damaged, exceeds a limit, or contains a path outside the archive, even an unwanted one.
pub fn unzip(
    archive: impl Read + Seek,
    shown: &str,
    limits: &Limits,
    wanted: impl Fn(&str) -> bool,
) -> Result<BTreeMap<String, Vec<u8>>> {
    let invalid = |what: String| Failure::usage(format!("{shown}: {what}"));
    let mut archive = ZipArchive::new(archive)
        .map_err(|error| invalid(format!("not a readable zip archive: {error}")))?;
    if archive.len() > limits.files {
        return Err(invalid(format!(
            "contains {} files; the limit is {}",
            archive.len(),
            limits.files
        ))
        .into());
    }
    let mut files = BTreeMap::new();
    let mut total = 0;
    for index in 0..archive.len() {
        let entry =
            archive.by_index(index).map_err(|error| invalid(format!("damaged: {error}")))?;
        let name = entry.name().map_err(|error| invalid(format!("damaged: {error}")))?.into_owned();
        if name.starts_with(['/', '\\']) || entry.enclosed_name().is_none() || entry.is_symlink() {
            return Err(invalid(format!("`{name}` is outside the archive")).into());
        }
        if entry.is_dir() || is_of_macos(&name) || !wanted(&name) {
            continue;
        }
        let mut bytes = Vec::new();
        // the declared size is untrusted
        entry
            .take(limits.file + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| invalid(format!("damaged at `{name}`: {error}")))?;
        limits.check_file(&format!("{name} in {shown}"), bytes.len() as u64)?;
        total += bytes.len() as u64;
        if total > limits.total {
            return Err(invalid(format!("unpacks to more than {} MB", limits.total >> 20)).into());
        }
        files.insert(name, bytes);
    }
    Ok(files)
}

/// Whether the Finder of macOS added this entry, which contains the metadata of another entry.
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
