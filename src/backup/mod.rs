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

use std::time::{Duration, Instant};

use crate::components::datalake;
use crate::output::printer;

pub use create::{Begun, begin, create, parts};
pub use restore::{Selection, Source, recover};
pub use verify::{Found, delete, ids, list, select, surplus, verify};

/// The part of a backup with the statements.
const STATEMENTS: &str = datalake::STATEMENTS.as_str();
/// The part with the Secrets.
const SECRETS: &str = "secrets";

/// Decides when to report progress again.
#[derive(Default)]
struct Pace(Option<Instant>);

impl Pace {
    /// Whether a report is due, which then counts as made.
    fn is_due(&mut self) -> bool {
        // a log has a line for each report
        let interval = if printer::is_live() { Duration::from_millis(500) } else { LOGGED };
        let is_due = self.0.is_none_or(|last| last.elapsed() >= interval);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}

/// How often progress is reported in a log.
const LOGGED: Duration = Duration::from_secs(10);
