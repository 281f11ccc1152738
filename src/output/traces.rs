//! Traces of what the program runs and asks, on stderr: the `info` and `debug` events of this crate.

use std::time::Duration;

use http::StatusCode;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// Shows the events of this level and above. Events of libraries stay hidden: they may contain headers with secrets.
pub fn show(level: Level) {
    let events = fmt::layer()
        .with_writer(anstream::stderr)
        .with_timer(fmt::time::uptime())
        .with_target(false);
    let own = Targets::new().with_target(env!("CARGO_CRATE_NAME"), level);
    tracing_subscriber::registry().with(events.with_filter(own)).init();
}

/// The response to the request of the current span.
pub fn response(status: StatusCode, took: Duration) {
    tracing::debug!("{} after {} ms", status.as_u16(), took.as_millis());
}

/// A path without its query, which may contain a token or the name of a learner.
pub fn without_query(path: &str) -> &str {
    path.split_once('?').map_or(path, |(path, _)| path)
}
