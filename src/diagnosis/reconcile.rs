//! Compares Moodle's log with the data lake, by hour and kind of event.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::components::datalake::client::moodle_events::Stored;
use crate::components::lms::client::Moodle;
use crate::components::lms::history::{Period, States};
use crate::components::{datalake, lrs};
use crate::stack::Stack;

/// The events of one kind in one hour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Such as `\core\event\course_viewed`.
    pub event: String,
    /// The beginning of the hour, in seconds since 1970.
    pub hour: i64,
    /// What Moodle's log and the plugin know.
    pub states: States,
    /// Statements in the data lake.
    pub stored: u64,
}

impl Row {
    /// The number of events that were sent and have no statement.
    pub fn lost(&self) -> u64 {
        self.states.sent.saturating_sub(self.stored)
    }

    /// Whether the data lake lacks statements that sending again can add. Waiting events need no repair.
    pub fn is_fault(&self) -> bool {
        self.states.missing + self.states.failed + self.lost() > 0
    }
}

/// Compares a period. Rows are in the order of their hours.
///
/// # Errors
/// When Moodle's log or the data lake cannot be read.
pub async fn compare(stack: &Stack, moodle: &Moodle, period: &Period) -> Result<Vec<Row>> {
    let logged = moodle.count_log(period, true).await?;
    let elasticsearch = datalake::client(stack).await?;
    // after Moodle's log was read: an event that is sent meanwhile is not lost
    elasticsearch.refresh(datalake::INDEX).await?;
    let stored =
        Stored { authority: lrs::mailbox(lrs::MOODLE), since: period.since, until: period.until };
    let stored = elasticsearch.stored_by_hour(&stored).await?;
    let logged = logged.into_iter().map(|group| ((group.event, group.hour), group.states));
    Ok(rows(logged.collect(), &stored))
}

/// Joins both sides. The data lake can have statements of events that were deleted from Moodle's log.
fn rows(
    logged: BTreeMap<(String, i64), States>,
    stored: &BTreeMap<(String, i64), u64>,
) -> Vec<Row> {
    let row = |((event, hour), states): ((String, i64), States)| {
        let stored = stored.get(&(event.clone(), hour)).copied().unwrap_or_default();
        Row { event, hour, states, stored }
    };
    let mut rows: Vec<Row> = logged.into_iter().map(row).collect();
    rows.sort_by(|one, other| (one.hour, &one.event).cmp(&(other.hour, &other.event)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_are_the_sent_events_without_a_statement() {
        let key = |event: &str, hour| (event.to_string(), hour);
        let states = |sent, waiting| States { sent, waiting, ..States::default() };
        let logged = BTreeMap::from([
            (key("viewed", 7200), states(5, 0)),
            (key("viewed", 3600), states(3, 2)),
            (key("login", 7200), states(0, 4)),
        ]);
        let stored = BTreeMap::from([(key("viewed", 7200), 3), (key("viewed", 3600), 4)]);
        let rows = rows(logged, &stored);
        let shown: Vec<_> =
            rows.iter().map(|row| (row.event.as_str(), row.hour, row.lost())).collect();
        assert_eq!(shown, [("viewed", 3600, 0), ("login", 7200, 0), ("viewed", 7200, 2)]);
        let faults: Vec<bool> = rows.iter().map(Row::is_fault).collect();
        assert_eq!(faults, [false, false, true], "waiting events are no fault");
    }
}
