//! Dashboards as files: bundles of assets, what of them is in Superset, and importing the rest.

pub mod asset;
pub mod bundle;
pub mod chart;
pub mod layout;
pub mod place;
pub mod record;
pub mod standing;
pub mod sync;
