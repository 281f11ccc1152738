//! Passwords: made once, kept in Secrets, never overwritten.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use rand::RngExt;
use rand::distr::Alphanumeric;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};

use crate::error::Failure;
use crate::stack::Stack;
use crate::stack::step::{Blocked, Converged, Observed};

use super::apply;

/// Letters and digits only: safe in an URL, in YAML and in a shell. 24 of them are 142 bits.
pub fn password() -> SecretString {
    rand::rng().sample_iter(Alphanumeric).take(24).map(char::from).collect::<String>().into()
}

async fn get(api: &Api<Secret>, name: &str) -> Result<Option<Secret>> {
    api.get_opt(name).await.with_context(|| format!("secret {name}"))
}

fn data_of(secret: Secret) -> Data {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

pub async fn read(api: &Api<Secret>, name: &str) -> Result<Option<Data>> {
    Ok(get(api, name).await?.map(data_of))
}

/// One key of a Secret as text.
pub async fn value(stack: &Stack, name: &str, key: &str) -> Result<SecretString> {
    optional(stack, name, key).await?.ok_or_else(|| {
        Failure::failed(format!(
            "secret {name} of namespace {} is not there or has no key {key}",
            stack.namespace()
        ))
        .hint("`kubectl lastack install` makes it")
        .into()
    })
}

pub async fn optional(stack: &Stack, name: &str, key: &str) -> Result<Option<SecretString>> {
    let Some(mut data) = read(&stack.api(), name).await? else { return Ok(None) };
    let Some(bytes) = data.remove(key) else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::failed(format!("key {key} of secret {name} is not text")))?;
    Ok(Some(text.into()))
}

/// Changes when anything in these Secrets does, so that what reads them can start anew; says nothing about the values.
pub async fn checksum(stack: &Stack, names: &[&str]) -> Result<String> {
    let mut hash = Sha256::new();
    for name in names {
        for (key, value) in read(&stack.api(), name).await?.unwrap_or_default() {
            hash.update(key);
            hash.update(Sha256::digest(&value));
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()[..16]))
}

/// A Secret whose random parts are made once and whose other parts follow the program.
pub struct Keep {
    pub name: &'static str,
    /// The Secret's type, such as `Opaque`.
    pub kind: &'static str,
    pub labels: serde_json::Value,
    pub keys: Vec<(&'static str, Key)>,
}

pub enum Key {
    Fixed(String),
    /// Made once, never changed.
    Password,
    /// Follows from the other keys: `fits` tells whether a value still does, `make` makes a new one.
    Derived {
        fits: fn(&Data, &[u8]) -> bool,
        make: fn(&Data) -> Result<Vec<u8>>,
    },
}

pub type Data = BTreeMap<String, Vec<u8>>;

/// What is there under the name of a Secret.
enum Found {
    Nothing,
    AsItShouldBe,
    /// The keys that are absent or not as they should be, with the values to give them.
    Wrong(Data),
    /// Somebody else made it, and these keys are not as they should be: it is not ours to change.
    Others(Blocked),
}

impl Keep {
    /// A Secret that a person made beforehand is used as it is, if it has all that is needed.
    async fn look(&self, stack: &Stack) -> Result<Found> {
        let Some(secret) = get(&stack.api(), self.name).await? else { return Ok(Found::Nothing) };
        let is_ours = apply::is_ours(&secret.metadata);
        let repairs = self.fill(&mut data_of(secret))?;
        Ok(if repairs.is_empty() {
            Found::AsItShouldBe
        } else if is_ours {
            Found::Wrong(repairs)
        } else {
            let (name, namespace) = (self.name, stack.namespace());
            Found::Others(Blocked {
                why: format!(
                    "secret {name} of namespace {namespace} was not made by this tool, and lacks what is needed: {}",
                    keys(&repairs)
                ),
                hint: apply::others_hint("secret", name, namespace),
            })
        })
    }

