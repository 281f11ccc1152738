//! End-to-end tests on a real cluster, with the commands of a user. They run by name only: `cargo test --test e2e` or
//! `make e2e`.
//!
//! The cluster is the sandbox (`sandbox/up --build-only` builds it) unless `LASTACK_E2E_CONTEXT` names another context:
//! `make e2e CONTEXT=kind-x`. The current context is never used. The namespaces `e2e` and `e2e-*` belong to the tests.
//!
//! Most tests share a stack and take turns. Tests with a separate namespace run beside them, which needs one thread per
//! test. Any order and any single test works: a test creates what it needs, and restores the shared stack. `turns`
//! describes the fastest order.

// the commands of a user are those of a shell
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod backup;
mod by_hand;
mod canary;
mod check;
mod cluster;
mod components;
mod documentation;
mod helm_plugin;
mod history;
mod kubeconfigs;
mod lms;
mod logs;
mod lrs;
mod main_workflow;
mod moodle;
mod object_storage;
mod office;
mod ownership;
mod permissions;
mod proxy;
mod repairs;
mod rotation;
mod sources;
mod superset;
mod teacher;
mod torture;
mod turns;
mod upgrade;
mod whole_life;

use std::sync::{LazyLock, Mutex};

use cluster::Cluster;
use turns::{Turn, Turns};

/// The shared stack, which is installed once. The sandbox is reset first. A test that breaks the stack repairs it.
/// LASTACK_E2E_KEEP=1 skips the reset, for the development of a test.
static STACK: LazyLock<Cluster> = LazyLock::new(|| {
    let is_new = cluster::is_sandbox() && std::env::var_os("LASTACK_E2E_KEEP").is_none();
    if cluster::is_sandbox() {
        cluster::sandbox(if is_new { "reset" } else { "up" });
    }
    let stack = Cluster::new("e2e", "4");
    let expose = if cluster::is_sandbox() { "--expose loadbalancer" } else { "" };
    let installed = stack.lastack(&format!("install {expose}")).good();
    installed.shows("Ready");
    if is_new {
        installed.shows("ok        operator.release");
    }
    stack
});

/// The shared stack, for the exclusive use of this test.
fn stack() -> &'static Cluster {
    static TURNS: Turns = Turns::new();
    TURNS.take("e2e", || _ = LazyLock::force(&STACK));
    &STACK
}

/// Waits for the capacity beside the shared stack, for the exclusive use of this test. Two stacks keep two cores busy, so
/// there is one such slot with one namespace, and the namespace of an earlier test is deleted.
fn beside(namespace: &'static str) -> Turn {
    static TURNS: Turns = Turns::new();
    static OCCUPANT: Mutex<Option<&str>> = Mutex::new(None);
    let turn = TURNS.take(namespace, || _ = LazyLock::force(&STACK));
    if turn == Turn::Began {
        let before = OCCUPANT.lock().expect("the slot").replace(namespace);
        if let Some(other) = before.filter(|other| *other != namespace) {
            remove(other);
        }
    }
    turn
}

/// Deletes a namespace of the tests, if it exists.
fn remove(namespace: &str) {
    assert!(namespace.starts_with("e2e-"), "{namespace} is not a namespace of these tests");
    let line = ["delete", "namespace", namespace, "--ignore-not-found", "--timeout=300s"];
    STACK.run("kubectl", &line, "").good();
}
