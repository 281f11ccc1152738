//! The embedded `manifests/versions.yaml`: every version, chart and image of the stack.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::de::{self, Deserializer, MapAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::engine::Id;

/// The name of a component in `manifests/versions.yaml`, and the group in the ids of its nodes.
///
/// The same name appears in every table and on the command line. Ordered as in the file: dependencies first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct ComponentName(&'static str);

impl ComponentName {
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// All names.
    pub fn all() -> impl Iterator<Item = Self> {
        Versions::get().components.iter().map(|release| release.name)
    }

    /// The component of a node. None for nodes outside of components.
    pub fn of(id: Id) -> Option<Self> {
        Self::find(id.group())
    }

    pub fn find(name: &str) -> Option<Self> {
        Self::all().find(|component| component.0 == name)
    }

    pub fn as_str(self) -> &'static str {
        self.0
    }

    fn position(self) -> usize {
        Self::all().position(|other| other == self).unwrap_or(usize::MAX)
    }
}

impl PartialOrd for ComponentName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ComponentName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.position(), self.0).cmp(&(other.position(), other.0))
    }
}

impl fmt::Display for ComponentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

impl<'de> Deserialize<'de> for ComponentName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::find(&name).ok_or_else(|| {
            let known: Vec<_> = Self::all().map(Self::as_str).collect();
            let known = known.join("`, `");
            de::Error::custom(format!("unknown component `{name}`, expected one of `{known}`"))
        })
    }
}

/// What this program supports, and the components of a stack. Those of a new stack are in the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Versions {
    pub kubernetes: KubernetesRange,
    pub helm: HelmRange,
    /// Dependencies first.
    #[serde(deserialize_with = "named")]
    pub components: Vec<Release>,
}

/// Serializes components as a map, in their order.
///
/// # Errors
/// Those of the serializer.
pub fn by_name<S: Serializer>(components: &[Release], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(components.iter().map(|release| (release.name.as_str(), release)))
}

/// Deserializes a map of the components that this program knows.
///
/// # Errors
/// Those of the deserializer.
pub fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Release>, D::Error> {
    let mut stored = BTreeMap::<String, Release>::deserialize(deserializer)?;
    let of = |name: ComponentName| Some(Release { name, ..stored.remove(name.as_str())? });
    Ok(ComponentName::all().filter_map(of).collect())
}

/// Deserializes a map of components in the order of the file.
fn named<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Release>, D::Error> {
    struct Named;
    impl<'de> Visitor<'de> for Named {
        type Value = Vec<Release>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of components")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut releases = Vec::new();
            while let Some((name, release)) = map.next_entry::<String, Release>()? {
                // leaked: the file is read once
                let name = ComponentName::new(Box::leak(name.into_boxed_str()));
                releases.push(Release { name, ..release });
            }
            Ok(releases)
        }
    }
    deserializer.deserialize_map(Named)
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KubernetesRange {
    pub minimum: String,
    /// The newest that the operator supports. Later ones are not rejected.
    pub newest: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelmRange {
    pub minimum: semver::Version,
    pub below: semver::Version,
}

/// One component: the version of its program, its chart, and its images by role. A stack stores it, so a newer program may
/// have stored more fields.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// The key in the file.
    #[serde(skip, default = "unnamed")]
    pub name: ComponentName,
    /// The name of its program, such as `Ralph`.
    pub program: String,
    pub version: String,
    /// The last day with fixes for security holes, if the program announces it.
    #[serde(rename = "fixesUntil", skip_serializing_if = "Option::is_none")]
    pub fixes_until: Option<jiff::civil::Date>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chart: Option<ChartSource>,
    pub images: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<PluginSource>,
    /// How `upgrade` may reach this version. Not stored: the rules are those of the newest version.
    #[serde(default, skip_serializing)]
    pub upgrades: Upgrades,
}

