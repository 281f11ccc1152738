//! The main job on a real cluster, as a person types it. Needs the sandbox (`sandbox/up` starts it), so it is
//! built with `--features e2e` only, and runs on one thread: the tests share a stack.

mod helm_plugin;
mod lab;
mod life_cycle;
mod main_job;
mod permissions;
mod repair;

use std::sync::LazyLock;

use lab::Lab;

/// A stack that is installed once, from a cluster with nothing in it. A test that breaks it repairs it.
static STACK: LazyLock<Lab> = LazyLock::new(|| {
    let reset = std::process::Command::new(lab::repository().join("sandbox/reset")).output().expect("sandbox/reset can be run");
    assert!(reset.status.success(), "sandbox/reset failed:\n{}", String::from_utf8_lossy(&reset.stderr));
    let stack = Lab::new("e2e", "4");
    stack.lastack("install --expose loadbalancer").good().says("ok       operator.release").says("Ready in");
    stack
});

fn stack() -> &'static Lab {
    &STACK
}
