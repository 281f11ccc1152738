//! The helm release with Ralph.

use anyhow::Result;
use async_trait::async_trait;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::helm::Install;
use crate::cluster::object::ObjectRef;
use crate::cluster::rollout;
use crate::cluster::steps::Step;
use crate::components::{datalake, release};
use crate::engine::{
    DeleteOptions, Deletion, Difference, Id, Observation, Progress, Reconciled, Resource,
};
use crate::stack::Stack;

use super::sources;
use super::{COMPONENT, DECLARATION, Lrs, NAME, RELEASE, Size};

/// The values that this program gives to `charts/ralph`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    image: release::Image,
    replicas: u32,
    existing_secret: &'static str,
    /// Changes with the Secrets that the Pods read, which restarts them.
    secret_checksum: String,
    elasticsearch: ElasticsearchValues,
    resources: Value,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ElasticsearchValues {
    host: &'static str,
    index: &'static str,
    existing_secret: String,
    ca_secret: &'static str,
}

pub struct RalphRelease;

impl RalphRelease {
    pub async fn install(stack: &Stack) -> Result<Install> {
        let size: Size = stack.settings.profile().size_of(COMPONENT);
        let account = datalake::user_secret("lrs");
        let values = Values {
            image: release::image(stack, COMPONENT, "ralph")?,
            replicas: size.replicas,
            existing_secret: NAME,
            secret_checksum: release::secret_checksum(stack, &[NAME, &account], sources::are_read)
                .await?,
            elasticsearch: ElasticsearchValues {
                host: datalake::SERVICE,
                index: datalake::INDEX,
                existing_secret: account,
                ca_secret: datalake::AUTHORITY_SECRET,
            },
            resources: size.resources(),
        };
        release::install_component(stack, COMPONENT, RELEASE, &values)
    }
}

#[async_trait]
impl Resource<Stack> for RalphRelease {
    fn id(&self) -> Id {
        Id("lrs.release")
    }

    fn needs(&self) -> &'static [Id] {
        &[Id("lrs.credentials"), Id("datalake.accounts"), Id("datalake.index"), Id("settings")]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observation> {
        let install = Self::install(stack).await?;
        let found = release::observe(stack, &install).await?;
        if !found.is_equal() {
            return Ok(found);
        }
        Ok(release::observed(found, NAME, rollout::deployment(&stack.cluster, NAME).await?))
    }

    async fn differences(&self, stack: &Stack) -> Result<Option<Vec<Difference>>> {
        release::differences(stack, &Self::install(stack).await?).await
    }

    async fn reconcile(&self, stack: &Stack, progress: &Progress<'_>) -> Result<Reconciled> {
        let install = Self::install(stack).await?;
        let look = || rollout::deployment(&stack.cluster, NAME);
        release::upgrade(stack, &Lrs, &install, NAME, progress, look).await
    }

    async fn plan_deletion(&self, stack: &Stack, _: DeleteOptions) -> Result<Deletion<ObjectRef>> {
        release::plan_deletion(stack, &DECLARATION, stack.namespace()).await
    }

    async fn delete(
        &self,
        stack: &Stack,
        options: DeleteOptions,
        progress: &Progress<'_>,
    ) -> Result<()> {
        release::delete(stack, &DECLARATION, options, progress).await
    }

    async fn explain(&self, stack: &Stack) -> Result<Vec<Step>> {
        let wait = format!(
            "kubectl rollout status deployment/{NAME} -n {} --timeout=15m",
            stack.namespace()
        );
        Ok(vec![release::step(Self::install(stack).await?, vec![wait])])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::profiles::Profile;

    #[test]
    fn chart_values_fit_the_schema_of_the_chart() {
        let size: Size = Profile::Production.size_of(COMPONENT);
        let values = Values {
            image: release::Image::example(),
            replicas: size.replicas,
            existing_secret: NAME,
            secret_checksum: "0a1b".into(),
            elasticsearch: ElasticsearchValues {
                host: datalake::SERVICE,
                index: datalake::INDEX,
                existing_secret: datalake::user_secret("lrs"),
                ca_secret: datalake::AUTHORITY_SECRET,
            },
            resources: size.resources(),
        };
        release::assert_fits_schema("ralph", &values);
    }
}
