//! The program against servers that imitate Kubernetes, helm, Ralph and Elasticsearch, also in their failures.
//! These tests need no cluster.

// the stand-ins are shell scripts, and terminals are those of Unix
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod check;
mod creds;
mod dataviz;
mod dataviz_files;
mod diff;
mod dry_run;
mod failing_server;
mod helm;
mod history;
mod install;
mod lms;
mod lock;
mod logs;
mod open;
mod output;
mod ownership;
mod rbac;
mod rejected;
mod render;
mod report;
mod restore;
mod seed;
mod seed_faults;
mod size;
mod sources;
mod statements;
mod status;
mod terminal;
mod uninstall;
mod upgrade;
mod waiting;
