use std::sync::LazyLock;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cluster::access::{Rule, Rules};
use crate::cluster::flags::KubeFlags;
use crate::cluster::{pod_problem, tunnel};
use crate::components::access::{AUTOSCALERS, DISRUPTION_BUDGETS, INGRESSES, INSTALL};
use crate::components::{self, conditions};
use crate::diagnosis::checks::{self, Checked, Extent, Images, Verdict};
use crate::engine::{Id, Severity};
use crate::output::document::Content;
use crate::output::junit::{self, Case, Status};
use crate::output::printer::{self, BAD, FAINT, GOOD, WARN, paint};
use crate::output::text;
use crate::output::units::{self, duration, took};
use crate::stack::Stack;
use crate::stack::profiles::Profile;
use crate::stack::settings::Settings;

use super::{Outcome, next_steps, open, status};

/// Check the stack and the cluster, and name a remedy for each problem
///
/// Every resource and setting of the stack is compared with what `install` would make, and every component is asked for
/// its health. With `--pre`, checks whether a cluster can hold a stack. With `--verbose`, shows the checks that passed,
/// too. Changes nothing, and starts Pods only with `--pull`.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack check
  kubectl lastack check --pre --profile production
  kubectl lastack check -o junit > report.xml", fault: "a check failed; a warning is no failure", json: "CheckReport"))]
pub struct CheckArgs {
    /// Check the cluster before the first install
    #[arg(long)]
    pre: bool,
    /// Size of the stack that `--pre` checks for [default: that of the stack, or laptop]
    #[arg(long, value_enum, requires = "pre")]
    profile: Option<Profile>,
    /// Also pull each image of the stack, with a short Job for each
    #[arg(long)]
    pull: bool,
    /// Time limit of `--pull`
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration, requires = "pull")]
    timeout: Duration,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    /// A JUnit report
    Junit,
}

/// Everything that `install` and `configure` look at.
pub fn needs() -> Vec<Rules> {
    static OBSERVING: LazyLock<Vec<Rule>> = LazyLock::new(|| {
        let of_components = components::all().iter().flat_map(|component| {
            let access = &component.declaration().access;
            [access.install, access.configure, access.health].concat()
        });
        let shared = [INSTALL, INGRESSES, DISRUPTION_BUDGETS, AUTOSCALERS, tunnel::RULES];
        let others = [pod_problem::RULES, conditions::NEEDS, conditions::MARKS];
        let all = of_components.chain(shared).chain(others).flatten();
        all.map(|rule| rule.to_observe()).collect()
    });
    vec![&OBSERVING, conditions::TRY_PODS]
}

pub async fn run(flags: &KubeFlags, args: CheckArgs, is_verbose: bool) -> Result<Outcome> {
    let mut stack = open(flags).await?.observing();
    let extent = if args.pre { Extent::Cluster } else { Extent::Stack };
    if !args.pre && stack.is_new && !status::is_installed(&status::look(&stack).await?) {
        return absent(&stack);
    }
    if args.profile.is_some() {
        let asked = Settings { profile: args.profile, ..Settings::default() };
        stack.settings = stack.settings.overridden_by(asked);
    }
    let images = if args.pull { Images::Pulled } else { Images::Unchecked };
    if args.pull {
        stack.wait_for(args.timeout);
    }
    let begun = Instant::now();
    let checked = checks::run(&stack, extent, images).await?;
    let took = begun.elapsed();
    match args.output {
        Format::Table => printer::data(&render(&checked, is_verbose, took))?,
        Format::Json => printer::json(&CheckReport::of(&stack, &checked, took))?,
        Format::Junit => printer::data(&report(&checked))?,
    }
    Ok(if checked.iter().any(is_fault) { Outcome::Fault } else { Outcome::Good })
}

fn absent(stack: &Stack) -> Result<Outcome> {
    printer::note(&status::absent(stack));
    let flags = &stack.cluster.flags;
    next_steps(&[
        (format!("check --pre{flags}"), "check whether the cluster can hold one"),
        (format!("install{flags}"), "install one"),
    ]);
    Ok(Outcome::Fault)
}

pub fn is_fault(checked: &Checked) -> bool {
    checked.has_failed() && checked.severity == Severity::Error
}

