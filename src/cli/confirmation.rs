//! The confirmation of a loss of data: by a yes, or by typing the namespace when statements of real learners may be lost.

use std::time::Duration;

use anyhow::Result;
use tokio::time::timeout;

use crate::cluster::flags::KubeFlags;
use crate::components::datalake::{self, Origins};
use crate::error::Failure;
use crate::output::printer;
use crate::output::units::count;
use crate::stack::Stack;

use super::require;

/// The maximum time to count the statements.
const COUNTING: Duration = Duration::from_secs(10);

/// Rejects `--yes` for the current namespace of the current context, which a script may not have chosen.
pub fn require_named_stack(flags: &KubeFlags, verb: &str, unchanged: &str) -> Result<()> {
    let variable = |name: &str| std::env::var(name).ok();
    if flags.name_the_stack(variable) {
        return Ok(());
    }
    Err(match variable("HELM_PLUGIN_NAME") {
        None => {
            Failure::usage(format!("`--yes` requires `--namespace` or `--context`; {unchanged}"))
                .hint(format!("name the stack, such as: kubectl lastack {verb} --yes -n NAMESPACE"))
        }
        Some(_) => Failure::usage(format!("`--yes` requires `--kube-context`; {unchanged}")).hint(
            format!("name the context: helm lastack {verb} --yes -n NAMESPACE --kube-context NAME"),
        ),
    }
    .into())
}

/// The statements that a command loses.
pub enum Statements {
    Retained,
    /// There is no data lake.
    Absent,
    Counted(Origins),
    /// They cannot be counted, with the reason.
    Unknown(String),
}

impl Statements {
    pub async fn count(stack: &Stack) -> Self {
        match timeout(COUNTING, datalake::origins(stack)).await {
            Ok(Ok(origins)) => Self::Counted(origins),
            Ok(Err(error)) => Self::Unknown(format!("{error:#}")),
            Err(_) => Self::Unknown("the data lake does not respond".into()),
        }
    }

    /// Whether they may come from real learners.
    fn may_be_real(&self) -> bool {
        match self {
            Self::Retained | Self::Absent => false,
            Self::Counted(origins) => origins.real > 0,
            Self::Unknown(_) => true,
        }
    }

    pub fn shown(&self) -> Option<String> {
        match self {
            Self::Retained | Self::Absent => None,
            Self::Unknown(reason) => Some(format!("Statements: unknown number: {reason}")),
            Self::Counted(Origins { statements, real: 0, .. }) => {
                Some(format!("Statements: {}, none from real learners", count(*statements)))
            }
            Self::Counted(Origins { statements, real, learners }) => Some(format!(
                "Statements: {}, of which {} from real learners ({})",
                count(*statements),
                count(*real),
                count(*learners)
            )),
        }
    }
}

/// Asks the user. Data that cannot be generated again requires the name of the namespace.
pub async fn confirm(
    stack: &Stack,
    statements: &Statements,
    question: &str,
    unchanged: &str,
) -> Result<()> {
    let confirmed = if statements.may_be_real() {
        let namespace = stack.namespace();
        let question = format!("{question}\nType the namespace ({namespace}) to confirm:");
        printer::ask(&question).await.map(|answer| answer == namespace)
    } else {
        printer::confirm(question).await
    };
    require(confirmed, unchanged, "pass `--yes` and `--namespace`")
}
