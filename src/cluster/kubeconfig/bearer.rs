//! The bearer token of our own requests. A token file and a plugin's token that expires are read again in time.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Result;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use jiff::{SignedDuration, Timestamp};
use kube::client::Body;
use kube::config::{AuthInfo, Cluster, ExecConfig};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinHandle;
use tower::util::MapRequestLayer;

use crate::error::{Failure, Kind};

use super::plugin;

/// How often a token file is read, as client-go does.
const FILE_INTERVAL: Duration = Duration::from_secs(60);
/// How often the clock is compared with the end of a token. A laptop may sleep in between.
const CLOCK_INTERVAL: Duration = Duration::from_secs(5);
/// How long before its end a token is replaced.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// A plugin whose token expires.
pub struct Renewable {
    pub exec: ExecConfig,
    pub cluster: Cluster,
    pub expires: Timestamp,
    /// Where helm reads the token.
    pub file: PathBuf,
}

pub struct Bearer {
    header: Arc<RwLock<HeaderValue>>,
    renewal: Option<JoinHandle<()>>,
}

impl Bearer {
    /// Takes the token out of a user. None for a user who authenticates in another way.
    ///
    /// # Errors
    ///
    /// A token file cannot be read and there is no other token, or a header cannot hold the token.
    pub fn take(user: &mut AuthInfo, renewable: Option<Renewable>) -> Result<Option<Self>> {
        if user.username.is_some() || user.auth_provider.is_some() {
            return Ok(None);
        }
        let file = user.token_file.take().map(PathBuf::from);
        let token = match (user.token.take(), &file) {
            // as client-go: the file is newer than the token beside it
            (token, Some(file)) => match (token_in(file), token) {
                (Ok(token), _) | (Err(_), Some(token)) => token,
                (Err(fault), None) => return Err(Failure::new(Kind::Unreachable, fault).into()),
            },
            (Some(token), None) => token,
            (None, None) => return Ok(None),
        };
        let header = Arc::new(RwLock::new(header(&token)?));
        let renewal = match (renewable, file) {
            (Some(plugin), _) => Some(tokio::spawn(run_again(plugin, Arc::clone(&header)))),
            (None, Some(file)) => Some(tokio::spawn(read_again(file, Arc::clone(&header)))),
            (None, None) => None,
        };
        Ok(Some(Self { header, renewal }))
    }

    /// Adds the current token to every request.
    pub fn layer(
        &self,
    ) -> MapRequestLayer<impl Fn(Request<Body>) -> Request<Body> + Clone + use<>> {
        let header = Arc::clone(&self.header);
        MapRequestLayer::new(move |mut request: Request<Body>| {
            let value = header.read().unwrap_or_else(PoisonError::into_inner).clone();
            request.headers_mut().insert(AUTHORIZATION, value);
            request
        })
    }
}

impl Drop for Bearer {
    fn drop(&mut self) {
        if let Some(renewal) = &self.renewal {
            renewal.abort();
        }
    }
}

fn header(token: &SecretString) -> Result<HeaderValue, Failure> {
    let mut value =
        HeaderValue::try_from(format!("Bearer {}", token.expose_secret())).map_err(|_| {
            let message = "the user's token has a character that a request cannot carry";
            Failure::new(Kind::Unreachable, message)
        })?;
    value.set_sensitive(true);
    Ok(value)
}

fn token_in(file: &Path) -> Result<SecretString, String> {
    let name = file.display();
    let text = fs::read_to_string(file)
        .map_err(|error| format!("cannot read the token file `{name}`: {error}"))?;
    match text.trim() {
        "" => Err(format!("the token file `{name}` is empty")),
        token => Ok(token.into()),
    }
}

fn replace(current: &RwLock<HeaderValue>, token: &SecretString) {
    if let Ok(header) = header(token) {
        *current.write().unwrap_or_else(PoisonError::into_inner) = header;
    }
}

async fn read_again(file: PathBuf, current: Arc<RwLock<HeaderValue>>) {
    loop {
        tokio::time::sleep(FILE_INTERVAL).await;
        // without the file, the last token stays
        if let Ok(token) = token_in(&file) {
            replace(&current, &token);
        }
    }
}

async fn run_again(mut plugin: Renewable, current: Arc<RwLock<HeaderValue>>) {
    loop {
        let left = plugin.expires.duration_since(Timestamp::now());
        let margin = MARGIN.min(left / 2);
        while Timestamp::now() + margin < plugin.expires {
            tokio::time::sleep(CLOCK_INTERVAL).await;
        }
        match plugin::run(&plugin.exec, &plugin.cluster).await {
            Ok(plugin::Credential { token: Some(token), expires: Some(expires), .. }) => {
                replace(&current, &token);
                let _ = super::write_private(&plugin.file, token.expose_secret());
                plugin.expires = expires;
            }
            _ => tokio::time::sleep(MARGIN.unsigned_abs()).await,
        }
        tokio::time::sleep(CLOCK_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(bearer: &Bearer) -> String {
        bearer.header.read().unwrap().to_str().unwrap().to_string()
    }

    #[tokio::test]
    async fn token_file_with_a_newline_wins_over_a_stale_token() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let user = || AuthInfo {
            token: Some("stale".into()),
            token_file: Some(file.to_string_lossy().into_owned()),
            ..Default::default()
        };
        let of = |mut user: AuthInfo| Bearer::take(&mut user, None).map(Option::unwrap);
        assert_eq!(value(&of(user()).unwrap()), "Bearer stale", "without the file");
        fs::write(&file, "fresh\n").unwrap();
        assert_eq!(value(&of(user()).unwrap()), "Bearer fresh");
        fs::write(&file, "\n").unwrap();
        let error = of(AuthInfo { token: None, ..user() }).err().unwrap().to_string();
        assert!(error.starts_with("the token file `") && error.ends_with("` is empty"), "{error}");
    }

    #[test]
    fn token_that_no_header_can_hold_is_an_error_without_the_token() {
        let mut user = AuthInfo { token: Some("s3cret\n".into()), ..Default::default() };
        let error = Bearer::take(&mut user, None).err().unwrap().to_string();
        assert_eq!(error, "the user's token has a character that a request cannot carry");
    }
}
