//! The command blocks of the documentation, run as a reader pastes them.
//!
//! All blocks of a page run in one shell, in their order, as docs/contributing/documentation.md describes. Output that a
//! page shows must be the output of the command.

use std::fs;

use crate::cluster::{Cluster, Own, repository};
use crate::support::program;
use crate::{beside, remove, stack};

const NAMESPACE: &str = "e2e-docs";
/// The reader's node is larger than the room beside the shared stack.
const SETTINGS: &str = "\
values:
  lrs: {resources: {requests: {cpu: 20m}}}
  lms: {resources: {requests: {cpu: 20m}}}
  dataviz: {resources: {requests: {cpu: 20m}}}
";
/// Starts the output of a command.
const SEPARATOR: char = '\u{1e}';

/// A command of a page, with the output that the page shows.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    typed: String,
    shown: String,
    /// The exit code that its mark names.
    code: u8,
    /// The page and the line.
    place: String,
}

/// The commands of a page that run on the sandbox.
fn commands(page: &str, text: &str) -> Vec<Command> {
    let mut commands: Vec<Command> = Vec::new();
    let mut lines = text.lines().zip(1..);
    while let Some((line, _)) = lines.next() {
        let code = match line.trim() {
            "<!-- run: sandbox -->" => 0,
            "<!-- run: sandbox, exit code 3 -->" => 3,
            _ => continue,
        };
        let (fence, number) = lines.next().expect("a block below its mark");
        assert_eq!(fence.trim(), "```console", "{page}:{number}");
        let indent = fence.len() - fence.trim_start().len();
        for (line, number) in lines.by_ref().take_while(|(line, _)| line.trim() != "```") {
            let line = line.get(indent..).unwrap_or_default();
            match line.strip_prefix("$ ") {
                Some(typed) => commands.push(Command {
                    typed: typed.into(),
                    shown: String::new(),
                    code,
                    place: format!("{page}:{number}"),
                }),
                None => {
                    let last = commands.last_mut().expect("a command before its output");
                    let text = match is_open(&last.typed) {
                        true => &mut last.typed,
                        false => &mut last.shown,
                    };
                    text.push('\n');
                    text.push_str(line);
                }
            }
        }
    }
    commands
}

/// Whether a command goes on in the next line.
fn is_open(typed: &str) -> bool {
    typed.ends_with('\\') || typed.matches('\'').count() % 2 == 1
}

fn read(page: &str) -> Vec<Command> {
    let text = fs::read_to_string(repository().join(page)).expect("a page");
    let commands = commands(page, &text);
    assert!(!commands.is_empty(), "{page} should have commands");
    commands
}

/// Runs the commands in one shell that has the program as a plugin of kubectl, and compares what the page shows.
fn run(cluster: &Cluster, commands: &[Command]) {
    let folder = cluster.folder("shell");
    let plugin = folder.join("kubectl-lastack");
    let settings = cluster.file("small.yaml", SETTINGS);
    let program = env!("CARGO_BIN_EXE_kubectl-lastack");
    // the shared stack keeps its settings: no page installs there
    let wrapper = format!(
        "#!/bin/sh\n\
         case \"$1\" in\n\
           install) shift; set -- install -f '{}' --skip preflight.room ${{LASTACK_E2E_IMAGE_REGISTRY:+--image-registry \"$LASTACK_E2E_IMAGE_REGISTRY\"}} \"$@\" ;;\n\
         esac\n\
         exec '{program}' \"$@\"\n",
        settings.display()
    );
    program::write(&plugin, &wrapper);
    // a copy, because pages change the current namespace; the tests have built the program and started the cluster
    let mut script = format!(
        "set -euo pipefail\n\
         cp \"$KUBECONFIG\" {0}/config\n\
         export KUBECONFIG={0}/config PATH={0}:$PATH\n\
         make() {{ [ \"$*\" = build ]; }}\n\
         sandbox/up() {{ :; }}\n\
         sandbox/env() {{ :; }}\n\
         trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n\
         kubectl config set-context --current --namespace={1} >&2\n",
        folder.display(),
        cluster.namespace
    );
    for Command { typed, place, code, .. } in commands {
        script.push_str(&format!("printf '{SEPARATOR}'; echo '$ {place}' >&2\n"));
        script.push_str(&match code {
            // assignments must remain in this shell
            0 => format!("{typed}\n"),
            code => format!("code=0\n{typed} || code=$?\n[ $code = {code} ]\n"),
        });
    }
    let script = cluster.file("pages.sh", &script);
    let ended = cluster.run("bash", &[script.to_str().expect("a path that is text")], "").good();
    let outputs: Vec<&str> = ended.stdout.split(SEPARATOR).skip(1).collect();
    assert_eq!(outputs.len(), commands.len(), "every command should run");
    for (Command { typed, shown, place, .. }, output) in commands.iter().zip(outputs) {
        if !shown.is_empty() {
            assert_eq!(output.trim(), shown.trim(), "{place}: $ {typed}");
        }
    }
}

