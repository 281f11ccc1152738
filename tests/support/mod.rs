//! What the tests are made of: a machine to run the program on, and servers that answer as they are told.

// each test program uses its own part of this
#![allow(dead_code)]

pub mod context;
pub mod elasticsearch;
pub mod ended;
pub mod helm;
pub mod kubernetes;
pub mod lrs;
pub mod machine;
pub mod moodle;
pub mod server;
pub mod stack;
pub mod statements;
pub mod streams;
pub mod superset;
pub mod terminal;
