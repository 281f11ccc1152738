//! Superset's connection to the data lake: the driver, the account with least privileges, and verified TLS.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::cluster::secrets;
use crate::cluster::steps::Step;
use crate::cluster::wait::State;
use crate::components::datalake;
use crate::engine::{Id, Observation, Progress, Reconciled, Resource, Scope};
use crate::error::{Diagnosis, one_line};
use crate::stack::Stack;

use super::COMPONENT;
use super::client;
use super::client::{Kind, Superset};
use super::dashboards::asset::Asset;
use super::dashboards::bundle::Bundle;
use super::dashboards::natural_key;
use super::dashboards::record::{Applied, Origin, Record};
use super::dashboards::sync;

pub struct DatabaseConnection;

/// The connection in `dashboards/`.
pub fn ours() -> Result<Asset> {
    let bundle = Bundle::ours()?;
    bundle.of_kind(Kind::Database).next().cloned().context("dashboards/ has no database")
}

/// A digest of the file and of the password, which it does not reveal.
async fn digest(stack: &Stack, database: &Asset) -> Result<String> {
    let secret = datalake::user_secret("dashboards");
    Ok(format!(
        "{}-{}",
        database.digest(),
        secrets::checksum(&stack.cluster, &[&secret], secrets::ALL).await?
    ))
}

/// The diagnosis when Superset cannot import the driver.
pub async fn without_driver(stack: &Stack, superset: &Superset) -> Result<Option<Diagnosis>> {
    Ok((!superset.has_driver().await?).then(|| {
        Diagnosis::new(
            "Superset cannot import the driver for Elasticsearch",
            format!(
                "run `kubectl logs deployment/{} -c drivers -n {}` for the cause",
                super::NAME,
                stack.namespace()
            ),
        )
    }))
}

/// The asset to import. When a user changed the connection, it contains only the fields that reach the data lake, and the
/// three that Superset requires. An import does not change omitted fields.
async fn to_import(stack: &Stack, superset: &Superset, database: &Asset) -> Result<Asset> {
    let Some(existing) = superset.find(Kind::Database, database.uuid).await? else {
        return Ok(database.clone());
    };
    if Record::load(stack)
        .await?
        .applied
        .get(&database.uuid)
        .is_some_and(|applied| applied.changed_on == existing.changed_on)
    {
        return Ok(database.clone());
    }
    let theirs = superset.connection(existing.id).await?;
    let mut asset = database.clone();
    asset.content.retain(|key, _| matches!(key.as_str(), "uuid" | "version" | "sqlalchemy_uri"));
    let extra = theirs["extra"]
        .as_str()
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_else(|| json!({}));
    asset.content.insert("database_name".into(), json!(existing.title));
    asset.content.insert("extra".into(), extra);
    asset.content.insert("allow_csv_upload".into(), json!(theirs["allow_file_upload"] == true));
    Ok(asset)
}

/// Whether a connection has the address, account and TLS settings of the file, in any order.
fn is_same_address(connection: &Value, database: &Asset) -> bool {
    let parts = |uri: &Value| {
        let (address, settings) = uri.as_str()?.split_once('?')?;
        let settings: BTreeSet<(String, String)> =
            form_urlencoded::parse(settings.as_bytes()).into_owned().collect();
        Some((address.trim_end_matches('/').to_string(), settings))
    };
    let ours = database.content.get("sqlalchemy_uri").and_then(parts);
    ours.is_some() && parts(&connection["sqlalchemy_uri"]) == ours
}

/// Why no chart can have data, if the connection exists.
pub async fn connection_problem(stack: &Stack, superset: &Superset) -> Result<Option<String>> {
    if let Some(Diagnosis { cause, hint, .. }) = without_driver(stack, superset).await? {
        return Ok(Some(format!("{cause}: {hint}")));
    }
    let Some(existing) = superset.find(Kind::Database, ours()?.uuid).await? else {
        return Ok(None);
    };
    Ok(superset
        .reach(existing.id)
        .await?
        .map(|why| format!("Superset cannot reach the data lake: {why}")))
}

