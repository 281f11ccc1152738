//! Talking to the parts: the Kubernetes API, helm, and each component's own API.

pub mod apply;
pub mod download;
pub mod elasticsearch;
pub mod exec;
pub mod forward;
pub mod helm;
pub mod http;
pub mod jobs;
pub mod moodle;
pub mod pods;
pub mod ralph;
pub mod secrets;
pub mod superset;
pub mod tunnel;
pub mod wait;
