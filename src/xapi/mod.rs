//! xAPI statements: making them, reading them, and putting them into batches.

pub mod answers;
pub mod batch;
pub mod dataset;
pub mod generator;
pub mod iri;
pub mod reader;
