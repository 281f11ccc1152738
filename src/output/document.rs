//! Versioned JSON documents. `docs/reference/schema/` has the schema of each kind.

use serde::Serialize;

/// The version of all documents. A field may be added to it; none is removed, renamed or given another meaning.
pub const API_VERSION: &str = "lastack/v1";

/// The content of a document.
pub trait Content: Serialize {
    const KIND: &'static str;
}

/// A document: its content after the version and the kind.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Document<'a, C: Content> {
    api_version: &'static str,
    kind: &'static str,
    #[serde(flatten)]
    content: &'a C,
}

impl<'a, C: Content> From<&'a C> for Document<'a, C> {
    fn from(content: &'a C) -> Self {
        Self { api_version: API_VERSION, kind: C::KIND, content }
    }
}
