//! The verification of a whole stack after a restore or an upgrade.

use anyhow::Result;

use crate::cluster::access::Rules;
use crate::components::{lms, lrs};
use crate::diagnosis::checks::{self, Checked, Extent, Images};
use crate::diagnosis::trace::{self, Subject};
use crate::engine::Id;
use crate::output::printer;
use crate::output::units::count;
use crate::stack::Stack;

use super::journal::Journal;
use super::{check, next_steps};

pub fn needs() -> Vec<Rules> {
    [check::needs(), super::trace::NEEDS.to_vec()].concat()
}

/// Runs all checks, and follows an event if the stack can create one. False: something failed.
///
/// # Errors
/// When the checks cannot be run, or the event cannot be created.
pub async fn run(stack: &Stack, journal: &Journal) -> Result<bool> {
    let checked = checks::run(stack, Extent::Stack, Images::Unchecked).await?;
    let failed: Vec<&Checked> = checked.iter().filter(|one| check::is_fault(one)).collect();
    for one in &failed {
        printer::warning(&format!("check {} failed", one.id));
    }
    printer::note(&match failed.len() {
        0 => format!("{} checks passed", count(checked.len() as u64)),
        failed => {
            format!("{failed} checks failed; run `kubectl lastack check{}`", stack.cluster.flags)
        }
    });
    let has_both = [lms::COMPONENT, lrs::COMPONENT].iter().all(|one| stack.settings.has(*one));
    let Some(course) = lms::shortname(stack).filter(|_| has_both) else {
        return Ok(failed.is_empty());
    };
    let subject = Subject::Course(&course);
    let hops: Vec<Id> = trace::hops(stack, subject).collect();
    let report = journal.report(hops.into_iter());
    let trace = trace::run(stack, subject, false, &*report).await?;
    drop(report);
    if !trace.arrived() {
        next_steps(&[(format!("trace{}", stack.cluster.flags), "follow another event")]);
    }
    Ok(failed.is_empty() && trace.arrived())
}
