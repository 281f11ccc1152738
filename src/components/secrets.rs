//! Secrets of a component. Passwords are created once, and only `creds rotate` replaces them; derived values follow them.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use rand::RngExt;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::cluster::object::{self, FIELD_MANAGER};
use crate::cluster::secrets::{Data, data_of, get};
use crate::cluster::steps::{Step, with_expanded_input, yaml};
use crate::engine::{Difference, Observation, Reconciled};
use crate::error::{Diagnosis, Kind};
use crate::stack::Stack;

/// A random password of 24 letters and digits (142 bits), which needs no quoting in a URL, in YAML or in a shell.
pub fn password() -> SecretString {
    rand::rng().sample_iter(Alphanumeric).take(24).map(char::from).collect::<String>().into()
}

/// Prints 24 random letters and digits in a shell.
const RANDOM: &str = "head -c 64 /dev/urandom | base64 | tr -dc A-Za-z0-9 | head -c 24";
/// The placeholder for a random value in a manifest.
const PLACEHOLDER: &str = "RANDOM";

/// The desired state of a Secret. Random values are created once; other values are reconciled.
pub struct SecretSpec {
    pub name: &'static str,
    /// The Secret's type, such as `Opaque`.
    pub kind: &'static str,
    pub labels: serde_json::Value,
    pub keys: Vec<(&'static str, Key)>,
}

pub enum Key {
    Fixed(String),
    /// Created once. Only a rotation replaces it.
    Password,
    /// Created once and never replaced, because stored data depends on it.
    Permanent,
    /// Derived from the other keys. `fits` checks a value against them, and `make` creates a new value. `by_hand` returns
    /// the commands that create the whole Secret.
    Derived {
        fits: fn(&Data, &[u8]) -> bool,
        make: fn(&Data) -> Result<Vec<u8>>,
        by_hand: fn(&SecretSpec, &Stack) -> Result<String>,
    },
}

/// The live state of a Secret.
enum LiveSecret {
    Absent,
    Complete,
    /// The missing or wrong keys, with their desired values.
    Drifted(Data),
    /// Created by another tool or user, and incomplete. This tool must not change it.
    Foreign(Diagnosis),
}

impl SecretSpec {
    /// Observes the Secret. A complete Secret that a user created is used unchanged.
    async fn look(&self, stack: &Stack) -> Result<LiveSecret> {
        let Some(secret) = get(&stack.cluster.api(), self.name).await? else {
            return Ok(LiveSecret::Absent);
        };
        let is_ours = object::is_ours(&secret.metadata);
        let repairs = self.fill(&mut data_of(secret))?;
        Ok(if repairs.is_empty() {
            LiveSecret::Complete
        } else if is_ours {
            LiveSecret::Drifted(repairs)
        } else {
            let (name, namespace) = (self.name, stack.namespace());
            LiveSecret::Foreign(Diagnosis::new(
                format!(
                    "secret {name} in namespace {namespace} was not created by this tool and lacks valid keys: {}",
                    keys(&repairs)
                ),
                object::others_hint("secret", name, namespace),
            ))
        })
    }

    /// Completes `data` and returns the changed keys.
    fn fill(&self, data: &mut Data) -> Result<Data> {
        let mut changed = Data::new();
        for (key, rule) in &self.keys {
            let value = data.get(*key).filter(|value| !value.is_empty());
            let wanted = match (rule, value) {
                (Key::Password | Key::Permanent, Some(_)) => None,
                (Key::Password | Key::Permanent, None) => {
                    Some(password().expose_secret().as_bytes().to_vec())
                }
                (Key::Fixed(text), Some(value)) if text.as_bytes() == value.as_slice() => None,
                (Key::Fixed(text), _) => Some(text.clone().into_bytes()),
                (Key::Derived { fits, .. }, Some(value)) if fits(data, value) => None,
                (Key::Derived { make, .. }, _) => Some(make(data)?),
            };
            if let Some(wanted) = wanted {
                data.insert((*key).to_string(), wanted.clone());
                changed.insert((*key).to_string(), wanted);
            }
        }
        Ok(changed)
    }

