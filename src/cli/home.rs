//! The page of `kubectl lastack` without a verb: the purpose, the most important verbs, and the stack of the namespace.

use anyhow::Result;

use crate::cluster::flags::KubeFlags;
use crate::output::printer;

use super::{Outcome, TableArgs, open, status};

const PAGE: &str = "\
Install and operate a learning-analytics stack on Kubernetes:
  Moodle (LMS) --> Ralph (LRS) --> Elasticsearch (data lake) --> Superset (dashboards)

  kubectl lastack install         install the stack in the current namespace
  kubectl lastack seed            send example statements and verify that all are stored
  kubectl lastack status          show the health of each component
  kubectl lastack check           find problems and their remedies
  kubectl lastack trace           follow one event from Moodle to a chart
  kubectl lastack open dataviz    open the dashboards
  kubectl lastack creds           show user names and passwords
  kubectl lastack uninstall       delete the stack

Run `kubectl lastack --help`, or any verb with `--help`, for more.
";

pub async fn run(flags: &KubeFlags) -> Result<Outcome> {
    printer::data(PAGE)?;
    // an unreachable cluster is not an error here: the page was printed
    if let Ok(stack) = open(flags).await
        && let Ok(rows) = status::look(&stack).await
        && status::is_installed(&rows)
    {
        printer::data(&format!(
            "\nIn namespace {} of context {}:\n{}",
            stack.namespace(),
            stack.cluster.context,
            status::render(&rows, TableArgs::default())
        ))?;
    }
    Ok(Outcome::Good)
}
