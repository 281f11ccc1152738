//! Downloads a file into memory, with redirects, a size limit, and retries after a broken connection.

use std::time::Duration;

use anyhow::{Context, Result};
use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http::header::LOCATION;
use http::uri::Authority;
use http::{StatusCode, Uri};

use crate::error::Failure;
use crate::output::units;

use super::http::{Account, HttpClient};

const REDIRECTS: usize = 5;

/// Downloads `url`. Reports progress and the reasons for retries to `say`.
///
/// # Errors
/// When the server responds with an error, or the file exceeds `limit` bytes.
pub async fn get(url: &str, limit: u64, say: &(dyn Fn(&str) + Sync)) -> Result<Bytes> {
    let back_off =
        ExponentialBuilder::default().with_min_delay(Duration::from_millis(500)).with_max_times(4);
    let attempt = || follow(url, limit, say);
    attempt
        .retry(back_off)
        .when(|error| !error.chain().any(|cause| cause.is::<Failure>()))
        .notify(|error, _| say(&format!("retrying: {}", crate::error::one_line(error))))
        .await
        .with_context(|| format!("{} cannot be downloaded", without_credentials(url)))
}

/// A URL without possible passwords: without the account before the host, and without the query.
pub fn without_credentials(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    match shown.split_once("://") {
        Some((scheme, rest)) => {
            let (authority, path) = rest
                .split_once('/')
                .map_or((rest, String::new()), |(authority, path)| (authority, format!("/{path}")));
            format!("{scheme}://{}{path}", authority.rsplit('@').next().unwrap_or_default())
        }
        None => shown.to_string(),
    }
}

/// The account before the host.
fn account_in(authority: &Authority) -> Option<Account> {
    let (account, _) = authority.as_str().rsplit_once('@')?;
    let (user, password) = account.split_once(':').unwrap_or((account, ""));
    let decoded =
        |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some(Account { user: decoded(user), password: decoded(password).into() })
}

async fn follow(url: &str, limit: u64, say: &(dyn Fn(&str) + Sync)) -> Result<Bytes> {
    let mut address: Uri = url
        .parse()
        .map_err(|_| Failure::usage(format!("`{}` is not a URL", without_credentials(url))))?;
    for _ in 0..=REDIRECTS {
        let (scheme, authority) = (
            address.scheme_str().unwrap_or("https"),
            address.authority().context("a URL without a host")?,
        );
        let host = authority.host();
        let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
        let mut client = HttpClient::direct(&format!("{scheme}://{host_and_port}"))?;
        if let Some(account) = account_in(authority) {
            client = client.with_account(&account)?;
        }
        let path = address.path_and_query().map_or("/", |path| path.as_str());
        let response = client
            .download(path, limit, &|bytes| {
                say(&format!("downloading {host}: {}", units::bytes(bytes)))
            })
            .await?;
        match response.status {
            StatusCode::OK => return Ok(response.body),
            status if status.is_redirection() => {
                let location = response
                    .headers
                    .get(LOCATION)
                    .and_then(|location| location.to_str().ok())
                    .context("a redirect without a location")?;
                let next: Uri = if location.starts_with('/') {
                    format!("{scheme}://{authority}{location}")
                } else {
                    location.to_string()
                }
                .parse()?;
                // a download over TLS must not continue without TLS
                if scheme == "https" && next.scheme_str() != Some("https") {
                    return Err(Failure::failed(format!(
                        "{host} redirects to {}, which is not encrypted",
                        without_credentials(&next.to_string())
                    ))
                    .into());
                }
                address = next;
            }
            status if status.is_client_error() => {
                return Err(
                    Failure::failed(format!("{host} responded with {}", status.as_u16())).into()
                );
            }
            status => anyhow::bail!("{host} responded with {}", status.as_u16()),
        }
    }
    Err(Failure::failed(format!("more than {REDIRECTS} redirects")).into())
}
