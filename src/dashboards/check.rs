//! Runs the query of every chart as Superset runs it for a page, and compares what it gives with known answers.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::clients::superset::{Kind, Listed, Rows, Superset};
use crate::error::one_line;
use crate::output::text;

use super::answers::Answers;
use super::bundle::Bundle;
use super::chart;

/// A page of Superset asks for about so many charts at a time.
const AT_ONCE: usize = 4;

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

/// A chart as it is in Superset.
pub struct Live {
    pub name: String,
    pub listed: Listed,
    pub viz_type: String,
    pub params: Value,
    /// What the browser sent when a person saved the chart.
    saved: Option<Value>,
}

/// The name of its file, or its title when it is not ours.
fn name(ours: &Bundle, listed: &Listed) -> String {
    ours.find(Kind::Chart, |asset| asset.uuid == listed.uuid)
        .map_or_else(|| listed.title.clone(), |asset| asset.name.clone())
}

fn is_called(name: &str, listed: &Listed, wanted: &str) -> bool {
    name == wanted || listed.title.eq_ignore_ascii_case(wanted) || listed.uuid.to_string() == wanted
}

impl Live {
    async fn read(superset: &Superset, ours: &Bundle, listed: Listed) -> Result<Self> {
        let found = superset
            .get(Kind::Chart, listed.id)
            .await
            .with_context(|| format!("chart `{}`", listed.title))?;
        let json = |key: &str| {
            found[key].as_str().and_then(|text| serde_json::from_str::<Value>(text).ok())
        };
        let name = name(ours, &listed);
        let viz_type = found["viz_type"].as_str().unwrap_or_default().to_string();
        Ok(Self {
            name,
            viz_type,
            params: json("params").unwrap_or_default(),
            saved: json("query_context"),
            listed,
        })
    }

    pub fn is_called(&self, name: &str) -> bool {
        is_called(&self.name, &self.listed, name)
    }

    /// The number of its data set in Superset: `12__table`.
    pub fn dataset(&self) -> Option<u64> {
        self.params["datasource"].as_str()?.split("__").next()?.parse().ok()
    }

    /// The body with which its page asks for its rows; else why there is none.
    pub fn query(&self) -> Result<Value, String> {
        if let Some(saved) = &self.saved {
            let mut saved = saved.clone();
            saved["force"] = Value::Bool(true);
            return Ok(saved);
        }
        let dataset = self.dataset().ok_or("has no data set")?;
        chart::query_context(&self.viz_type, &self.params, dataset).ok_or_else(|| {
            format!("is a {} without a saved query: open it in Superset and save it", self.viz_type)
        })
    }
}

/// All charts of Superset, or those that `wanted` names.
pub async fn charts(superset: &Superset, wanted: &[String]) -> Result<Vec<Live>> {
    let ours = Bundle::ours()?;
    let mut listed = superset.list(Kind::Chart).await?;
    listed.retain(|listed| {
        wanted.is_empty()
            || wanted.iter().any(|wanted| is_called(&name(&ours, listed), listed, wanted))
    });
    stream::iter(listed)
        .map(|listed| Live::read(superset, &ours, listed))
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

pub async fn run(
    superset: &Superset,
    charts: &[Live],
    answers: Option<&Answers>,
    slow: Option<Duration>,
) -> Vec<Checked> {
    let looked = stream::iter(charts).map(|chart| look(superset, chart, answers, slow));
    let mut checked: Vec<Checked> = looked.buffered(AT_ONCE).collect().await;
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
