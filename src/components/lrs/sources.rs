//! Sources of statements other than the Moodle of the stack. Each has an account of the LRS, which stores statements and reads
//! its own. The Secret of the LRS has a key for each source, from which the accounts file follows.

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::cluster::object::FIELD_MANAGER;
use crate::cluster::secrets::{self, Data};
use crate::components::secrets::password;
use crate::error::Failure;
use crate::stack::Stack;

use super::NAME;
use super::users::{MOODLE, USER, mailbox};

/// The prefix of the keys of sources.
const PREFIX: &str = "source.";
const LONGEST_NAME: usize = 40;

/// What sends the statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SourceKind {
    /// Moodle with the plugin logstore_xapi
    Moodle,
    /// Open edX with event-routing-backends
    Openedx,
    /// A plugin that sends the statements of H5P activities
    H5p,
    /// Any other client of xAPI
    Generic,
}

/// A user of the LRS and its password.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    pub password: SecretString,
}

/// A source of statements.
#[derive(Debug, Clone)]
pub struct Source {
    pub name: String,
    pub kind: SourceKind,
    pub is_enabled: bool,
    pub login: Login,
    /// The login before a rotation, which is valid until the rotation is finished.
    pub previous: Option<Login>,
}

/// A source as the Secret stores it.
#[derive(Serialize, Deserialize)]
struct Stored {
    kind: SourceKind,
    enabled: bool,
    user: String,
    password: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<StoredLogin>,
}

#[derive(Serialize, Deserialize)]
struct StoredLogin {
    user: String,
    password: String,
}

/// Checks the name of a new source.
///
/// # Errors
/// Why it is not valid.
pub fn valid_name(text: &str) -> Result<String, String> {
    let is_valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_name = !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(is_valid);
    match text {
        USER | MOODLE => Err(format!("`{text}` is an account of the stack itself")),
        _ if is_name && !text.starts_with('-') && !text.ends_with('-') => Ok(text.into()),
        _ => Err(format!("expected up to {LONGEST_NAME} lower case letters, digits and `-`")),
    }
}

impl Source {
    pub fn new(name: &str, kind: SourceKind) -> Self {
        let login = Login { user: name.into(), password: password() };
        Self { name: name.into(), kind, is_enabled: true, login, previous: None }
    }

    /// Replaces the login. The earlier one remains valid, because the source still uses it.
    pub fn rotate(&mut self) {
        // no name of a source contains a dot
        let user = match self.login.user == self.name {
            true => format!("{}.2", self.name),
            false => self.name.clone(),
        };
        let login = Login { user, password: password() };
        self.previous = Some(std::mem::replace(&mut self.login, login));
    }

    /// The mailbox in the authority of its statements. A rotation does not change it.
    pub fn authority(&self) -> String {
        mailbox(&self.name)
    }

    /// All user names that it can have.
    fn users(&self) -> [String; 2] {
        [self.name.clone(), format!("{}.2", self.name)]
    }

    /// The logins that must be valid.
    pub(super) fn logins(&self) -> impl Iterator<Item = &Login> {
        let valid = [Some(&self.login), self.previous.as_ref()];
        valid.into_iter().flatten().filter(|_| self.is_enabled)
    }

    /// Whether a user of the accounts file is one of this source.
    pub(super) fn has(&self, user: &Value) -> bool {
        self.users().iter().any(|own| user == own.as_str())
    }

    fn stored(&self) -> Stored {
        let text = |password: &SecretString| password.expose_secret().to_string();
        Stored {
            kind: self.kind,
            enabled: self.is_enabled,
            user: self.login.user.clone(),
            password: text(&self.login.password),
            previous: self.previous.as_ref().map(|previous| StoredLogin {
                user: previous.user.clone(),
                password: text(&previous.password),
            }),
        }
    }

    fn parse(name: &str, bytes: &[u8]) -> Option<Self> {
        let stored: Stored = serde_json::from_slice(bytes).ok()?;
        let login = |user, password: String| Login { user, password: password.into() };
        Some(Self {
            name: name.into(),
            kind: stored.kind,
            is_enabled: stored.enabled,
            login: login(stored.user, stored.password),
            previous: stored.previous.map(|previous| login(previous.user, previous.password)),
        })
    }
}

