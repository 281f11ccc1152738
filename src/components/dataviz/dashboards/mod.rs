//! Dashboards as files: bundles of assets, their state in Superset, and the import.

pub mod asset;
pub mod bundle;
pub mod chart;
pub mod difference;
pub mod layout;
pub mod natural_key;
pub mod record;
pub mod sync;
pub mod sync_state;
