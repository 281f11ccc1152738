//! The charts in Superset, with their queries.

use anyhow::{Context, Result};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use crate::components::dataviz::client::{Kind, Listed, Superset};
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::chart;

/// A chart in Superset.
pub struct Live {
    pub name: String,
    pub listed: Listed,
    pub viz_type: String,
    pub params: Value,
    /// The query context that the browser sent when a user saved the chart.
    saved: Option<Value>,
}

/// The name of its file, or its title when it is not from this program.
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

    /// The id of its dataset in Superset, from `12__table`.
    pub fn dataset(&self) -> Option<u64> {
        self.params["datasource"].as_str()?.split("__").next()?.parse().ok()
    }

    /// The body of the request for its rows.
    ///
    /// # Errors
    /// Why the query is unknown, to follow "the chart".
    pub fn query(&self) -> Result<Value, String> {
        if let Some(saved) = &self.saved {
            let mut saved = saved.clone();
            saved["force"] = Value::Bool(true);
            return Ok(saved);
        }
        let dataset = self.dataset().ok_or("has no dataset")?;
        chart::query_context(&self.viz_type, &self.params, dataset).ok_or_else(|| {
            format!("is a {} without a saved query; open it in Superset and save it", self.viz_type)
        })
    }
}

/// A chart that counts statements of any kind: `events`, or another one with its metric. None: there is none.
///
/// # Errors
/// When Superset does not respond.
pub async fn counting_statements(superset: &Superset) -> Result<Option<Live>> {
    const METRIC: &str = "events";
    let counts = |chart: &Live| {
        [&chart.params["metric"], &chart.params["metrics"][0]]
            .into_iter()
            .any(|name| name == METRIC)
    };
    let usual = charts(superset, &[METRIC.into()]).await?.into_iter().find(counts);
    match usual {
        Some(chart) => Ok(Some(chart)),
        None => Ok(charts(superset, &[]).await?.into_iter().find(counts)),
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
        .buffered(super::AT_ONCE)
        .try_collect()
        .await
}
