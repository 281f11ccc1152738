//! A chart and its values, with a digest that detects changes.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use include_dir::Dir;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cluster::flags::quoted;

/// A chart and the values to install it with.
pub struct Install {
    pub release: &'static str,
    pub namespace: String,
    /// Whether helm creates the namespace. helm requires the permission even when the namespace exists.
    pub creates_namespace: bool,
    pub chart: ChartRef,
    pub values: Value,
}

/// The source of a chart.
pub enum ChartRef {
    /// A chart of `charts/`, embedded in this program.
    Embedded(&'static Dir<'static>),
    /// A chart of a repository.
    Repository { name: String, repository: String, version: Option<String> },
    /// A directory, an archive or a URL from the settings.
    Given(String),
}

impl ChartRef {
    /// The chart as helm's arguments. An embedded chart is written to `scratch` first.
    pub(super) fn arguments(&self, scratch: &Path) -> Result<Vec<String>> {
        Ok(match self {
            Self::Embedded(dir) => {
                let chart = scratch.join(dir.path());
                std::fs::create_dir_all(&chart)
                    .and_then(|()| dir.extract(scratch))
                    .context("cannot write the chart for helm")?;
                vec![chart.to_string_lossy().into_owned()]
            }
            Self::Repository { name, repository, version } => {
                let mut arguments = vec![name.clone(), "--repo".into(), repository.clone()];
                if let Some(version) = version {
                    arguments.extend(["--version".into(), version.clone()]);
                }
                arguments
            }
            // helm runs in another directory, so a path must be absolute
            Self::Given(source) => vec![
                std::fs::canonicalize(source)
                    .map_or_else(|_| source.clone(), |path| path.to_string_lossy().into_owned()),
            ],
        })
    }

    /// The chart for users, as in a helm command.
    pub fn shown(&self) -> String {
        match self {
            Self::Embedded(dir) => format!("charts/{}", dir.path().display()),
            Self::Repository { name, repository, version } => {
                let version = version
                    .as_ref()
                    .map(|version| format!(" --version {version}"))
                    .unwrap_or_default();
                format!("{name} --repo {repository}{version}")
            }
            Self::Given(source) => source.clone(),
        }
    }

    fn feed(&self, hash: &mut Sha256) {
        match self {
            Self::Embedded(dir) => feed_dir(dir, hash),
            Self::Given(source) if Path::new(source).exists() => feed_path(Path::new(source), hash),
            other => hash.update(other.shown()),
        }
    }
}

fn feed_dir(dir: &Dir<'_>, hash: &mut Sha256) {
    for file in dir.files() {
        hash.update(file.path().to_string_lossy().as_bytes());
        hash.update((file.contents().len() as u64).to_le_bytes());
        hash.update(file.contents());
    }
    dir.dirs().for_each(|dir| feed_dir(dir, hash));
}

/// Hashes the files of a local chart. Skips unreadable files, which helm reports.
fn feed_path(path: &Path, hash: &mut Sha256) {
    let Ok(entries) = std::fs::read_dir(path) else {
        let contents = std::fs::read(path).unwrap_or_default();
        hash.update((contents.len() as u64).to_le_bytes());
        return hash.update(contents);
    };
    let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        hash.update(name.as_encoded_bytes());
        feed_path(&path.join(name), hash);
    }
}

impl Install {
    /// A digest of the chart and the values, as 32 hexadecimal digits.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        self.chart.feed(&mut hash);
        hash.update(self.values.to_string());
        HEXLOWER.encode(&hash.finalize()[..16])
    }

    /// The equivalent command. `folder` contains the embedded charts; `values` is the file with the values.
    pub fn command(&self, folder: &str, values: Option<&str>) -> String {
        let chart = match &self.chart {
            ChartRef::Embedded(_) => format!("{folder}/{}", self.chart.shown()),
            ChartRef::Repository { .. } => self.chart.shown(),
            ChartRef::Given(source) => quoted(source),
        };
        let mut command =
            format!("helm upgrade --install {} {chart} -n {}", self.release, self.namespace);
        if self.creates_namespace {
            command.push_str(" --create-namespace");
        }
        if let Some(values) = values {
            command.push_str(&format!(" -f {values}"));
        }
        command
    }

    /// Whether the install overrides no value of the chart.
    pub fn has_no_values(&self) -> bool {
        self.values.as_object().is_some_and(serde_json::Map::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn digest_changes_with_values_and_with_chart() {
        let install = |chart: &str, value: u32| Install {
            release: "lrs",
            namespace: "alice".into(),
            creates_namespace: false,
            chart: ChartRef::Given(chart.into()),
            values: json!({"replicas": value}),
        };
        assert_eq!(install("a", 1).digest(), install("a", 1).digest());
        assert_ne!(install("a", 1).digest(), install("a", 2).digest());
        assert_ne!(install("a", 1).digest(), install("b", 1).digest());
        let chart = tempfile::tempdir().unwrap();
        let template = chart.path().join("templates/deployment.yaml");
        std::fs::create_dir(chart.path().join("templates")).unwrap();
        let with = |text: &str| {
            std::fs::write(&template, text).unwrap();
            install(&chart.path().to_string_lossy(), 1).digest()
        };
        assert_eq!(with("kind: Deployment"), with("kind: Deployment"));
        assert_ne!(
            with("kind: Deployment"),
            with("kind: StatefulSet"),
            "a changed file of a local chart must change the digest"
        );
    }
}
