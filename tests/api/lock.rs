//! Verbs that change a stack take turns.

use std::fs;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use crate::support::kubernetes::World;
use crate::support::server::Reply;
use crate::support::stack::{MockedStack, NAMESPACE};
use crate::support::terminal::Terminal;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/alice/leases/lastack";
const SETTINGS: &str = "/api/v1/namespaces/alice/configmaps/lastack-settings";
const VERBS: [&str; 5] = [
    "install",
    "configure",
    "dashboards apply",
    "creds rotate lrs --yes",
    "uninstall --yes --keep-data -n alice",
];

/// The Lease of a command on another machine, renewed at this time.
fn held_since(time: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "lastack", "namespace": NAMESPACE},
        "spec": {"holderIdentity": "ada@lab/upgrade/0a1b2c3d", "leaseDurationSeconds": 30, "acquireTime": time, "renewTime": time},
    })
}

fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// The other command ends at the third look at its Lease.
fn ends_soon(stack: &MockedStack, mut change: impl FnMut(&mut World) + Send + 'static) {
    let mut looks = 0;
    stack.kubernetes.put([held_since(&now())]).reacts(Method::GET, LEASE, move |world, _| {
        looks += 1;
        if looks == 3 {
            world.remove(LEASE);
            change(world);
        }
        None
    });
}

fn writes(stack: &MockedStack) -> Vec<Method> {
    let requests = stack.kubernetes.server.requests().into_iter();
    requests
        .filter(|request| request.path.contains("/leases") && request.method != Method::GET)
        .map(|request| request.method)
        .collect()
}

#[test]
fn verb_that_changes_the_stack_holds_and_releases_the_lock() {
    for verb in VERBS {
        let stack = MockedStack::installed();
        let before = writes(&stack).len();
        let ended = stack.machine.run(verb);
        ended.exits(0);
        assert_eq!(writes(&stack)[before..], [Method::POST, Method::DELETE], "{ended}");
        assert_eq!(stack.kubernetes.object(LEASE), None, "{verb} should release the lock");
    }
    let stack = MockedStack::installed();
    let before = writes(&stack).len();
    for verb in ["status", "install --dry-run", "uninstall --dry-run", "install --explain"] {
        stack.machine.run(verb).exits(0);
        assert_eq!(writes(&stack).len(), before, "{verb} changes nothing and needs no lock");
    }
}

#[test]
fn verb_waits_for_the_command_that_holds_the_lock() {
    for verb in VERBS {
        let stack = MockedStack::installed();
        ends_soon(&stack, |_| {});
        stack
            .machine
            .run(verb)
            .exits(0)
            .says("Waiting: `upgrade` of ada@lab has been changing the stack since ")
            .says("its lease lastack expires 30 s after its last renewal");
    }
}

#[test]
fn verb_names_the_holder_of_the_lock_at_its_deadline() {
    let stack = MockedStack::installed();
    stack.kubernetes.put([held_since(&now())]);
    let holder = "`upgrade` of ada@lab has been changing the stack since ";
    let changes = stack.kubernetes.changes();
    for verb in ["configure --timeout 1s", "install --timeout 1s"] {
        stack
            .machine
            .run(verb)
            .exits(124)
            .says("error: the lock of namespace alice is not ready after ")
            .says(holder);
    }
    stack
        .machine
        .run("install --no-wait")
        .exits(1)
        .says("error: namespace alice: ")
        .says(holder)
        .says("hint: repeat the command without `--no-wait` to wait for it");
    assert_eq!(stack.kubernetes.changes(), changes, "nothing should change without the lock");
}

#[test]
fn lock_of_a_killed_command_expires() {
    let stack = MockedStack::installed();
    stack.kubernetes.put([held_since("2026-01-01T00:00:00.000000Z")]);
    stack.machine.run("configure").exits(0).never_shows("Waiting");
    assert_eq!(stack.kubernetes.object(LEASE), None, "the lock should be taken and released");
}

#[test]
fn lock_of_a_command_that_was_killed_on_this_machine_is_free_at_once() {
    let stack = MockedStack::installed();
    stack.kubernetes.put([held_since(&now())]);
    stack.machine.run("install --no-wait").exits(1).says("`upgrade` of ada@lab");
    // the mark of a running command has a lock, which ends with its process
    stack.machine.write("tmp/kubectl-lastack-run-0a1b2c3d", "");
    stack.machine.run("install --no-wait").exits(0).never_shows("Waiting");
    let left = fs::read_dir(stack.machine.path("tmp")).expect("a folder").flatten();
    let left: Vec<_> = left.map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["kubectl-lastack-run-0a1b2c3d"], "a command should delete its own files");
}

#[test]
fn install_that_waited_uses_the_settings_of_the_other_command() {
    let stack = MockedStack::installed();
    ends_soon(&stack, |world| {
        let mut settings = world.object(SETTINGS).expect("the settings");
        settings["data"]["lastack.yaml"] =
            json!("profile: laptop\nvalues:\n  lrs:\n    replicas: 2\n");
        world.put(settings);
    });
    stack.machine.run("install").exits(0).says("Waiting: ").says("ok        lrs.release");
    let settings = stack.kubernetes.object(SETTINGS).expect("the settings");
    let text = settings["data"]["lastack.yaml"].as_str().expect("a text");
    assert!(text.contains("replicas: 2"), "the settings of the other command should stay: {text}");
}

#[test]
fn verb_without_permission_for_leases_warns_and_continues() {
    let stack = MockedStack::installed();
    let sentence = "leases.coordination.k8s.io \"lastack\" is forbidden: User \"alice\" cannot get resource \"leases\"";
    stack.kubernetes.forbids(Method::GET, LEASE, sentence);
    let warning = format!("warning: cannot lock the stack against other commands: {sentence}");
    stack.machine.run("configure").exits(0).says(&warning);
}

#[test]
fn interrupted_command_releases_the_lock() {
    let stack = MockedStack::installed();
    let (asks, asked) = std::sync::mpsc::channel();
    let deployment = "/apis/apps/v1/namespaces/alice/deployments/lrs-ralph";
    stack.kubernetes.reacts(Method::GET, deployment, move |_, _| {
        asks.send(()).ok();
        Some(Reply::Hang)
    });
    let mut terminal = Terminal::start(stack.machine.command(&["install"]));
    asked.recv_timeout(Duration::from_secs(60)).expect("install should look at the Deployment");
    assert!(stack.kubernetes.object(LEASE).is_some(), "install should hold the lock");
    terminal.interrupts();
    assert_eq!(terminal.ends().code(), Some(130), "{}", terminal.screen());
    assert_eq!(stack.kubernetes.object(LEASE), None, "the interrupt should release the lock");
}
