//! `docs/reference/cli.md` is the help of the program.

use snapbox::{assert_data_eq, file};

use crate::support::machine::{Ended, Machine};

const VERBS: [&str; 28] = [
    "install",
    "status",
    "check",
    "diff",
    "logs",
    "report",
    "creds",
    "open",
    "seed",
    "sources",
    "statements",
    "trace",
    "replay",
    "backfill",
    "reconcile",
    "coverage",
    "configure",
    "dashboards",
    "pause",
    "resume",
    "backup",
    "restore",
    "upgrade",
    "rollback",
    "uninstall",
    "rbac",
    "version",
    "completion",
];
const OF_DASHBOARDS: [&str; 5] = ["list", "apply", "export", "check", "explain"];
const OF_BACKUP: [&str; 3] = ["list", "verify", "prune"];

#[test]
fn reference_page_equals_the_help_of_every_verb() {
    let machine = Machine::new();
    let mut page = String::from(
        "# Command line reference\n\n\
         This file is the output of `--help`, written by `SNAPSHOTS=overwrite cargo test --test cli reference`.\n\
         Every verb takes the Kubernetes flags, too.\n",
    );
    page.push_str(&section("kubectl lastack", &machine.run("--help")));
    let of_dashboards = OF_DASHBOARDS.map(|verb| format!("dashboards {verb}"));
    let of_backup = OF_BACKUP.map(|verb| format!("backup {verb}"));
    let others = ["creds rotate", "completion install"].map(String::from);
    let others = of_dashboards.into_iter().chain(of_backup).chain(others);
    for verb in VERBS.map(String::from).into_iter().chain(others) {
        let help = machine.run(&format!("{verb} --help"));
        page.push_str(&section(&format!("kubectl lastack {verb}"), &help));
    }
    assert_data_eq!(page, file!["../../docs/reference/cli.md"].raw());
}

/// The help of a verb. The page shows the flags that all verbs share once, at the top.
fn section(title: &str, help: &Ended) -> String {
    help.exits(0).says_nothing();
    let parts = help.stdout.split_once("\nKubernetes flags:\n");
    let own = match parts.and_then(|(own, rest)| Some((own, rest.split_once("\nExamples:\n")?.1))) {
        Some((own, after)) if title != "kubectl lastack" => format!("{own}\nExamples:\n{after}"),
        _ => help.stdout.clone(),
    };
    let lines: String = own.lines().flat_map(|line| [line.trim_end(), "\n"]).collect();
    format!("\n## {title}\n\n```text\n{lines}```\n")
}

#[test]
fn reference_page_lists_every_verb() {
    let help = Machine::new().run("--help").stdout;
    let commands = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    // a continued line has a larger indent
    let verbs: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|word| !word.is_empty())
        .collect();
    assert_eq!(verbs, VERBS);
}

#[test]
fn short_help_omits_rare_connection_flags() {
    let machine = Machine::new();
    for verb in VERBS {
        let (short, long) =
            (machine.run(&format!("{verb} -h")), machine.run(&format!("{verb} --help")));
        short
            .exits(0)
            .says_nothing()
            .prints("--namespace")
            .never_shows("--insecure-skip-tls-verify");
        assert!(short.stdout.len() < long.stdout.len(), "-h of {verb} should be the short form");
    }
}