    pub async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let secret = format!("secret {}", self.name);
        Ok(match self.look(stack).await? {
            LiveSecret::Absent => Observation::Missing(secret),
            LiveSecret::Complete => Observation::Equal(secret),
            LiveSecret::Drifted(repairs) => Observation::Drifted(vec![Difference::new(
                secret,
                format!("invalid (keys: {})", keys(&repairs)),
                "valid",
            )]),
            LiveSecret::Foreign(blocked) => Observation::Blocked(blocked),
        })
    }

    pub async fn reconcile(&self, stack: &Stack) -> Result<()> {
        let api: Api<Secret> = stack.cluster.api();
        loop {
            let missing = match self.look(stack).await? {
                LiveSecret::Complete => return Ok(()),
                LiveSecret::Foreign(diagnosis) => {
                    return Err(diagnosis.into_failure(Kind::Failed).into());
                }
                LiveSecret::Drifted(repairs) => return self.write(&api, repairs).await,
                LiveSecret::Absent => self.fresh()?,
            };
            let params =
                PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
            match api.create(&params, &missing).await {
                Ok(_) => return Ok(()),
                // another client created it meanwhile: observe it again
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(error).with_context(|| format!("secret {}", self.name)),
            }
        }
    }

    async fn write(&self, api: &Api<Secret>, changed: Data) -> Result<()> {
        let patch = serde_json::json!({"data": bytes(changed)});
        let params =
            PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
        api.patch(self.name, &params, &Patch::Merge(&patch))
            .await
            .with_context(|| format!("secret {}", self.name))?;
        Ok(())
    }

    /// The keys that a rotation replaces.
    pub fn passwords(&self) -> Vec<&'static str> {
        let is_password = |(_, rule): &&(&'static str, Key)| matches!(rule, Key::Password);
        self.keys.iter().filter(is_password).map(|(key, _)| *key).collect()
    }

    /// Whether this tool created the Secret, and may replace its passwords. None when it is absent.
    ///
    /// # Errors
    /// When the Secret cannot be read.
    pub async fn is_ours(&self, stack: &Stack) -> Result<Option<bool>> {
        let secret = get(&stack.cluster.api(), self.name).await?;
        Ok(secret.map(|secret| object::is_ours(&secret.metadata)))
    }

    /// Replaces the passwords, and the values that derive from them.
    ///
    /// # Errors
    /// When the Secret cannot be read or changed.
    pub async fn rotate(&self, stack: &Stack) -> Result<()> {
        let api: Api<Secret> = stack.cluster.api();
        let Some(secret) = get(&api, self.name).await? else { return Ok(()) };
        let mut data = data_of(secret);
        data.retain(|key, _| !self.passwords().contains(&key.as_str()));
        let changed = self.fill(&mut data)?;
        self.write(&api, changed).await
    }

    /// The step by which a user creates the Secret. Random values come from the shell, so that no file and no argument
    /// holds them.
    ///
    /// # Errors
    /// When the manifest cannot be written.
    pub fn step(&self, stack: &Stack) -> Result<Step> {
        let derived = self.keys.iter().find_map(|(_, rule)| match rule {
            Key::Derived { by_hand, .. } => Some(*by_hand),
            _ => None,
        });
        let create = match derived {
            Some(by_hand) => by_hand(self, stack)?,
            None if self.keys.iter().all(|(_, rule)| matches!(rule, Key::Fixed(_))) => {
                return Ok(Step::Apply { file: self.name, manifest: self.manifest() });
            }
            None => {
                let manifest =
                    yaml(&self.manifest())?.replace(PLACEHOLDER, &format!("\"$({RANDOM})\""));
                with_expanded_input(
                    &format!("kubectl create -n {} -f -", stack.namespace()),
                    &manifest,
                )
            }
        };
        let (name, namespace) = (self.name, stack.namespace());
        Ok(Step::Secret {
            name,
            keys: self.keys.iter().map(|(key, _)| *key).collect(),
            commands: format!(
                "kubectl get secret {name} -n {namespace} >/dev/null 2>&1 || {create}"
            ),
        })
    }

