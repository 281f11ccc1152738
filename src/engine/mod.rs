//! The engine: a graph of nodes, and the walks that reconcile, plan and delete it.
//!
//! A node is a [`Resource`] (observe, reconcile, delete, explain) or a [`Check`] (observe). The engine is generic over
//! the [`Context`] that nodes work in. It knows neither Kubernetes nor a terminal.

pub mod graph;
mod node;
mod observation;
mod report;
mod walk;

pub use node::{
    Check, Context, DeleteOptions, Deletion, Id, Node, Reconciled, Resource, Scope, Severity,
};
pub use observation::{ABSENT, Difference, Observation};
pub use report::{NodeEvent, Progress, Report};
pub use walk::Summary;
