//! What the walk over the steps looks like: redrawn rows on a terminal, a line per change elsewhere.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anstyle::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::stack::step::StepId;

use super::age::took;
use super::printer::{self, BAD, BUSY, FAINT, GOOD, WARN, paint};

/// Something that happened to a step.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    Waiting {
        needs: &'a [StepId],
    },
    Working(&'a str),
    There(&'a str),
    Done(&'a str),
    /// Asked for, not waited for.
    Started(&'a str),
    Removed(&'a str),
    Kept(&'a str),
    Unknown(&'a str),
    Failed(&'a str),
    Skipped {
        need: StepId,
        pending: bool,
    },
}

/// Who is told about steps.
pub trait Report: Send + Sync {
    fn step(&self, id: StepId, event: Event<'_>);
}

/// A step's own line to whoever is told.
pub struct Progress<'a> {
    id: StepId,
    report: &'a dyn Report,
}

impl<'a> Progress<'a> {
    pub fn new(id: StepId, report: &'a dyn Report) -> Self {
        Self { id, report }
    }

    /// What the step is doing or waiting for now.
    pub fn say(&self, detail: &str) {
        self.report.step(self.id, Event::Working(detail));
    }
}

/// Shows a walk on stderr.
pub struct Rows {
    live: Option<MultiProgress>,
    width: usize,
    rows: Mutex<BTreeMap<StepId, Row>>,
}

struct Row {
    bar: Option<ProgressBar>,
    begun: Option<Instant>,
    last: String,
}

impl Rows {
    pub fn new(ids: impl Iterator<Item = StepId>) -> Self {
        let live = printer::is_live().then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { live, width: ids.map(str::len).max().unwrap_or_default(), rows: Mutex::default() }
    }

    fn line(&self, id: StepId, word: &str, style: Style, detail: &str, took: Option<Duration>) -> String {
        let time = took.filter(|took| *took >= Duration::from_millis(50)).map(|d| format!("   {}", paint(FAINT, &self::took(d)))).unwrap_or_default();
        format!("  {} {id:width$}  {detail}{time}", paint(style, &format!("{word:<8}")), width = self.width)
    }
}

impl Report for Rows {
    fn step(&self, id: StepId, event: Event<'_>) {
        let mut rows = self.rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let row = rows.entry(id).or_insert_with(|| Row { bar: None, begun: None, last: String::new() });
        let (word, style, detail, done) = match event {
            Event::Waiting { needs } => ("waiting", FAINT, format!("needs {}", needs.join(", ")), false),
            Event::Working(detail) => ("working", BUSY, detail.to_string(), false),
            Event::There(detail) => ("there", FAINT, detail.to_string(), true),
            Event::Done(detail) => ("ok", GOOD, detail.to_string(), true),
            Event::Started(detail) => ("started", WARN, detail.to_string(), true),
            Event::Removed(detail) => ("removed", GOOD, detail.to_string(), true),
            Event::Kept(detail) => ("kept", FAINT, detail.to_string(), true),
            Event::Unknown(permission) => ("unknown", WARN, permission.to_string(), true),
            Event::Failed(why) => ("failed", BAD, why.to_string(), true),
            Event::Skipped { need, pending: true } => ("later", WARN, format!("after {need}"), true),
            Event::Skipped { need, pending: false } => ("skipped", WARN, format!("needs {need}"), true),
        };
        if matches!(event, Event::Working(_)) {
            row.begun.get_or_insert_with(Instant::now);
        }
        if detail == row.last && !done {
            return;
        }
        row.last.clone_from(&detail);
        let took = row.begun.filter(|_| done).map(|begun| begun.elapsed());
        match &self.live {
            Some(multi) => {
                let bar = row.bar.get_or_insert_with(|| multi.add(ProgressBar::new_spinner()));
                let live_time = if matches!(event, Event::Working(_)) { "   {elapsed}" } else { "" };
                if let Ok(style) = ProgressStyle::with_template(&format!("{{wide_msg}}{live_time}")) {
                    bar.set_style(style);
                }
                bar.set_message(self.line(id, word, style, &detail, took));
                if done {
                    bar.finish();
                } else if matches!(event, Event::Working(_)) {
                    bar.enable_steady_tick(Duration::from_millis(200));
                }
            }
            // looking and waiting are worth a redrawn row, not a line in a log
            None if matches!(event, Event::Waiting { .. }) || detail == "looking" => {}
            None => printer::note(&self.line(id, word, style, &detail, took)),
        }
    }
}
