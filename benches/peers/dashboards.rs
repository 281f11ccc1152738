//! How long a teacher waits for each dashboard, in a browser on this machine.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use super::cluster::{Place, with_stack};
use super::measure::{self, output};
use super::table::{Samples, Table};
use super::{Args, say};

const SLUGS: [&str; 3] =
    ["is-the-course-alive", "how-do-learners-watch-the-videos", "is-the-data-flowing"];
/// What `pages.py` tells of a dashboard.
const VIEWS: [(&str, &str); 4] = [
    ("/first/sight", "new browser, what is in sight"),
    ("/first/end", "new browser, scrolled to its end"),
    ("/again/sight", "again, what is in sight"),
    ("/again/end", "again, scrolled to its end"),
];
/// Every view asks the data lake, as only the first of a minute does in a stack as it is installed.
const UNCACHED: &str = "config: {cacheSeconds: 0}\n";

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let Some(context) = &args.context else {
        say("left out: dashboards, as no --context names a cluster");
        return Ok(());
    };
    for tool in ["chromium", "chromedriver"] {
        if !Path::new("/usr/bin").join(tool).exists() {
            say(&format!("left out: dashboards, as there is no /usr/bin/{tool}"));
            return Ok(());
        }
    }
    with_stack(args, context, ("`install` of all parts", &[]), table, |place, table| {
        pages(args, place, table)
    })
}

fn pages(args: &Args, place: &Place, table: &mut Table) -> Result<()> {
    say(&format!("sending {} statements", args.statements));
    measure::run(&mut place.lastack(&["seed", "--count", &args.statements.to_string()]))?;
    // whatever has to be read once, such as an index that nobody has asked for anything, is read here: of a large one, too late for the first charts
    place.lastack(&["dashboards", "check"]).output()?;
    let checked: Value = serde_json::from_str(&output(&mut place.lastack(&[
        "dashboards",
        "check",
        "--fail-on-error",
        "-o",
        "json",
    ]))?)?;
    let asked = asked(place)?;
    views(args, &asked, "", table)?;
    let mut values = tempfile::NamedTempFile::new()?;
    values.write_all(UNCACHED.as_bytes())?;
    measure::run(&mut place.lastack(&[
        "install",
        "--values",
        &format!("dataviz={}", values.path().display()),
    ]))?;
    views(args, &asked, ", no cache", table)?;
    let queries = checked["items"]
        .as_array()
        .context("no charts were checked")?
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

fn views(args: &Args, asked: &str, stack: &str, table: &mut Table) -> Result<()> {
    // the first browser is not counted
    look(asked)?;
    let looks = (0..args.rounds).map(|_| look(asked)).collect::<Result<Vec<Value>>>()?;
    let target = if args.statements <= 22_000 { "below 5 s" } else { "below 10 s" };
    for slug in SLUGS {
        for (view, what) in VIEWS {
            let seconds = looks.iter().map(|seen| {
                seen[slug].pointer(view).and_then(Value::as_f64).context("the browser gave no time")
            });
            table.alone(
                &format!("`{slug}`{stack}, {what}"),
                "s",
                &Samples::new(seconds.collect::<Result<Vec<f64>>>()?),
                target,
            );
        }
    }
    Ok(())
}

/// What the browser is told: the address, the teacher, and how many charts each page has.
fn asked(place: &Place) -> Result<String> {
    let address = output(&mut place.lastack(&["open", "dataviz", "--print"]))?;
    let url = address.split("/superset/").next().unwrap_or_default();
    let accounts: Value =
        serde_json::from_str(&output(&mut place.lastack(&["creds", "dataviz", "-o", "json"]))?)?;
    let teacher = accounts["items"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|item| item["user"] == "teacher")
        .context("there is no teacher")?;
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
    ensure!(ended.status.success(), "the browser did not get to see every dashboard");
    Ok(serde_json::from_slice(&ended.stdout)?)
}
