//! `kubectl lastack`: a complete, wired and proven Learning Analytics stack on any Kubernetes cluster.
//!
//! A stack is a graph of steps (`stack`), the steps of each component are in `steps`, and the verbs in
//! `commands` walk that graph. `clients` talk to the parts, `xapi` makes and reads statements, `seeding`
//! sends and proves them, `dashboards` brings files into Superset and checks what they show,
//! `trace` follows one event through all parts, `output` is the only module that prints.

pub mod archive;
pub mod cli;
pub mod clients;
pub mod commands;
pub mod dashboards;
pub mod error;
pub mod output;
pub mod seeding;
pub mod stack;
pub mod steps;
pub mod target;
pub mod trace;
pub mod xapi;
