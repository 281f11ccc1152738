//! Runs the query of every chart as Superset runs it for a page, and compares what it gives with known answers.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};

use crate::components::dataviz::client::{Rows, Superset};
use crate::error::one_line;
use crate::output::text;

use super::answers::Answers;
use super::live::Live;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// The right rows, later than was asked for.
    Slow,
    /// Not what the answers say.
    Wrong(String),
    /// Superset or the data lake refused the query.
    Error(String),
    /// There is no telling what the chart would ask.
    Unknown(String),
}

impl Verdict {
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Good | Self::Unknown(_))
    }
}

/// One chart that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// The name of its file, or its title when it is not ours.
    pub name: String,
    pub title: String,
    pub rows: usize,
    pub took: Duration,
    pub verdict: Verdict,
}

pub async fn run(
    superset: &Superset,
    charts: &[Live],
    answers: Option<&Answers>,
    slow: Option<Duration>,
) -> Vec<Checked> {
    let looked = stream::iter(charts).map(|chart| look(superset, chart, answers, slow));
    let mut checked: Vec<Checked> = looked.buffered(super::AT_ONCE).collect().await;
    for name in answers.iter().flat_map(|answers| answers.charts.keys()) {
        if !charts.iter().any(|chart| chart.name == *name) {
            let verdict = Verdict::Wrong("is not in Superset".into());
            checked.push(Checked {
                name: name.clone(),
                title: String::new(),
                rows: 0,
                took: Duration::ZERO,
                verdict,
            });
        }
    }
    checked
}

async fn look(
    superset: &Superset,
    chart: &Live,
    answers: Option<&Answers>,
    slow: Option<Duration>,
) -> Checked {
    let begun = Instant::now();
    let found = match chart.query() {
        Ok(query) => {
            let asked = superset
                .query(&query)
                .await
                .map(|results| results.into_iter().next().unwrap_or_default());
            // one connection that breaks is this chart's trouble, and the others are looked at
            let mut rows = asked
                .unwrap_or_else(|error| Rows { error: Some(one_line(&error)), ..Rows::default() });
            if query["queries"][0]["post_processing"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|step| step["operation"] == "rank")
            {
                // the shade of a cell, which Superset adds to what was asked for
                rows.colnames.retain(|column| column != "rank");
            }
            rows
        }
        Err(why) => {
            let is_awaited =
                answers.is_some_and(|answers| answers.charts.contains_key(&chart.name));
            let verdict = if is_awaited {
                Verdict::Wrong(format!("cannot be checked: it {why}"))
            } else {
                Verdict::Unknown(why)
            };
            return Checked {
                name: chart.name.clone(),
                title: chart.listed.title.clone(),
                rows: 0,
                took: Duration::ZERO,
                verdict,
            };
        }
    };
    let took = begun.elapsed();
    let verdict = judge(&chart.name, &found, answers).unwrap_or(match slow {
        Some(limit) if took > limit => Verdict::Slow,
        _ => Verdict::Good,
    });
    Checked {
        name: chart.name.clone(),
        title: chart.listed.title.clone(),
        rows: found.data.len(),
        took,
        verdict,
    }
}

fn judge(name: &str, found: &Rows, answers: Option<&Answers>) -> Option<Verdict> {
    if let Some(error) = &found.error {
        return Some(Verdict::Error(text::one_line(error)));
    }
    answers?.charts.get(name)?.judge(found).map(Verdict::Wrong)
}
