//! Explains why a chart is empty or broken: checks each link from the chart back to the source of the statements, and
//! stops at the first broken one.

use anyhow::Result;
use serde_json::{Value, json};

use crate::components::datalake::{self, INDEX, SIZES};
use crate::components::dataviz::client::{Kind, Superset};
use crate::components::dataviz::dashboards::bundle::Bundle;
use crate::components::dataviz::dashboards::chart;
use crate::components::dataviz::dashboards::record::Record;
use crate::components::dataviz::{database, size};
use crate::components::{lms, lrs};
use crate::dashboards::live::Live;
use crate::error::{self, Diagnosis, one_line};
use crate::output::units;
use crate::stack::Stack;

/// One link of the chain from the chart to the data.
#[derive(Debug)]
pub struct Link {
    pub name: &'static str,
    pub found: String,
    /// The hint for a broken link. None when the link works.
    pub cure: Option<String>,
}

/// The checked links. A broken one is the last.
#[derive(Debug, Default)]
pub struct Explanation {
    pub links: Vec<Link>,
}

impl Explanation {
    pub fn is_broken(&self) -> bool {
        self.links.last().is_some_and(|link| link.cure.is_some())
    }

    fn good(&mut self, name: &'static str, found: impl Into<String>) {
        self.links.push(Link { name, found: found.into(), cure: None });
    }

    fn broken(
        mut self,
        name: &'static str,
        found: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        self.links.push(Link { name, found: found.into(), cure: Some(cure.into()) });
        self
    }
}

/// The explanation for a chart of this program that is not in Superset. None for an unknown chart.
pub async fn absent(stack: &Stack, name: &str) -> Result<Option<Explanation>> {
    let ours = Bundle::ours()?;
    let Some(asset) = ours
        .find(Kind::Chart, |asset| asset.name == name || asset.title().eq_ignore_ascii_case(name))
    else {
        return Ok(None);
    };
    let explanation = Explanation::default();
    Ok(Some(match Record::load(stack).await?.applied.contains_key(&asset.uuid) {
        true => explanation.broken(
            "chart",
            "deleted in Superset",
            "run `kubectl lastack dashboards apply --overwrite` to restore it",
        ),
        false => explanation.broken(
            "chart",
            "not applied to Superset",
            "run `kubectl lastack configure dataviz` to apply it",
        ),
    }))
}

pub async fn walk(stack: &Stack, superset: &Superset, chart: &Live) -> Result<Explanation> {
    let mut walk = Explanation::default();
    walk.good("chart", format!("`{}`, a {}", chart.listed.title, chart.viz_type));

    let Some(dataset) = chart.dataset() else {
        return Ok(walk.broken(
            "dataset",
            "the chart has none",
            "choose one in Superset, or run `kubectl lastack dashboards apply --overwrite`",
        ));
    };
    let dataset = match superset.get(Kind::Dataset, dataset).await {
        Ok(found) => found,
        Err(error) => {
            return Ok(walk.broken(
                "dataset",
                one_line(&error),
                "run `kubectl lastack dashboards apply --overwrite` to restore the dataset",
            ));
        }
    };
    let table = dataset["table_name"].as_str().unwrap_or_default();
    let known = dataset["columns"].as_array().map_or(0, Vec::len);
    let used = chart::columns(&chart.params);
    if let Some(lacking) = chart::lacks(&chart.params, &dataset).first() {
        let cure = "add it to the dataset in Superset, or run `kubectl lastack dashboards apply --overwrite`";
        return Ok(walk.broken("dataset", format!("`{table}` has no {lacking}"), cure));
    }
    walk.good("dataset", format!("`{table}`, {known} columns, {} of them used", used.len()));

    // a user's own connection can lead to any database
    let is_data_lake = dataset["database"]["uuid"] == json!(database::ours()?.uuid);
    if is_data_lake
        && let Some(Diagnosis { cause, hint, .. }) =
            database::without_driver(stack, superset).await?
    {
        return Ok(walk.broken("driver", cause, hint));
    }
    let database = dataset["database"]["id"].as_u64().unwrap_or_default();
    match (superset.reach(database).await?, is_data_lake) {
        (None, true) => {
            walk.good("database", "Superset reaches the data lake with its own account")
        }
        (None, false) => walk.good("database", "Superset reaches it; it is not the data lake"),
        (Some(fault), true) => {
            let cure = "run `kubectl lastack configure dataviz` to reconcile account, password and certificate";
            return Ok(walk.broken("database", fault, cure));
        }
        (Some(fault), false) => {
            return Ok(walk.broken(
                "database",
                fault,
                "check this user's connection in Superset under Settings, Database Connections",
            ));
        }
    }
    if is_data_lake {
        let link = if table == SIZES {
            sizes(stack).await?
        } else {
            index(stack, chart, &dataset).await?
        };
        walk.links.push(link);
        if walk.is_broken() {
            return Ok(walk);
        }
    }

    let query = match chart.query() {
        Ok(query) => query,
        Err(why) => {
            return Ok(walk.broken(
                "query",
                format!("the chart {why}"),
                "run this command again afterwards",
            ));
        }
    };
    let rows = superset.query(&query).await?.into_iter().next().unwrap_or_default();
    if let Some(error) = rows.error {
        let cure = cure(stack, &error);
        return Ok(walk.broken("query", error, cure));
    }
    if rows.has_data() {
        walk.good("query", format!("{} rows: the chart is not empty", rows.data.len()));
        return Ok(walk);
    }
    let (filter, found) = first_empty_filter(superset, &query).await?;
    if !is_data_lake {
        return Ok(walk.broken(
            "filters",
            found,
            format!("widen the filter {filter}, which no row passes"),
        ));
    }
    let stopped = hop_before(stack)
        .await
        .map(|why| format!("; no new statements arrive: {why}"))
        .unwrap_or_default();
    Ok(walk.broken(
        "filters",
        found,
        format!("widen the filter {filter}, or send statements that pass it{stopped}"),
    ))
}

