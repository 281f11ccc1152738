//! Output for users: printing, tables, units, and sanitised foreign text.

pub mod junit;
pub mod printer;
pub mod table;
pub mod text;
pub mod units;
