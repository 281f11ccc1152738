//! Answers of components that several nodes of one observation share.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use tokio::sync::OnceCell;

type Cell<T> = OnceCell<Result<Arc<T>, SharedError>>;
/// Cells of any type, by this type and the subject of the answer.
type Cells = HashMap<(TypeId, String), Arc<dyn Any + Send + Sync>>;

/// The answers of a run, by their types and subjects. A run that changes the stack keeps none.
#[derive(Default)]
pub struct Answers {
    kept: Option<Mutex<Cells>>,
}

impl Answers {
    /// Keeps each answer of this run, and each failure.
    pub fn kept() -> Self {
        Self { kept: Some(Mutex::default()) }
    }

    /// The answer of this type about a subject, from the first request for it or from a new one.
    ///
    /// # Errors
    /// The error of the request.
    pub async fn get<T: Send + Sync + 'static>(
        &self,
        subject: &str,
        request: impl Future<Output = Result<T>>,
    ) -> Result<Arc<T>> {
        let Some(kept) = &self.kept else { return request.await.map(Arc::new) };
        let cell = {
            let mut kept = kept.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            let new = || Arc::new(Cell::<T>::new()) as Arc<dyn Any + Send + Sync>;
            let cell = Arc::clone(
                kept.entry((TypeId::of::<T>(), subject.to_string())).or_insert_with(new),
            );
            cell.downcast::<Cell<T>>().expect("a cell of its type")
        };
        let answer =
            cell.get_or_init(async || request.await.map(Arc::new).map_err(SharedError::of));
        answer.await.clone().map_err(anyhow::Error::new)
    }
}

/// An error that several nodes report. Its causes are those of the error.
#[derive(Debug, Clone)]
struct SharedError(Arc<dyn std::error::Error + Send + Sync>);

impl SharedError {
    fn of(error: anyhow::Error) -> Self {
        Self(Arc::from(error.into_boxed_dyn_error()))
    }
}

impl fmt::Display for SharedError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for SharedError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::error::{self, Failure, Kind};

    #[tokio::test]
    async fn kept_answer_is_requested_once_and_others_each_time() {
        let requests = AtomicU32::new(0);
        let request = async || Ok(requests.fetch_add(1, Ordering::Relaxed));
        let each_twice = async |answers: &Answers| {
            let mut got = Vec::new();
            for subject in ["a", "a", "b", "b"] {
                got.push(*answers.get(subject, request()).await.unwrap());
            }
            got
        };
        assert_eq!(each_twice(&Answers::kept()).await, [0, 0, 1, 1]);
        assert_eq!(each_twice(&Answers::default()).await, [2, 3, 4, 5]);
    }

    #[tokio::test]
    async fn kept_failure_keeps_its_kind_its_hints_and_its_text() {
        let kept = Answers::kept();
        for _ in 0..2 {
            let failure = Failure::new(Kind::TimedOut, "no response").hint("wait");
            let request = async || -> Result<u32> {
                Err(anyhow::Error::from(failure).context("script state.php"))
            };
            let error = kept.get("a", request()).await.unwrap_err();
            assert_eq!(error::kind(&error), Kind::TimedOut);
            assert_eq!(error::render(&error), "script state.php: no response\n  hint: wait");
        }
    }
}
