//! The main job on a real cluster, as a user types it. Runs only by its name: `cargo test --test e2e`, or `make e2e`.
//!
//! The cluster is the sandbox (`sandbox/up --build-only` builds it) unless `LASTACK_E2E_CONTEXT` names another context:
//! `make e2e CONTEXT=kind-x`. The current context is never used. The namespaces `e2e` and `e2e-*` belong to the tests.
//!
//! Most tests share a stack and take turns there; those with a namespace of their own go on beside them, which needs as
//! many threads as there are tests. Any order and any single test works: a test finds what it needs or makes it, and
//! leaves the shared stack as it was. `turns` says which order is the fastest.

#[path = "../support/mod.rs"]
mod support;

mod attack;
mod by_hand;
mod cluster;
mod documentation;
mod helm_plugin;
mod kubeconfigs;
mod lms;
mod lrs;
mod main_job;
mod moodle;
mod office;
mod parts;
mod permissions;
mod repairs;
mod superset;
mod turns;
mod whole_life;

use std::sync::{LazyLock, Mutex};

use cluster::Cluster;
use turns::{Turn, Turns};

/// A stack that is installed once, in the sandbox from a cluster with nothing in it. A test that breaks it repairs it.
/// While one works on a test, LASTACK_E2E_KEEP=1 takes the sandbox as it is and saves the first installation.
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

/// The shared stack, which from now on is this test's alone.
fn stack() -> &'static Cluster {
    static TURNS: Turns = Turns::new();
    TURNS.take("e2e", || _ = LazyLock::force(&STACK));
    &STACK
}

/// From now on the room beside the shared stack, which has brought the operator, is this test's alone. The two together
/// keep two cores busy, so there is one such room, with one namespace in it: that of others is deleted.
fn beside(namespace: &'static str) -> Turn {
    static TURNS: Turns = Turns::new();
    static OCCUPANT: Mutex<Option<&str>> = Mutex::new(None);
    let turn = TURNS.take(namespace, || _ = LazyLock::force(&STACK));
    if turn == Turn::Began {
        let before = OCCUPANT.lock().expect("the room").replace(namespace);
        if let Some(other) = before.filter(|other| *other != namespace) {
            remove(other);
        }
    }
    turn
}

/// Deletes a namespace of the tests, if it is there.
fn remove(namespace: &str) {
    assert!(namespace.starts_with("e2e-"), "{namespace} is not a namespace of these tests");
    let line = ["delete", "namespace", namespace, "--ignore-not-found", "--timeout=300s"];
    STACK.run("kubectl", &line, "").good();
}
