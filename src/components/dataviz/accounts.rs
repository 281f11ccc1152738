//! The passwords of Superset's accounts and of its metadata database, and the other objects that outlive its release.

use crate::components::accounts::{Accounts, RetainedObjects};
use crate::components::secrets::{Key, SecretSpec};
use crate::engine::Id;
use crate::stack::Stack;

use super::dashboards::record;
use super::{DECLARATION, NAME, POSTGRESQL, RELEASE};

/// The Secret with the password of the cache, where a profile has one.
pub const CACHE: &str = "dataviz-valkey";

pub const ACCOUNTS: Accounts = Accounts { id: Id("dataviz.accounts"), retained };

/// The Secrets of the accounts and of the services that only this component uses.
fn secrets(stack: &Stack) -> Vec<SecretSpec> {
    let secret = |name, app, keys| SecretSpec {
        name,
        kind: "Opaque",
        labels: stack.labels(app, RELEASE),
        keys,
    };
    vec![
        secret(
            NAME,
            "superset",
            vec![
                ("admin-password", Key::Password),
                ("teacher-password", Key::Password),
                ("lastack-password", Key::Password),
                ("secret-key", Key::Permanent),
            ],
        ),
        secret(POSTGRESQL.name, "postgresql", vec![("password", Key::Password)]),
        secret(CACHE, "valkey", vec![("password", Key::Password)]),
    ]
}

fn retained(stack: &Stack) -> RetainedObjects {
    RetainedObjects {
        secrets: secrets(stack),
        users: "admin, teacher",
        configmaps: &[record::NAME],
        volumes_of: Some(&DECLARATION),
        reason: super::STORES,
    }
}

/// The Secrets whose passwords a rotation replaces.
pub fn rotated(stack: &Stack) -> Vec<SecretSpec> {
    POSTGRESQL.without_users_secret(stack, secrets(stack))
}
