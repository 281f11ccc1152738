//! Files of a running command that others on this machine look at. Each holds a lock, which ends with its process.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tempfile::TempPath;

const PREFIX: &str = "kubectl-lastack-run-";
/// The age of a mark at which the Lease of its command has expired.
const ABANDONED: Duration = Duration::from_secs(3600);

/// The runtime directory of the user, which ends with the session, or the directory of temporary files.
pub fn place() -> PathBuf {
    let runtime = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    runtime.filter(|path| path.is_absolute() && path.is_dir()).unwrap_or_else(env::temp_dir)
}

/// The mark of a command that runs.
pub struct Mark {
    _file: TempPath,
    _lock: File,
}

impl Mark {
    /// Marks the command with this id, which only letters and digits form.
    ///
    /// # Errors
    ///
    /// The file cannot be created.
    pub fn set(id: &str) -> io::Result<Self> {
        Self::set_in(&place(), id)
    }

    fn set_in(place: &Path, id: &str) -> io::Result<Self> {
        delete_abandoned(place);
        let path = place.join(format!("{PREFIX}{id}"));
        // a mark whose lock is free is that of a killed command, so it gets its name when the lock is held
        let unnamed = path.with_extension("new");
        let lock = File::create_new(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, &path)?;
        Ok(Self { _file: TempPath::try_from_path(path)?, _lock: lock })
    }
}

/// Whether the command with this id ran on this machine and was killed. A command that ended itself, or that runs on
/// another machine, has no mark.
pub fn was_killed(id: &str) -> bool {
    was_killed_in(&place(), id)
}

fn was_killed_in(place: &Path, id: &str) -> bool {
    let is_id = !id.is_empty() && id.chars().all(|letter| letter.is_ascii_alphanumeric());
    is_id && is_left_behind(&place.join(format!("{PREFIX}{id}")))
}

/// Whether this user's command left the file behind. The file of another user proves nothing.
fn is_left_behind(path: &Path) -> bool {
    let is_free = |file: &File| !matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    File::open(path).is_ok_and(|file| is_mine(&file) && is_free(&file))
}

#[cfg(unix)]
fn is_mine(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let owner = |file: &File| file.metadata().map(|data| data.uid());
    let mine = tempfile::tempfile().and_then(|own| owner(&own));
    matches!((owner(file), mine), (Ok(owner), Ok(mine)) if owner == mine)
}

/// The directory belongs to the user.
#[cfg(not(unix))]
fn is_mine(_: &File) -> bool {
    true
}

/// Deletes old marks of killed commands.
fn delete_abandoned(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let is_mark = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    for entry in entries.filter(is_mark) {
        let changed = entry.metadata().and_then(|data| data.modified());
        let age = changed.ok().and_then(|time| SystemTime::now().duration_since(time).ok());
        if age.is_some_and(|age| age > ABANDONED) && is_left_behind(&entry.path()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn killed_command_is_told_from_a_running_and_an_ended_one() {
        let place = tempfile::tempdir().expect("a folder");
        let was_killed = |id| was_killed_in(place.path(), id);
        let running = Mark::set_in(place.path(), "running").expect("a mark");
        drop(Mark::set_in(place.path(), "ended").expect("a mark"));
        fs::write(place.path().join(format!("{PREFIX}killed")), "").expect("a mark");
        assert!(was_killed("killed"));
        assert!(!was_killed("running") && !was_killed("ended") && !was_killed("../killed"));
        drop(running);
        assert!(!was_killed("running"));
    }

    #[test]
    fn only_old_marks_of_killed_commands_are_deleted() {
        let place = tempfile::tempdir().expect("a folder");
        let mark = |id: &str, age: Duration| {
            let path = place.path().join(format!("{PREFIX}{id}"));
            let file = File::create(&path).expect("a mark");
            file.set_modified(SystemTime::now() - age).expect("a time");
            path
        };
        let (old, new) = (mark("old", 2 * ABANDONED), mark("new", Duration::ZERO));
        let _mark = Mark::set_in(place.path(), "next").expect("a mark");
        assert!(!old.exists() && new.exists());
    }
}
