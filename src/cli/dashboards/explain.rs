use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::{Outcome, open};
use crate::cluster::flags::KubeFlags;
use crate::components::dataviz;
use crate::dashboards::live;
use crate::diagnosis::chart::{Explanation, absent, walk};
use crate::error::Failure;
use crate::output::printer::{self, BAD, GOOD, paint};

/// Say why a chart is empty: from the chart back to the newest statement, up to the first broken link
///
/// Exit code 3 when a link is broken.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The chart by name or title
    chart: String,
    /// Output format
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

pub async fn run(flags: &KubeFlags, args: ExplainArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let superset = dataviz::client(&stack).await?;
    let charts = live::charts(&superset, std::slice::from_ref(&args.chart)).await?;
    let explanation = match charts.first() {
        Some(chart) => walk(&stack, &superset, chart).await?,
        None => absent(&stack, &args.chart).await?.ok_or_else(|| {
            Failure::failed(format!("there is no chart `{}`", args.chart))
                .hint("`kubectl lastack dashboards check` names them all")
        })?,
    };
    match args.output {
        Format::Text => printer::data(&render(&explanation))?,
        Format::Json => {
            let links = explanation
                .links
                .iter()
                .map(|link| json!({"link": link.name, "found": link.found, "broken": link.cure.is_some(), "cure": link.cure}));
            printer::json(
                &json!({"apiVersion": "lastack/v1", "kind": "ChartExplanation", "chart": args.chart, "links": links.collect::<Vec<_>>()}),
            )?;
        }
    }
    Ok(if explanation.is_broken() { Outcome::Fault } else { Outcome::Good })
}

fn render(explanation: &Explanation) -> String {
    let mut text = String::new();
    for link in &explanation.links {
        let (word, colour) = if link.cure.is_some() { ("broken", BAD) } else { ("ok", GOOD) };
        text.push_str(&format!(
            "  {}  {:<9} {}\n",
            paint(colour, &format!("{word:<6}")),
            link.name,
            link.found
        ));
        if let Some(cure) = &link.cure {
            text.push_str(&format!("  hint: {cure}\n"));
        }
    }
    text
}
