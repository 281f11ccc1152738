//! `manifests/versions.yaml`: every version, chart and image of the stack, embedded.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::step::StepId;

/// A component of the stack, by the name its steps begin with.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Component {
    Operator,
    Datalake,
    #[value(alias = "ralph")]
    Lrs,
    #[value(alias = "moodle")]
    Lms,
    #[value(alias = "superset")]
    Dataviz,
}

impl Component {
    /// The component whose step this is.
    pub fn of(step: StepId) -> Option<Self> {
        Self::from_str(step.split('.').next()?, false).ok()
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Datalake => "datalake",
            Self::Lrs => "lrs",
            Self::Lms => "lms",
            Self::Dataviz => "dataviz",
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    pub kubernetes: KubernetesRange,
    pub helm: HelmRange,
    pub components: BTreeMap<Component, Release>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesRange {
    pub minimum: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelmRange {
    pub minimum: semver::Version,
    pub below: semver::Version,
}

/// One component: the version of the program, the chart that installs it, its images by role.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub version: String,
    pub chart: Option<ChartSource>,
    pub images: BTreeMap<String, String>,
    pub plugin: Option<PluginSource>,
}

/// Where the plugin comes from that sends Moodle's events.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PluginSource {
    pub version: String,
    /// The first and the last branch of Moodle that it is made for.
    pub supported: (u32, u32),
    pub url: String,
    /// Of the files that run, however they were packed.
    pub sha256: String,
}

/// Where a chart comes from: a chart repository, or `charts/` of this program when none is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChartSource {
    pub name: String,
    pub repository: Option<String>,
    pub version: Option<String>,
}

impl Versions {
    pub fn get() -> &'static Self {
        static VERSIONS: LazyLock<Versions> = LazyLock::new(|| {
            serde_saphyr::from_str(include_str!("../../manifests/versions.yaml"))
                .expect("manifests/versions.yaml is checked by a test")
        });
        &VERSIONS
    }

    pub fn of(&self, component: Component) -> &Release {
        self.components.get(&component).expect("manifests/versions.yaml names every component")
    }
}

impl Release {
    pub fn image(&self, role: &str) -> &str {
        self.images
            .get(role)
            .map(String::as_str)
            .expect("manifests/versions.yaml names every image")
    }

    pub fn plugin(&self) -> &PluginSource {
        self.plugin
            .as_ref()
            .expect("manifests/versions.yaml names a plugin where a step installs one")
    }

    pub fn chart(&self) -> &ChartSource {
        self.chart
            .as_ref()
            .expect("manifests/versions.yaml names a chart where a step installs one")
    }
}

/// `docker.elastic.co/eck/eck-operator:3.5.0` without its registry: `eck/eck-operator:3.5.0`. An image of
/// Docker Hub is written without one.
pub fn without_registry(image: &str) -> &str {
    match image.split_once('/') {
        Some((host, rest)) if host.contains('.') || host.contains(':') || host == "localhost" => {
            rest
        }
        _ => image,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_file_names_every_component_and_a_tag_for_every_image() {
        let versions = Versions::get();
        for component in Component::value_variants() {
            let release = versions.of(*component);
            let tags: Vec<_> = release
                .images
                .values()
                .map(|image| image.rsplit_once(':').map(|(_, tag)| tag.trim_start_matches('v')))
                .collect();
            assert_eq!(
                tags.iter().filter(|tag| **tag == Some(&release.version)).count(),
                1,
                "{component}: one image is version {}",
                release.version
            );
            let is_version = |tag: &&str| tag.starts_with(|c: char| c.is_ascii_digit());
            assert!(
                tags.iter().all(|tag| tag.is_some_and(|tag| is_version(&tag))),
                "{component} has an image without a version"
            );
        }
        semver::Version::parse(&format!("{}.0", versions.kubernetes.minimum)).unwrap();
    }

    #[test]
    fn only_a_registry_is_taken_off_an_image() {
        assert_eq!(
            without_registry("docker.elastic.co/eck/eck-operator:3.5.0"),
            "eck/eck-operator:3.5.0"
        );
        assert_eq!(without_registry("fundocker/ralph:5.0.1"), "fundocker/ralph:5.0.1");
        assert_eq!(without_registry("localhost:5000/a:1"), "a:1");
        assert_eq!(without_registry("postgres:17"), "postgres:17");
    }
}
