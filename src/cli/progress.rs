//! The display of a walk: redrawn rows on a terminal, one line per change elsewhere.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anstyle::Style;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::engine::{Id, NodeEvent, Report};
use crate::output::printer::{self, BAD, BUSY, FAINT, GOOD, WARN, paint};
use crate::output::text;
use crate::output::units::took;

/// Shows a walk on stderr.
pub struct Rows {
    live: Option<MultiProgress>,
    /// In the order of the rows.
    ids: Vec<Id>,
    width: usize,
    rows: Mutex<BTreeMap<Id, Row>>,
}

struct Row {
    bar: Option<ProgressBar>,
    begun: Option<Instant>,
    last: String,
}

impl Rows {
    pub fn new(ids: impl Iterator<Item = Id>) -> Self {
        let ids: Vec<Id> = ids.collect();
        let width = ids.iter().map(|id| id.as_str().len()).max().unwrap_or_default();
        let live = printer::is_live()
            .then(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)));
        Self { live, ids, width, rows: Mutex::default() }
    }

    /// Adds a redrawn row below the rows of the preceding nodes.
    fn add_bar(&self, multi: &MultiProgress, rows: &BTreeMap<Id, Row>, id: Id) -> ProgressBar {
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
        id: Id,
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
            "  {} {id:width$}  {}{time}",
            paint(style, &format!("{word:<9}")),
            text::one_line(detail),
            width = self.width
        )
    }
}

/// An event in words.
pub struct Shown {
    pub word: &'static str,
    style: Style,
    pub detail: String,
    /// Whether the node has no further events.
    pub is_done: bool,
}

impl Shown {
    pub fn of(event: NodeEvent<'_>) -> Self {
        let (word, style, detail, is_done) = match event {
            NodeEvent::Waiting { needs } => {
                ("waiting", FAINT, format!("for {}", super::ids(needs)), false)
            }
            NodeEvent::Observing => ("working", BUSY, "checking".to_string(), false),
            NodeEvent::Working(detail) => ("working", BUSY, detail.to_string(), false),
            NodeEvent::Unchanged(detail) => ("unchanged", FAINT, detail.to_string(), true),
            NodeEvent::Done(detail) => ("ok", GOOD, detail.to_string(), true),
            NodeEvent::Started(detail) => ("started", WARN, detail.to_string(), true),
            NodeEvent::Deleted(detail) => ("deleted", GOOD, detail.to_string(), true),
            NodeEvent::Retained(detail) => ("retained", FAINT, detail.to_string(), true),
            NodeEvent::Unknown(permission) => ("unknown", WARN, permission.to_string(), true),
            NodeEvent::Failed(why) => ("failed", BAD, why.to_string(), true),
            NodeEvent::Skipped { need, pending: true } => {
                ("later", WARN, format!("after {need}"), true)
            }
            NodeEvent::Skipped { need, pending: false } => {
                ("skipped", WARN, format!("needs {need}"), true)
            }
        };
        Self { word, style, detail, is_done }
    }
}

impl Report for Rows {
    fn event(&self, id: Id, event: NodeEvent<'_>) {
        let mut rows = self.rows.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !rows.contains_key(&id) {
            let bar = self.live.as_ref().map(|multi| self.add_bar(multi, &rows, id));
            rows.insert(id, Row { bar, begun: None, last: String::new() });
        }
        let Some(row) = rows.get_mut(&id) else { return };
        let Shown { word, style, detail, is_done: done } = Shown::of(event);
        let is_working = matches!(event, NodeEvent::Observing | NodeEvent::Working(_));
        if is_working && row.begun.is_none() {
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
                let live_time = if is_working { "   {elapsed}" } else { "" };
                if let Ok(style) = ProgressStyle::with_template(&format!("{{wide_msg}}{live_time}"))
                {
                    bar.set_style(style);
                }
                bar.set_message(self.line(id, word, style, &detail, took));
                if done {
                    bar.finish();
                } else if is_working {
                    bar.enable_steady_tick(Duration::from_millis(200));
                }
            }
            // a log has no lines for checking and waiting
            None if matches!(event, NodeEvent::Waiting { .. } | NodeEvent::Observing) => {}
            None => printer::styled(&self.line(id, word, style, &detail, took)),
        }
    }
}
