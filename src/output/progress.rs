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
    /// In the order in which rows stand.
    ids: Vec<StepId>,
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
        let ids: Vec<StepId> = ids.collect();
        let width = ids.iter().map(|id| id.len()).max().unwrap_or_default();
        let live = printer::is_live()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { live, ids, width, rows: Mutex::default() }
    }

    /// A new redrawn row, below those of the steps that come before.
    fn add_bar(
        &self,
        multi: &MultiProgress,
        rows: &BTreeMap<StepId, Row>,
        id: StepId,
    ) -> ProgressBar {
        let above = self
            .ids
            .iter()
            .take_while(|other| **other != id)
            .filter_map(|other| rows.get(other)?.bar.as_ref())
            .last();
        match above {
            Some(above) => multi.insert_after(above, ProgressBar::new_spinner()),
            None => multi.insert(0, ProgressBar::new_spinner()),
        }
    }

    fn line(
        &self,
        id: StepId,
        word: &str,
        style: Style,
        detail: &str,
        took: Option<Duration>,
    ) -> String {
        let time = took
            .filter(|took| *took >= Duration::from_millis(50))
            .map(|d| format!("   {}", paint(FAINT, &self::took(d))))
            .unwrap_or_default();
        format!(
            "  {} {id:width$}  {detail}{time}",
            paint(style, &format!("{word:<8}")),
            width = self.width
        )
    }
}

impl Report for Rows {
    fn step(&self, id: StepId, event: Event<'_>) {
        let mut rows = self.rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !rows.contains_key(id) {
            let bar = self.live.as_ref().map(|multi| self.add_bar(multi, &rows, id));
            rows.insert(id, Row { bar, begun: None, last: String::new() });
        }
        let Some(row) = rows.get_mut(id) else { return };
        let (word, style, detail, done) = match event {
            Event::Waiting { needs } => {
                ("waiting", FAINT, format!("needs {}", needs.join(", ")), false)
            }
            Event::Working(detail) => ("working", BUSY, detail.to_string(), false),
            Event::There(detail) => ("there", FAINT, detail.to_string(), true),
            Event::Done(detail) => ("ok", GOOD, detail.to_string(), true),
            Event::Started(detail) => ("started", WARN, detail.to_string(), true),
            Event::Removed(detail) => ("removed", GOOD, detail.to_string(), true),
            Event::Kept(detail) => ("kept", FAINT, detail.to_string(), true),
            Event::Unknown(permission) => ("unknown", WARN, permission.to_string(), true),
            Event::Failed(why) => ("failed", BAD, why.to_string(), true),
            Event::Skipped { need, pending: true } => {
                ("later", WARN, format!("after {need}"), true)
            }
            Event::Skipped { need, pending: false } => {
                ("skipped", WARN, format!("needs {need}"), true)
            }
        };
        if matches!(event, Event::Working(_)) && row.begun.is_none() {
            row.begun = Some(Instant::now());
            if let Some(bar) = &row.bar {
                bar.reset_elapsed();
            }
        }
        if detail == row.last && !done {
            return;
        }
        row.last.clone_from(&detail);
        let took = row.begun.filter(|_| done).map(|begun| begun.elapsed());
        match &row.bar {
            Some(bar) => {
                let live_time =
                    if matches!(event, Event::Working(_)) { "   {elapsed}" } else { "" };
                if let Ok(style) = ProgressStyle::with_template(&format!("{{wide_msg}}{live_time}"))
                {
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