/// The rules for upgrades to a version.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrades {
    /// The oldest version that can be upgraded to this one.
    pub from: Option<semver::Version>,
    /// The data that this version changes, so that older versions cannot read it, in a few words.
    pub migrates: Option<String>,
}

fn unnamed() -> ComponentName {
    ComponentName::new("")
}

/// The source of the plugin that sends Moodle's events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PluginSource {
    pub version: String,
    /// The first and the last supported branch of Moodle, such as `405` for Moodle 4.5.
    pub supported: (u32, u32),
    pub url: String,
    /// The digest of its files, independent of their packaging.
    pub sha256: String,
}

/// The source of a chart: a chart repository, or `charts/` of this program when none is named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartSource {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
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

    /// These versions with other components. A component that is not among them remains.
    pub fn with(mut self, components: &[Release]) -> Self {
        for release in components {
            self.set(release.clone());
        }
        self
    }

    /// Replaces the version of one component.
    pub fn set(&mut self, release: Release) {
        if let Some(old) = self.components.iter_mut().find(|old| old.name == release.name) {
            *old = release;
        }
    }

    pub fn of(&self, component: ComponentName) -> &Release {
        let release = self.components.iter().find(|release| release.name == component);
        release.expect("manifests/versions.yaml names every component")
    }
}

impl Release {
    pub fn image(&self, role: &str) -> &str {
        self.images
            .get(role)
            .map(String::as_str)
            .expect("manifests/versions.yaml names every image")
    }

    /// The image of the program itself, whose tag is its version.
    pub fn program_image(&self) -> &str {
        let tag = |image: &str| {
            image.rsplit_once(':').map(|(_, tag)| tag.trim_start_matches('v') == self.version)
        };
        let image = self.images.values().find(|image| tag(image) == Some(true));
        image.expect("one image has the version of the program")
    }

    pub fn plugin(&self) -> &PluginSource {
        self.plugin
            .as_ref()
            .expect("manifests/versions.yaml names a plugin where a resource installs one")
    }

    pub fn chart(&self) -> &ChartSource {
        self.chart
            .as_ref()
            .expect("manifests/versions.yaml names a chart where a resource installs one")
    }
}

/// An image without its registry: `docker.elastic.co/eck/eck-operator:3.5.0` becomes `eck/eck-operator:3.5.0`. Images of
/// Docker Hub have no registry in their names.
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
    fn versions_file_has_only_known_fields_and_a_rule_for_each_upgrade() {
        let file = include_str!("../../manifests/versions.yaml");
        let file: serde_json::Value = serde_saphyr::from_str(file).unwrap();
        for release in &Versions::get().components {
            let mut wanted = file["components"][release.name.as_str()].clone();
            let rules = wanted.as_object_mut().unwrap().remove("upgrades");
            assert_eq!(serde_json::to_value(release).unwrap(), wanted);
            assert!(rules.is_some() && release.upgrades.from.is_some(), "{}", release.name);
        }
    }

    #[test]
    fn versions_file_has_every_component_and_a_tag_for_every_image() {
        let versions = Versions::get();
        for release in &versions.components {
            let component = release.name;
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
    fn image_without_registry_keeps_its_repository() {
        assert_eq!(
            without_registry("docker.elastic.co/eck/eck-operator:3.5.0"),
            "eck/eck-operator:3.5.0"
        );
        assert_eq!(without_registry("fundocker/ralph:5.0.1"), "fundocker/ralph:5.0.1");
        assert_eq!(without_registry("localhost:5000/a:1"), "a:1");
        assert_eq!(without_registry("postgres:17"), "postgres:17");
    }

    #[test]
    fn component_names_are_ordered_with_the_operator_first() {
        let mut names: Vec<_> = ComponentName::all().collect();
        names.sort();
        assert_eq!(names.first(), Some(&ComponentName::new("operator")));
        assert!(ComponentName::new("datalake") < ComponentName::new("lrs"));
    }
}
