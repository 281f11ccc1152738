//! Output for users: printing, tables, units, and sanitised foreign text.

pub mod document;
pub mod junit;
pub mod pace;
pub mod printer;
pub mod table;
pub mod text;
pub mod traces;
pub mod units;
