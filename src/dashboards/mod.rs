//! Dashboards in Superset: exporting them, running the queries of their charts, and comparing with expected results.

pub mod check;
pub mod expected;
pub mod export;
pub mod live;

/// Number of concurrent queries, about as many as a page of Superset sends.
const AT_ONCE: usize = 4;
