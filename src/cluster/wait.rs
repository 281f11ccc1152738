//! Waits for an object. A wait ends when the object is ready, when it cannot become ready, or at the deadline. Errors name
//! the object and the last reason.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::error::{self, Diagnosis, Failure, Kind};
use crate::output::units::took;

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);
/// An API server can restart within this time.
const OUTAGE: Duration = Duration::from_secs(30);
/// The minimum timeout of a poll, so that the last poll before the deadline gives a reason.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// The state of the awaited object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Ready(String),
    /// May still become ready. The text gives the reason.
    Waiting(String),
    /// Cannot become ready until a user acts.
    Fatal(Diagnosis),
}

impl State {
    pub fn fatal(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Fatal(Diagnosis::new(cause, hint))
    }

    /// Why it is not ready. None when it is.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Ready(_) => None,
            Self::Waiting(reason) => Some(reason.clone()),
            Self::Fatal(diagnosis) => Some(diagnosis.to_string()),
        }
    }
}

/// The result of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Waited {
    Ready(String),
    /// Not ready, without a deadline to wait for.
    NotWaited(String),
}

/// A wait: its object, its deadline, and the receiver of its reasons.
pub struct Wait<'a> {
    pub object: &'a str,
    /// None: observe once (`--no-wait`).
    pub deadline: Option<Instant>,
    pub say: &'a (dyn Fn(&str) + Sync),
}

/// Whether the API server, or a proxy in front of it, is unavailable or busy. A rejected request is not transient.
fn is_outage(error: &anyhow::Error) -> bool {
    error::of_api_server(error).is_some_and(|error| match error {
        kube::Error::Service(_) | kube::Error::HyperError(_) => true,
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => false,
    })
}

impl Wait<'_> {
    /// Polls `look` until it is ready.
    ///
    /// # Errors
    /// When `look` fails or finds a fatal state, and at the deadline, with the last reason.
    pub async fn until<F, Fut>(self, mut look: F) -> Result<Waited>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<State>>,
    {
        let begun = Instant::now();
        let mut pause = SHORTEST;
        let mut unreachable_since: Option<Instant> = None;
        let mut last = "its state is unknown".to_string();
        loop {
            let reason = match self.before_deadline(look()).await {
                Some(Ok(State::Ready(detail))) => return Ok(Waited::Ready(detail)),
                Some(Ok(State::Fatal(diagnosis))) => {
                    return Err(diagnosis.into_failure(Kind::Failed).into());
                }
                Some(Ok(State::Waiting(reason))) => {
                    unreachable_since = None;
                    reason
                }
                Some(Err(error)) if is_outage(&error) => {
                    let since = *unreachable_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= OUTAGE {
                        return Err(error);
                    }
                    error::one_line(&error)
                }
                Some(Err(error)) => return Err(error),
                None => format!("{last}; the last request got no response"),
            };
            (self.say)(&reason);
            let Some(deadline) = self.deadline else { return Ok(Waited::NotWaited(reason)) };
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(self.timed_out(begun.elapsed(), &reason).into());
            }
            tokio::time::sleep(pause.min(left)).await;
            pause = (pause * 3 / 2).min(LONGEST);
            last = reason;
        }
    }

    fn timed_out(&self, after: Duration, reason: &str) -> Failure {
        let message = format!("{} is not ready after {}: {reason}", self.object, took(after));
        Failure::new(Kind::TimedOut, message)
            .hint("increase `--timeout`, then repeat the command to continue")
    }

    /// None when there was no response before the deadline.
    async fn before_deadline<T>(&self, look: impl Future<Output = T>) -> Option<T> {
        let Some(deadline) = self.deadline else { return Some(look.await) };
        let deadline = deadline.max(Instant::now() + LAST_LOOK);
        tokio::time::timeout_at(deadline.into(), look).await.ok()
    }
}
