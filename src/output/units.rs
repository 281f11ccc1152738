//! Ages, durations, counts and sizes as text.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// An age as kubectl prints it: `42s`, `7m5s`, `3h12m`, `5d`.
pub fn age(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |big: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{big}{unit}"),
        small => format!("{big}{unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 2 * 365 => format!("{days}d"),
        _ if days < 8 * 365 => two(days / 365, "y", days % 365, "d"),
        _ => format!("{}y", days / 365),
    }
}

/// The age of a time, `0s` for one in the future. Empty for none.
pub fn age_of(time: Option<Timestamp>) -> String {
    let since = |time| Timestamp::now().duration_since(time).max(SignedDuration::ZERO);
    time.map(|time| age(since(time).unsigned_abs())).unwrap_or_default()
}

/// A duration: `0.4s`, `12s`, `3m5s`.
pub fn took(duration: Duration) -> String {
    if duration < Duration::from_millis(9_950) {
        format!("{:.1}s", duration.as_secs_f64())
    } else {
        age(duration)
    }
}

/// A duration in whole milliseconds, for JSON.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A count with thousands separators: `22,312`.
pub fn count(n: u64) -> String {
    indicatif::HumanCount(n).to_string()
}

/// A count with its noun, whose plural ends with s: `1 file`, `22,312 files`.
pub fn counted(n: u64, noun: &str) -> String {
    match n {
        1 => format!("1 {noun}"),
        n => format!("{} {noun}s", count(n)),
    }
}

/// A size in bytes with a decimal unit: `31 MB`, `1.2 GB`.
pub fn bytes(n: u64) -> String {
    let mut value = n as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 1000.0 {
            return if unit == "B" || value >= 9.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// The longest accepted duration, one year. A larger one would overflow `Instant`.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Parses `90s`, `10m` or `1h30m`. As in kubectl, a bare number means seconds. Durations above one year become one year.
///
/// # Errors
/// When the text is not a duration, or is negative.
pub fn duration(text: &str) -> Result<Duration, String> {
    let typed = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|typed| Duration::try_from(typed).ok()),
    };
    typed
        .map(|typed| typed.min(LONGEST))
        .ok_or_else(|| "expected a duration such as 90s, 10m or 1h30m".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_the_format_of_kubectl() {
        let cases = [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (425, "7m5s"),
            (600, "10m"),
            (10_799, "179m"),
            (10_800, "3h"),
            (11_520, "3h12m"),
            (28_800, "8h"),
            (172_799, "47h"),
            (172_800, "2d"),
            (190_800, "2d5h"),
            (691_200, "8d"),
            (63_072_000, "2y"),
        ];
        for (seconds, text) in cases {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn durations_counts_and_sizes_are_short() {
        assert_eq!(took(Duration::from_millis(432)), "0.4s");
        assert_eq!(took(Duration::from_millis(12_400)), "12s");
        assert_eq!(
            [count(7), count(999), count(1_000), count(22_000), count(1_234_567)],
            ["7", "999", "1,000", "22,000", "1,234,567"]
        );
        assert_eq!(
            [bytes(12), bytes(1_500), bytes(31_200_000), bytes(2_000_000_000)],
            ["12 B", "1.5 kB", "31 MB", "2.0 GB"]
        );
    }

    #[test]
    fn durations_parse_as_in_kubectl() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("0"), Ok(0));
        assert_eq!(seconds("18446744073709551615"), Ok(LONGEST.as_secs()));
        assert_eq!(seconds("9223372036854775807s"), Ok(LONGEST.as_secs()));
        assert!(seconds("soon").is_err());
        assert!(seconds("-5s").is_err());
    }
}
