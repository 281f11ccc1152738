//! Retries requests to a component that failed for a transient reason.

use std::future::Future;
use std::time::Duration;

use anyhow::Result;
use backon::{ExponentialBuilder, Retryable};

use crate::error::{Failure, forbidden, kind, one_line};

/// How often and with which back-off a request is sent again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Attempts in total, at least 1.
    pub attempts: usize,
    /// The delay before the second attempt. Each later delay is twice as long.
    pub first_delay: Duration,
    pub longest_delay: Duration,
}

impl Default for RetryPolicy {
    /// About a minute, in which a component can restart.
    fn default() -> Self {
        Self {
            attempts: 11,
            first_delay: Duration::from_millis(250),
            longest_delay: Duration::from_secs(10),
        }
    }
}

pub struct Retry {
    pub policy: RetryPolicy,
    /// Receives the reason for each retry.
    pub notify: Box<dyn Fn(&str) + Send + Sync>,
    /// What to do when all attempts failed.
    pub hint: &'static str,
}

impl Retry {
    /// Retries without reports, for a command that continues where it stopped.
    pub fn quiet() -> Self {
        Self {
            policy: RetryPolicy::default(),
            notify: Box::new(|_| {}),
            hint: "repeat the command to continue",
        }
    }

    /// Repeats an attempt until it succeeds or its error is final.
    ///
    /// # Errors
    /// The final error, or the last error after all attempts. `missing` names the result that never came, such as
    /// `no response`.
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
        let RetryPolicy { attempts, first_delay, longest_delay } = self.policy;
        let delays = ExponentialBuilder::default()
            .with_min_delay(first_delay)
            .with_max_delay(longest_delay)
            .with_max_times(attempts - 1)
            .with_jitter();
        // a retry cannot grant a permission
        let is_final = |error: &anyhow::Error| forbidden(error).is_some() || is_final(error);
        let notify = |error: &anyhow::Error, _| (self.notify)(&one_line(error));
        attempt.retry(delays).when(|error| !is_final(error)).notify(notify).await.map_err(|error| {
            match is_final(&error) {
                true => error,
                false => Failure::new(
                    kind(&error),
                    format!("{missing} after {attempts} attempts: {}", one_line(&error)),
                )
                .hint(self.hint)
                .into(),
            }
        })
    }
}
