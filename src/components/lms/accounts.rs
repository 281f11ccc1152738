//! The passwords of Moodle's administrator, of the learner in its test course and of its database, and the other objects
//! that outlive its release.

use crate::components::accounts::{Accounts, RetainedObjects};
use crate::components::secrets::{Key, SecretSpec};
use crate::engine::Id;
use crate::stack::Stack;

use super::{DECLARATION, NAME, POSTGRESQL, RELEASE};

pub const ACCOUNTS: Accounts = Accounts { id: Id("lms.accounts"), retained };

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
            "moodle",
            vec![("moodle-password", Key::Password), ("learner-password", Key::Password)],
        ),
        secret(POSTGRESQL.name, "postgresql", vec![("password", Key::Password)]),
    ]
}

fn retained(stack: &Stack) -> RetainedObjects {
    RetainedObjects {
        secrets: secrets(stack),
        users: "user, learner",
        configmaps: &[],
        volumes_of: Some(&DECLARATION),
        reason: super::STORES,
    }
}

/// The Secrets whose passwords a rotation replaces.
pub fn rotated(stack: &Stack) -> Vec<SecretSpec> {
    POSTGRESQL.without_users_secret(stack, secrets(stack))
}
