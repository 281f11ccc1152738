//! xAPI statements: the model, reading them from files, and putting them into batches.

pub mod batch;
pub mod content;
pub mod iri;
pub mod reader;
pub mod surrogates;
