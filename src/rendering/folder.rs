//! The folder of `install --render`: values, charts and manifests, and the script that applies them.
//!
//! The same settings give the same bytes. The folder holds no value of a Secret.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result};
use include_dir::Dir;

use crate::cluster::flags::quoted;
use crate::cluster::helm::{ChartRef, Install};
use crate::cluster::steps::{Step, yaml};
use crate::engine::graph::Graph;
use crate::error::Failure;
use crate::stack::Stack;

use super::script::{Files, lines};
use super::{Plan, plan};

/// The file that lists all written files, so that the next run replaces only them.
const LIST: &str = ".lastack-render";
const SCRIPT: &str = "apply.sh";

/// The result of [`write`].
pub struct Written {
    pub files: usize,
    /// The commands of this program to run after the script, in order.
    pub verbs: Vec<String>,
}

/// Writes the folder. Replaces the files of an earlier run.
///
/// # Errors
/// When the folder contains other files, and when a file cannot be written.
pub async fn write(graph: &Graph<Stack>, stack: &Stack, folder: &Path) -> Result<Written> {
    let previous = previous_files(folder)?;
    let plan = plan(graph, stack).await?;
    let files = contents(&plan, stack)?;
    for old in previous {
        remove(folder, &old)?;
    }
    for (name, bytes) in &files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, bytes))
            .with_context(|| format!("{}: cannot be written", path.display()))?;
    }
    make_executable(&folder.join(SCRIPT))?;
    Ok(Written { files: files.len(), verbs: verbs(&plan) })
}

/// The files that an earlier run wrote.
fn previous_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let text = match fs::read_to_string(folder.join(LIST)) {
        Ok(text) => text,
        Err(_) if is_empty_or_absent(folder)? => return Ok(Vec::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::failed(format!(
                "folder {}: cannot be written: it is not empty and was not written by `install --render`",
                folder.display()
            ))
            .hint(format!(
                "name another folder: kubectl lastack install --render {}",
                quoted(&format!("{}-new", folder.display()))
            ))
            .into());
        }
        Err(error) => {
            return Err(error)
                .with_context(|| format!("{}: cannot be read", folder.join(LIST).display()));
        }
    };
    let inside = |path: &PathBuf| {
        path.components().all(|component| matches!(component, Component::Normal(_)))
    };
    Ok(text.lines().map(PathBuf::from).filter(inside).collect())
}

fn is_empty_or_absent(folder: &Path) -> Result<bool> {
    match fs::read_dir(folder) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => {
            Err(Failure::failed(format!("folder {}: cannot be written: {error}", folder.display()))
                .hint("name a folder that does not exist yet")
                .into())
        }
    }
}

/// Removes a file of an earlier run, and its folders if they are empty then.
fn remove(folder: &Path, name: &Path) -> Result<()> {
    let path = folder.join(name);
    match fs::remove_file(&path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => {
            return Err(error).with_context(|| format!("{}: cannot be removed", path.display()));
        }
    }
    for parent in name.ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
        // a folder with other files stays
        if fs::remove_dir(folder.join(parent)).is_err() {
            break;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("{}: cannot be made executable", path.display()))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> Result<()> {
    Ok(())
}

/// All files by their paths in the folder.
fn contents(plan: &Plan, stack: &Stack) -> Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut files = BTreeMap::new();
    for step in steps(plan) {
        match step {
            Step::Apply { file, manifest } => {
                let name = PathBuf::from(format!("manifests/{file}.yaml"));
                files.insert(name, yaml(manifest)?.into_bytes());
            }
            Step::Release { install, .. } => add_release(install, &mut files)?,
            _ => {}
        }
    }
    files.insert(SCRIPT.into(), script(plan, stack)?.into_bytes());
    files.insert("README.md".into(), readme(plan, stack).into_bytes());
    let names = files.keys().map(|name| format!("{}\n", name.display()));
    let list: String = names.collect();
    files.insert(LIST.into(), format!("{list}{LIST}\n").into_bytes());
    Ok(files)
}

fn add_release(install: &Install, files: &mut BTreeMap<PathBuf, Vec<u8>>) -> Result<()> {
    if !install.has_no_values() {
        let name = PathBuf::from(format!("values/{}.yaml", install.release));
        files.insert(name, yaml(&install.values)?.into_bytes());
    }
    if let ChartRef::Embedded(chart) = &install.chart {
        add_chart(chart, files);
    }
    Ok(())
}

