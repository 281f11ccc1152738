//! Diagnosis across components: the checks of a stack, following one event through the pipeline, and one chart back to its
//! data.

pub mod chart;
pub mod checks;
pub mod reconcile;
pub mod report;
pub mod trace;
