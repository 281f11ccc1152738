//! The reports of a verb that changes a stack: rows and sentences for users, or one JSON document per line for programs.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock};
use std::time::Instant;

use anyhow::Result;
use jiff::Timestamp;
use serde::Serialize;

use crate::engine::{Id, NodeEvent, Report, Summary};
use crate::error::{self, Kind};
use crate::output::document::Content;
use crate::output::printer::{self, Detail};
use crate::output::units::milliseconds;
use crate::stack::Stack;

use super::progress::{Rows, Shown};
use super::{Outcome, TextOrJson};

/// The reports of one run. In JSON, a run that is interrupted has a summary, too.
pub struct Journal {
    verb: &'static str,
    output: TextOrJson,
    begun: Instant,
    /// Context and namespace, as soon as they are known.
    place: OnceLock<(String, String)>,
    has_ended: bool,
}

impl Journal {
    pub fn new(verb: &'static str, output: TextOrJson) -> Self {
        if output == TextOrJson::Json {
            // the documents contain what the notes say
            printer::set_detail(Detail::Quiet);
        }
        Self { verb, output, begun: Instant::now(), place: OnceLock::new(), has_ended: false }
    }

    /// Names the stack in the summary.
    pub fn names(&self, stack: &Stack) {
        let place = (stack.cluster.context.clone(), stack.namespace().to_string());
        let _ = self.place.set(place);
    }

    /// Reports the events of a walk over these nodes.
    pub fn report(&self, ids: impl Iterator<Item = Id>) -> Box<dyn Report> {
        match self.output {
            TextOrJson::Text => Box::new(Rows::new(ids)),
            TextOrJson::Json => Box::new(Events::default()),
        }
    }

    /// Reports how the verb ended.
    ///
    /// # Errors
    /// The error of the verb.
    pub fn conclude(mut self, ended: Result<Summary>) -> Result<Outcome> {
        self.has_ended = true;
        match ended {
            Ok(summary) => {
                self.print(&summary, None);
                Ok(Outcome::Good)
            }
            Err(error) => {
                self.print(&Summary::default(), Some(ErrorReport::of(&error)));
                Err(error)
            }
        }
    }

    /// The same for a verb that verifies the stack at its end. False: a check failed.
    ///
    /// # Errors
    /// The error of the verb.
    pub fn conclude_verified(self, ended: Result<(Summary, bool)>) -> Result<Outcome> {
        let is_whole = !matches!(ended, Ok((_, false)));
        let outcome = self.conclude(ended.map(|(summary, _)| summary))?;
        Ok(if is_whole { outcome } else { Outcome::Fault })
    }

    fn print(&self, summary: &Summary, error: Option<ErrorReport>) {
        if self.output != TextOrJson::Json {
            return;
        }
        let ids = |ids: &[Id]| ids.iter().map(|id| id.as_str()).collect();
        let place = self.place.get();
        let summary = SummaryReport {
            verb: self.verb,
            context: place.map(|(context, _)| context.as_str()),
            namespace: place.map(|(_, namespace)| namespace.as_str()),
            result: match &error {
                Some(_) => End::Failed,
                None if summary.pending.is_empty() => End::Succeeded,
                None => End::Started,
            },
            changed: ids(&summary.changed),
            pending: ids(&summary.pending),
            milliseconds: milliseconds(self.begun.elapsed()),
            longest_chain_milliseconds: milliseconds(summary.longest_chain),
            error,
        };
        // a reader that is gone does not end the verb
        let _ = printer::json_line(&summary);
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.has_ended {
            let message = "interrupted".into();
            let exit_code = Kind::Interrupted.exit_code();
            let error = ErrorReport { message, hints: Vec::new(), exit_code };
            self.print(&Summary::default(), Some(error));
        }
    }
}

/// Prints events as JSON.
#[derive(Default)]
struct Events {
    seen: Mutex<BTreeMap<Id, Last>>,
}

/// The last event of a node.
struct Last {
    begun: Option<Instant>,
    word: &'static str,
    detail: String,
}

impl Report for Events {
    fn event(&self, id: Id, event: NodeEvent<'_>) {
        let mut seen = self.seen.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let Shown { word, detail, is_done, .. } = Shown::of(event);
        let last = seen.get(&id);
        if last.is_some_and(|last| last.word == word && last.detail == detail) {
            return;
        }
        let is_working = matches!(event, NodeEvent::Observing | NodeEvent::Working(_));
        let begun = last.and_then(|last| last.begun).or(is_working.then(Instant::now));
        let took = begun.filter(|_| is_done).map(|begun| begun.elapsed());
        let _ = printer::json_line(&EventReport {
            time: Timestamp::now().to_string(),
            id: id.as_str(),
            state: word,
            detail: &detail,
            milliseconds: took.map(milliseconds),
        });
        seen.insert(id, Last { begun, word, detail });
    }
}

/// A change in the progress of one resource or check. The command prints one document per line, and a `Summary` last
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EventReport<'a> {
    /// When it happened
    time: String,
    /// Stable id of the resource or check
    id: &'static str,
    /// `waiting` or `working`, and then `unchanged`, `ok`, `started` (not ready yet), `deleted`, `retained`, `unknown` (a
    /// permission is missing), `failed`, `later` (after one that is not ready yet) or `skipped` (after one that failed)
    state: &'static str,
    /// Text
    detail: &'a str,
    /// How long it took; null while it is in progress
    milliseconds: Option<u64>,
}

impl Content for EventReport<'_> {
    const KIND: &'static str = "Event";
}

/// The last document of a command that changes the stack, or copies its data
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SummaryReport<'a> {
    verb: &'static str,
    /// Context of the kubeconfig; null when the command ended before it was known
    context: Option<&'a str>,
    /// Namespace of the stack; null when the command ended before it was known
    namespace: Option<&'a str>,
    result: End,
    /// Ids of what was changed; empty when the command failed, and the events have them
    changed: Vec<&'static str>,
    /// Ids of what was applied or left for later, and is not ready yet
    pending: Vec<&'static str>,
    /// Duration of the command
    milliseconds: u64,
    /// Duration of the longest chain of dependent resources and checks
    longest_chain_milliseconds: u64,
    /// null when the command did not fail
    error: Option<ErrorReport>,
}

/// `started`: applied, and not ready yet
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum End {
    Succeeded,
    Started,
    Failed,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ErrorReport {
    /// Text
    message: String,
    /// Texts: what to do next
    hints: Vec<String>,
    /// As in [Exit codes](exit-codes.md)
    exit_code: u8,
}

impl Content for SummaryReport<'_> {
    const KIND: &'static str = "Summary";
}

impl ErrorReport {
    fn of(error: &anyhow::Error) -> Self {
        Self {
            message: error::one_line(error),
            hints: error::hints(error),
            exit_code: error::kind(error).exit_code(),
        }
    }
}
