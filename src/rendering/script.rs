//! Renders steps as lines of a shell.

use anyhow::Result;

use crate::cluster::helm::{ChartRef, Install};
use crate::cluster::object::FIELD_MANAGER;
use crate::cluster::steps::{FOLDER, Step, with_input, yaml};
use crate::engine::graph::Graph;
use crate::stack::Stack;

use super::{Plan, plan};

/// The location of manifests, values and charts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Files {
    /// In the lines. Charts are in a folder that the first line writes.
    Inline,
    /// In the working directory of the lines.
    Folder,
}

/// The commands for bash that are equivalent to `install`, node by node.
///
/// # Errors
/// When an object that the commands depend on cannot be read.
pub async fn explain(graph: &Graph<Stack>, stack: &Stack) -> Result<String> {
    let plan = plan(graph, stack).await?;
    let mut text = String::new();
    if has_embedded_chart(&plan) {
        text.push_str(&format!(
            "# charts\n# This program holds the charts. The next line writes them to the folder `{FOLDER}`.\n\
             kubectl lastack install --render {FOLDER} -n {}\n",
            stack.namespace()
        ));
    }
    text.push_str(&lines(&plan, stack.namespace(), Files::Inline)?);
    Ok(text)
}

fn has_embedded_chart(plan: &Plan) -> bool {
    let is_embedded = |step: &Step| match step {
        Step::Release { install, .. } => matches!(install.chart, ChartRef::Embedded(_)),
        _ => false,
    };
    plan.iter().flat_map(|(_, steps)| steps).any(is_embedded)
}

/// The lines of all steps, each node under its id.
pub(super) fn lines(plan: &Plan, namespace: &str, files: Files) -> Result<String> {
    let mut text = String::new();
    for (id, steps) in plan {
        let mut lines = String::new();
        for step in steps {
            if let Some(line) = line(step, namespace, files)? {
                lines.push_str(&line);
                lines.push('\n');
            }
        }
        if !lines.is_empty() {
            text.push_str(&format!("# {id}\n{lines}"));
        }
    }
    Ok(text)
}

/// The lines of a step. None for a step that only the README of the folder contains.
fn line(step: &Step, namespace: &str, files: Files) -> Result<Option<String>> {
    Ok(Some(match step {
        Step::Remark(text) => format!("# {text}"),
        Step::Command(command) | Step::Secret { commands: command, .. } => command.clone(),
        Step::Apply { file, manifest } => {
            let apply = format!(
                "kubectl apply --server-side --field-manager={FIELD_MANAGER} -n {namespace} -f"
            );
            match files {
                Files::Inline => with_input(&format!("{apply} -"), &yaml(manifest)?),
                Files::Folder => format!("{apply} manifests/{file}.yaml"),
            }
        }
        Step::Release { install, unless, waits } => {
            let mut commands = vec![helm(install, files)?];
            commands.extend(waits.iter().cloned());
            match unless {
                Some(unless) => format!("{unless} || {{\n{}\n}}", commands.join("\n")),
                None => commands.join("\n"),
            }
        }
        Step::Verb { verb, reason } if files == Files::Inline => {
            format!("# {reason}\nkubectl lastack {verb}")
        }
        Step::Verb { .. } | Step::Required { .. } => return Ok(None),
    }))
}

fn helm(install: &Install, files: Files) -> Result<String> {
    let folder = match files {
        Files::Inline => format!("./{FOLDER}"),
        Files::Folder => ".".into(),
    };
    Ok(match files {
        _ if install.has_no_values() => install.command(&folder, None),
        Files::Inline => with_input(&install.command(&folder, Some("-")), &yaml(&install.values)?),
        Files::Folder => {
            install.command(&folder, Some(&format!("values/{}.yaml", install.release)))
        }
    })
}