    /// Brings `data` to what it should be and gives what was changed.
    fn fill(&self, data: &mut Data) -> Result<Data> {
        let mut changed = Data::new();
        for (key, rule) in &self.keys {
            let value = data.get(*key).filter(|value| !value.is_empty());
            let wanted = match (rule, value) {
                (Key::Password, Some(_)) => None,
                (Key::Password, None) => Some(password().expose_secret().as_bytes().to_vec()),
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

    pub async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let secret = format!("secret {}", self.name);
        Ok(match self.look(stack).await? {
            Found::Nothing => Observed::Missing(secret),
            Found::AsItShouldBe => Observed::Ok(secret),
            Found::Wrong(repairs) => Observed::drifted(
                secret,
                format!("wrong in {}", keys(&repairs)),
                "as this tool makes it",
            ),
            Found::Others(blocked) => Observed::Blocked(blocked),
        })
    }

    pub async fn converge(&self, stack: &Stack) -> Result<()> {
        let api: Api<Secret> = stack.api();
        loop {
            let missing = match self.look(stack).await? {
                Found::AsItShouldBe => return Ok(()),
                Found::Others(Blocked { why, hint }) => {
                    return Err(Failure::failed(why).hint(hint).into());
                }
                Found::Wrong(repairs) => {
                    let patch = serde_json::json!({"data": bytes(repairs)});
                    let params = PatchParams {
                        field_manager: Some(apply::FIELD_MANAGER.into()),
                        ..Default::default()
                    };
                    api.patch(self.name, &params, &Patch::Merge(&patch))
                        .await
                        .with_context(|| format!("secret {}", self.name))?;
                    return Ok(());
                }
                Found::Nothing => self.fresh()?,
            };
            let params = PostParams {
                field_manager: Some(apply::FIELD_MANAGER.into()),
                ..Default::default()
            };
            match api.create(&params, &missing).await {
                Ok(_) => return Ok(()),
                // somebody made it in between: theirs counts, look again
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(error).with_context(|| format!("secret {}", self.name)),
            }
        }
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

/// The first of these Secrets that is not as it should be; `detail` when all are.
pub async fn observe_all(stack: &Stack, secrets: &[Keep], detail: &str) -> Result<Observed> {
    for secret in secrets {
        match secret.observe(stack).await? {
            Observed::Ok(_) => {}
            other => return Ok(other),
        }
    }
    Ok(Observed::Ok(detail.into()))
}

pub async fn converge_all(stack: &Stack, secrets: &[Keep], detail: &str) -> Result<Converged> {
    for secret in secrets {
        secret.converge(stack).await?;
    }
    Ok(Converged::Done(detail.into()))
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

    fn keep() -> Keep {
        let keys = vec![
            ("username", Key::Fixed("admin".into())),
            ("password", Key::Password),
            (
                "copy",
                Key::Derived {
                    fits: |data, value| data["password"] == value,
                    make: |data| Ok(data["password"].clone()),
                },
            ),
        ];
        Keep { name: "s", kind: "Opaque", labels: serde_json::json!({}), keys }
    }

    #[test]
    fn a_password_is_made_once_and_what_follows_from_it_follows() {
        let mut data = Data::new();
        assert_eq!(keep().fill(&mut data).unwrap().len(), 3);
        assert_eq!(data["password"].len(), 24);
        assert_eq!(data["copy"], data["password"]);
        assert!(keep().fill(&mut data).unwrap().is_empty(), "a second run must change nothing");
        data.insert("password".into(), b"chosen by a person".to_vec());
        let changed = keep().fill(&mut data).unwrap();
        assert_eq!(changed.keys().collect::<Vec<_>>(), ["copy"], "a person's password is kept");
        assert_eq!(data["copy"], b"chosen by a person");
    }

    #[test]
    fn two_passwords_are_never_the_same() {
        let (a, b) = (password(), password());
        assert_ne!(a.expose_secret(), b.expose_secret());
        assert!(a.expose_secret().chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
