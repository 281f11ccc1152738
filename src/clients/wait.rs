//! The one place that waits. A wait ends when the thing is ready, when it cannot become ready, or at the
//! deadline; the last two name the object and its last reason.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::error::{Failure, Kind};
use crate::output::age::took;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::Converged;

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);

/// What one look at the awaited thing showed.
pub enum State {
    Ready(String),
    Waiting(String),
    Fatal { why: String, hint: String },
}

/// Looks until `look` says ready. Without a deadline (`--no-wait`) it looks once.
pub async fn until<F, Fut>(stack: &Stack, object: &str, progress: &Progress<'_>, mut look: F) -> Result<Converged>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<State>>,
{
    let begun = Instant::now();
    let mut pause = SHORTEST;
    loop {
        let reason = match look().await? {
            State::Ready(detail) => return Ok(Converged::Done(detail)),
            State::Fatal { why, hint } => return Err(Failure::failed(why).hint(hint).into()),
            State::Waiting(reason) => reason,
        };
        progress.say(&reason);
        let Some(deadline) = stack.deadline else { return Ok(Converged::Started(reason)) };
        if Instant::now() >= deadline {
            let message = format!("{object} is not ready after {}: {reason}", took(begun.elapsed()));
            return Err(Failure::new(Kind::TimedOut, message)
                .hint("give it more time with `--timeout`; `kubectl lastack install` goes on where this run stopped")
                .into());
        }
        tokio::time::sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 3 / 2).min(LONGEST);
    }
}