fn render(checked: &[Checked], is_verbose: bool, time: Duration) -> String {
    let width = checked.iter().map(|checked| checked.id.as_str().len()).max().unwrap_or_default();
    let mut lines = String::new();
    for Checked { id, severity, result } in checked {
        let mut row = |style, word: &str, detail: &str| {
            let mut detail = detail.lines();
            let first = text::clean(detail.next().unwrap_or_default());
            let word = format!("{word:<7}");
            lines.push_str(&format!("{}  {id:<width$}  {first}\n", paint(style, &word)));
            for line in detail {
                lines.push_str(&format!("{:7}  {:width$}  {}\n", "", "", text::clean(line)));
            }
        };
        match (result, severity) {
            (Verdict::Failed { observed, remedy }, severity) => {
                let style = if *severity == Severity::Error { BAD } else { WARN };
                row(
                    style,
                    severity.as_str(),
                    &format!("{observed}\nremedy: {remedy}\n{}", help(*id)),
                );
            }
            (Verdict::Unknown(permission), _) => row(WARN, "unknown", permission),
            (Verdict::Passed(detail), _) if is_verbose => row(GOOD, "ok", detail),
            (Verdict::After(need), _) if is_verbose => {
                row(FAINT, "skipped", &format!("after {need}"))
            }
            (Verdict::Passed(_) | Verdict::After(_), _) => {}
        }
    }
    lines + &summary(checked, time)
}

fn summary(checked: &[Checked], time: Duration) -> String {
    let of = |is: &dyn Fn(&Checked) -> bool| checked.iter().filter(|one| is(one)).count();
    let mut parts = vec![format!("{} passed", of(&|one| matches!(one.result, Verdict::Passed(_))))];
    for (count, word) in [
        (of(&is_fault), "failed"),
        (of(&|one| one.has_failed() && !is_fault(one)), "with a warning"),
        (of(&|one| matches!(one.result, Verdict::Unknown(_))), "unknown"),
        (of(&|one| matches!(one.result, Verdict::After(_))), "skipped"),
    ] {
        if count > 0 {
            parts.push(format!("{count} {word}"));
        }
    }
    format!("{} checks in {}: {}\n", checked.len(), took(time), parts.join(", "))
}

/// The section about a check in the reference of this version.
fn help(id: Id) -> String {
    // renderers of Markdown drop dots from the anchors of headings
    let anchor = id.as_str().replace('.', "");
    format!(
        "{}/blob/v{}/docs/reference/checks.md#{anchor}",
        env!("CARGO_PKG_REPOSITORY"),
        env!("CARGO_PKG_VERSION")
    )
}

/// The result of each check of the stack and of the cluster
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckReport<'a> {
    /// Context of the kubeconfig
    context: &'a str,
    /// Namespace of the stack
    namespace: &'a str,
    /// Whether no check with the severity `error` failed
    passed: bool,
    /// How long the checks took
    milliseconds: u64,
    /// In the order of the graph: what a check depends on is before it
    checks: Vec<CheckResult>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct CheckResult {
    /// Stable, a section of [Checks](checks.md)
    id: &'static str,
    /// `error` or `warning`
    severity: &'static str,
    result: Word,
    /// Text
    observed: String,
    /// Text: what to do next
    remedy: Option<String>,
    /// Link to the section
    help: String,
}

/// `unknown`: a permission is missing; `skipped`: after a check that did not pass
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
enum Word {
    Passed,
    Failed,
    Unknown,
    Skipped,
}

impl Content for CheckReport<'_> {
    const KIND: &'static str = "CheckReport";
}

impl<'a> CheckReport<'a> {
    fn of(stack: &'a Stack, checked: &[Checked], time: Duration) -> Self {
        Self {
            context: &stack.cluster.context,
            namespace: stack.namespace(),
            passed: !checked.iter().any(is_fault),
            milliseconds: units::milliseconds(time),
            checks: checked.iter().map(CheckResult::of).collect(),
        }
    }
}

impl CheckResult {
    fn of(checked: &Checked) -> Self {
        let (result, observed, remedy) = match &checked.result {
            Verdict::Passed(detail) => (Word::Passed, detail.clone(), None),
            Verdict::Failed { observed, remedy } => {
                (Word::Failed, observed.clone(), Some(remedy.clone()))
            }
            Verdict::Unknown(permission) => (Word::Unknown, permission.clone(), None),
            Verdict::After(need) => (Word::Skipped, format!("after {need}"), None),
        };
        Self {
            id: checked.id.as_str(),
            severity: checked.severity.as_str(),
            result,
            observed,
            remedy,
            help: help(checked.id),
        }
    }
}

/// A warning is a test that passed, with its message in the report of the table only.
fn report(checked: &[Checked]) -> String {
    let case = |checked: &Checked| {
        let (status, message) = match &checked.result {
            Verdict::Failed { observed, remedy } if is_fault(checked) => {
                (Status::Failure, Some(format!("{observed}; {remedy}")))
            }
            Verdict::Passed(_) | Verdict::Failed { .. } => (Status::Success, None),
            Verdict::Unknown(permission) => (Status::Skipped, Some(permission.clone())),
            Verdict::After(need) => (Status::Skipped, Some(format!("after {need}"))),
        };
        Case { name: checked.id.to_string(), status, message, took: Duration::ZERO }
    };
    let cases: Vec<Case> = checked.iter().map(case).collect();
    junit::report("kubectl lastack check", "check", &cases)
}
