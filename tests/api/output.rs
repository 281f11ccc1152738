//! The flags of every verb that decide what it prints, and the JSON documents of the verbs that change a stack.

use serde_json::{Value, json};

use crate::support::machine::{Ended, Machine};
use crate::support::server::{Reply, Server};
use crate::support::stack::{MockedStack, operator};
use crate::support::terminal::Terminal;

use super::install::passwords;

/// The events of a run, and the summary after them.
fn events(ended: &Ended) -> (Vec<Value>, Value) {
    let mut documents = ended.json_lines();
    let summary = documents.pop().expect("a summary");
    assert_eq!(summary["kind"], "Summary", "{ended}");
    assert!(documents.iter().all(|document| document["kind"] == "Event"), "{ended}");
    (documents, summary)
}

#[test]
fn install_in_json_prints_each_event_and_a_summary() {
    let stack = MockedStack::empty();
    let ended = stack.machine.run("install --only lrs -o json");
    ended.exits(0).says_nothing();
    let (events, summary) = events(&ended);
    let of_release: Vec<&Value> =
        events.iter().filter(|event| event["id"] == "lrs.release").collect();
    assert_eq!(of_release.first().unwrap()["state"], "waiting", "{ended}");
    let last = of_release.last().unwrap();
    assert_eq!((&last["state"], last["milliseconds"].is_u64()), (&json!("ok"), true), "{ended}");
    assert_eq!(summary["result"], "succeeded");
    assert_eq!((&summary["namespace"], &summary["context"]), (&json!("alice"), &json!("lab")));
    let changed = summary["changed"].as_array().unwrap();
    assert!(changed.contains(&json!("lrs.release")), "{summary:#}");
    let again = stack.machine.run("install -o json");
    let (_, summary) = self::events(&again);
    assert_eq!(summary["changed"], json!([]), "{again}");
}

#[test]
fn failed_install_in_json_ends_with_a_summary_of_the_error() {
    let stack = MockedStack::empty();
    stack.kubernetes.put(operator());
    stack.helm.fails("upgrade", "Error: INSTALLATION FAILED: the chart is broken\n");
    let ended = stack.machine.run("install --only lrs -o json");
    ended.exits(1).says("error: ");
    let (events, summary) = events(&ended);
    assert!(events.iter().any(|event| event["state"] == "failed"), "{ended}");
    assert_eq!(summary["result"], "failed");
    assert_eq!(summary["error"]["exitCode"], 1);
    assert!(summary["error"]["message"].as_str().unwrap().contains("the chart is broken"));
}

#[test]
fn command_without_a_cluster_ends_with_a_summary_in_json() {
    let stack = MockedStack::empty();
    for line in ["install", "configure", "uninstall --yes"] {
        let ended = stack.machine.run(&format!("{line} -n alice -s http://127.0.0.1:1 -o json"));
        ended.exits(4);
        let (events, summary) = events(&ended);
        assert!(events.is_empty(), "{ended}");
        assert_eq!(summary["error"]["exitCode"], 4, "{ended}");
    }
}

#[test]
fn interrupted_command_ends_with_a_summary_in_json() {
    let server = Server::start(|_| Reply::Hang);
    let machine = Machine::with_cluster(&server.url());
    let ended = machine.signal("configure -o json", "INT", &server);
    ended.exits(130);
    let (_, summary) = events(&ended);
    assert_eq!(
        (&summary["result"], &summary["error"]["exitCode"]),
        (&json!("failed"), &json!(130))
    );
}

#[test]
fn configure_and_uninstall_in_json_print_each_event_and_a_summary() {
    let stack = MockedStack::installed();
    let configured = stack.machine.run("configure lms -o json");
    configured.exits(0).says_nothing();
    let (events, summary) = events(&configured);
    assert!(events.iter().any(|event| event["id"] == "lms.settings"), "{configured}");
    assert_eq!(summary["verb"], "configure");
    let deleted = stack.machine.run("uninstall --yes -n alice -o json");
    deleted.exits(0).says_nothing();
    let (events, summary) = self::events(&deleted);
    let is_deleted = |event: &Value| event["id"] == "lrs.release" && event["state"] == "deleted";
    assert!(events.iter().any(is_deleted), "{deleted}");
    assert_eq!((&summary["verb"], &summary["result"]), (&json!("uninstall"), &json!("succeeded")));
    let nothing = stack.machine.run("uninstall --yes -n alice -o json");
    assert_eq!(self::events(&nothing).1["result"], "succeeded");
}

