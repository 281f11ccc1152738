//! What Superset finds an asset by, besides its uuid. An import that finds another asset by it puts the new one in
//! the place of that one, uuid and all, and says nothing about it.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

use crate::components::dataviz::client::{Kind, Listed};

use super::asset::Asset;

#[derive(Debug, PartialEq, Eq)]
pub enum Place<'a> {
    /// The slug of a dashboard.
    Address(&'a str),
    /// The table of a data set.
    Table { name: &'a str, database: Uuid, catalog: Option<&'a str>, schema: Option<&'a str> },
    /// The name of a connection.
    Name(&'a str),
}

impl<'a> Place<'a> {
    /// None for a chart: many may have one title.
    pub fn of(asset: &'a Asset) -> Option<Self> {
        let text = |key: &str| asset.content.get(key).and_then(Value::as_str);
        match asset.kind {
            Kind::Dashboard => text("slug").map(Self::Address),
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

    pub fn taken_by(listed: &'a Listed) -> Option<Self> {
        match listed.kind {
            Kind::Dashboard => listed.slug.as_deref().map(Self::Address),
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

    /// Whether an import of what belongs here finds what is at the other place. A file that names no schema finds
    /// the table in every one.
    pub fn finds(&self, other: &Self) -> bool {
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

    /// What to do with a file whose place is taken.
    pub fn cure(&self) -> &'static str {
        match self {
            Self::Address(_) => "give the file another slug",
            Self::Table { .. } => {
                "leave the file out and give its charts the dataset_uuid of that one"
            }
            Self::Name(_) => "give the file another name",
        }
    }
}

/// The asset that an import of this one would replace, though it is another.
pub fn occupant<'a>(
    asset: &Asset,
    listed: impl IntoIterator<Item = &'a Listed>,
) -> Option<&'a Listed> {
    let place = Place::of(asset)?;
    listed.into_iter().find(|other| {
        other.uuid != asset.uuid && Place::taken_by(other).is_some_and(|taken| place.finds(&taken))
    })
}

/// Whether Superset would keep only one of two assets.
pub fn collide(one: &Asset, other: &Asset) -> bool {
    let (Some(one), Some(other)) = (Place::of(one), Place::of(other)) else { return false };
    one.finds(&other) || other.finds(&one)
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(slug) => write!(f, "the address `{slug}`"),
            Self::Table { name, .. } => write!(f, "the table `{name}`"),
            Self::Name(name) => write!(f, "the name `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_found_in_every_schema_unless_the_file_names_one() {
        let place = |schema| Place::Table {
            name: "statements",
            database: Uuid::nil(),
            catalog: None,
            schema,
        };
        assert!(place(None).finds(&place(Some("default"))));
        assert!(place(Some("default")).finds(&place(Some("default"))));
        assert!(!place(Some("default")).finds(&place(None)));
        assert!(!Place::Name("statements").finds(&place(None)));
        let elsewhere =
            Place::Table { name: "statements", database: Uuid::max(), catalog: None, schema: None };
        assert!(!place(None).finds(&elsewhere));
    }
}
