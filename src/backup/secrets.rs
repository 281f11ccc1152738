//! The Secrets of a stack, encrypted for recipients with the format of age.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::path::Path;

pub use age::x25519::Recipient as PublicKey;
use age::{Decryptor, Encryptor, Identity, IdentityFile, Recipient};
use anyhow::{Context, Result};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use secrecy::zeroize::Zeroizing;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cluster::object::{self, FIELD_MANAGER};
use crate::cluster::secrets::{Data, data_of};
use crate::error::Failure;
use crate::stack::Stack;

/// Parses the public key of an age identity.
///
/// # Errors
/// When the text is no such key.
pub fn recipient(text: &str) -> Result<PublicKey, String> {
    let parsed = text.parse();
    parsed.map_err(|_| "expected a public key such as age1..., which `age-keygen` prints".into())
}

/// The private key of a recipient.
pub type Key = Box<dyn Identity + Send + Sync>;

/// A Secret as the backup stores it.
#[derive(Serialize, Deserialize)]
pub struct Stored {
    pub name: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    labels: BTreeMap<String, String>,
    data: BTreeMap<String, ByteString>,
}

/// The Secrets that this tool created in the namespace.
///
/// # Errors
/// When they cannot be listed.
pub async fn of(stack: &Stack) -> Result<Vec<Stored>> {
    let (part_of, lastack) = object::PART_OF;
    let ours = format!("{part_of}={lastack},{}={FIELD_MANAGER}", object::MANAGED_BY);
    let listed = stack.api::<Secret>().list(&ListParams::default().labels(&ours)).await;
    let secrets = listed.context("the secrets of the stack")?.items;
    Ok(secrets
        .into_iter()
        .map(|secret| Stored {
            name: secret.metadata.name.clone().unwrap_or_default(),
            kind: secret.type_.clone(),
            labels: secret.metadata.labels.clone().unwrap_or_default(),
            data: secret.data.unwrap_or_default(),
        })
        .collect())
}

/// Encrypts Secrets for all recipients.
///
/// # Errors
/// When the recipients cannot be combined.
pub fn encrypt(secrets: &[Stored], recipients: &[PublicKey]) -> Result<Vec<u8>> {
    let text = Zeroizing::new(serde_json::to_vec(secrets)?);
    let recipients = recipients.iter().map(|recipient| recipient as &dyn Recipient);
    let encryptor = Encryptor::with_recipients(recipients).context("the recipients")?;
    let mut encrypted = Vec::new();
    let mut writer = encryptor.wrap_output(&mut encrypted)?;
    writer.write_all(&text)?;
    writer.finish()?;
    Ok(encrypted)
}

/// Reads a file with age identities, as `age-keygen` writes it.
///
/// # Errors
/// When it cannot be read or contains no identity.
pub fn identities(file: &Path) -> Result<Vec<Key>> {
    let usage = |why: String| Failure::usage(format!("{}: {why}", file.display()));
    let text = std::fs::read(file).map_err(|error| usage(error.to_string()))?;
    let text = Zeroizing::new(text);
    let identities = IdentityFile::from_buffer(text.as_slice());
    let identities = identities.map_err(|_| usage("not a file with age identities".into()))?;
    identities.into_identities().map_err(|error| usage(error.to_string()).into())
}

/// Decrypts Secrets.
///
/// # Errors
/// When none of the identities is that of a recipient, and when the file is damaged.
pub fn decrypt(encrypted: &[u8], identities: &[Key]) -> Result<Vec<Stored>> {
    let decryptor = Decryptor::new(encrypted).context("the encrypted secrets are damaged")?;
    let identities = identities.iter().map(|identity| identity.as_ref() as &dyn Identity);
    let mut reader = decryptor.decrypt(identities).map_err(|error| match error {
        age::DecryptError::NoMatchingKeys => {
            Failure::failed("the secrets were encrypted for another recipient")
                .hint("pass the identity file of the recipient with `--identity`")
        }
        other => Failure::failed(format!("the encrypted secrets are damaged: {other}")),
    })?;
    let mut text = Zeroizing::new(Vec::new());
    reader.read_to_end(&mut text).context("the encrypted secrets are damaged")?;
    serde_json::from_slice(&text).context("the encrypted secrets are damaged")
}

/// Makes the Secrets of the namespace equal to those of a backup. Returns the names of the changed ones. A Secret that another
/// tool created is left in place.
///
/// # Errors
/// When a Secret cannot be read or written.
pub async fn apply(stack: &Stack, secrets: &[Stored]) -> Result<Vec<String>> {
    let api = stack.api::<Secret>();
    let mut changed = Vec::new();
    for secret in secrets {
        let name = &secret.name;
        let context = || format!("secret {name}");
        match api.get_opt(name).await.with_context(context)? {
            None => {
                let new: Secret = serde_json::from_value(json!({
                    "metadata": {"name": name, "labels": secret.labels},
                    "type": secret.kind, "data": secret.data,
                }))?;
                let params =
                    PostParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
                api.create(&params, &new).await.with_context(context)?;
            }
            Some(live) if !object::is_ours(&live.metadata) => continue,
            Some(live) => {
                let wanted: Data =
                    secret.data.iter().map(|(key, value)| (key.clone(), value.0.clone())).collect();
                if data_of(live) == wanted {
                    continue;
                }
                let patch = json!({"data": secret.data});
                let params =
                    PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..Default::default() };
                api.patch(name, &params, &Patch::Merge(&patch)).await.with_context(context)?;
            }
        }
        changed.push(name.clone());
    }
    Ok(changed)
}
