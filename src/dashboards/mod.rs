//! Dashboards as files: bundles of assets, what of them is in Superset, whether their charts show what they should.

pub mod answers;
pub mod asset;
pub mod bundle;
pub mod chart;
pub mod check;
pub mod explain;
pub mod export;
pub mod layout;
pub mod place;
pub mod record;
pub mod standing;
pub mod sync;
