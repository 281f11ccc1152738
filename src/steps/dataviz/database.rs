//! Superset's connection to the data lake: the driver, the least account, verified TLS.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use async_trait::async_trait;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::clients::secrets;
use crate::clients::superset::{Kind, Superset};
use crate::clients::wait::{self, State};
use crate::dashboards::bundle::{Asset, Bundle};
use crate::dashboards::place;
use crate::dashboards::record::{Applied, Origin, Record};
use crate::dashboards::sync;
use crate::error::one_line;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Blocked, Converged, Observed, Step, StepId};
use crate::steps::datalake;

use super::client;

pub struct Database;

/// The connection as a file of `dashboards/`.
pub fn ours() -> Result<Asset> {
    let bundle = Bundle::ours()?;
    bundle.of_kind(Kind::Database).next().cloned().context("dashboards/ has no database")
}

/// Follows the file and the password, without saying anything about it.
async fn digest(stack: &Stack, database: &Asset) -> Result<String> {
    let secret = datalake::user_secret("dashboards");
    Ok(format!("{}-{}", database.digest(), secrets::checksum(stack, &[&secret]).await?))
}

/// That the driver cannot be imported, if so.
pub async fn without_driver(stack: &Stack, superset: &Superset) -> Result<Option<Blocked>> {
    Ok((!superset.has_driver().await?).then(|| Blocked {
        why: "Superset cannot import the driver for Elasticsearch".into(),
        hint: format!("kubectl logs deployment/{} -c drivers -n {}", super::NAME, stack.namespace()),
    }))
}

/// Why no chart can have data, as far as the connection is made.
pub async fn fault(stack: &Stack, superset: &Superset) -> Result<Option<String>> {
    if let Some(Blocked { why, hint }) = without_driver(stack, superset).await? {
        return Ok(Some(format!("{why}: {hint}")));
    }
    let Some(there) = superset.find(Kind::Database, ours()?.uuid).await? else { return Ok(None) };
    Ok(superset.reach(there.id).await?.map(|fault| format!("Superset does not reach the data lake: {fault}")))
}

/// What Superset says when it is to list the tables of the data lake with what it knows.
async fn probe(superset: &Superset, database: &Asset) -> Result<Option<String>> {
    let Some(there) = superset.find(Kind::Database, database.uuid).await? else {
        return Ok(Some("not made yet".into()));
    };
    superset.reach(there.id).await
}

#[async_trait]
impl Step for Database {
    fn id(&self) -> StepId {
        "dataviz.database"
    }

    fn needs(&self) -> &'static [StepId] {
        &["dataviz.answers", "datalake.index"]
    }

    fn configures(&self) -> bool {
        true
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let superset = client(stack).await?;
        if let Some(blocked) = without_driver(stack, &superset).await? {
            return Ok(Observed::Blocked(blocked));
        }
        let database = ours()?;
        let listed = superset.list(Kind::Database).await?;
        let Some(there) = listed.iter().find(|listed| listed.uuid == database.uuid) else {
            // an import would make it this stack's, with another address and password
            return Ok(match place::occupant(&database, &listed) {
                Some(other) => Observed::blocked(
                    format!("Superset has a connection `{}` that this program did not make, and would replace it", other.title),
                    "give it another name in Superset, under Settings, Database Connections",
                ),
                None => Observed::Missing(format!("database `{}`", database.title())),
            });
        };
        let what = format!("database `{}`", database.title());
        let applied = Applied { digest: digest(stack, &database).await?, changed_on: there.changed_on.clone(), origin: Origin::Program };
        if Record::load(stack).await?.0.get(&database.uuid) != Some(&applied) {
            return Ok(Observed::drifted(what, "another connection or password", "the account dashboards over verified TLS"));
        }
        Ok(match superset.reach(there.id).await? {
            None => Observed::Ok(what),
            Some(fault) => Observed::drifted(what, fault, "reaching the data lake"),
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        let superset = client(stack).await?;
        let database = ours()?;
        sync::forget_what_is_lost(stack, &superset).await?;
        let password = secrets::value(stack, &datalake::user_secret("dashboards"), "password").await?;
        let passwords = json!({database.path(): password.expose_secret()});
        let bundle = Bundle { assets: vec![database.clone()], ..Bundle::default() };
        superset.import(&bundle.to_zip()?, &passwords).await?;
        // the operator takes a while to tell Elasticsearch about a new password
        let reached = wait::until(stack, "Superset's connection to the data lake", progress, || async {
            Ok(match probe(&superset, &database).await {
                Ok(None) => State::Ready(format!("database `{}`", database.title())),
                Ok(Some(fault)) => State::Waiting(fault),
                Err(error) => State::Waiting(one_line(&error)),
            })
        })
        .await?;
        if let Some(there) = superset.find(Kind::Database, database.uuid).await? {
            let applied = Applied { digest: digest(stack, &database).await?, changed_on: there.changed_on, origin: Origin::Program };
            Record::remember(stack, &BTreeMap::from([(database.uuid, applied)])).await?;
        }
        Ok(reached)
    }

    fn explain(&self, _: &Stack) -> Vec<String> {
        vec!["curl -X POST http://localhost:8088/api/v1/assets/import/ -F bundle=@dashboards.zip -F passwords=@FILE".into()]
    }
}