/// Whether the index has the fields and statements of a chart.
async fn index(stack: &Stack, chart: &Live, dataset: &Value) -> Result<Link> {
    let broken = |found: String, cure: String| Link { name: "index", found, cure: Some(cure) };
    let elasticsearch = datalake::reader(stack).await?;
    let Some(index) = elasticsearch.index(INDEX).await? else {
        return Ok(broken(
            "the index of statements is missing".into(),
            "run `kubectl lastack install` to create it".into(),
        ));
    };
    // the columns of an SQL dataset are not fields
    let is_the_index =
        dataset["table_name"] == INDEX && dataset["sql"].as_str().unwrap_or_default().is_empty();
    let fields = if is_the_index { chart::fields(&chart.params, dataset) } else { Vec::new() };
    if let Some(field) = fields.iter().find(|field| !chart::maps(&index["mappings"], field)) {
        let cure = "run `kubectl lastack install --only datalake` to update the mapping; statements that are already stored stay without the field";
        return Ok(broken(format!("the mapping has no field `{field}`"), cure.into()));
    }
    let contents = elasticsearch.contents().await?;
    if contents.statements == 0 {
        let cure = match hop_before(stack).await {
            Some(why) => format!("fix the cause: {why}"),
            None => "view a course in Moodle as a learner, or run `kubectl lastack seed` to send examples".into(),
        };
        return Ok(broken("the index is empty".into(), cure));
    }
    let newest =
        contents.newest_stored.map(|at| jiff::Timestamp::now().duration_since(at).unsigned_abs());
    let newest = newest
        .map(|since| format!(", the newest stored {} ago", units::age(since)))
        .unwrap_or_default();
    Ok(Link {
        name: "index",
        found: format!("{} statements{newest}", units::count(contents.statements)),
        cure: None,
    })
}

/// Whether the measurement of the data lake's size works.
async fn sizes(stack: &Stack) -> Result<Link> {
    Ok(match size::measurement_problem(stack).await? {
        Some(Diagnosis { cause, hint, .. }) => {
            Link { name: "index", found: cause, cure: Some(hint) }
        }
        None => Link { name: "index", found: format!("cronjob {SIZES} writes to it"), cure: None },
    })
}

/// The hint for a query that the data lake rejects.
fn cure(stack: &Stack, error: &str) -> String {
    if !error.contains("Data too large") {
        return "change the chart; docs/guides/dashboards.md lists the limits of Elasticsearch SQL"
            .into();
    }
    let more = stack.settings.profile().larger().map(|larger| {
        format!(", or run `kubectl lastack install --profile {}` for more memory", larger.name())
    });
    format!(
        "filter for a shorter period, because the query needs too much memory{}",
        more.unwrap_or_default()
    )
}

/// Why no statements arrive, as reported by the components before the data lake.
async fn hop_before(stack: &Stack) -> Option<String> {
    if let Err(error) = lrs::probe(stack).await {
        return Some(format!("the LRS accepts none: {}", one_line(&error)));
    }
    if !stack.settings.has(lms::COMPONENT) {
        return None;
    }
    let asked = async {
        let state = lms::state(stack).await?;
        lms::why_nothing_is_sent(stack, &state).await
    };
    match asked.await {
        // a user who may not run scripts in Moodle's Pod gets no reason
        Err(error) if error::forbidden(&error).is_some() => None,
        Ok(why) => why.map(|why| format!("Moodle sends none: {why}")),
        Err(error) => Some(format!("Moodle does not respond: {}", one_line(&error))),
    }
}

/// Adds the filters of a query one by one until no row passes.
async fn first_empty_filter(superset: &Superset, query: &Value) -> Result<(String, String)> {
    let filters = query["queries"][0]["filters"].as_array().cloned().unwrap_or_default();
    let mut before = None;
    for applied in 0..=filters.len() {
        let mut some = query.clone();
        some["queries"][0]["filters"] = json!(filters[..applied]);
        if applied < filters.len() {
            some["queries"][0]["extras"]["where"] = json!("");
            some["queries"][0]["extras"]["having"] = json!("");
        }
        let rows = superset.query(&some).await?.into_iter().next().unwrap_or_default();
        if !rows.has_data() {
            let filter =
                applied.checked_sub(1).map_or("the query itself".into(), |at| shown(&filters[at]));
            let found = before.map_or("no rows even without filters".into(), |rows| {
                format!("{rows} rows without it, none with it")
            });
            return Ok((filter, found));
        }
        before = Some(rows.data.len());
    }
    let extras = &query["queries"][0]["extras"];
    let conditions = [&extras["where"], &extras["having"]]
        .map(|text| text.as_str().unwrap_or_default().to_string());
    Ok((
        format!("`{}`", conditions.join(" ").trim()),
        format!("{} rows without it, none with it", before.unwrap_or_default()),
    ))
}

fn shown(filter: &Value) -> String {
    let word = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_string);
    let value =
        if filter["val"].is_null() { String::new() } else { format!(" {}", word(&filter["val"])) };
    format!("`{} {}{value}`", word(&filter["col"]), word(&filter["op"]))
}
