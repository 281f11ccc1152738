//! Traces of what the program runs, and of the requests that it sends, on stderr.
//!
//! All of them have the level `info`: releases contain no more detailed events, which the libraries have many of.

use std::fmt::Display;
use std::time::Duration;

use http::{Method, StatusCode};
use tracing::{Level, Span, info, info_span};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::prelude::*;

/// The target of the requests. The other events have the name of their module.
const REQUESTS: &str = "requests";

/// What is traced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Programs,
    /// And requests.
    All,
}

/// Shows these events. Those of libraries stay hidden: they may contain headers with secrets.
pub fn show(extent: Extent) {
    let events = fmt::layer()
        .with_writer(anstream::stderr)
        .with_timer(fmt::time::uptime())
        .with_target(false);
    let programs = Targets::new().with_target(env!("CARGO_CRATE_NAME"), Level::INFO);
    let shown = match extent {
        Extent::Programs => programs,
        Extent::All => programs.with_target(REQUESTS, Level::INFO),
    };
    tracing_subscriber::registry().with(events.with_filter(shown)).init();
}

/// The span of a request. It omits the query, which may contain a token or the name of a learner.
pub fn request(method: &Method, url: impl Display) -> Span {
    info_span!(target: REQUESTS, "request", "{method} {}", without_query(&url.to_string()))
}

/// The response to the request of the current span.
pub fn response(status: StatusCode, took: Duration) {
    info!(target: REQUESTS, "{} after {} ms", status.as_u16(), took.as_millis());
}

fn without_query(url: &str) -> &str {
    url.split_once('?').map_or(url, |(path, _)| path)
}
