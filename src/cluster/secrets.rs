//! Reads values of Secrets.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::error::Failure;

use super::Cluster;

/// The keys of a Secret and their values.
pub type Data = BTreeMap<String, Vec<u8>>;

/// Reads a Secret. None when it does not exist.
///
/// # Errors
/// When the Secret cannot be read.
pub async fn get(api: &Api<Secret>, name: &str) -> Result<Option<Secret>> {
    api.get_opt(name).await.with_context(|| format!("secret {name}"))
}

pub fn data_of(secret: Secret) -> Data {
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect()
}

pub async fn read(api: &Api<Secret>, name: &str) -> Result<Option<Data>> {
    Ok(get(api, name).await?.map(data_of))
}

/// One key of a Secret as text.
///
/// # Errors
/// When the Secret or the key is absent, cannot be read, or is not UTF-8.
pub async fn value(cluster: &Cluster, name: &str, key: &str) -> Result<SecretString> {
    optional(cluster, name, key).await?.ok_or_else(|| {
        Failure::failed(format!(
            "secret {name} in namespace {} is missing or has no key {key}",
            cluster.namespace
        ))
        .hint("run `kubectl lastack install` to create it")
        .into()
    })
}

/// The same. None when the Secret or the key is absent.
///
/// # Errors
/// When the Secret cannot be read, or the value is not UTF-8.
pub async fn optional(cluster: &Cluster, name: &str, key: &str) -> Result<Option<SecretString>> {
    let Some(mut data) = read(&cluster.api(), name).await? else { return Ok(None) };
    let Some(bytes) = data.remove(key) else { return Ok(None) };
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::failed(format!("key {key} of secret {name} is not text")))?;
    Ok(Some(text.into()))
}

/// Selects the keys of Secrets that Pods read.
pub type Keys = fn(&str) -> bool;
/// All keys.
pub const ALL: Keys = |_| true;

/// A checksum that changes with these keys of Secrets, to restart the Pods that read them. It does not reveal the values.
///
/// # Errors
/// When a Secret cannot be read.
pub async fn checksum(cluster: &Cluster, names: &[&str], keys: Keys) -> Result<String> {
    let mut hash = Sha256::new();
    for name in names {
        let data = read(&cluster.api(), name).await?.unwrap_or_default();
        for (key, value) in data.into_iter().filter(|(key, _)| keys(key)) {
            hash.update(key);
            hash.update(Sha256::digest(&value));
        }
    }
    Ok(HEXLOWER.encode(&hash.finalize()[..16]))
}
