//! A folder for the files that helm reads: a kubeconfig with credentials, and a token that is renewed.
//!
//! It is deleted when the command ends. A killed command leaves it behind, and the next command deletes it then: each
//! command holds a lock in its folder, which ends with its process.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use tempfile::TempDir;

use crate::cluster::runtime::place;

const PREFIX: &str = "kubectl-lastack-";
const LOCK: &str = "lock";

/// A folder that only this user can read.
pub struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// # Errors
    ///
    /// The folder cannot be created.
    pub fn create() -> io::Result<Self> {
        Self::create_in(&place())
    }

    fn create_in(place: &Path) -> io::Result<Self> {
        delete_abandoned(place);
        let mut folder = tempfile::Builder::new();
        folder.prefix(PREFIX);
        #[cfg(unix)]
        folder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
        let folder = folder.tempdir_in(place)?;
        // another command deletes a folder whose lock is free, so the lock gets its name when it is held
        let unnamed = folder.path().join("new-lock");
        let lock = File::create(&unnamed)?;
        lock.lock()?;
        fs::rename(unnamed, folder.path().join(LOCK))?;
        Ok(Self { folder, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Deletes the folders of killed commands. What cannot be deleted belongs to another user.
fn delete_abandoned(place: &Path) {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let is_ours = |entry: &fs::DirEntry| entry.file_name().to_string_lossy().starts_with(PREFIX);
    for folder in entries.filter(is_ours).map(|entry| entry.path()) {
        // without a lock it is being created at this moment
        let Ok(lock) = File::open(folder.join(LOCK)) else { continue };
        if lock.try_lock().is_ok() {
            let _ = fs::remove_dir_all(&folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folder_of_killed_command_is_deleted_and_that_of_running_one_stays() {
        let place = tempfile::tempdir().expect("a folder");
        let running = Folder::create_in(place.path()).expect("a folder");
        let killed = place.path().join("kubectl-lastack-killed");
        fs::create_dir(&killed).expect("a folder");
        fs::write(killed.join(LOCK), "").expect("a lock");
        fs::write(killed.join("config"), "token").expect("a kubeconfig");
        let foreign = place.path().join("kubectl-other");
        fs::create_dir(&foreign).expect("a folder");
        let next = Folder::create_in(place.path()).expect("a folder");
        assert!(!killed.exists(), "the folder of a killed command");
        assert!(running.path().exists() && next.path().exists() && foreign.exists());
    }

    #[cfg(unix)]
    #[test]
    fn folder_can_be_read_by_its_user_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let place = tempfile::tempdir().expect("a folder");
        let folder = Folder::create_in(place.path()).expect("a folder");
        let mode = fs::metadata(folder.path()).expect("a folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }
}
