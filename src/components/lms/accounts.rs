//! The passwords of Moodle's administrator, of the learner in its test course and of its database, and the other objects
//! that outlive its release.

use crate::components::accounts::{Accounts, RetainedObjects};
use crate::components::secrets::{Key, SecretSpec};
use crate::engine::Id;
use crate::stack::Stack;

use super::{NAME, POSTGRESQL, RELEASE};

pub const ACCOUNTS: Accounts = Accounts { id: Id("lms.accounts"), retained };

fn retained(stack: &Stack) -> RetainedObjects {
    let secret = |name, app, keys| SecretSpec {
        name,
        kind: "Opaque",
        labels: stack.labels(app, super::RELEASE),
        keys,
    };
    RetainedObjects {
        secrets: vec![
            secret(
                NAME,
                "moodle",
                vec![("moodle-password", Key::Password), ("learner-password", Key::Password)],
            ),
            secret(POSTGRESQL.name, "postgresql", vec![("password", Key::Password)]),
        ],
        users: "user, learner",
        configmaps: &[],
        release: Some(RELEASE),
        reason: super::STORES,
    }
}
