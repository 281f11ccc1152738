//! The command line without a cluster: exit code, stdout and stderr of the real program.
//!
//! `SNAPSHOTS=overwrite cargo test --test cli` rewrites the snapshots.

// the stand-ins are shell scripts, and terminals are those of Unix
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod completion;
mod connection;
mod credential_plugin;
mod kubeconfig;
mod rbac;
mod reference;
mod seed_input;
mod seed_write;
mod streams;
mod tls;
mod usage;
mod version;
