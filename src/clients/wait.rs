//! The one place that waits. A wait ends when the thing is ready, when it cannot become ready, or at the
//! deadline; the last two name the object and its last reason.

use std::future::Future;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::error::{self, Failure, Kind};
use crate::output::age::took;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::Converged;

use super::pods::Trouble;

const SHORTEST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(2);
/// An API server that restarts is back by then.
const OUTAGE: Duration = Duration::from_secs(30);
/// What a look gets that begins shortly before the deadline: without it there would be no reason to name.
const LAST_LOOK: Duration = Duration::from_secs(5);

/// What one look at the awaited thing showed.
pub enum State {
    Ready(String),
    Waiting(String),
    Fatal { why: String, hint: String },
}

impl From<Trouble> for State {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Waiting(reason) => Self::Waiting(reason),
            Trouble::Fatal { why, hint } => Self::Fatal { why, hint },
        }
    }
}

/// The API server did not answer, is busy, or what stands before it said so in its place: another thing than a refusal.
fn is_outage(error: &anyhow::Error) -> bool {
    error::of_api_server(error).is_some_and(|error| match error {
        kube::Error::Service(_) | kube::Error::HyperError(_) => true,
        kube::Error::Api(status) => status.code == 429 || status.code >= 500,
        _ => false,
    })
}

/// Asks until there is an answer. An error is the reason why there is none yet, unless it is that the user may not ask.
pub async fn until_answered<F, Fut>(
    stack: &Stack,
    object: &str,
    progress: &Progress<'_>,
    mut ask: F,
) -> Result<Converged>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<String>>,
{
    let look = || {
        let asked = ask();
        async {
            match asked.await {
                Ok(answer) => Ok(State::Ready(answer)),
                Err(error) if error::forbidden(&error).is_some() => Err(error),
                Err(error) => Ok(State::Waiting(error::one_line(&error))),
            }
        }
    };
    until(stack, object, progress, look).await
}

/// Looks until `look` finds nothing any more; until then it tells what is left.
pub async fn until_gone<F, Fut>(
    stack: &Stack,
    object: &str,
    progress: &Progress<'_>,
    mut look: F,
) -> Result<()>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<Option<String>>>,
{
    let look = || {
        let looked = look();
        async { Ok(looked.await?.map_or_else(|| State::Ready(String::new()), State::Waiting)) }
    };
    until(stack, object, progress, look).await.map(drop)
}

/// Looks until `look` says ready. Without a deadline (`--no-wait`) it looks once.
pub async fn until<F, Fut>(
    stack: &Stack,
    object: &str,
    progress: &Progress<'_>,
    mut look: F,
) -> Result<Converged>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<State>>,
{
    let begun = Instant::now();
    let mut pause = SHORTEST;
    let mut unreachable_since: Option<Instant> = None;
    let mut last = "nothing is known of it yet".to_string();
    loop {
        let reason = match until_deadline(stack, look()).await {
            Some(Ok(State::Ready(detail))) => return Ok(Converged::Done(detail)),
            Some(Ok(State::Fatal { why, hint })) => {
                return Err(Failure::failed(why).hint(hint).into());
            }
            Some(Ok(State::Waiting(reason))) => {
                unreachable_since = None;
                reason
            }
            Some(Err(error))
                if is_outage(&error)
                    && unreachable_since.get_or_insert_with(Instant::now).elapsed() < OUTAGE =>
            {
                error::one_line(&error)
            }
            Some(Err(error)) => return Err(error),
            None => format!("{last}, and the last look at it got no answer"),
        };
        progress.say(&reason);
        let Some(deadline) = stack.deadline else { return Ok(Converged::Started(reason)) };
        if Instant::now() >= deadline {
            let message =
                format!("{object} is not ready after {}: {reason}", took(begun.elapsed()));
            return Err(Failure::new(Kind::TimedOut, message)
                .hint("give it more time with `--timeout`; the same command goes on where this run stopped")
                .into());
        }
        tokio::time::sleep(pause.min(deadline.saturating_duration_since(Instant::now()))).await;
        pause = (pause * 3 / 2).min(LONGEST);
        last = reason;
    }
}

/// None when there was no answer until then.
async fn until_deadline<T>(stack: &Stack, look: impl Future<Output = T>) -> Option<T> {
    let Some(deadline) = stack.deadline else { return Some(look.await) };
    tokio::time::timeout_at(deadline.max(Instant::now() + LAST_LOOK).into(), look).await.ok()
}