fn add_chart(folder: &Dir<'_>, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
    for file in folder.files() {
        files.insert(Path::new("charts").join(file.path()), file.contents().to_vec());
    }
    folder.dirs().for_each(|folder| add_chart(folder, files));
}

fn steps(plan: &Plan) -> impl Iterator<Item = &Step> {
    plan.iter().flat_map(|(_, steps)| steps)
}

fn verbs(plan: &Plan) -> Vec<String> {
    let verb = |step: &Step| match step {
        Step::Verb { verb, .. } => Some(format!("kubectl lastack {verb}")),
        _ => None,
    };
    steps(plan).filter_map(verb).collect()
}

fn required(plan: &Plan) -> Vec<(&str, &str)> {
    let required = steps(plan).filter_map(|step| match step {
        Step::Required { object, option } => Some((object.as_str(), option.as_str())),
        _ => None,
    });
    required.collect()
}

const PREAMBLE: &str = r#"#!/usr/bin/env bash
# Applies the files of this folder in order and waits for each component. Safe to repeat.
# Needs kubectl, helm and bash. Uses the current context of the kubeconfig.
# Existing Secrets stay as they are. Absent Secrets get random values.
# shellcheck disable=SC2016 # scripts in quotes run in Pods
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

fail() {
  printf 'error: %s\n  hint: %s\n' "$1" "$2" >&2
  exit 1
}
for program in kubectl helm; do
  command -v "$program" >/dev/null || fail "$program: cannot be run: it is not on PATH" "install $program"
done
"#;

fn script(plan: &Plan, stack: &Stack) -> Result<String> {
    let namespace = stack.namespace();
    let mut text = PREAMBLE.to_string();
    for (object, option) in required(plan) {
        let failure = quoted(&format!(
            "{object}: cannot be applied: this folder was rendered without `--plugin`"
        ));
        let hint =
            quoted(&format!("render the folder again with `{option}`, which reads the plugin"));
        text.push_str(&format!(
            "kubectl get {object} -n {namespace} >/dev/null 2>&1 ||\n  fail {failure} {hint}\n"
        ));
    }
    text.push('\n');
    text.push_str(&lines(plan, namespace, Files::Folder)?);
    let verbs = verbs(plan);
    if !verbs.is_empty() {
        text.push_str("\necho 'Applied. Configure Moodle and Superset next:'\n");
        for verb in verbs {
            text.push_str(&format!("echo {}\n", quoted(&format!("  {verb}"))));
        }
    }
    Ok(text)
}

fn readme(plan: &Plan, stack: &Stack) -> String {
    let namespace = stack.namespace();
    let mut text = format!(
        "# Learning-analytics stack in namespace `{namespace}`\n\n\
         `kubectl lastack install --render` of version {version} wrote these files, profile {profile}. Do not edit them: the \
         next run replaces them.\n\n\
         | path | content |\n|---|---|\n\
         | `apply.sh` | applies everything in order; needs kubectl, helm and bash |\n\
         | `manifests/` | objects that no chart contains |\n\
         | `values/` | the values of each release |\n\
         | `charts/` | the charts of this program |\n\n\
         ## Secrets\n\n\
         The folder holds no password. `apply.sh` creates the Secrets that are absent, with random values. To use your own, \
         create a Secret with these keys before the first run.\n\n\
         | Secret | keys |\n|---|---|\n",
        version = env!("CARGO_PKG_VERSION"),
        profile = stack.settings.profile().name(),
    );
    for step in steps(plan) {
        if let Step::Secret { name, keys, .. } = step {
            text.push_str(&format!("| `{name}` | `{}` |\n", keys.join("`, `")));
        }
    }
    text.push_str(
        "\nThe values hold no `secretChecksum`, so a changed Secret restarts no Pod. Restart the workloads that use it:\n\
         `kubectl rollout restart deployment/NAME`, or `statefulset/NAME` for PostgreSQL.\n\n\
         ## What the cluster decides\n\n\
         The program contacted no cluster. Sizes of volumes come from the profile. Kubernetes rejects another size for an existing \
         StatefulSet, so keep the sizes of an existing stack in your settings.\n",
    );
    for (object, option) in required(plan) {
        text.push_str(&format!(
            "\nThe folder lacks `{object}`. Render it again with `{option}`, or create the object before the first run.\n"
        ));
    }
    let verbs = verbs(plan);
    if !verbs.is_empty() {
        text.push_str("\n## After apply.sh\n\nSettings inside Moodle and Superset are no objects of Kubernetes. Apply them with:\n\n");
        verbs.iter().for_each(|verb| text.push_str(&format!("    {verb}\n")));
    }
    text
}
