//! The program against servers that answer as Kubernetes, helm, Ralph and Elasticsearch do, and as they do when
//! they are not well. Nothing here needs a cluster.

#[path = "../support/mod.rs"]
mod support;

mod creds;
mod dataviz;
mod dataviz_files;
mod dry_run;
mod helm;
mod install;
mod lms;
mod open;
mod refused;
mod render;
mod seed;
mod seed_faults;
mod size;
mod statements;
mod status;
mod terminal;
mod uninstall;
mod unwell_server;
mod waiting;
