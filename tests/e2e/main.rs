//! The main job on a real cluster, as a person types it. Needs the sandbox (`sandbox/up --build-only` builds it), so it runs only by
//! its name (`cargo test --test e2e`). Most tests share a stack and take turns there; those with a namespace of their own
//! go on beside them, which needs as many threads as there are tests. Both take their turns in the order of their names:
//! those of Superset, which compute most, last, as they keep both cores busy also when the others have ended.

mod helm_plugin;
mod lab;
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

use std::sync::LazyLock;

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

/// From now on the room beside the shared stack, which has brought the operator, is this test's alone. The two together
/// keep two cores busy, so there is one such room.
fn beside<T>(lab: impl FnOnce() -> T) -> T {
    static TURNS: Turns = Turns::new();
    TURNS.take(|| _ = LazyLock::force(&STACK));
    lab()
}