/// Lets Superset list the tables of the data lake. None on success, else the reason.
async fn probe(superset: &Superset, database: &Asset) -> Result<Option<String>> {
    let Some(existing) = superset.find(Kind::Database, database.uuid).await? else {
        return Ok(Some("not created yet".into()));
    };
    superset.reach(existing.id).await
}

#[async_trait]
impl Resource<Stack> for DatabaseConnection {
    fn id(&self) -> Id {
        Id("dataviz.database")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("dataviz.responds"), Id("datalake.index")]
    }

    fn scope(&self) -> Scope {
        Scope::Setting
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let superset = client(stack).await?;
        if let Some(blocked) = without_driver(stack, &superset).await? {
            return Ok(Observation::Blocked(blocked));
        }
        let database = ours()?;
        let listed = superset.list(Kind::Database).await?;
        let Some(existing) = listed.iter().find(|listed| listed.uuid == database.uuid) else {
            // an import would replace it
            return Ok(match natural_key::occupant(&database, &listed) {
                Some(other) => Observation::blocked(
                    format!(
                        "Superset has another connection with the name `{}`, which an import would replace",
                        other.title
                    ),
                    "rename it in Superset under Settings, Database Connections",
                ),
                None => Observation::Missing(format!("database `{}`", database.title())),
            });
        };
        let what = format!("database `{}`", database.title());
        let digest = digest(stack, &database).await?;
        let record = Record::load(stack).await?;
        let applied = record.applied.get(&database.uuid);
        let is_applied = match applied.filter(|applied| applied.digest == digest) {
            None => false,
            Some(applied) if applied.changed_on == existing.changed_on => true,
            // users may rename the connection and change its options, but not its target
            Some(_) => is_same_address(&superset.connection(existing.id).await?, &database),
        };
        if !is_applied {
            return Ok(Observation::drifted(
                what,
                "another connection or password",
                "account `dashboards` over verified TLS",
            ));
        }
        Ok(match superset.reach(existing.id).await? {
            None => Observation::Equal(what),
            Some(why) => Observation::drifted(what, why, "reaching the data lake"),
        })
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let superset = client(stack).await?;
        let database = ours()?;
        sync::forget_lost_assets(stack, &superset).await?;
        let password =
            secrets::value(&stack.cluster, &datalake::user_secret("dashboards"), "password")
                .await?;
        let passwords = json!({database.path(): password.expose_secret()});
        let assets = vec![to_import(stack, &superset, &database).await?];
        let bundle = Bundle { assets, ..Bundle::default() };
        superset.import(&bundle.to_zip()?, &passwords).await?;
        // the operator passes a new password to Elasticsearch with a delay
        let reached = stack
            .until("Superset's connection to the data lake", progress, || async {
                Ok(match probe(&superset, &database).await {
                    Ok(None) => State::Ready(format!("database `{}`", database.title())),
                    Ok(Some(why)) => State::Waiting(why),
                    Err(error) => State::Waiting(one_line(&error)),
                })
            })
            .await?;
        loop {
            let record = Record::load(stack).await?;
            let Some(existing) = superset.find(Kind::Database, database.uuid).await? else { break };
            let applied = Applied {
                digest: digest(stack, &database).await?,
                changed_on: existing.changed_on,
                origin: Origin::Program,
            };
            if record.remember(stack, &BTreeMap::from([(database.uuid, applied)])).await? {
                break;
            }
        }
        Ok(reached)
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        Ok(vec![Step::Verb {
            verb: format!("configure {COMPONENT}{}", stack.cluster.flags),
            reason: "Superset imports connections and dashboards only through its API, after a login. \
                     The verb also grants the role of teachers.",
        }])
    }
}
