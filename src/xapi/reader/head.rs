//! The few things to know of a statement before it is sent, found in the same pass that finds its end.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, Visitor};
use uuid::Uuid;

/// The top-level keys that every statement must have, and the two that may be missing.
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
    /// The first mandatory key that is not there.
    pub fn missing(&self) -> Option<&'static str> {
        [("actor", self.actor), ("verb", self.verb), ("object", self.object)]
            .into_iter()
            .find_map(|(key, present)| (!present.0).then_some(key))
    }
}

/// Whether a key is there, whatever its value.
#[derive(Debug, Clone, Copy, Default)]
pub struct Present(pub bool);

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self(true))
    }
}

/// The statement's id, when it has one.
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
