//! What to install: a chart, its values, and a digest that tells two installs apart.

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
    /// Whether helm makes the namespace. It asks for that even where there is one, which not everybody may.
    pub brings_namespace: bool,
    pub chart: ChartRef,
    pub values: Value,
}

/// Where the chart to install is.
pub enum ChartRef {
    /// Of `charts/`, embedded in this program.
    Embedded(&'static Dir<'static>),
    /// Of a chart repository.
    Repository { name: String, repository: String, version: Option<String> },
    /// A directory, an archive or an address that the user named.
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
            // helm runs elsewhere, so a path must not depend on where
            Self::Given(place) => vec![
                std::fs::canonicalize(place)
                    .map_or_else(|_| place.clone(), |path| path.to_string_lossy().into_owned()),
            ],
        })
    }

    /// Its name for users.
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
            Self::Given(place) => place.clone(),
        }
    }

    fn feed(&self, hash: &mut Sha256) {
        match self {
            Self::Embedded(dir) => feed_dir(dir, hash),
            Self::Given(place) if Path::new(place).exists() => feed_place(Path::new(place), hash),
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

/// What is in a chart of this machine. What cannot be read is for helm to say.
fn feed_place(place: &Path, hash: &mut Sha256) {
    let Ok(entries) = std::fs::read_dir(place) else {
        let contents = std::fs::read(place).unwrap_or_default();
        hash.update((contents.len() as u64).to_le_bytes());
        return hash.update(contents);
    };
    let mut names: Vec<OsString> = entries.flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    for name in names {
        hash.update(name.as_encoded_bytes());
        feed_place(&place.join(name), hash);
    }
}

impl Install {
    /// Tells two installs apart that would not give the same release.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        self.chart.feed(&mut hash);
        hash.update(self.values.to_string());
        HEXLOWER.encode(&hash.finalize()[..16])
    }

    /// The command of a user. `folder` holds the embedded charts; `values` is the file with the values.
    pub fn command(&self, folder: &str, values: Option<&str>) -> String {
        let chart = match &self.chart {
            ChartRef::Embedded(_) => format!("{folder}/{}", self.chart.shown()),
            ChartRef::Repository { .. } => self.chart.shown(),
            ChartRef::Given(place) => quoted(place),
        };
        let mut command =
            format!("helm upgrade --install {} {chart} -n {}", self.release, self.namespace);
        if self.brings_namespace {
            command.push_str(" --create-namespace");
        }
        if let Some(values) = values {
            command.push_str(&format!(" -f {values}"));
        }
        command
    }

    /// Whether the chart's own values are to be used as they are.
    pub fn has_no_values(&self) -> bool {
        self.values.as_object().is_some_and(serde_json::Map::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn another_value_or_another_chart_gives_another_digest() {
        let install = |chart: &str, value: u32| Install {
            release: "lrs",
            namespace: "alice".into(),
            brings_namespace: false,
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
            "a chart under development"
        );
    }
}
