//! Accounts of Elasticsearch with least privileges: for Ralph, the dashboards, the size measurement and this tool.

use crate::components::accounts::{Accounts, RetainedObjects};
use crate::components::secrets::{Key, SecretSpec};
use crate::engine::Id;
use crate::stack::Stack;

const ROLES_SECRET: &str = "data-lake-roles";
/// The role of each user.
pub const ROLES: &str = include_str!("../../../manifests/roles.yml");

/// The Secret of the account of this tool.
pub const TOOL_SECRET: &str = "data-lake-user-lastack";
/// The Secret of the account that only reads.
pub const READER_SECRET: &str = "data-lake-user-dashboards";

/// Each user with its Secret. The user has the role of the same name in `manifests/roles.yml`.
const USERS: [(&str, &str); 4] = [
    ("lrs", "data-lake-user-lrs"),
    ("dashboards", READER_SECRET),
    ("size", "data-lake-user-size"),
    ("lastack", TOOL_SECRET),
];

/// The name of the Secret with the keys `username` and `password` of an account.
pub fn user_secret(user: &str) -> String {
    format!("data-lake-user-{user}")
}

pub const ACCOUNTS: Accounts = Accounts { id: Id("datalake.accounts"), retained };

fn retained(stack: &Stack) -> RetainedObjects {
    RetainedObjects {
        secrets: secrets(stack),
        users: "lrs, dashboards, size, lastack",
        configmaps: &[],
        volumes_of: None,
        reason: "they give access to the data",
    }
}

/// The Secrets of the accounts, and of their roles.
pub fn secrets(stack: &Stack) -> Vec<SecretSpec> {
    let labels = stack.labels("elasticsearch", super::RESOURCE);
    let users = USERS.map(|(user, name)| SecretSpec {
        name,
        kind: "kubernetes.io/basic-auth",
        labels: labels.clone(),
        keys: vec![
            ("username", Key::Fixed(user.into())),
            ("password", Key::Password),
            ("roles", Key::Fixed(user.into())),
        ],
    });
    let roles = SecretSpec {
        name: ROLES_SECRET,
        kind: "Opaque",
        labels: labels.clone(),
        keys: vec![("roles.yml", Key::Fixed(ROLES.into()))],
    };
    users.into_iter().chain([roles]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::datalake::{INDEX, RESTORED, SIZES};
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn data_lake_manifest_lists_every_account() {
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
    fn every_account_has_role_limited_to_indices_of_stack() {
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
            assert!(
                indices
                    .into_iter()
                    .all(|name| [INDEX, RESTORED, SIZES].contains(&name.as_str().unwrap())),
                "{user}"
            );
        }
        assert_eq!(roles.len(), USERS.len());
        assert_eq!(
            roles["dashboards"]["indices"][0]["privileges"],
            json!(["read", "view_index_metadata", "monitor"])
        );
        assert_eq!(
            roles["size"]["indices"][0],
            json!({"names": [INDEX], "privileges": ["monitor"]}),
            "the size measurement must not read statements"
        );
    }
}
