//! An asset of Superset as a file: a database, a dataset, a chart or a dashboard.

use std::path::Path;

use anyhow::Result;
use data_encoding::HEXLOWER;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::components::dataviz::client::Kind;
use crate::error::Failure;
use crate::stack::settings::yaml_message;

/// The format that Superset 4 to 6 read and write.
pub(super) const FORMAT: &str = "1.0.0";

#[derive(Debug, Clone, PartialEq)]
pub struct Asset {
    pub kind: Kind,
    /// The name of its file, without directory and extension. It identifies the asset on the command line.
    pub name: String,
    pub uuid: Uuid,
    pub content: Map<String, Value>,
}

impl Asset {
    #[cfg(test)]
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        Self::of(file, read_file(file, text)?)
    }

    /// The asset in a file. Its keys determine its kind.
    pub(super) fn of(file: &str, content: Map<String, Value>) -> Result<Self> {
        let invalid = |what: String| Failure::usage(format!("{file}: {what}"));
        let Some(kind) = kind_of(&content) else {
            return Err(invalid("not a dashboard, chart, dataset or database".into())
                .hint("include one of the keys dashboard_title, slice_name, table_name, database_name")
                .into());
        };
        let version = content.get("version").and_then(Value::as_str).unwrap_or(FORMAT);
        if version.split('.').next() != FORMAT.split('.').next() {
            return Err(
                invalid(format!("format {version} is not supported; expected {FORMAT}")).into()
            );
        }
        let uuid = content.get("uuid").and_then(Value::as_str).and_then(|uuid| uuid.parse().ok());
        let uuid = uuid.ok_or_else(|| {
            invalid("has no uuid, which identifies the asset in Superset".into())
                .hint("run `uuidgen` to create one")
        })?;
        let name =
            Path::new(file).file_stem().and_then(|stem| stem.to_str()).unwrap_or(file).to_string();
        Ok(Self { kind, name, uuid, content })
    }

    pub fn title(&self) -> &str {
        self.content.get(self.kind.title_key()).and_then(Value::as_str).unwrap_or_default()
    }

    /// The dataset of a chart, or the database of a dataset. Superset's error for a missing one does not name it.
    ///
    /// # Errors
    /// When the file does not name it.
    pub fn parent(&self) -> Result<Option<(Kind, Uuid)>> {
        let (kind, key) = match self.kind {
            Kind::Chart => (Kind::Dataset, "dataset_uuid"),
            Kind::Dataset => (Kind::Database, "database_uuid"),
            Kind::Database | Kind::Dashboard => return Ok(None),
        };
        let uuid = self.content.get(key).and_then(Value::as_str).and_then(|uuid| uuid.parse().ok());
        uuid.map(|uuid| Some((kind, uuid)))
            .ok_or_else(|| Failure::usage(format!("{}: has no {key}", self.path())).into())
    }

    /// Its path in a bundle.
    pub fn path(&self) -> String {
        format!("{}/{}.yaml", self.kind.folder(), self.name)
    }

    /// A digest of the content, independent of YAML formatting.
    pub fn digest(&self) -> String {
        let text = serde_json::to_string(&self.content).unwrap_or_default();
        HEXLOWER.encode(&Sha256::digest(text)[..16])
    }

    /// The UUIDs of the assets that this one refers to.
    pub fn references(&self) -> Vec<Uuid> {
        let mut found = Vec::new();
        for value in self.content.iter().filter(|(key, _)| *key != "uuid").map(|(_, value)| value) {
            collect_uuids(value, &mut found);
        }
        for key in ["dataset_uuid", "database_uuid"] {
            found.extend(
                self.content
                    .get(key)
                    .and_then(Value::as_str)
                    .and_then(|uuid| uuid.parse::<Uuid>().ok()),
            );
        }
        found
    }
}

pub(super) fn read_file(file: &str, text: &str) -> Result<Map<String, Value>> {
    let content = serde_saphyr::from_str(text)
        .map_err(|error| Failure::usage(format!("{file}: not YAML: {}", yaml_message(&error))))?;
    match content {
        Value::Object(content) => Ok(content),
        _ => Err(Failure::usage(format!("{file}: not an asset of Superset")).into()),
    }
}

fn kind_of(content: &Map<String, Value>) -> Option<Kind> {
    Kind::ALL.into_iter().find(|kind| content.contains_key(kind.title_key()))
}

/// The kind of an exported file that is none of the supported assets, by its keys.
pub(super) fn left_out(content: &Map<String, Value>) -> Option<&'static str> {
    let has = |key: &str| content.contains_key(key);
    match kind_of(content) {
        Some(_) => None,
        None if has("theme_name") => Some("a theme"),
        None if has("label") && has("sql") => Some("a saved query"),
        None if has("tags") => Some("tags"),
        None => None,
    }
}

/// Collects the charts of a layout and the datasets of filters.
fn collect_uuids(value: &Value, found: &mut Vec<Uuid>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value
                    .as_str()
                    .filter(|_| matches!(key.as_str(), "uuid" | "datasetUuid"))
                    .and_then(|text| text.parse().ok())
                {
                    Some(uuid) => found.push(uuid),
                    None => collect_uuids(value, found),
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|value| collect_uuids(value, found)),
        _ => {}
    }
}
