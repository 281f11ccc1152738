//! Runs the query of every chart as Superset does for a page, and compares the rows with expected results.

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt};

use crate::components::dataviz::client::{Rows, Superset};
use crate::error::one_line;
use crate::output::text;

use super::expected::ExpectedResults;
use super::live::Live;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Good,
    /// The expected rows, after the time limit.
    Slow,
    /// Different from the expected results.
    Wrong(String),
    /// Superset or the data lake rejected the query.
    Error(String),
    /// The query of the chart is unknown.
    Unknown(String),
}

impl Verdict {
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Good | Self::Unknown(_))
    }

    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Good | Self::Slow => None,
            Self::Wrong(why) | Self::Error(why) | Self::Unknown(why) => Some(why),
        }
    }
}

/// One chart that was checked.
#[derive(Debug)]
pub struct Checked {
    /// The name of its file, or its title when it is not from this program.
    pub name: String,
    pub title: String,
    pub rows: usize,
    pub took: Duration,
    pub verdict: Verdict,
}

pub async fn run(
    superset: &Superset,
    charts: &[Live],
    expected: Option<&ExpectedResults>,
    slow: Option<Duration>,
) -> Vec<Checked> {
    let looks: Vec<_> = charts.iter().map(|chart| look(superset, chart, expected, slow)).collect();
    let mut checked: Vec<Checked> = stream::iter(looks).buffered(super::AT_ONCE).collect().await;
    for name in expected.iter().flat_map(|expected| expected.charts.keys()) {
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
    expected: Option<&ExpectedResults>,
    slow: Option<Duration>,
) -> Checked {
    let begun = Instant::now();
    let found = match chart.query() {
        Ok(query) => {
            let asked = superset
                .query(&query)
                .await
                .map(|results| results.into_iter().next().unwrap_or_default());
            // a broken connection fails this chart only
            let mut rows = asked
                .unwrap_or_else(|error| Rows { error: Some(one_line(&error)), ..Rows::default() });
            if query["queries"][0]["post_processing"]
                .as_array()
                .into_iter()
                .flatten()
                .any(|operation| operation["operation"] == "rank")
            {
                // Superset adds the rank, which determines the shade of a cell
                rows.colnames.retain(|column| column != "rank");
            }
            rows
        }
        Err(why) => {
            let is_expected =
                expected.is_some_and(|expected| expected.charts.contains_key(&chart.name));
            let verdict = if is_expected {
                Verdict::Wrong(format!("cannot be checked: the chart {why}"))
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
    let verdict = judge(&chart.name, &found, expected).unwrap_or(match slow {
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

fn judge(name: &str, found: &Rows, expected: Option<&ExpectedResults>) -> Option<Verdict> {
    if let Some(error) = &found.error {
        return Some(Verdict::Error(text::one_line(error)));
    }
    expected?.charts.get(name)?.judge(found).map(Verdict::Wrong)
}
