//! The term: its days, and the distribution of activity over days and hours.
//!
//! Its dates are fixed, so that the statements of a seed never change. All times are UTC.

use super::random::Random;

/// Milliseconds since 1970, in UTC.
pub type Time = i64;

pub const SECOND: Time = 1000;
pub const MINUTE: Time = 60 * SECOND;
pub const HOUR: Time = 60 * MINUTE;
pub const DAY: Time = 24 * HOUR;

/// Monday, 23 February 2026.
pub const START: Time = 1_771_804_800_000;
/// The number of days. The last day is Friday, 5 June 2026.
pub const DAYS: usize = 103;

/// The weights of the days from Monday to Sunday.
const WEEKDAYS: [u32; 7] = [110, 115, 110, 100, 70, 45, 75];
/// The weights of the weeks. Weeks 6 and 7 are the spring holidays, and the last weeks precede the examinations.
const WEEKS: [u32; 15] = [85, 110, 115, 105, 100, 25, 20, 95, 105, 100, 95, 105, 110, 130, 140];
/// Public holidays on 1 May, 14 May and 25 May: the day, and its activity in percent of an ordinary day.
const HOLIDAYS: [(usize, u32); 3] = [(67, 35), (80, 40), (91, 45)];

/// The weights of the hours from 0 to 23.
const WEEKDAY_HOURS: [u32; 24] =
    [4, 2, 1, 1, 1, 2, 6, 16, 40, 55, 60, 52, 38, 50, 62, 60, 55, 52, 56, 74, 88, 76, 44, 16];
const WEEKEND_HOURS: [u32; 24] =
    [8, 4, 2, 1, 1, 1, 2, 6, 16, 30, 44, 46, 36, 42, 52, 54, 50, 48, 46, 56, 64, 56, 34, 16];

/// The preferred time of day of a learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Habit {
    Morning,
    Daytime,
    Evening,
    Night,
}

impl Habit {
    pub const ALL: [Self; 4] = [Self::Morning, Self::Daytime, Self::Evening, Self::Night];

    fn factor(self, hour: usize) -> u32 {
        let preferred = match self {
            Self::Morning => 6..12,
            Self::Daytime => 9..18,
            Self::Evening => 17..23,
            Self::Night => 20..24,
        };
        if preferred.contains(&hour) || (self == Self::Night && hour < 3) { 5 } else { 1 }
    }
}

/// The weight of a day. Its share of the activity is this weight, divided by the sum over all days.
pub fn weight(day: usize) -> u32 {
    let weight = WEEKDAYS[day % 7] * WEEKS[day / 7];
    match HOLIDAYS.iter().find(|(holiday, _)| *holiday == day) {
        Some((_, percent)) => weight * percent / 100,
        None => weight,
    }
}

pub fn is_weekend(day: usize) -> bool {
    day % 7 >= 5
}

/// The first moment of a day.
pub fn day_start(day: usize) -> Time {
    START + day as Time * DAY
}

/// Chooses the start of a session on a day, depending on the habit. Holds cumulative weights.
pub struct Hours([[[u32; 24]; 2]; 4]);

impl Hours {
    pub fn new() -> Self {
        let totals = |habit: Habit, hours: [u32; 24]| {
            let mut total = 0;
            std::array::from_fn(|hour| {
                total += hours[hour] * habit.factor(hour);
                total
            })
        };
        Self(Habit::ALL.map(|habit| [totals(habit, WEEKDAY_HOURS), totals(habit, WEEKEND_HOURS)]))
    }

    pub fn moment(&self, random: &mut Random, habit: Habit, day: usize) -> Time {
        let totals = &self.0[habit as usize][usize::from(is_weekend(day))];
        let hour = random.by_totals(totals) as Time;
        day_start(day) + hour * HOUR + Time::from(random.below(3600)) * SECOND
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Date, Weekday, date};
    use jiff::{Timestamp, ToSpan, tz::TimeZone};

    use super::*;

    fn date_of(day: usize) -> Date {
        Timestamp::from_millisecond(day_start(day)).unwrap().to_zoned(TimeZone::UTC).date()
    }

    #[test]
    fn term_has_documented_dates() {
        assert_eq!(date_of(0), date(2026, 2, 23));
        assert_eq!(date_of(0).weekday(), Weekday::Monday);
        assert_eq!(date_of(DAYS - 1), date(2026, 6, 5));
        assert_eq!(
            HOLIDAYS.map(|(day, _)| date_of(day)),
            [date(2026, 5, 1), date(2026, 5, 14), date(2026, 5, 25)]
        );
        assert_eq!(date_of(41), date_of(0).checked_add(41.days()).unwrap());
    }

    #[test]
    fn weekends_and_holidays_have_less_activity() {
        assert!(is_weekend(5) && is_weekend(6) && !is_weekend(7));
        assert!(weight(5) < weight(0));
        assert!(weight(36) * 3 < weight(29));
        assert!(weight(67) * 2 < weight(60));
    }
}
