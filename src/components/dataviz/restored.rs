//! What a backup and a restore need of Superset, beside its database.

use anyhow::{Context, Result};
use data_encoding::HEXLOWER;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};

use crate::cluster::{object, secrets};
use crate::stack::Stack;

use super::superset::JOBS;
use super::{NAME, RELEASE};

/// Deletes values that only the key of another stack decrypts. Superset fails when it reads them.
pub const FORGET_ENCRYPTED: &str = "
UPDATE dbs SET password = NULL, encrypted_extra = NULL, server_cert = NULL;
UPDATE ssh_tunnels SET password = NULL, private_key = NULL, private_key_password = NULL;
DELETE FROM database_user_oauth2_tokens;
";

/// A checksum of the key that encrypts values in Superset's database. None: there is no key.
///
/// # Errors
/// When the Secret cannot be read.
pub async fn key_checksum(stack: &Stack) -> Result<Option<String>> {
    let key = secrets::optional(&stack.cluster, NAME, "secret-key").await?;
    let checksum = |key: &str| HEXLOWER.encode(&Sha256::digest(key)[..16]);
    Ok(key.map(|key| checksum(key.expose_secret())))
}

/// Replaces the Pods of Superset and its cache, and lets its database be prepared again.
///
/// # Errors
/// When an object cannot be deleted.
pub async fn restart(stack: &Stack) -> Result<()> {
    let jobs = ListParams::default().labels(JOBS);
    stack
        .api::<Job>()
        .delete_collection(&DeleteParams::background(), &jobs)
        .await
        .context("the jobs of Superset")?;
    let instance = object::of_release(RELEASE);
    let pods = format!("{instance},app.kubernetes.io/component in (web,worker,beat,cache)");
    stack
        .api::<Pod>()
        .delete_collection(&DeleteParams::default(), &ListParams::default().labels(&pods))
        .await
        .context("the pods of Superset")?;
    Ok(())
}
