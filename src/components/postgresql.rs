//! PostgreSQL with a component's own data: a StatefulSet of its release, or an external database from the chart values.

use anyhow::{Context, Result};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::psql::{self, Psql};
use crate::cluster::rollout;
use crate::cluster::secrets::ALL;
use crate::cluster::wait::State;
use crate::error::Failure;
use crate::stack::Stack;
use crate::stack::component::ComponentName;
use crate::stack::profiles::DatabaseSize;
use crate::stack::settings::Settings;

use super::model::{DataStore, ExternalDatabase};
use super::release;
use super::secrets::SecretSpec;

pub struct Database {
    /// The program whose data it contains.
    pub program: &'static str,
    pub component: ComponentName,
    /// The StatefulSet, the Service and the Secret.
    pub name: &'static str,
    /// The Job that copies an external database.
    pub client: &'static str,
}

/// The values that this program gives to a chart for its database.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Values {
    image: release::Image,
    existing_secret: &'static str,
    /// Changes with the Secret, which restarts the Pod. The Pod then sets the new password.
    secret_checksum: String,
    storage: Quantity,
    resources: Value,
}

impl Database {
    /// Its chart values.
    ///
    /// # Errors
    /// When an existing StatefulSet cannot be read.
    pub async fn values(&self, stack: &Stack, size: &DatabaseSize) -> Result<Values> {
        Ok(Values {
            image: release::image(stack, self.component, "postgresql")?,
            existing_secret: self.name,
            secret_checksum: release::secret_checksum(stack, &[self.secret(stack)], ALL).await?,
            storage: self.storage(stack, &size.storage).await?,
            resources: size.resources(),
        })
    }

    /// Chart values for a test.
    #[cfg(test)]
    pub fn example(&self, size: &DatabaseSize) -> Values {
        Values {
            image: release::Image::example(),
            existing_secret: self.name,
            secret_checksum: "0a1b".into(),
            storage: size.storage.clone(),
            resources: size.resources(),
        }
    }

    /// Whether it is part of the stack.
    pub fn is_ours(&self, stack: &Stack) -> bool {
        self.is_in(&stack.settings)
    }

    fn is_in(&self, settings: &Settings) -> bool {
        let values = settings.values_of(self.component);
        values.is_none_or(|values| values["postgresql"]["enabled"] != false)
    }

    /// The store of its data.
    pub fn data_store(&self, settings: &Settings) -> DataStore {
        match self.is_in(settings) {
            true => DataStore::Database(self.name),
            false => DataStore::ExternalDatabase(ExternalDatabase {
                program: self.program,
                component: self.component,
                client: self.client,
            }),
        }
    }

    /// The Secret with its password. The chart values may name another one.
    pub fn secret<'a>(&'a self, stack: &'a Stack) -> &'a str {
        let pointer = if self.is_ours(stack) {
            "/postgresql/existingSecret"
        } else {
            "/externalDatabase/existingSecret"
        };
        let named = stack
            .settings
            .values_of(self.component)
            .and_then(|values| values.pointer(pointer)?.as_str());
        named.filter(|name| !name.is_empty()).unwrap_or(self.name)
    }

    /// These Secrets of its component, without its own when the chart values name another one.
    pub fn without_users_secret(
        &self,
        stack: &Stack,
        mut secrets: Vec<SecretSpec>,
    ) -> Vec<SecretSpec> {
        secrets.retain(|secret| secret.name != self.name || self.secret(stack) == self.name);
        secrets
    }

    /// Observes its rollout. None when it is not part of the stack.
    ///
    /// # Errors
    /// When the StatefulSet cannot be read.
    pub async fn look(&self, stack: &Stack) -> Result<Option<State>> {
        match self.is_ours(stack) {
            true => rollout::stateful_set(&stack.cluster, self.name).await.map(Some),
            false => Ok(None),
        }
    }

    /// Shell commands that wait for it.
    pub fn waits(&self, stack: &Stack) -> Vec<String> {
        let (name, namespace) = (self.name, stack.namespace());
        let wait =
            format!("kubectl rollout status statefulset/{name} -n {namespace} --timeout=15m");
        self.is_ours(stack).then_some(wait).into_iter().collect()
    }

    /// The size of its volume. Kubernetes does not allow changing the size of an existing StatefulSet's volume.
    async fn storage(&self, stack: &Stack, wanted: &Quantity) -> Result<Quantity> {
        if !stack.reads_cluster() {
            return Ok(wanted.clone());
        }
        let set = stack
            .api::<StatefulSet>()
            .get_opt(self.name)
            .await
            .with_context(|| format!("statefulset {}", self.name))?;
        let existing = set.and_then(|set| {
            rollout::requested(
                set.spec?.volume_claim_templates?.into_iter().next()?.spec?.resources?,
            )
        });
        Ok(existing.unwrap_or_else(|| wanted.clone()))
    }

    /// The result of an SQL query that identifies the schema of its data.
    ///
    /// # Errors
    /// When it is not part of the stack or does not respond.
    pub async fn schema(&self, stack: &Stack, query: &str) -> Result<String> {
        if !self.is_ours(stack) {
            let what = format!("{}'s PostgreSQL is not part of this stack", self.program);
            return Err(Failure::failed(what).into());
        }
        let found = Psql::of(&stack.cluster, self.name).sql(psql::LIVE, query).await?;
        Ok(found.trim().to_string())
    }

    /// Why it is down. None when it is ready or cannot be observed.
    pub async fn problem(&self, stack: &Stack) -> Option<anyhow::Error> {
        let state = self.look(stack).await.ok()??;
        let why = state.reason()?;
        let hint = "run `kubectl lastack install` to repair it";
        Some(
            Failure::failed(format!("{}'s PostgreSQL is down: {why}", self.program))
                .hint(hint)
                .into(),
        )
    }

    /// Adds to an error that an external database, which cannot be observed, may be the cause.
    pub fn may_have_caused(&self, stack: &Stack, error: anyhow::Error) -> anyhow::Error {
        match self.is_ours(stack) {
            true => error,
            false => error.context(format!(
                "{}'s PostgreSQL is not part of this stack, and may be the cause",
                self.program
            )),
        }
    }
}

/// The state of a workload that depends on a database. A problem of the database comes first.
pub fn on_top(database: Option<State>, state: State) -> State {
    match (database, state) {
        (Some(fatal @ State::Fatal(_)), _) | (_, fatal @ State::Fatal(_)) => fatal,
        (Some(waiting @ State::Waiting(_)), _) => waiting,
        (_, state) => state,
    }
}
