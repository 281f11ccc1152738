//! Building blocks of the tests: a machine for the program, and stand-ins for the servers of a stack.

// each test program uses a part of this module
#![allow(dead_code)]

pub mod context;
pub mod elasticsearch;
pub mod ended;
pub mod helm;
pub mod kubernetes;
pub mod lrs;
pub mod machine;
pub mod moodle;
pub mod program;
pub mod server;
pub mod stack;
pub mod statements;
pub mod streams;
pub mod superset;
pub mod terminal;
