//! Waits until the deadline of the stack, and reports the last reason.

use anyhow::Result;
use async_trait::async_trait;

use crate::cluster::object::ObjectRef;
use crate::cluster::steps::Step;
use crate::cluster::wait::{State, Wait, Waited};
use crate::engine::{Check, Context, Observation, Progress, Reconciled};
use crate::error;

use super::Stack;

impl Stack {
    /// Polls `look` until it is ready. Without a deadline (`--no-wait`), polls once.
    ///
    /// # Errors
    /// When `look` fails or returns a fatal state, and at the deadline.
    pub async fn until<F, Fut>(
        &self,
        object: &str,
        progress: &Progress<'_>,
        look: F,
    ) -> Result<Reconciled>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<State>>,
    {
        let say = |reason: &str| progress.say(reason);
        let wait = Wait { object, deadline: self.deadline, say: &say };
        Ok(match wait.until(look).await? {
            Waited::Ready(detail) => Reconciled::Done(detail),
            Waited::NotWaited(reason) => Reconciled::Started(reason),
        })
    }

    /// Retries `request` until it succeeds. An error is the reason for waiting, except a missing permission.
    ///
    /// # Errors
    /// When a permission is missing, and at the deadline.
    pub async fn until_success<F, Fut>(
        &self,
        object: &str,
        progress: &Progress<'_>,
        mut request: F,
    ) -> Result<Reconciled>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<String>>,
    {
        let look = || {
            let requested = request();
            async {
                match requested.await {
                    Ok(detail) => Ok(State::Ready(detail)),
                    Err(error) if error::forbidden(&error).is_some() => Err(error),
                    Err(error) => Ok(State::Waiting(error::one_line(&error))),
                }
            }
        };
        self.until(object, progress, look).await
    }

    /// Polls `look` until it returns None. Until then it returns what remains.
    ///
    /// # Errors
    /// When `look` fails, and at the deadline.
    pub async fn until_gone<F, Fut>(
        &self,
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
        self.until(object, progress, look).await.map(drop)
    }
}

#[async_trait]
impl Context for Stack {
    type Object = ObjectRef;
    type Step = Step;

    async fn settle(
        &self,
        check: &dyn Check<Self>,
        progress: &Progress<'_>,
    ) -> Result<Observation> {
        let last = std::sync::Mutex::new(None);
        let keep = |observation: Observation| {
            *last.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(observation);
        };
        let look = || async {
            Ok(match check.observe(self).await? {
                Observation::Unready(reason) => State::Waiting(reason),
                settled => {
                    let text = settled.text();
                    keep(settled);
                    State::Ready(text)
                }
            })
        };
        let waited = self.until(check.subject(), progress, look).await?;
        let settled = last.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        Ok(match (settled, waited) {
            (Some(settled), _) => settled,
            (None, Reconciled::Done(text) | Reconciled::Started(text)) => {
                Observation::Unready(text)
            }
        })
    }
}
