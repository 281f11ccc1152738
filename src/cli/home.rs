//! What `kubectl lastack` alone shows: what it is, the verbs one needs first, and the stack that is there.

use anyhow::Result;

use crate::cluster::flags::KubeFlags;
use crate::output::printer;

use super::{Outcome, open, status};

const PAGE: &str = "\
A complete, wired and proven Learning Analytics stack on Kubernetes:
  Moodle (LMS) --> Ralph (LRS) --> Elasticsearch (data lake) --> Superset (dashboards)

  kubectl lastack install         bring it into the current namespace
  kubectl lastack seed            fill it with example statements and prove that all are stored
  kubectl lastack status          look at it hop by hop
  kubectl lastack trace           follow one real click from Moodle to the data lake
  kubectl lastack open dataviz    see the dashboards
  kubectl lastack creds           user names and passwords
  kubectl lastack uninstall       take it away again

  `kubectl lastack --help`, and `--help` after every verb, tell more
";

pub async fn run(flags: &KubeFlags) -> Result<Outcome> {
    printer::data(PAGE)?;
    // the page is the answer: a cluster that is not there is not an error here
    if let Ok(stack) = open(flags).await
        && let Ok(rows) = status::look(&stack).await
        && status::is_installed(&rows)
    {
        printer::data(&format!(
            "\nIn namespace {} of context {}:\n{}",
            stack.namespace(),
            stack.cluster.context,
            status::render(&rows)
        ))?;
    }
    Ok(Outcome::Good)
}
