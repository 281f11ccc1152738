//! How often progress is reported.

use std::time::{Duration, Instant};

use super::printer;

/// The interval on a terminal, where a report replaces the one before.
const REDRAWN: Duration = Duration::from_millis(500);
/// The interval in a log, which has a line for each report.
const LOGGED: Duration = Duration::from_secs(10);

/// Decides when to report progress again.
#[derive(Default)]
pub struct Pace(Option<Instant>);

impl Pace {
    /// The first report is due after an interval, and not at once.
    pub fn begun() -> Self {
        Self(Some(Instant::now()))
    }

    /// Whether a report is due, which then counts as made.
    pub fn is_due(&mut self) -> bool {
        let interval = if printer::is_live() { REDRAWN } else { LOGGED };
        let is_due = self.0.is_none_or(|last| last.elapsed() >= interval);
        if is_due {
            self.0 = Some(Instant::now());
        }
        is_due
    }
}
