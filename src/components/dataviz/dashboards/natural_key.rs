//! The natural key by which Superset identifies an asset besides its UUID. An import silently replaces another asset that
//! has the same natural key.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

use crate::components::dataviz::client::{Kind, Listed};

use super::asset::Asset;

#[derive(Debug, PartialEq, Eq)]
pub enum NaturalKey<'a> {
    /// The slug of a dashboard.
    Slug(&'a str),
    /// The table of a dataset.
    Table { name: &'a str, database: Uuid, catalog: Option<&'a str>, schema: Option<&'a str> },
    /// The name of a connection.
    Name(&'a str),
}

impl<'a> NaturalKey<'a> {
    /// None for a chart: several charts may have the same title.
    pub fn of(asset: &'a Asset) -> Option<Self> {
        let text = |key: &str| asset.content.get(key).and_then(Value::as_str);
        match asset.kind {
            Kind::Dashboard => text("slug").map(Self::Slug),
            Kind::Dataset => Some(Self::Table {
                name: asset.title(),
                database: text("database_uuid")?.parse().ok()?,
                catalog: text("catalog"),
                schema: text("schema"),
            }),
            Kind::Database => Some(Self::Name(asset.title())),
            Kind::Chart => None,
        }
    }

    pub fn held_by(listed: &'a Listed) -> Option<Self> {
        match listed.kind {
            Kind::Dashboard => listed.slug.as_deref().map(Self::Slug),
            Kind::Dataset => Some(Self::Table {
                name: &listed.title,
                database: listed.database?,
                catalog: listed.catalog.as_deref(),
                schema: listed.schema.as_deref(),
            }),
            Kind::Database => Some(Self::Name(&listed.title)),
            Kind::Chart => None,
        }
    }

    /// Whether an import of an asset with this key replaces the one with the other. A file without a schema matches the
    /// table in every schema.
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Table { name, database, catalog, schema },
                Self::Table {
                    name: their_name,
                    database: their_database,
                    catalog: their_catalog,
                    schema: their_schema,
                },
            ) => {
                (name, database) == (their_name, their_database)
                    && (catalog.is_none() || catalog == their_catalog)
                    && (schema.is_none() || schema == their_schema)
            }
            _ => self == other,
        }
    }

    /// The hint for a file whose key another asset has.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Slug(_) => "give the file another slug",
            Self::Table { .. } => {
                "omit the file and set the dataset_uuid of its charts to that dataset"
            }
            Self::Name(_) => "give the file another name",
        }
    }
}

/// Another asset that an import of this one would replace.
pub fn occupant<'a>(
    asset: &Asset,
    listed: impl IntoIterator<Item = &'a Listed>,
) -> Option<&'a Listed> {
    let key = NaturalKey::of(asset)?;
    listed.into_iter().find(|other| {
        other.uuid != asset.uuid
            && NaturalKey::held_by(other).is_some_and(|held| key.matches(&held))
    })
}

/// Whether Superset would keep only one of two assets.
pub fn collide(one: &Asset, other: &Asset) -> bool {
    let (Some(one), Some(other)) = (NaturalKey::of(one), NaturalKey::of(other)) else {
        return false;
    };
    one.matches(&other) || other.matches(&one)
}

impl fmt::Display for NaturalKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Slug(slug) => write!(f, "the slug `{slug}`"),
            Self::Table { name, .. } => write!(f, "the table `{name}`"),
            Self::Name(name) => write!(f, "the name `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_matches_in_every_schema_unless_the_file_names_one() {
        let key = |schema| NaturalKey::Table {
            name: "statements",
            database: Uuid::nil(),
            catalog: None,
            schema,
        };
        assert!(key(None).matches(&key(Some("default"))));
        assert!(key(Some("default")).matches(&key(Some("default"))));
        assert!(!key(Some("default")).matches(&key(None)));
        assert!(!NaturalKey::Name("statements").matches(&key(None)));
        let elsewhere = NaturalKey::Table {
            name: "statements",
            database: Uuid::max(),
            catalog: None,
            schema: None,
        };
        assert!(!key(None).matches(&elsewhere));
    }
}
