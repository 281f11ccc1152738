//! The main job on a real cluster, as a person types it. Needs the sandbox (`sandbox/up` starts it), so it runs only by
//! its name (`cargo test --test e2e`). Most tests share a stack and take turns there; those with a namespace of their own
//! go on beside them, which needs a few threads.

mod dashboard_faults;
mod dataviz;
mod helm_plugin;
mod lab;
mod lms;
mod main_job;
mod moodle;
mod office;
mod parts;
mod permissions;
mod repair;
mod whole_life;

use std::sync::LazyLock;

use tokio::sync::{Mutex, MutexGuard};

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

/// A test has a thread of its own, with which its turn ends. Who came first is next, so tests come in the order of their names.
type Turn = MutexGuard<'static, ()>;

/// The shared stack, which from now on is this test's alone.
fn stack() -> &'static Lab {
    static TURN: Mutex<()> = Mutex::const_new(());
    thread_local! { static MINE: Turn = TURN.blocking_lock() }
    MINE.with(|_| &STACK)
}

/// A lab beside the shared stack, which has brought the operator. The node has room for one at a time.
fn beside<T>(lab: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::const_new(());
    thread_local! { static MINE: Turn = TURN.blocking_lock() }
    MINE.with(|_| LazyLock::force(&STACK));
    lab()
}
