//! Sends statements at a steady rate, for demonstrations and load tests.

use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The number of requests per second above which batches grow.
const REQUESTS_PER_SECOND: u32 = 10;

/// A number of statements per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(NonZeroU32);

impl Rate {
    /// A number of statements per second. None for 0.
    pub fn per_second(statements: u32) -> Option<Self> {
        NonZeroU32::new(statements).map(Self)
    }

    /// The size of batches, so that requests are spread over each second.
    pub fn batch_size(self) -> u32 {
        (self.0.get() / REQUESTS_PER_SECOND).max(1)
    }

    /// The time in which this number of statements is sent.
    pub fn time_of(self, statements: u64) -> Duration {
        let rate = u64::from(self.0.get());
        let nanos = statements % rate * 1_000_000_000 / rate;
        Duration::from_secs(statements / rate) + Duration::from_nanos(nanos)
    }
}

/// The schedule of a run.
#[derive(Debug)]
pub struct Pace {
    rate: Rate,
    /// When the next batch is due. None before the first.
    next: Option<Instant>,
}

impl Pace {
    pub fn new(rate: Rate) -> Self {
        Self { rate, next: None }
    }

    /// Waits until a batch is due.
    pub async fn wait(&mut self, statements: usize) {
        sleep_until(self.schedule(statements, Instant::now())).await;
    }

    /// The time at which a batch is due. The next batch is due after the time that the rate allows for this one. A delay of
    /// more than that time is not made up, because a burst would follow.
    fn schedule(&mut self, statements: usize, now: Instant) -> Instant {
        let interval = self.rate.time_of(statements as u64);
        let due = self.next.filter(|next| now <= *next + interval).unwrap_or(now);
        self.next = Some(due + interval);
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(statements: u32) -> Rate {
        Rate::per_second(statements).unwrap()
    }

    fn ms(number: u64) -> Duration {
        Duration::from_millis(number)
    }

    #[test]
    fn batches_of_a_rate_are_due_at_even_intervals() {
        let (start, mut pace) = (Instant::now(), Pace::new(rate(50)));
        for number in 0..100 {
            // each batch is requested while the one before it is sent
            let due = pace.schedule(5, start + ms(100 * number).saturating_sub(ms(30)));
            assert_eq!(due, start + ms(100 * number));
        }
    }

    #[test]
    fn short_delay_is_made_up_and_long_delay_causes_no_burst() {
        let (start, mut pace) = (Instant::now(), Pace::new(rate(10)));
        assert_eq!(pace.schedule(1, start), start);
        assert_eq!(pace.schedule(1, start + ms(150)), start + ms(100));
        assert_eq!(pace.schedule(1, start + ms(160)), start + ms(200));
        // the LRS responds after a minute
        let late = start + ms(60_000);
        assert_eq!(pace.schedule(1, late), late);
        assert_eq!(pace.schedule(1, late), late + ms(100));
    }

    #[test]
    fn interval_follows_the_size_of_the_batch() {
        let (start, mut pace) = (Instant::now(), Pace::new(rate(1000)));
        assert_eq!(pace.schedule(300, start), start);
        assert_eq!(pace.schedule(7, start), start + ms(300));
        assert_eq!(pace.schedule(7, start), start + ms(307));
    }

    #[test]
    fn batches_are_small_enough_for_ten_requests_per_second() {
        let sizes = [1, 9, 25, 200, 100_000].map(|number| rate(number).batch_size());
        assert_eq!(sizes, [1, 1, 2, 20, 10_000]);
    }

    #[test]
    fn time_of_any_number_of_statements_is_exact() {
        assert_eq!(rate(3).time_of(1), Duration::from_nanos(333_333_333));
        assert_eq!(rate(4).time_of(10), ms(2500));
        assert_eq!(rate(1).time_of(u64::MAX), Duration::from_secs(u64::MAX));
        assert_eq!(Rate::per_second(0), None);
    }
}
