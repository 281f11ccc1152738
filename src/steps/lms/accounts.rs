//! The passwords of Moodle's administrator, of the learner of its test course and of its database, and what else outlives
//! its release.

use crate::clients::secrets::{Keep, Key};
use crate::stack::Stack;
use crate::steps::kept::{Accounts, Kept};

use super::{NAME, POSTGRESQL, RELEASE};

pub const ACCOUNTS: Accounts = Accounts { id: "lms.accounts", kept };

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
        release: RELEASE,
        holds: "courses and learners of Moodle",
    }
}
