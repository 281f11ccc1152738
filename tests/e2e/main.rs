//! The main job on a real cluster, as a person types it. Needs the sandbox (`sandbox/up` starts it), so it runs only by
//! its name (`cargo test --test e2e`). Most tests share a stack and take turns there; those with a namespace of their own
//! go on beside them, which needs as many threads as there are tests.

mod dashboard_faults;
mod dataviz;
mod helm_plugin;
mod lab;
mod lms;
mod lrs;
mod main_job;
mod moodle;
mod office;
mod parts;
mod permissions;
mod turns;
mod whole_life;

use std::sync::{LazyLock, Mutex};

use lab::Lab;
use turns::Turns;

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

/// The shared stack, which from now on is this test's alone.
fn stack() -> &'static Lab {
    static TURNS: Turns = Turns::new();
    TURNS.take(|| _ = LazyLock::force(&STACK));
    &STACK
}

/// From now on the room beside the shared stack, which has brought the operator, is this test's alone.
fn beside<T>(lab: impl FnOnce() -> T) -> T {
    static TURNS: Turns = Turns::new();
    TURNS.take(|| _ = LazyLock::force(&STACK));
    lab()
}

/// The lab there that several tests work on.
static BESIDE: Mutex<Option<&'static Lab>> = Mutex::new(None);

/// The same with this lab, installed by the first test that wants it.
fn lab_beside(namespace: &'static str, install: &str) -> &'static Lab {
    beside(|| {
        let there = *BESIDE.lock().expect("the lab beside");
        there.filter(|lab| lab.namespace == namespace).unwrap_or_else(|| {
            make_room();
            let lab: &Lab = Box::leak(Box::new(Lab::new(namespace, "4")));
            lab.lastack(install).good();
            *BESIDE.lock().expect("the lab beside") = Some(lab);
            lab
        })
    })
}

/// Takes the lab away that is beside: there is room for one.
fn make_room() {
    let there = BESIDE.lock().expect("the lab beside").take();
    if let Some(lab) = there {
        lab.lastack("uninstall --yes").good().says("Gone in");
    }
}