#[test]
fn dry_runs_in_json_print_the_plan() {
    let stack = MockedStack::installed();
    let plan = stack.machine.run("install --dry-run --profile classroom -o json");
    let plan = plan.exits(3).says_nothing().json();
    let node = |id: &str| {
        let nodes = plan["nodes"].as_array().unwrap();
        nodes
            .iter()
            .find(|node| node["id"] == id)
            .unwrap_or_else(|| panic!("{id}: {plan:#}"))
            .clone()
    };
    assert_eq!(node("datalake.resource")["action"], "change");
    assert_eq!(node("preflight.cluster")["action"], "unchanged");
    assert!(plan["changes"].as_u64().unwrap() > 0 && plan["blocked"] == false, "{plan:#}");
    let plan = stack.machine.run("uninstall --dry-run --keep-data -o json");
    let plan = plan.exits(0).says_nothing().json();
    let objects = |list: &str| plan[list].as_array().unwrap().clone();
    assert!(objects("delete").iter().any(|object| object["object"] == "release/lrs"), "{plan:#}");
    assert!(objects("keep").iter().all(|object| object["reason"].is_string()), "{plan:#}");
    assert!(!objects("keep").is_empty());
}

#[test]
fn quiet_commands_print_data_warnings_and_errors_only() {
    let stack = MockedStack::installed();
    stack.machine.run("install -q").exits(0).prints_nothing().says_nothing();
    stack.machine.run("status --quiet").exits(0).prints("lrs").says_nothing();
    stack.machine.run("status -q -s http://127.0.0.1:1").exits(4).says("error: ");
    let settings = "/api/v1/namespaces/alice/configmaps/lastack-settings";
    let mut settings = stack.kubernetes.object(settings).expect("the settings");
    settings["data"]["lastack.yaml"] = json!("colour: sky\n");
    stack.kubernetes.put([settings]);
    stack.machine.run("status -q").exits(0).says("warning: ConfigMap lastack-settings");
    stack.machine.run("status -q -v").exits(2).says("cannot be used with");
}

#[test]
fn quiet_question_shows_what_it_is_about() {
    let stack = MockedStack::installed();
    let mut command = stack.machine.command(&["uninstall", "-q"]);
    command.env("TERM", "xterm-256color");
    let mut terminal = Terminal::start(command);
    terminal.until("[y/N]").types("n\n");
    assert_eq!(terminal.ends().code(), Some(1), "{}", terminal.screen());
    assert!(terminal.screen().contains("release/lrs"), "{}", terminal.screen());
}

#[test]
fn verbose_command_traces_what_it_runs_without_secrets() {
    let stack = MockedStack::installed();
    let calls = stack.machine.run("status -v");
    calls.exits(0).says(" INFO helm ").says(" INFO exec in pod ").never_shows("request{");
    let requests = stack.machine.run("check -vv");
    requests
        .exits(0)
        .prints("ok       preflight.helm")
        .says(" INFO request{GET http")
        .says("/api/v1/namespaces/alice/pods}: 200 after ");
    let mut secrets = passwords(&stack);
    secrets.push(crate::support::machine::TOKEN.into());
    for secret in secrets {
        requests.never_shows(&secret);
    }
    assert!(!requests.stderr.lines().any(|line| line.contains("?")), "{requests}");
}

#[test]
fn color_flag_overrides_the_terminal_and_the_environment() {
    const ESCAPE: &str = "\u{1b}[";
    let mut stack = MockedStack::installed();
    for line in ["check --color always -v", "--color=always --help", "status --color always -x"] {
        let ended = stack.machine.run(line);
        assert!(ended.stdout.contains(ESCAPE) || ended.stderr.contains(ESCAPE), "{ended}");
    }
    stack.machine = stack.machine.env("CLICOLOR_FORCE", "1");
    for line in ["check --color never -v", "--color never --help", "status --color=never -x"] {
        stack.machine.run(line).never_shows(ESCAPE);
    }
}

#[test]
fn lists_are_printed_as_names_or_without_headers_for_scripts() {
    let stack = MockedStack::installed();
    let names = stack.machine.run("status -o name");
    assert_eq!(names.exits(0).lines(), ["lms", "lrs", "datalake", "dataviz", "operator"]);
    let names = stack.machine.run("dashboards list -o name");
    assert!(names.exits(0).lines().contains(&"is-the-course-alive"), "{names}");
    for line in ["status", "status -o wide", "creds", "dashboards list", "dashboards check"] {
        let whole = stack.machine.run(line);
        let rows = stack.machine.run(&format!("{line} --no-headers"));
        assert_eq!(whole.lines().len(), rows.lines().len() + 1, "{rows}");
        let header = whole.lines()[0].split_whitespace().next().expect("a header").to_string();
        assert!(!rows.lines()[0].starts_with(&header), "{rows}");
    }
}