/// The sources in the data of the Secret, in the order of their names.
pub(super) fn of(data: &Data) -> Vec<Source> {
    let source =
        |(key, value): (&String, &Vec<u8>)| Source::parse(key.strip_prefix(PREFIX)?, value);
    data.iter().filter_map(source).collect()
}

/// Whether Ralph reads a key of the Secret. The accounts file follows from those of sources.
pub(super) fn are_read(key: &str) -> bool {
    !key.starts_with(PREFIX)
}

/// The sources of a stack.
///
/// # Errors
/// When the Secret of the LRS cannot be read.
pub async fn all(stack: &Stack) -> Result<Vec<Source>> {
    Ok(of(&secrets::read(&stack.api(), NAME).await?.unwrap_or_default()))
}

/// The source with a name.
///
/// # Errors
/// When there is none, and when the Secret of the LRS cannot be read.
pub async fn find(stack: &Stack, name: &str) -> Result<Source> {
    let found = all(stack).await?.into_iter().find(|source| source.name == name);
    found.ok_or_else(|| {
        Failure::failed(format!("there is no source `{name}` in namespace {}", stack.namespace()))
            .hint(format!("list the sources: kubectl lastack sources list{}", stack.cluster.flags))
            .into()
    })
}

/// Stores a source. The accounts file follows when the node `lrs.credentials` is reconciled.
///
/// # Errors
/// When the Secret of the LRS cannot be written.
pub async fn store(stack: &Stack, source: &Source) -> Result<()> {
    write(stack, &source.name, json!(serde_json::to_string(&source.stored())?)).await
}

/// Deletes a source, whose account must be disabled.
///
/// # Errors
/// When the Secret of the LRS cannot be written.
pub async fn delete(stack: &Stack, name: &str) -> Result<()> {
    write(stack, name, Value::Null).await
}

async fn write(stack: &Stack, name: &str, value: Value) -> Result<()> {
    let key = format!("{PREFIX}{name}");
    let patch = match value {
        Value::Null => json!({"data": {key: null}}),
        text => json!({"stringData": {key: text}}),
    };
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
    let written = stack.api::<Secret>().patch(NAME, &params, &Patch::Merge(&patch)).await;
    written.map(drop).with_context(|| format!("secret {NAME}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn source_is_parsed_as_stored_and_keeps_both_logins_during_a_rotation() {
        let mut source = Source::new("campus", SourceKind::Openedx);
        let first = source.login.password.expose_secret().to_string();
        source.rotate();
        let text = serde_json::to_vec(&source.stored()).unwrap();
        let data = Data::from([
            ("source.campus".to_string(), text),
            ("source.broken".to_string(), b"{".to_vec()),
            ("password".to_string(), b"x".to_vec()),
        ]);
        let [parsed] = <[Source; 1]>::try_from(of(&data)).unwrap();
        assert_eq!((parsed.kind, parsed.is_enabled), (SourceKind::Openedx, true));
        let users: Vec<&str> = parsed.logins().map(|login| login.user.as_str()).collect();
        assert_eq!(users, ["campus.2", "campus"]);
        assert_eq!(parsed.previous.as_ref().unwrap().password.expose_secret(), first);
        assert_ne!(parsed.login.password.expose_secret(), first);
        source.is_enabled = false;
        assert_eq!(source.logins().count(), 0, "a disabled source has no valid login");
        source.rotate();
        assert_eq!(source.login.user, "campus");
    }

    #[test]
    fn names_of_sources_are_user_names_of_the_lrs() {
        assert_eq!(valid_name("campus-2"), Ok("campus-2".into()));
        for invalid in ["", "admin", "moodle", "Campus", "a.b", "-a", "a-", "a b", &"a".repeat(41)]
        {
            assert!(valid_name(invalid).is_err(), "{invalid}");
        }
    }
}
