//! The files of a volume, as archives of `tar` that a running Pod writes and reads.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use crate::backup::file::{self, FileWriter};
use crate::backup::location::Store;
use crate::backup::manifest::{Manifest, Part};
use crate::cluster::exec::{self, Container};
use crate::cluster::{log, pods};
use crate::components::model::Volume;
use crate::engine::Progress;
use crate::error::Failure;
use crate::output::units::bytes;
use crate::stack::Stack;

/// An archive ends after files of this size. A killed backup continues after the last complete archive.
const ARCHIVE: u64 = 256 << 20;
/// Lists the sizes, in KiB, of everything in a directory and in its directories.
const SIZES: &str = r#"cd "$0" && exec du -a -k -d 2 ."#;
const ARCHIVE_COMMAND: &str = r#"cd "$0" && exec tar -c -f - "$@""#;
/// Extracts into a separate directory beside the files.
const EXTRACT: &str = r#"cd "$0" && mkdir -p "$1" && exec tar -x -f - -C "$1""#;
/// Replaces all files by the extracted ones.
const EXCHANGE: &str = r#"set -e
cd "$0"
staged=$1
for path in * .[!.]*; do
  case $path in "$staged" | '*' | '.[!.]*' | KEPT) ;; *) rm -rf "./$path" ;; esac
