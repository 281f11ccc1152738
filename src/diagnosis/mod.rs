//! Why something does not arrive: one event followed through all components, one chart walked back to its data.

pub mod chart;
pub mod trace;
