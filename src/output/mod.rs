//! Text for users: where it is written, tables, units, and text from elsewhere made safe to print.

pub mod printer;
pub mod table;
pub mod text;
pub mod units;
