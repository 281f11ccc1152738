//! Tests of what the other tests are made of. A test of the product is worth as much as the server that it talks to:
//! each stand-in gets the requests that the real part got in a recording, and must answer as that did.
//! `tests/fixtures/recordings/README.md` says how recordings are made and compared.

#[path = "../support/mod.rs"]
mod support;

mod comparison;
mod context;
mod kubernetes;
mod parts;
mod recording;
