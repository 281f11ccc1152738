//! The check that Moodle shows its login page.

use std::time::Instant;

use anyhow::{Context, Result};
use async_trait::async_trait;
use http::header::{HOST, HeaderValue};
use http::{StatusCode, Uri};

use crate::cluster::steps::Step;
use crate::components::model::responded;
use crate::engine::{Check, Id, Observation};
use crate::error::Failure;
use crate::output::text;
use crate::stack::Stack;

use super::{COMPONENT, LOCAL_PORT, NAME, POSTGRESQL, RELEASE, address, site_url};

const LOGIN: &str = "/login/index.php";
/// The HTML id of the login page in all languages and themes.
const LOGIN_PAGE_ID: &str = "page-login-index";

pub struct LmsResponds;

/// Requests the login page. When the database is down, the error names it as the cause.
///
/// # Errors
/// When Moodle does not respond with its login page.
pub async fn probe(stack: &Stack) -> Result<String> {
    match request(stack).await {
        Ok(detail) => Ok(detail),
        Err(error) => Err(POSTGRESQL
            .problem(stack)
            .await
            .unwrap_or_else(|| POSTGRESQL.may_have_caused(stack, error))),
    }
}

/// Requests Moodle by its site URL, because it redirects requests for other hosts.
async fn request(stack: &Stack) -> Result<String> {
    let site: Uri = site_url(stack).await?.parse().context("Moodle's address")?;
    let authority = site.authority().context("Moodle's address has no host")?;
    let is_behind_proxy =
        stack.settings.values_of(COMPONENT).is_some_and(|values| values["reverseProxy"] == true);
    // inside the Pod, Moodle rejects requests for its own host, unless the port differs from nginx's
    let rejects_own_host =
        is_behind_proxy && authority.port_u16().is_none_or(|port| port == LOCAL_PORT);
    let host = if rejects_own_host { NAME } else { authority.as_str() };
    let http = stack.service(&address(stack))?.with_header(HOST, HeaderValue::from_str(host)?);
    let begun = Instant::now();
    let response = http.get(LOGIN).await?;
    let text = String::from_utf8_lossy(&response.body);
    match response.status {
        StatusCode::OK if text.contains(LOGIN_PAGE_ID) => {
            Ok(format!("200 in {} ms", begun.elapsed().as_millis()))
        }
        StatusCode::OK => {
            Err(Failure::failed("Moodle did not respond with its login page").into())
        }
        StatusCode::SERVICE_UNAVAILABLE => Err(Failure::failed("Moodle is in maintenance mode")
            .hint("wait for the end of the upgrade, or run `php admin/cli/maintenance.php --disable` in the Pod")
            .into()),
        status if status.is_redirection() => {
            let location = response
                .headers
                .get("location")
                .and_then(|location| location.to_str().ok())
                .unwrap_or("another address");
            Err(Failure::failed(format!("Moodle redirects {site} to {location}"))
                .hint("run `kubectl lastack install` to restore its address")
                .into())
        }
        status => Err(Failure::failed(format!(
            "Moodle responded with {} to a request for its login page: {}",
            status.as_u16(),
            reason(&text)
        ))
        .into()),
    }
}

/// The text of an error page, without its markup.
fn reason(page: &str) -> String {
    let body = page.find("<body").map_or(page, |start| &page[start..]);
    let mut text = String::new();
    let mut depth = 0_u32;
    for c in body.chars() {
        match c {
            '<' => depth += 1,
            '>' => {
                depth = depth.saturating_sub(1);
                text.push(' ');
            }
            c if depth == 0 => text.push(c),
            _ => {}
        }
    }
    text::excerpt(&text, 200)
}

#[async_trait]
impl Check<Stack> for LmsResponds {
    fn id(&self) -> Id {
        Id("lms.responds")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lms.installed")]
    }

    fn subject(&self) -> &'static str {
        "Moodle"
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        responded(probe(stack).await.map(|detail| format!("login page, {detail}")))
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![Step::command(format!("helm test {RELEASE} -n {}", stack.namespace()))])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reason_is_text_of_error_page_without_markup() {
        let page = "<html><head><title>x</title></head><body class=\"a\"><div>Site is being upgraded,\n <b>please</b> retry later.</div></body></html>";
        assert_eq!(reason(page), "Site is being upgraded, please retry later.");
        assert_eq!(
            reason("Error: Database connection failed"),
            "Error: Database connection failed"
        );
    }
}
