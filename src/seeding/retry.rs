//! What the LRS or the data lake leaves open is asked again, for both in the same way.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use backon::{ExponentialBuilder, Retryable};

use crate::error::{Failure, forbidden, kind, one_line};

/// How long an answer is tried to get that decides.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    pub tries: usize,
    /// Doubled after each try.
    pub first_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// An LRS that restarts is back within this time.
    fn default() -> Self {
        Self {
            tries: 11,
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(10),
        }
    }
}

pub struct Retry {
    pub patience: Patience,
    /// Told why something is tried again, each time.
    pub notify: Box<dyn Fn(&str) + Send + Sync>,
}

impl Retry {
    /// Tries until there is an answer, or an error that no further try will change. `missing` says what has not come after the last.
    pub async fn until_decided<T, F, Fut>(
        &self,
        missing: &str,
        is_final: impl Fn(&anyhow::Error) -> bool,
        attempt: F,
    ) -> Result<T>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T>>,
    {
        let Patience { tries, first_pause, longest_pause } = self.patience;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(first_pause)
            .with_max_delay(longest_pause)
            .with_max_times(tries - 1)
            .with_jitter();
        // what the user may not do, no try will change
        let is_final = |error: &anyhow::Error| forbidden(error).is_some() || is_final(error);
        let notify = |error: &anyhow::Error, _| (self.notify)(&one_line(error));
        attempt.retry(pauses).when(|error| !is_final(error)).notify(notify).await.map_err(|error| {
            match is_final(&error) {
                true => error,
                false => Failure::new(
                    kind(&error),
                    format!("{missing} after {tries} tries: {}", one_line(&error)),
                )
                .hint("the same command goes on where this one stopped")
                .into(),
            }
        })
    }
}
