//! Diagnosis across components: following one event through the pipeline, and one chart back to its data.

pub mod chart;
pub mod trace;
