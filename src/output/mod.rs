//! The only module that writes to the terminal: stdout is data, all else goes to stderr.

pub mod age;
pub mod printer;
pub mod progress;
pub mod table;
pub mod text;