    /// The Secret with a placeholder for each random value.
    fn manifest(&self) -> Value {
        let text = |rule: &Key| match rule {
            Key::Fixed(text) => text.clone(),
            _ => PLACEHOLDER.into(),
        };
        let data: BTreeMap<&str, String> =
            self.keys.iter().map(|(key, rule)| (*key, text(rule))).collect();
        json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": self.name, "labels": self.labels},
            "type": self.kind,
            "stringData": data,
        })
    }

    fn fresh(&self) -> Result<Secret> {
        let mut data = Data::new();
        self.fill(&mut data)?;
        let secret = serde_json::json!({
            "metadata": {"name": self.name, "labels": self.labels},
            "type": self.kind,
            "data": bytes(data),
        });
        serde_json::from_value(secret).with_context(|| format!("secret {}", self.name))
    }
}

/// Observes several Secrets as one. `detail` describes the state in which all are complete.
///
/// # Errors
/// When a Secret cannot be read.
pub async fn observe_all(
    stack: &Stack,
    secrets: &[SecretSpec],
    detail: &str,
) -> Result<Observation> {
    let mut differences = Vec::new();
    let mut missing = Vec::new();
    for secret in secrets {
        match secret.observe(stack).await? {
            Observation::Equal(_) => {}
            Observation::Missing(what) => missing.push(what),
            Observation::Drifted(found) => differences.extend(found),
            other => return Ok(other),
        }
    }
    let is_new = missing.len() == secrets.len();
    Ok(match missing.first() {
        Some(_) if is_new => Observation::Missing(missing.join(", ")),
        _ => {
            let absent = |what| Difference::new(what, "absent", "present");
            differences.extend(missing.into_iter().map(absent));
            Observation::compared(differences, || detail.into())
        }
    })
}

pub async fn reconcile_all(
    stack: &Stack,
    secrets: &[SecretSpec],
    detail: &str,
) -> Result<Reconciled> {
    for secret in secrets {
        secret.reconcile(stack).await?;
    }
    Ok(Reconciled::Done(detail.into()))
}

fn keys(data: &Data) -> String {
    data.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn bytes(data: Data) -> BTreeMap<String, ByteString> {
    data.into_iter().map(|(key, value)| (key, ByteString(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> SecretSpec {
        let keys = vec![
            ("username", Key::Fixed("admin".into())),
            ("password", Key::Password),
            (
                "copy",
                Key::Derived {
                    fits: |data, value| data["password"] == value,
                    make: |data| Ok(data["password"].clone()),
                    by_hand: |_, _| Ok(String::new()),
                },
            ),
        ];
        SecretSpec { name: "s", kind: "Opaque", labels: serde_json::json!({}), keys }
    }

    #[test]
    fn password_is_created_once_and_derived_values_follow_it() {
        let mut data = Data::new();
        assert_eq!(spec().fill(&mut data).unwrap().len(), 3);
        assert_eq!(data["password"].len(), 24);
        assert_eq!(data["copy"], data["password"]);
        assert!(spec().fill(&mut data).unwrap().is_empty(), "a second run must change nothing");
        data.insert("password".into(), b"chosen by a user".to_vec());
        let changed = spec().fill(&mut data).unwrap();
        assert_eq!(
            changed.keys().collect::<Vec<_>>(),
            ["copy"],
            "a user's password must not change"
        );
        assert_eq!(data["copy"], b"chosen by a user");
    }

    #[test]
    fn rotation_replaces_passwords_and_keeps_permanent_keys() {
        let mut spec = spec();
        spec.keys.push(("key", Key::Permanent));
        let mut data = Data::new();
        spec.fill(&mut data).unwrap();
        assert_eq!(spec.passwords(), ["password"]);
        data.retain(|key, _| !spec.passwords().contains(&key.as_str()));
        let changed = spec.fill(&mut data).unwrap();
        assert_eq!(changed.keys().collect::<Vec<_>>(), ["copy", "password"]);
    }

    #[test]
    fn passwords_are_random_letters_and_digits() {
        let (a, b) = (password(), password());
        assert_ne!(a.expose_secret(), b.expose_secret());
        assert!(a.expose_secret().chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
