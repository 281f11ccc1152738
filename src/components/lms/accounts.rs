//! The passwords of Moodle's administrator, of the learner of its test course and of its database, and what else outlives
//! its release.

use crate::components::accounts::{Accounts, Kept};
use crate::components::secrets::{Keep, Key};
use crate::engine::Id;
use crate::stack::Stack;

use super::{NAME, POSTGRESQL, RELEASE};

pub const ACCOUNTS: Accounts = Accounts { id: Id("lms.accounts"), kept };

fn kept(stack: &Stack) -> Kept {
    let keep = |name, app, keys| Keep {
        name,
        kind: "Opaque",
        labels: stack.labels(app, super::RELEASE),
        keys,
    };
    Kept {
        secrets: vec![
            keep(
                NAME,
                "moodle",
                vec![("moodle-password", Key::Password), ("learner-password", Key::Password)],
            ),
            keep(POSTGRESQL.name, "postgresql", vec![("password", Key::Password)]),
        ],
        users: "user, learner",
        configmaps: &[],
        release: Some(RELEASE),
        reason: super::STORES,
    }
}