/// The same commands in the namespace of the test.
fn in_namespace(namespace: &str, commands: Vec<Command>) -> Vec<Command> {
    let renamed = |typed: &str| {
        typed
            .replace(&format!("--namespace {namespace}"), &format!("--namespace {NAMESPACE}"))
            .replace(&format!("--namespace={namespace}"), &format!("--namespace={NAMESPACE}"))
    };
    commands
        .into_iter()
        .map(|command| Command { typed: renamed(&command.typed), ..command })
        .collect()
}

#[test]
fn commands_of_tutorial_and_first_install_run_in_order_with_shown_output() {
    beside(NAMESPACE);
    remove(NAMESPACE);
    let cluster = Own(Cluster::new(NAMESPACE, "4"));
    let mut tutorial = in_namespace("workshop", read("docs/tutorial/workshop.md"));
    let first_install = in_namespace("la", read("docs/guides/first-install.md"));
    // one installation serves both pages: the guide runs before the tutorial cleans up
    let end = tutorial
        .iter()
        .position(|command| command.typed.contains("uninstall"))
        .expect("the tutorial should clean up");
    let clean_up = tutorial.split_off(end);
    tutorial.extend(first_install);
    tutorial.extend(clean_up);
    run(&cluster, &tutorial);
    cluster.run("kubectl", &["get", "namespace", NAMESPACE], "").exits(1).shows("NotFound");
}

#[test]
fn commands_of_pages_about_a_stack_run_in_order_with_shown_output() {
    let cluster = stack();
    for page in [
        "docs/guides/backup.md",
        "docs/guides/moodle.md",
        "docs/guides/sources.md",
        "docs/guides/upgrade.md",
        "docs/guides/getting-data.md",
        "docs/guides/troubleshooting.md",
        "docs/guides/production.md",
        "docs/reference/checks.md",
        "docs/reference/exit-codes.md",
        "docs/reference/json.md",
    ] {
        run(cluster, &read(page));
    }
}

#[test]
fn every_page_with_commands_for_the_sandbox_is_run_by_a_test() {
    let is_marked = |page: &str| {
        let text = fs::read_to_string(repository().join(page)).expect("a page");
        !commands(page, &text).is_empty()
    };
    let mut marked: Vec<String> = Vec::new();
    for folder in ["docs/tutorial", "docs/guides", "docs/concepts", "docs/reference"] {
        for entry in fs::read_dir(repository().join(folder)).expect("a folder of pages") {
            let name = entry.expect("a page").file_name().into_string().expect("a name");
            let page = format!("{folder}/{name}");
            if name.ends_with(".md") && is_marked(&page) {
                marked.push(page);
            }
        }
    }
    marked.sort();
    let run = [
        "docs/guides/backup.md",
        "docs/guides/first-install.md",
        "docs/guides/getting-data.md",
        "docs/guides/moodle.md",
        "docs/guides/production.md",
        "docs/guides/sources.md",
        "docs/guides/troubleshooting.md",
        "docs/guides/upgrade.md",
        "docs/reference/checks.md",
        "docs/reference/exit-codes.md",
        "docs/reference/json.md",
        "docs/tutorial/workshop.md",
    ];
    assert_eq!(marked, run);
}

#[test]
fn page_is_read_as_commands_with_continued_lines_and_output() {
    let page = "\
- item

  <!-- run: sandbox -->
  ```console
  $ one \\
      more
  $ two '
  more'
  shown
    indented
  ```

<!-- run: none -->
```console
$ three
```
";
    let command = |typed: &str, shown: &str, line| Command {
        typed: typed.into(),
        shown: shown.into(),
        code: 0,
        place: format!("page.md:{line}"),
    };
    assert_eq!(
        commands("page.md", page),
        [command("one \\\n    more", "", 5), command("two '\nmore'", "\nshown\n  indented", 7)]
    );
}
