//! The least accounts of Elasticsearch: one for Ralph, one for the dashboards, one for what measures it, one for this tool.

use anyhow::Result;
use async_trait::async_trait;
use k8s_openapi::api::core::v1::Secret;

use crate::clients::apply;
use crate::clients::secrets::{Keep, Key, converge_all, observe_all};
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};

const ROLES_SECRET: &str = "data-lake-roles";
const ROLES: &str = include_str!("../../../manifests/roles.yml");

/// User, and by the same name the role of `manifests/roles.yml` that it has.
const USERS: [(&str, &str); 4] = [
    ("lrs", "data-lake-user-lrs"),
    ("dashboards", "data-lake-user-dashboards"),
    ("size", "data-lake-user-size"),
    ("lastack", "data-lake-user-lastack"),
];

/// The Secret with the keys `username` and `password` of an account.
pub fn user_secret(user: &str) -> String {
    format!("data-lake-user-{user}")
}

fn secrets(stack: &Stack) -> Vec<Keep> {
    let labels = stack.labels("elasticsearch", super::NAME);
    let users = USERS.map(|(user, name)| Keep {
        name,
        kind: "kubernetes.io/basic-auth",
        labels: labels.clone(),
        keys: vec![
            ("username", Key::Fixed(user.into())),
            ("password", Key::Password),
            ("roles", Key::Fixed(user.into())),
        ],
    });
    let roles = Keep {
        name: ROLES_SECRET,
        kind: "Opaque",
        labels: labels.clone(),
        keys: vec![("roles.yml", Key::Fixed(ROLES.into()))],
    };
    users.into_iter().chain([roles]).collect()
}

pub struct Accounts;

#[async_trait]
impl Step for Accounts {
    fn id(&self) -> StepId {
        "datalake.accounts"
    }

    fn needs(&self) -> &'static [StepId] {
        &["namespace"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        observe_all(stack, &secrets(stack), &names()).await
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        converge_all(stack, &secrets(stack), &names()).await
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        let api = stack.api::<Secret>();
        let mut there = Vec::new();
        for secret in secrets(stack) {
            if apply::is_there(&api, secret.name).await? {
                there.push(secret.name);
            }
        }
        Ok(if there.is_empty() {
            Retracted::Nothing
        } else if how.keep_data {
            Retracted::Kept(format!("secrets {}: they open the data", there.join(", ")))
        } else {
            Retracted::Removed(format!("secrets {}", there.join(", ")))
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, _: &Progress) -> Result<()> {
        for secret in secrets(stack) {
            apply::delete_ours(&stack.api::<Secret>(), secret.name).await?;
        }
        Ok(())
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        let users = USERS.map(|(user, name)| {
            format!(
                "kubectl create secret generic {name} -n {namespace} --type kubernetes.io/basic-auth --from-literal=username={user} --from-file=password=FILE --from-literal=roles={user}"
            )
        });
        users
            .into_iter()
            .chain([format!("kubectl create secret generic {ROLES_SECRET} -n {namespace} --from-file=roles.yml=manifests/roles.yml")])
            .collect()
    }
}

fn names() -> String {
    USERS.map(|(user, _)| user).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::elasticsearch::{INDEX, SIZES};
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn the_data_lake_knows_every_account() {
        let data_lake: serde_json::Value =
            serde_saphyr::from_str(include_str!("../../../manifests/data-lake.yaml")).unwrap();
        let known = data_lake["spec"]["auth"]["fileRealm"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["secretName"].as_str().unwrap());
        assert_eq!(known.collect::<Vec<_>>(), USERS.map(|(_, secret)| secret));
    }

    #[test]
    fn every_account_has_a_role_and_none_may_touch_another_index() {
        let roles: BTreeMap<String, serde_json::Value> = serde_saphyr::from_str(ROLES).unwrap();
        for (user, secret) in USERS {
            assert_eq!(secret, user_secret(user));
            let role = &roles[user];
            assert_eq!(role["cluster"], json!(["monitor"]), "{user}");
            let indices = role["indices"]
                .as_array()
                .unwrap()
                .iter()
                .flat_map(|indices| indices["names"].as_array().unwrap());
            assert!(indices.into_iter().all(|name| name == INDEX || name == SIZES), "{user}");
        }
        assert_eq!(roles.len(), USERS.len());
        assert_eq!(
            roles["dashboards"]["indices"][0]["privileges"],
            json!(["read", "view_index_metadata", "monitor"])
        );
        assert_eq!(
            roles["size"]["indices"][0],
            json!({"names": [INDEX], "privileges": ["monitor"]}),
            "what measures statements reads none"
        );
    }
}
