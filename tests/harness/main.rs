//! Tests of the stand-ins that the other tests use. Each stand-in receives the requests of a recording, and must respond
//! as the real server did. `tests/fixtures/recordings/README.md` describes how to record and compare.

// the stand-ins are shell scripts, and terminals are those of Unix
#![cfg(unix)]

#[path = "../support/mod.rs"]
mod support;

mod comparison;
mod context;
mod kubernetes;
mod recording;
mod servers;
