//! The top-level keys that are examined before a statement is sent. One pass finds them and the end of the statement.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, Visitor};
use uuid::Uuid;

/// The mandatory top-level keys, and the two that may be missing.
#[derive(Debug, Deserialize)]
pub struct Head {
    #[serde(default)]
    pub id: Id,
    #[serde(default)]
    pub timestamp: Present,
    #[serde(default)]
    actor: Present,
    #[serde(default)]
    verb: Present,
    #[serde(default)]
    object: Present,
}

impl Head {
    /// The first missing mandatory key.
    pub fn missing(&self) -> Option<&'static str> {
        [("actor", self.actor), ("verb", self.verb), ("object", self.object)]
            .into_iter()
            .find_map(|(key, present)| (!present.0).then_some(key))
    }
}

/// Whether a key is present, with any value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present(pub bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// The id of the statement, if any.
#[derive(Debug, Clone, Copy, Default)]
pub struct Id(pub Option<Uuid>);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(IdVisitor)
    }
}

struct IdVisitor;

impl Visitor<'_> for IdVisitor {
    type Value = Id;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a UUID as `id`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Id, E> {
        match Uuid::parse_str(text) {
            Ok(id) => Ok(Id(Some(id))),
            Err(_) => Err(E::custom(format_args!("the id {text:?} is not a UUID"))),
        }
    }
}
