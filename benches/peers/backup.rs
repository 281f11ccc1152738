//! The time and memory of `backup` and `restore` for statements, in a stack without Moodle and Superset.

use std::fs;

use anyhow::{Context, Result};

use super::cluster::{Stack, wall, with_stack};
use super::measure::{self, Usage};
use super::table::{Samples, Table};
use super::{Args, say};

/// Scrolls through the statements as a user does without this program: a port-forward, curl and gzip.
const SCROLL: &str = r#"set -euo pipefail
password=$("${kubectl[@]}" get secret data-lake-es-elastic-user -o go-template='{{.data.elastic | base64decode}}')
"${kubectl[@]}" port-forward service/data-lake-es-http 19200:9200 >/dev/null &
forward=$!
trap 'kill $forward' EXIT
ask() { curl --silent --fail --insecure --user "elastic:$password" -H 'Content-Type: application/json' "$@"; }
until ask https://127.0.0.1:19200/ >/dev/null; do :; done
{
  page=$(ask 'https://127.0.0.1:19200/statements/_search?scroll=5m' -d '{"size": 5000, "sort": ["_doc"]}')
  while [[ $page == *'"_id"'* ]]; do
    printf '%s\n' "$page"
    id=${page#*'"_scroll_id":"'}
    page=$(ask https://127.0.0.1:19200/_search/scroll -d "{\"scroll\": \"5m\", \"scroll_id\": \"${id%%'"'*}\"}")
  done
} | gzip >"$file"
"#;
/// Empties the data lake; `install` creates the index again.
const DELETE: &str = r#"password=$("${kubectl[@]}" get secret data-lake-es-elastic-user -o go-template='{{.data.elastic | base64decode}}')
"${kubectl[@]}" exec data-lake-es-default-0 -c elasticsearch -- curl -ksSf -X DELETE -u "elastic:$password" https://localhost:9200/statements"#;

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let Some(context) = &args.context else {
        say("left out: backup and restore, because --context is missing");
        return Ok(());
    };
    let how = ("`install --only lrs`", &["--only", "lrs"] as &[&str]);
    with_stack(args, context, how, table, |stack, table| copies(args, stack, table))
}

fn copies(args: &Args, stack: &Stack, table: &mut Table) -> Result<()> {
    let count = args.statements.to_string();
    say(&format!("sending {count} statements"));
    let sent = measure::run(&mut stack.lastack(&["seed", "--count", &count]))?;
    let folder = tempfile::tempdir()?;
    let location = folder.path().join("backups");
    let backup = || {
        let _ = fs::remove_dir_all(&location);
        measure::run(&mut stack.lastack(&["backup", &location.display().to_string()]))
    };
    let scroll = || {
        let mut script = stack.shell(SCROLL);
        measure::run(script.env("file", folder.path().join("scroll.gz")))
    };
    let [ours, theirs] = measure::in_turns(args.rounds, backup, scroll)?;
    let what = format!("`backup` of {count} statements");
    table.compare(
        &what,
        "s",
        &wall(&ours),
        ("scroll with curl and gzip", &wall(&theirs)),
        "at most 1",
    );
    table.alone(&format!("memory of {what}"), "MB", &peak(&ours), "below 64");

    let restore = || {
        measure::run(&mut stack.shell(DELETE)).context("cannot empty the data lake")?;
        measure::run(&mut stack.lastack(&["install"]))?;
        let location = location.display().to_string();
        measure::run(&mut stack.lastack(&["restore", &location, "--only", "statements"]))
    };
    let restored: Vec<Usage> = (0..args.rounds).map(|_| restore()).collect::<Result<_>>()?;
    let sending = Samples::new([sent.wall.as_secs_f64()]);
    let what = format!("`restore` of {count} statements");
    table.compare(
        &what,
        "s",
        &wall(&restored),
        ("sending them through Ralph", &sending),
        "at most 0.1",
    );
    table.alone(&format!("memory of {what}"), "MB", &peak(&restored), "below 64");
    Ok(())
}

/// The largest resident memory, in megabytes.
fn peak(runs: &[Usage]) -> Samples {
    Samples::new(runs.iter().map(|run| run.peak as f64 / 1e6))
}
