//! The versions of a stack, which its ConfigMap stores beside the settings. `install` keeps them; `upgrade` and `rollback`
//! change them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::Failure;

use super::component::ComponentName;
use super::settings::yaml_message;
use super::versions::{self, Release, Versions};

/// The versions that the stack is to have.
pub const VERSIONS: &str = "versions.yaml";
/// The versions before the last upgrade.
const PREVIOUS: &str = "previous-versions.yaml";

/// What is recorded about the versions of a stack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Record {
    /// The newest version of this program that changed the stack. None: the stack is new.
    pub program: Option<Version>,
    pub components: Vec<Release>,
    /// None: there was no upgrade, or it was rolled back.
    pub previous: Option<Previous>,
}

/// The state before an upgrade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    #[serde(serialize_with = "versions::by_name", deserialize_with = "versions::known")]
    pub components: Vec<Release>,
    /// The schema of the data of each component, if it was known.
    pub schemas: BTreeMap<ComponentName, String>,
    /// The backup before the upgrade. None: the user wanted none.
    pub backup: Option<BackupReference>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupReference {
    pub location: String,
    pub name: String,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    program: Version,
    #[serde(serialize_with = "versions::by_name", deserialize_with = "versions::known")]
    components: Vec<Release>,
}

/// The part that every version of this program can read.
#[derive(Deserialize)]
struct Writer {
    program: Version,
}

/// The version of this program.
pub fn this_program() -> Version {
    env!("CARGO_PKG_VERSION").parse().expect("cargo checks the version of the package")
}

impl Record {
    /// The record in the ConfigMap with the settings. Empty when there is none.
    ///
    /// # Errors
    /// When it is not readable.
    pub fn from_config_map(map: &ConfigMap) -> Result<Self> {
        let text = |key: &str| map.data.as_ref().and_then(|data| data.get(key));
        let Some(versions) = text(VERSIONS) else { return Ok(Self::default()) };
        let Writer { program } = parse(VERSIONS, versions)?;
        if program > this_program() {
            // this program only shows it, as far as it understands it
            let stored: Result<Stored> = parse(VERSIONS, versions);
            let components = stored.map(|stored| stored.components).unwrap_or_default();
            let previous = text(PREVIOUS).and_then(|text| parse(PREVIOUS, text).ok());
            return Ok(Self { program: Some(program), components, previous });
        }
        let Stored { components, .. } = parse(VERSIONS, versions)?;
        let previous = text(PREVIOUS).map(|text| parse(PREVIOUS, text)).transpose()?;
        Ok(Self { program: Some(program), components, previous })
    }
}

/// The data of the ConfigMap that records these versions.
///
/// # Errors
/// When they cannot be written as YAML.
pub fn to_data(
    program: Version,
    versions: &Versions,
    previous: Option<&Previous>,
) -> Result<BTreeMap<String, String>> {
    let stored = Stored { program, components: versions.components.clone() };
    let mut data = BTreeMap::from([(VERSIONS.into(), yaml(&stored)?)]);
    if let Some(previous) = previous {
        data.insert(PREVIOUS.into(), yaml(previous)?);
    }
    Ok(data)
}

fn yaml(value: &impl Serialize) -> Result<String> {
    serde_saphyr::to_string(value).context("cannot write the versions as YAML")
}

fn parse<T: for<'de> Deserialize<'de>>(key: &str, text: &str) -> Result<T> {
    serde_saphyr::from_str(text).map_err(|error| {
        let message = yaml_message(&error);
        Failure::failed(format!("ConfigMap {}: {key}: {message}", super::SETTINGS))
            .hint("restore this key from a backup; it contains the versions of the stack")
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(data: BTreeMap<String, String>) -> ConfigMap {
        ConfigMap { data: Some(data), ..ConfigMap::default() }
    }

    #[test]
    fn versions_are_read_as_they_were_written() {
        let versions = Versions::get();
        let previous = Previous {
            components: versions.components.clone(),
            schemas: BTreeMap::from([(ComponentName::new("lms"), "2024100700".into())]),
            backup: Some(BackupReference { location: "backups/".into(), name: "a-1".into() }),
        };
        let data = to_data(this_program(), versions, Some(&previous)).unwrap();
        let record = Record::from_config_map(&map(data)).unwrap();
        let known = |components: &[Release]| serde_json::to_value(components).unwrap();
        assert_eq!(known(&record.components), known(&versions.components));
        assert_eq!(record.previous.map(|previous| previous.backup), Some(previous.backup));
        assert_eq!(record.program, Some(this_program()));
    }

    #[test]
    fn record_of_a_newer_program_is_understood_as_far_as_possible() {
        let text = "program: 99.0.0\ncomponents:\n  lrs: {new: shape}\n";
        let record =
            Record::from_config_map(&map(BTreeMap::from([(VERSIONS.into(), text.into())])));
        let record = record.unwrap();
        assert_eq!(record.program, Some(Version::new(99, 0, 0)));
        assert!(record.components.is_empty());
        let broken = map(BTreeMap::from([(VERSIONS.into(), "program: [".into())]));
        assert!(Record::from_config_map(&broken).is_err());
    }
}
