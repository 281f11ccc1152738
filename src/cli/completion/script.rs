//! The program that kubectl runs with the words typed after `kubectl lastack`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use anyhow::{Context, Result};

use crate::error::Failure;

pub const NAME: &str = "kubectl_complete-lastack";
const SCRIPT: &str = "#!/bin/sh\n# written by kubectl lastack completion install\nexec kubectl-lastack __complete \"$@\"\n";
/// A line that every version of the script contains.
const MARK: &str = "written by kubectl lastack completion install";

/// What has the name of the script.
pub enum Found {
    Absent,
    Current,
    /// Written by another version.
    Outdated,
    /// Not written by this program.
    Foreign,
}

/// # Errors
/// When the file cannot be read.
pub fn find(file: &Path) -> Result<Found> {
    Ok(match fs::read(file) {
        Ok(live) if live == SCRIPT.as_bytes() => Found::Current,
        Ok(live) if String::from_utf8_lossy(&live).contains(MARK) => Found::Outdated,
        Ok(_) => Found::Foreign,
        Err(error) if error.kind() == ErrorKind::NotFound => Found::Absent,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
    })
}

/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path) -> io::Result<()> {
    fs::write(file, SCRIPT)?;
    #[cfg(unix)]
    fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    Ok(())
}

/// # Errors
/// On Windows, where kubectl completes no plugin.
pub fn check_system() -> Result<()> {
    if cfg!(windows) {
        return Err(Failure::failed("kubectl completes no plugins on Windows")
            .hint(
                "run `kubectl-lastack completion powershell` for the completion of kubectl-lastack",
            )
            .into());
    }
    Ok(())
}
