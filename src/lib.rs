//! `kubectl lastack`: a complete, wired and verified learning-analytics stack on any Kubernetes cluster.
//!
//! Modules are listed from the bottom up. A module imports only modules above it in this list; `tests/layers.rs`
//! enforces this. `docs/concepts/architecture.md` has the picture.

pub mod error;

mod interrupt;

pub mod output;

mod archive;
mod cluster;
mod engine;

pub mod xapi;

pub mod simulator;

mod stack;

mod components;

mod rendering;

pub mod seeding;

mod dashboards;

mod backup;

mod upgrade;

mod diagnosis;

mod cli;

pub use cli::{command, main};

/// The items of the lower layers that tests and benchmarks use.
pub mod api {
    pub use crate::cluster::http::{Account, HttpClient};
    pub use crate::components::lrs::client::Ralph;
}
