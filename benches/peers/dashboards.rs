//! The load times of each dashboard in a browser on this machine.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::cluster::{Stack, with_stack};
use super::measure::{self, output};
use super::table::{Samples, Table};
use super::{Args, say};

const SLUGS: [&str; 3] =
    ["is-the-course-alive", "how-do-learners-watch-the-videos", "is-the-data-flowing"];
/// The values that `pages.py` prints for a dashboard, and their labels.
const VIEWS: [(&str, &str); 4] = [
    ("/first/sight", "new browser, visible"),
    ("/first/end", "new browser, to the end"),
    ("/again/sight", "again, visible"),
    ("/again/end", "again, to the end"),
];
/// Values that disable the cache: every view queries the data lake. By default only the first view of a minute does.
const UNCACHED: &str = "config: {cacheSeconds: 0}\n";

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let Some(context) = &args.context else {
        say("left out: dashboards, because --context is missing");
        return Ok(());
    };
    for tool in ["chromium", "chromedriver"] {
        if !Path::new("/usr/bin").join(tool).exists() {
            say(&format!("left out: dashboards, because /usr/bin/{tool} is missing"));
            return Ok(());
        }
    }
    with_stack(args, context, ("`install` of all components", &[]), table, |stack, table| {
        pages(args, stack, table)
    })
}

fn pages(args: &Args, stack: &Stack, table: &mut Table) -> Result<()> {
    say(&format!("sending {} statements", args.statements));
    measure::run(&mut stack.lastack(&["seed", "--count", &args.statements.to_string()]))?;
    // the first check fills caches, such as those of a new index; with a large index its first charts can fail
    stack.lastack(&["dashboards", "check"]).output()?;
    let checked: Value = serde_json::from_str(&output(&mut stack.lastack(&[
        "dashboards",
        "check",
        "--fail-on-error",
        "-o",
        "json",
    ]))?)?;
    let asked = asked(stack)?;
    views(args, &asked, "", table)?;
    let mut values = tempfile::NamedTempFile::new()?;
    values.write_all(UNCACHED.as_bytes())?;
    measure::run(&mut stack.lastack(&[
        "install",
        "--values",
        &format!("dataviz={}", values.path().display()),
    ]))?;
    views(args, &asked, ", no cache", table)?;
    let queries = checked["items"]
        .as_array()
        .context("dashboards check checked no charts")?
        .iter()
        .filter_map(|item| item["milliseconds"].as_f64());
    table.alone(
        "a chart's query, four at a time",
        "s",
        &Samples::new(queries.map(|ms| ms / 1e3)),
        "",
    );
    Ok(())
}

fn views(args: &Args, asked: &str, variant: &str, table: &mut Table) -> Result<()> {
    // the first browser does not count
    look(asked)?;
    let looks = (0..args.rounds).map(|_| look(asked)).collect::<Result<Vec<Value>>>()?;
    let target = if args.statements <= 22_000 { "below 5 s" } else { "below 10 s" };
    for slug in SLUGS {
        for (view, what) in VIEWS {
            let seconds = looks.iter().map(|seen| {
                seen[slug]
                    .pointer(view)
                    .and_then(Value::as_f64)
                    .context("the browser printed no time")
            });
            table.alone(
                &format!("`{slug}`{variant}, {what}"),
                "s",
                &Samples::new(seconds.collect::<Result<Vec<f64>>>()?),
                target,
            );
        }
    }
    Ok(())
}

/// The input of `pages.py`: the address, the account of the teacher, and the number of charts of each page.
fn asked(stack: &Stack) -> Result<String> {
    let address = output(&mut stack.lastack(&["open", "dataviz", "--print"]))?;
    let url = address.split("/superset/").next().unwrap_or_default();
    let accounts: Value =
        serde_json::from_str(&output(&mut stack.lastack(&["creds", "dataviz", "-o", "json"]))?)?;
    let teacher = accounts["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|item| item["user"] == "teacher")
        .context("creds printed no account `teacher`")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let charts = SLUGS.iter().map(|slug| {
        let file =
            std::fs::read_to_string(root.join(format!("dashboards/dashboards/{slug}.yaml")))?;
        Ok(((*slug).to_string(), json!(file.matches("type: CHART").count())))
    });
    let dashboards = charts.collect::<Result<Map<String, Value>>>()?;
    Ok(json!({"url": url, "user": "teacher", "password": teacher["password"], "dashboards": dashboards}).to_string())
}

fn look(asked: &str) -> Result<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/pages.py");
    let mut child = Command::new("/usr/bin/python3")
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    child.stdin.take().context("a pipe")?.write_all(asked.as_bytes())?;
    let ended = child.wait_with_output()?;
    ensure!(ended.status.success(), "the browser did not show every dashboard");
    Ok(serde_json::from_slice(&ended.stdout)?)
}
