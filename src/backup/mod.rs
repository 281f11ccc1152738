//! Backups of a stack: complete, verified copies that restore it in any namespace of any cluster.
//!
//! A backup is a folder: statements as compressed lines, dumps of the databases, archives of files, the encrypted Secrets,
//! and a manifest with checksums, which is written last.

mod create;
mod database;
mod file;
pub mod location;
pub mod manifest;
mod restore;
mod s3;
pub mod secrets;
mod statements;
mod verify;
mod volume;

use crate::components::datalake;

pub use create::{Begun, begin, create, parts};
pub use restore::{Selection, Source, recover};
pub use verify::{Found, delete, ids, list, select, surplus, verify};

/// The part of a backup with the statements.
const STATEMENTS: &str = datalake::STATEMENTS.as_str();
/// The part with the Secrets.
const SECRETS: &str = "secrets";