done
for path in "$staged"/* "$staged"/.[!.]*; do
  case $path in *'/*' | *'/.[!.]*') ;; *) mv "$path" . ;; esac
done
rmdir "$staged""#;

/// The directory for extracted files.
const STAGED: &str = ".lastack-restore";

/// A volume in a running Pod.
pub struct Files {
    container: Container,
    volume: Volume,
}

impl Files {
    /// The volume in a ready Pod, or else in a running one.
    ///
    /// # Errors
    /// When no Pod with the volume runs.
    pub async fn of(stack: &Stack, volume: Volume) -> Result<Self> {
        let pod = pods::running(&stack.cluster, volume.pods).await?.with_context(|| {
            format!("no running pod with labels {} in namespace {}", volume.pods, stack.namespace())
        })?;
        let pods = stack.cluster.pod_streams();
        Ok(Self { container: Container { pods, pod, name: volume.container }, volume })
    }

    /// Writes archives of all files that the part does not contain yet.
    ///
    /// # Errors
    /// When a file cannot be read, or the location fails. Complete archives remain.
    pub async fn copy(
        &self,
        id: &str,
        store: &Store,
        manifest: &mut Manifest,
        progress: &Progress<'_>,
    ) -> Result<()> {
        let copied: BTreeSet<String> = manifest.part_mut(id).paths.iter().cloned().collect();
        let mut paths = self.paths().await?;
        paths.retain(|(path, _)| !copied.contains(path));
        let total: u64 = paths.iter().map(|(_, size)| size).sum();
        let mut done = 0;
        for group in groups(paths) {
            progress.say(&format!("{} of {} read", bytes(done), bytes(total)));
            let part = manifest.part_mut(id);
            let name = format!("{}/{:06}.tar.gz", id.replace('.', "/"), part.files.len() + 1);
            let mut writer = FileWriter::new(store, &manifest.name, &name, true);
            let paths: Vec<String> = group.iter().map(|(path, _)| path.clone()).collect();
            if let Err(error) = self.archive(&paths, &mut writer).await {
                writer.abort().await;
                return Err(error);
            }
            let record = writer.finish().await?;
            let part = manifest.part_mut(id);
            part.files.push(record);
            part.paths.extend(paths);
            manifest.save_progress(store).await?;
            done += group.iter().map(|(_, size)| size).sum::<u64>();
        }
        Ok(())
    }

    /// The paths to copy, with their sizes in bytes: top-level files and directories, but the contents of large ones.
    async fn paths(&self) -> Result<Vec<(String, u64)>> {
        let output = self.shell(SIZES, &[]).await?;
        let skip = [self.volume.skip, self.volume.keep, &[STAGED]].concat();
        Ok(selected(&output, &skip, ARCHIVE))
    }

    async fn archive(&self, paths: &[String], to: &mut FileWriter) -> Result<()> {
        let mut command = vec!["sh", "-c", ARCHIVE_COMMAND, self.volume.path];
        command.extend(paths.iter().map(String::as_str));
        let ended = exec::stream(&self.container, &command, tokio::io::empty(), to).await?;
        self.check(ended.code, &ended.stderr)
    }

    /// Extracts the archives of a part beside the files, which stay in place. Returns the directory.
    ///
    /// # Errors
    /// When an archive cannot be read or extracted.
    pub async fn extract(
        &self,
        store: &Store,
        manifest: &Manifest,
        part: &Part,
        progress: &Progress<'_>,
    ) -> Result<String> {
        self.shell(r#"cd "$0" && rm -rf "./$1" && mkdir "$1""#, &[STAGED]).await?;
        let command = ["sh", "-c", EXTRACT, self.volume.path, STAGED];
        let mut done = 0;
        for record in &part.files {
            progress.say(&format!("{} of {} extracted", bytes(done), bytes(part.bytes())));
            let from = file::open_gzip(store, &manifest.name, record).await?;
            let mut nothing = tokio::io::sink();
            let ended = exec::stream(&self.container, &command, from, &mut nothing).await?;
            self.check(ended.code, &ended.stderr).with_context(|| record.name.clone())?;
            done += record.bytes;
        }
        Ok(format!("{}/{STAGED}", self.volume.path))
    }

    /// Replaces the files by the extracted ones. Safe to repeat after it was killed only with another [`Files::extract`].
    ///
    /// # Errors
    /// When a file cannot be moved or deleted.
    pub async fn exchange(&self) -> Result<()> {
        let script = EXCHANGE.replace("KEPT", &self.volume.keep.join(" | "));
        self.shell(&script, &[STAGED]).await.map(drop)
    }

    /// Runs a script with the directory as `$0`.
    async fn shell(&self, script: &str, arguments: &[&str]) -> Result<String> {
        let command = [&["sh", "-c", script, self.volume.path], arguments].concat();
        let output = exec::run(&self.container, &command, b"").await?;
        self.check(output.code, &output.stderr)?;
        Ok(output.stdout)
    }

    fn check(&self, code: i32, stderr: &str) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        let why = log::cause(stderr).unwrap_or_else(|| format!("exit code {code}"));
        Err(Failure::failed(format!("the files in pod {}: {why}", self.container.pod))
            .hint("repeat the command to continue")
            .into())
    }
}

/// The paths of an archive each, from the output of `du`.
fn selected(sizes: &str, skip: &[&str], limit: u64) -> Vec<(String, u64)> {
    let listed = sizes.lines().filter_map(|line| {
        let (size, path) = line.split_once('\t')?;
        Some((path.strip_prefix("./")?.to_string(), size.parse::<u64>().ok()? << 10))
    });
    let listed: Vec<(String, u64)> = listed
        .filter(|(path, _)| {
            let top = path.split('/').next().unwrap_or(path);
            !skip.contains(&top)
        })
        .collect();
    let is_top = |path: &str| !path.contains('/');
    let is_split = |path: &str, size: u64| {
        let prefix = format!("{path}/");
        size > limit && listed.iter().any(|(other, _)| other.starts_with(&prefix))
    };
    let split: Vec<&str> = listed
        .iter()
        .filter(|(path, size)| is_top(path) && is_split(path, *size))
        .map(|(path, _)| path.as_str())
        .collect();
    let mut selected: Vec<(String, u64)> = listed
        .iter()
        .filter(|(path, _)| match path.split_once('/') {
            None => !split.contains(&path.as_str()),
            Some((top, _)) => split.contains(&top),
        })
        .cloned()
        .collect();
    selected.sort();
    selected
}

/// Groups of paths with about the size of an archive.
fn groups(paths: Vec<(String, u64)>) -> Vec<Vec<(String, u64)>> {
    let mut groups: Vec<Vec<(String, u64)>> = Vec::new();
    let mut size = ARCHIVE;
    for path in paths {
        if size >= ARCHIVE {
            groups.push(Vec::new());
            size = 0;
        }
        size += path.1;
        if let Some(group) = groups.last_mut() {
            group.push(path);
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_of_large_directories_are_archived_separately() {
        let sizes = "4\t./lang/fr\n8\t./lang\n300\t./filedir/aa\n400\t./filedir/bb\n4\t./filedir/warning.txt\n704\t./filedir\n9\t./cache\n1\t./a b.txt\n721\t.\n";
        let found = selected(sizes, &["cache"], 500 << 10);
        let found: Vec<(&str, u64)> =
            found.iter().map(|(path, size)| (path.as_str(), size >> 10)).collect();
        let wanted = [
            ("a b.txt", 1),
            ("filedir/aa", 300),
            ("filedir/bb", 400),
            ("filedir/warning.txt", 4),
            ("lang", 8),
        ];
        assert_eq!(found, wanted);
        assert!(selected(sizes, &["cache"], 1 << 30).contains(&("filedir".into(), 704 << 10)));
    }

    #[test]
    fn archive_ends_after_its_size() {
        let paths = |sizes: &[u64]| sizes.iter().map(|size| (size.to_string(), *size)).collect();
        let lengths = |sizes| groups(paths(sizes)).iter().map(Vec::len).collect::<Vec<_>>();
        assert_eq!(lengths(&[1, ARCHIVE, 1, 1]), [2, 2]);
        assert_eq!(lengths(&[]), [0; 0]);
    }
}
