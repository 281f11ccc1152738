//! What dashboards show: exporting them, running their charts' queries, comparing what these give with expected results.

pub mod answers;
pub mod check;
pub mod export;
pub mod live;

/// A page of Superset asks for about so many charts at a time.
const AT_ONCE: usize = 4;
