use anyhow::Result;
use clap::Args;

use crate::cluster::flags::KubeFlags;
use crate::components;
use crate::engine::{ABSENT, Difference, Node, Observation};
use crate::error;
use crate::output::printer::{self, BAD, FAINT, GOOD, paint};
use crate::output::text;
use crate::stack::Stack;

use super::Outcome;
use super::stack_args::StackArgs;

/// Show every difference between the cluster and what `install` would make
///
/// Takes the options of `install`, to show what a change of the settings would do. Compares objects field by field,
/// settings inside Moodle, and assets of Superset. Values of Secrets are hidden. Changes nothing.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack diff
  kubectl lastack diff --profile classroom
  kubectl lastack diff -f lastack.yaml", fault: "there is a difference, or a check blocks the install"))]
pub struct DiffArgs {
    #[command(flatten)]
    stack: StackArgs,
}

pub async fn run(flags: &KubeFlags, args: &DiffArgs) -> Result<Outcome> {
    let asked = args.stack.settings()?;
    // an observer needs no permission to install
    let graph = args.stack.graph()?.without(|node| node.id() == components::PERMISSIONS_OF_INSTALL);
    let stack = Stack::open(flags.resolve().await?, asked, None).await?.observing();
    let (graph, stack) = args.stack.prepare(graph, stack)?;
    let mut text = String::new();
    let (mut objects, mut is_blocked) = (0, false);
    for (node, seen) in graph.observe_each(&stack).await {
        match seen {
            Ok(Observation::Equal(_)) => {}
            Ok(Observation::Missing(what)) => {
                let found = vec![Difference::new(what, ABSENT, "present")];
                objects += show(&all(node, &stack, found).await?, &mut text);
            }
            Ok(Observation::Drifted(found)) => {
                objects += show(&all(node, &stack, found).await?, &mut text);
            }
            Ok(Observation::Unknown { permission }) => {
                printer::warning(&format!("{}: unknown: {permission}", node.id()));
            }
            Ok(Observation::Blocked(diagnosis) | Observation::NotPermitted(diagnosis)) => {
                is_blocked = true;
                printer::error(&format!("{}: {}", node.id(), diagnosis.sentence()));
            }
            // a component that does not run yet has no settings to compare
            Ok(Observation::Unready(why)) => {
                printer::note(&format!("{}: not compared: {why}", node.id()));
            }
            Err(error) => {
                let why = error::one_line(&error);
                printer::note(&format!("{}: not compared: {why}", node.id()));
            }
        }
    }
    printer::data(&text)?;
    printer::note(&match objects {
        0 => "No differences".into(),
        1 => "1 object differs".into(),
        more => format!("{more} objects differ"),
    });
    Ok(if is_blocked || objects > 0 { Outcome::Fault } else { Outcome::Good })
}

/// All differences of a resource, or those that its observation names.
async fn all(node: &Node<Stack>, stack: &Stack, found: Vec<Difference>) -> Result<Vec<Difference>> {
    let all = node.differences(stack).await.map_err(|error| error.context(node.id()))?;
    Ok(all.filter(|all| !all.is_empty()).unwrap_or(found))
}

/// Appends the differences in the form of a unified diff, with the path of a field in place of line numbers. Returns the
/// number of objects.
fn show(differences: &[Difference], text: &mut String) -> usize {
    let mut objects = 0;
    let mut last = None;
    for Difference { what, observed, desired } in differences {
        let (object, path) = match what.split_once(" .") {
            Some((object, path)) => (object, format!(".{path}")),
            None => (what.as_str(), String::new()),
        };
        let is_whole = path.is_empty() && [observed, desired].iter().any(|side| *side == ABSENT);
        if last != Some(object) {
            objects += 1;
            last = Some(object);
            let side = |value: &str, name: &str| match is_whole && value == ABSENT {
                true => "/dev/null".into(),
                false => format!("{} ({name})", text::clean(object)),
            };
            text.push_str(&format!(
                "{}\n",
                paint(BAD, &format!("--- {}", side(observed, "cluster")))
            ));
            text.push_str(&format!(
                "{}\n",
                paint(GOOD, &format!("+++ {}", side(desired, "install")))
            ));
        }
        if !path.is_empty() {
            text.push_str(&format!("{}\n", paint(FAINT, &format!("@@ {} @@", text::clean(&path)))));
        }
        for (sign, style, value) in [('-', BAD, observed), ('+', GOOD, desired)] {
            // the header says all about an object that is absent on one side, except its content
            if value == ABSENT || is_whole && value == "present" {
                continue;
            }
            for line in value.lines() {
                text.push_str(&format!(
                    "{}\n",
                    paint(style, &format!("{sign}{}", text::clean(line)))
                ));
            }
        }
    }
    objects
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_of_one_object_share_a_header_and_absent_sides_are_empty() {
        let differences = [
            Difference::new("service/a .spec.type", "LoadBalancer", "ClusterIP"),
            Difference::new("service/a .metadata.labels.x", "1", ABSENT),
            Difference::new("service/b", ABSENT, "kind: Service\nmetadata:\n  name: b\n"),
            Difference::new("release c", "revision 1", "as requested"),
        ];
        let mut text = String::new();
        assert_eq!(show(&differences, &mut text), 3);
        assert_eq!(
            anstream::adapter::strip_str(&text).to_string(),
            "--- service/a (cluster)\n+++ service/a (install)\n@@ .spec.type @@\n-LoadBalancer\n+ClusterIP\n\
             @@ .metadata.labels.x @@\n-1\n--- /dev/null\n+++ service/b (install)\n+kind: Service\n+metadata:\n\
             +  name: b\n--- release c (cluster)\n+++ release c (install)\n-revision 1\n+as requested\n"
        );
    }
}
