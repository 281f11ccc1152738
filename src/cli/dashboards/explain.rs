use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::{Outcome, TextOrJson, open};
use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::{pod_problem, tunnel};
use crate::components::dataviz::dashboards::record;
use crate::components::dataviz::size;
use crate::components::{datalake, dataviz, lrs};
use crate::dashboards::live;
use crate::diagnosis::chart::{Explanation, Link, absent, walk};
use crate::error::Failure;
use crate::output::document::Content;
use crate::output::printer::{self, BAD, GOOD, paint};
use crate::output::text;

/// Explain why a chart is empty or shows an error
///
/// Checks each link from the chart back to the newest statement and stops at the first broken one.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack dashboards explain learners-per-day
  kubectl lastack dashboards explain 'Learners per day' -o json", fault: "a link is broken", json: "ChartExplanation"))]
pub struct ExplainArgs {
    /// Name or title of the chart
    chart: String,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text")]
    output: TextOrJson,
}

/// Without the permission to run scripts in Moodle's Pod, the explanation ends before Moodle.
pub const NEEDS: &[Rules] = &[
    tunnel::RULES,
    pod_problem::RULES,
    dataviz::CLIENT,
    record::READ,
    size::READ,
    datalake::READER,
    lrs::CLIENT,
];

pub async fn run(flags: &KubeFlags, args: ExplainArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let superset = dataviz::client(&stack).await?;
    let charts = live::charts(&superset, std::slice::from_ref(&args.chart)).await?;
    let explanation = match charts.first() {
        Some(chart) => walk(&stack, &superset, chart).await?,
        None => absent(&stack, &args.chart).await?.ok_or_else(|| {
            Failure::failed(format!("chart `{}`: not in Superset", args.chart)).hint(format!(
                "run `kubectl lastack dashboards check{}` to list the charts",
                stack.cluster.flags
            ))
        })?,
    };
    match args.output {
        TextOrJson::Text => printer::data(&render(&explanation))?,
        TextOrJson::Json => {
            let links = explanation.links.iter().map(LinkReport::of).collect();
            printer::json(&ChartExplanation { chart: &args.chart, links })?
        }
    }
    Ok(if explanation.is_broken() { Outcome::Fault } else { Outcome::Good })
}

/// The links from a chart back to the newest statement. The last link is the broken one
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ChartExplanation<'a> {
    /// The chart, as it was named on the command line
    chart: &'a str,
    links: Vec<LinkReport<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct LinkReport<'a> {
    /// Name of the link
    link: &'a str,
    /// Text
    found: &'a str,
    broken: bool,
    /// Text: what to do next
    cure: Option<&'a str>,
}

impl Content for ChartExplanation<'_> {
    const KIND: &'static str = "ChartExplanation";
}

impl<'a> LinkReport<'a> {
    fn of(link: &'a Link) -> Self {
        let cure = link.cure.as_deref();
        Self { link: link.name, found: &link.found, broken: cure.is_some(), cure }
    }
}

fn render(explanation: &Explanation) -> String {
    let mut text = String::new();
    for link in &explanation.links {
        let (word, colour) = if link.cure.is_some() { ("broken", BAD) } else { ("ok", GOOD) };
        text.push_str(&format!(
            "  {}  {:<9} {}\n",
            paint(colour, &format!("{word:<6}")),
            link.name,
            text::clean(&link.found)
        ));
        if let Some(cure) = &link.cure {
            text.push_str(&format!("  hint: {}\n", text::clean(cure)));
        }
    }
    text
}
