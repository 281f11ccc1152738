//! `kubectl lastack`: a complete, wired and verified learning-analytics stack on any Kubernetes cluster.
//!
//! Modules are listed from the bottom up: an import points to a module further up in this list, and
//! `scripts/check-layers` enforces it. `docs/concepts/architecture.md` has the picture.

pub mod error;

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

mod diagnosis;

mod cli;

pub use cli::main;

/// What tests and benchmarks use of the lower layers.
pub mod api {
    pub use crate::cluster::http::{Account, HttpClient};
    pub use crate::components::lrs::client::Ralph;
}
