//! The main job on a real cluster, as a person types it. Needs the sandbox (`sandbox/up` starts it), so it runs only by
//! its name (`cargo test --test e2e`), and on one thread: the tests share a stack.

mod dashboard_faults;
mod dataviz;
mod helm_plugin;
mod lab;
mod life_cycle;
mod lms;
mod main_job;
mod parts;
mod permissions;
mod repair;

use std::sync::LazyLock;

use lab::Lab;

/// A stack that is installed once, from a cluster with nothing in it. A test that breaks it repairs it. While one
/// works on a test, LASTACK_E2E_KEEP=1 takes the cluster as it is and saves the first installation.
static STACK: LazyLock<Lab> = LazyLock::new(|| {
    let keep = std::env::var_os("LASTACK_E2E_KEEP").is_some();
    lab::sandbox(if keep { "up" } else { "reset" });
    let stack = Lab::new("e2e", "4");
    let installed = stack.lastack("install --expose loadbalancer").good().says("Ready");
    if !keep {
        installed.says("ok       operator.release");
    }
    stack
});

fn stack() -> &'static Lab {
    &STACK
}
