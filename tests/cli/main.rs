//! The command line as a user meets it where no cluster is: exit code, stdout and stderr of the real program.
//!
//! The files that outputs are compared with are rewritten by `SNAPSHOTS=overwrite cargo test --test cli`.

#[path = "../support/mod.rs"]
mod support;

mod completion;
mod connection;
mod credential_plugin;
mod kubeconfig;
mod reference;
mod seed_input;
mod seed_write;
mod streams;
mod tls;
mod usage;
mod version;
