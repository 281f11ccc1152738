//! Moves the dates of the term by whole weeks, so that weekdays and weekends keep their activity.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use super::random::scramble;
use super::term::{DAY, DAYS, START, Time, day_start};

const WEEK: Time = 7 * DAY;
/// The supported years. Timestamps with more than four digits for the year are not valid in xAPI.
const YEARS: std::ops::RangeInclusive<i16> = 1970..=9999;

/// A number of weeks by which all dates of the term are moved.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shift {
    weeks: i64,
}

/// The term would leave the years from 1970 to 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the term must lie within the years from {} to {}", YEARS.start(), YEARS.end())]
pub struct OutOfRange;

impl Shift {
    /// The dates of the data set in this repository.
    pub const NONE: Self = Self { weeks: 0 };

    /// The latest shift with which no statement is later than `end`.
    ///
    /// # Errors
    /// When the shifted term leaves the supported years.
    pub fn until(end: Timestamp) -> Result<Self, OutOfRange> {
        let weeks = (end.as_millisecond() - day_start(DAYS)).div_euclid(WEEK);
        let ends = [START, day_start(DAYS)].map(|time| {
            let time = Timestamp::from_millisecond(time + weeks * WEEK).ok()?;
            Some(time.to_zoned(TimeZone::UTC).year())
        });
        let is_supported = |year: Option<i16>| year.is_some_and(|year| YEARS.contains(&year));
        if ends.into_iter().all(is_supported) { Ok(Self { weeks }) } else { Err(OutOfRange) }
    }

    /// Parses `now`, a time such as `2026-11-30T14:00:00Z`, or a date such as `2026-11-30`, which is the end of that day in
    /// UTC.
    pub fn moment(text: &str, now: Timestamp) -> Option<Timestamp> {
        if text == "now" {
            return Some(now);
        }
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time);
        }
        // a date parser also accepts a date with a time
        let date: Date = text.parse().ok().filter(|date: &Date| date.to_string() == text)?;
        Some(date.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp())
    }

    pub fn weeks(self) -> i64 {
        self.weeks
    }

    /// The first and the last date of the term.
    pub fn term(self) -> (Date, Date) {
        (self.date(0), self.date(DAYS as i64 - 1))
    }

    /// The seed of ids and sessions, so that each shift has other statements.
    pub fn seed_of_ids(self, seed: u64) -> u64 {
        match self.weeks {
            0 => seed,
            weeks => scramble(seed ^ scramble(weeks as u64)),
        }
    }

    /// The moment of a time of the term.
    pub fn timestamp(self, time: Time) -> Timestamp {
        Timestamp::from_millisecond(time + self.weeks * WEEK)
            .expect("a shifted term is within jiff's range")
    }

    /// The same, in the format of statements.
    pub fn text(self, time: Time) -> String {
        format!("{:.3}", self.timestamp(time))
    }

    /// The same, to the minute: `2026-02-23T09:22`.
    pub fn minute(self, time: Time) -> String {
        self.timestamp(time).strftime("%Y-%m-%dT%H:%M").to_string()
    }

    /// The date of a time of the term.
    pub fn day(self, time: Time) -> Date {
        self.timestamp(time).to_zoned(TimeZone::UTC).date()
    }

    /// The date of a day of the term.
    pub fn date(self, day: i64) -> Date {
        self.day(START + day * DAY)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-30T17:05:00Z";

    fn shift(when: &str) -> Shift {
        Shift::until(Shift::moment(when, NOW.parse().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn term_ends_on_the_last_friday_that_is_over() {
        let cases = [
            ("now", "2026-11-27"),
            ("2026-11-27", "2026-11-27"),
            ("2026-11-26", "2026-11-20"),
            ("2026-11-28T00:00:00Z", "2026-11-27"),
            ("2026-11-27T23:59:59Z", "2026-11-20"),
            ("2026-11-28T01:59:00+02:00", "2026-11-20"),
            ("2026-06-05", "2026-06-05"),
            ("2026-06-04", "2026-05-29"),
            ("2028-03-03", "2028-03-03"),
        ];
        for (when, last) in cases {
            assert_eq!(shift(when).term().1.to_string(), last, "{when}");
        }
    }

    #[test]
    fn term_of_the_repository_is_not_shifted() {
        assert_eq!(shift("2026-06-11"), Shift::NONE);
        assert_eq!(Shift::NONE.seed_of_ids(7), 7);
    }

    #[test]
    fn each_shift_has_its_own_ids() {
        let seeds = ["2026-06-05", "2026-06-12", "2026-05-29"].map(|end| shift(end).seed_of_ids(7));
        assert!(seeds[0] != seeds[1] && seeds[1] != seeds[2] && seeds[0] != seeds[2]);
    }

    #[test]
    fn text_that_is_no_moment_is_rejected() {
        let now = NOW.parse().unwrap();
        for text in ["", "today", "2026-02-30", "20261130", "2026-11-30T14:00:00", "30.11.2026"] {
            assert_eq!(Shift::moment(text, now), None, "{text}");
        }
    }

    #[test]
    fn term_outside_the_supported_years_is_rejected() {
        let until = |text: &str| Shift::until(text.parse().unwrap());
        assert_eq!(until("1970-04-01T00:00:00Z"), Err(OutOfRange));
        assert_eq!(until("9999-12-30T22:00:00Z").unwrap().term().1.year(), 9999);
        assert_eq!(shift("1971-01-01").term().0.year(), 1970);
    }
}
