//! Credential plugins (`exec`) of a kubeconfig: how often they run, what they may read, and what of them is shown.

use std::fs;

use crate::support::machine::Machine;
use crate::support::program;
use crate::support::server::{Reply, Server};
use crate::support::stack::MockedStack;

const SECRET: &str = "token-of-the-plugin";

fn kubeconfig(server: &str, exec: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: lab,
           clusters: [{{name: k, cluster: {{server: '{server}'}}}}],
           users: [{{name: u, user: {{exec: {{apiVersion: client.authentication.k8s.io/v1, {exec}}}}}}}],
           contexts: [{{name: lab, context: {{cluster: k, user: u, namespace: alice}}}}]}}\n"
    )
}

/// A machine with a plugin that notes each run and what it can read, and ends so.
fn machine(server: &str, fields: &str, end: &str) -> Machine {
    let machine = Machine::new();
    let script = format!(
        "#!/bin/sh
printf 'run\\n' >> \"$RUNS\"
while IFS= read -r line; do printf '%s\\n' \"$line\" >> \"$RUNS\"; done
printf '%s\\n' \"$KUBERNETES_EXEC_INFO\" >> \"$RUNS\"
{end}
"
    );
    let exec = format!("command: ./login, {fields}");
    machine.write("home/.kube/config", kubeconfig(server, &exec));
    program::write(&machine.path("home/.kube/login"), &script);
    let runs = machine.path("runs");
    machine.env("RUNS", runs)
}

fn prints(status: &str) -> String {
    format!(
        "echo '{{\"kind\": \"ExecCredential\", \"apiVersion\": \"client.authentication.k8s.io/v1\", \"status\": {status}}}'"
    )
}

fn runs(machine: &Machine) -> String {
    fs::read_to_string(machine.path("runs")).unwrap_or_default()
}

#[test]
fn plugin_runs_once_and_its_token_reaches_the_server_and_helm() {
    let token = format!("\"token\": \"{SECRET}\"");
    for (status, is_renewed) in [
        (format!("{{{token}}}"), false),
        (format!("{{{token}, \"expirationTimestamp\": \"2999-01-01T00:00:00Z\"}}"), true),
    ] {
        let lab = MockedStack::empty();
        let config = lab.machine.path("home/.kube/config");
        let text = fs::read_to_string(&config).expect("a kubeconfig");
        let address = text.split("server: '").nth(1).and_then(|rest| rest.split('\'').next());
        let login = machine(
            address.expect("the server's address"),
            "interactiveMode: Never",
            &prints(&status),
        );
        let runs_of_login = login.path("runs");
        let path = login.path("home/.kube/config");
        let mut command = lab.machine.command(&["install", "--only", "lrs", "--kubeconfig"]);
        let output = command.arg(path).env("RUNS", runs_of_login).output().expect("it runs");
        lab.machine.ended("install", output).exits(0).never_shows(SECRET);
        let calls = lab.helm.calls();
        let told: Vec<_> = calls.iter().filter(|call| !call.kubeconfig.is_empty()).collect();
        assert!(told.len() > 1, "helm is called more than once");
        for call in told {
            assert!(call.kubeconfig.contains(SECRET), "{call:?}");
            assert!(!call.kubeconfig.contains("login"), "{call:?}");
            assert_eq!(call.kubeconfig.contains("tokenFile"), is_renewed, "{call:?}");
        }
        let expected = "run\n{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":\"ExecCredential\",\"spec\":{\"interactive\":false}}\n";
        assert_eq!(runs(&login), expected);
        let left = fs::read_dir(lab.machine.path("tmp")).expect("a folder").count();
        assert_eq!(left, 0, "nothing of it is left behind");
    }
}

#[test]
fn token_of_a_plugin_reaches_the_server() {
    let server = Server::start(|_| Reply::text(404, "404 page not found\n"));
    let status = prints(&format!("{{\"token\": \"{SECRET}\"}}"));
    let ended = machine(&server.url(), "interactiveMode: Never", &status).run("status");
    ended.never_shows(SECRET);
    let requests = server.requests();
    let first = requests.first().unwrap_or_else(|| panic!("a request should arrive\n{ended}"));
    assert_eq!(first.headers["authorization"], format!("Bearer {SECRET}").as_str());
}

#[test]
fn plugin_never_reads_stdin_that_is_not_a_terminal() {
    for mode in ["Never", "IfAvailable", "''"] {
        let server = Server::start(|_| Reply::text(404, "404 page not found\n"));
        let status = prints(&format!("{{\"token\": \"{SECRET}\"}}"));
        let machine = machine(&server.url(), &format!("interactiveMode: {mode}"), &status);
        machine.feed("status", "a statement\n").never_shows(SECRET);
        assert!(!runs(&machine).contains("a statement"), "{mode}: {}", runs(&machine));
        assert!(runs(&machine).contains("\"interactive\":false"), "{}", runs(&machine));
    }
}

#[test]
fn plugin_that_needs_a_terminal_says_that_there_is_none() {
    let machine = machine("http://127.0.0.1:9", "interactiveMode: Always", "exit 0");
    machine.run("status").exits(4).says("login` needs a terminal, and stdin is not one\n");
    assert_eq!(runs(&machine), "");
}

#[test]
fn missing_plugin_is_named_with_its_install_hint() {
    let machine = Machine::new();
    let exec =
        "command: lab-login, interactiveMode: Never, installHint: \"get it\\n  from the lab\"";
    machine.write("home/.kube/config", kubeconfig("http://127.0.0.1:9", exec));
    machine
        .run("status")
        .exits(4)
        .says("error: the credential plugin `lab-login` is not installed\n")
        .says("hint: get it from the lab\n");
}

#[test]
fn output_of_a_plugin_is_never_shown() {
    for (end, fault) in [
        (format!("echo '{SECRET}'; exit 3"), "failed: exit status: 3"),
        (format!("echo '{SECRET}'"), "printed no ExecCredential"),
        (
            prints(&format!("{{\"clientKeyData\": \"{SECRET}\"}}")),
            "printed a certificate without its key",
        ),
        (prints("null"), "printed an ExecCredential without a status"),
    ] {
        let machine = machine("http://127.0.0.1:9", "interactiveMode: Never", &end);
        let ended = machine.run("status");
        ended.exits(4).says("the credential plugin `").says(fault).never_shows(SECRET);
        assert_eq!(runs(&machine).matches("run\n").count(), 1);
    }
}

#[test]
fn plugin_of_a_user_with_a_token_does_not_run() {
    let server = Server::start(|_| Reply::text(404, "404 page not found\n"));
    let machine = machine(&server.url(), "interactiveMode: Never", "exit 3");
    machine.run("status --token typed");
    assert_eq!(server.requests()[0].headers["authorization"], "Bearer typed");
    assert_eq!(runs(&machine), "");
}
