//! `install --explain` and `install --render`: the commands and files that replace the program.
//!
//! `SNAPSHOTS=overwrite cargo test --test api render` rewrites `explain.txt` and `render.txt`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use snapbox::{assert_data_eq, file};

use crate::support::machine::{Machine, TOKEN};
use crate::support::program;
use crate::support::stack::{DATA_LAKE, MockedStack, NAMESPACE, SIZE};

use super::install::passwords;

/// All files of a folder, by their relative paths.
fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => {
                    let name = path.strip_prefix(folder).expect("a path below the folder");
                    files.insert(name.to_path_buf(), fs::read(&path).expect("a file"));
                }
            }
        }
    }
    files
}

/// Renders into the folder `stack` of a machine that reaches no cluster.
fn rendered(options: &str) -> (Machine, BTreeMap<PathBuf, Vec<u8>>) {
    let machine = Machine::new();
    machine.run(&format!("install --render stack -n alice {options}")).exits(0).prints_nothing();
    let files = tree(&machine.path("stack"));
    (machine, files)
}

fn text<'a>(files: &'a BTreeMap<PathBuf, Vec<u8>>, name: &str) -> &'a str {
    let bytes = files.get(Path::new(name));
    let bytes = bytes.unwrap_or_else(|| panic!("{name} should be rendered: {:?}", files.keys()));
    std::str::from_utf8(bytes).expect("text")
}

fn yaml(files: &BTreeMap<PathBuf, Vec<u8>>, name: &str) -> Value {
    serde_saphyr::from_str(text(files, name)).expect("YAML")
}

/// The lines of each node in the output of `--explain`, by the id in its heading.
fn blocks(explained: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in explained.lines() {
        let id = line.strip_prefix("# ").filter(|id| {
            id.chars().all(|c| c.is_ascii_lowercase() || c == '.') && !id.ends_with('.')
        });
        match (id, blocks.last_mut()) {
            (Some(id), _) => blocks.push((id.into(), String::new())),
            (None, Some((_, lines))) => lines.extend([line, "\n"]),
            (None, None) => panic!("a line before the first heading: {line}"),
        }
    }
    blocks
}

fn assert_is_bash(name: &str, script: &str) {
    let output = Command::new("bash").args(["-n", "-c", script]).output().expect("bash runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && stderr.is_empty(), "{name}: {stderr}\n{script}");
}

#[test]
fn explain_in_an_empty_cluster_prints_all_commands_in_graph_order() {
    let stack = MockedStack::empty();
    let ended = stack.machine.run("install --explain");
    ended.exits(0).says_nothing();
    assert_eq!(stack.kubernetes.changes(), Vec::<String>::new());
    assert_data_eq!(&ended.stdout, file!["explain.txt"].raw());
}

#[test]
fn explained_commands_of_every_node_parse_as_bash() {
    for profile in ["laptop", "production"] {
        let stack = MockedStack::empty();
        let ended = stack.machine.run(&format!("install --explain --profile {profile}"));
        ended.exits(0);
        let blocks = blocks(&ended.stdout);
        assert!(blocks.len() > 15, "each node should have a heading\n{ended}");
        for (id, commands) in &blocks {
            assert_is_bash(id, commands);
            // a command for a Pod is a quoted word here
            for script in commands.split("bash -c '").skip(1) {
                assert_is_bash(id, script.split('\'').next().unwrap_or_default());
            }
            assert!(
                commands.lines().any(|line| !line.starts_with('#')),
                "{id} should have a command\n{commands}"
            );
        }
        ended.never_shows("FILE").never_shows("PASSWORD").never_shows("values.yaml");
    }
}

#[test]
fn explain_of_an_installed_stack_neither_reads_nor_prints_secrets() {
    let stack = MockedStack::installed();
    let changes = stack.kubernetes.changes();
    let asked = stack.kubernetes.server.requests().len();
    let ended = stack.machine.run("install --explain");
    ended.exits(0).never_shows(TOKEN);
    for password in passwords(&stack) {
        ended.never_shows(&password);
    }
    let requests = &stack.kubernetes.server.requests()[asked..];
    let secrets: Vec<_> =
        requests.iter().filter(|request| request.path.contains("/secrets")).collect();
    assert!(secrets.is_empty(), "{} requests read Secrets", secrets.len());
    assert_eq!(stack.kubernetes.changes(), changes);
}

#[test]
fn explain_prints_the_chart_and_registry_of_the_settings() {
    let stack = MockedStack::empty();
    stack.machine.write(
        "lastack.yaml",
        "charts: {lrs: 'oci://registry.example.org/ralph'}\nimageRegistry: registry.example.org\n",
    );
    stack
        .machine
        .run("install --explain -f lastack.yaml")
        .exits(0)
        .prints("helm upgrade --install lrs oci://registry.example.org/ralph -n alice -f - <<'EOF'")
        .prints("repository: registry.example.org/fundocker/ralph")
        .prints("image: registry.example.org/elasticsearch/elasticsearch:");
}

#[test]
fn render_of_the_same_settings_twice_gives_the_same_bytes() {
    let stack = MockedStack::empty();
    for folder in ["one", "two", "one"] {
        let line = format!("install --render {folder} -n alice --profile production");
        stack.machine.run(&line).exits(0);
    }
    let (one, two) = (tree(&stack.machine.path("one")), tree(&stack.machine.path("two")));
    assert!(one.contains_key(Path::new("manifests/lms-plugin.yaml")), "{:?}", one.keys());
    assert_eq!(one, two);
}

#[test]
fn render_without_a_cluster_writes_the_whole_stack() {
    let (_, files) = rendered("");
    let mut page = String::new();
    for (name, bytes) in &files {
        let is_chart = name.starts_with("charts");
        let content = String::from_utf8_lossy(bytes);
        page.push_str(&format!("==> {}\n", name.display()));
        if !is_chart {
            page.push_str(&content);
        }
    }
    assert_data_eq!(page, file!["render.txt"].raw());
}

#[test]
fn render_sends_no_request_and_writes_no_password() {
    let stack = MockedStack::installed();
    let asked = stack.kubernetes.server.requests().len();
    stack.machine.run("install --render stack").exits(0).prints_nothing();
    assert_eq!(stack.kubernetes.server.requests().len(), asked, "render should send no request");
    let files = tree(&stack.machine.path("stack"));
    for (name, bytes) in &files {
        let content = String::from_utf8_lossy(bytes);
        for password in passwords(&stack).iter().map(String::as_str).chain([TOKEN]) {
            assert!(!content.contains(password), "{} holds a password", name.display());
        }
    }
    let secrets = files.iter().filter(|(name, bytes)| {
        name.starts_with("manifests") && String::from_utf8_lossy(bytes).contains("kind: Secret")
    });
    let secrets: Vec<_> = secrets.map(|(name, _)| name.display().to_string()).collect();
    assert_eq!(
        secrets,
        ["manifests/data-lake-roles.yaml"],
        "the roles are the only rendered Secret"
    );
}

#[test]
fn rendered_manifests_and_values_equal_those_that_install_applies() {
    let stack = MockedStack::installed();
    stack.machine.run("install --render stack").exits(0);
    let files = tree(&stack.machine.path("stack"));
    for (path, file) in [(DATA_LAKE, "data-lake"), (SIZE, "data-lake-size")] {
        let manifest = yaml(&files, &format!("manifests/{file}.yaml"));
        let applied = stack.kubernetes.server.requests();
        let applied =
            applied.iter().rfind(|request| request.path == path && request.method == "PATCH");
        let applied = applied.unwrap_or_else(|| panic!("install should apply {file}")).json();
        assert_eq!(manifest, applied, "{file}");
    }
    for release in ["lrs", "lms", "dataviz"] {
        let calls = stack.helm.calls_of("upgrade");
        let call = calls.iter().rfind(|call| call.is(release));
        let mut values =
            call.unwrap_or_else(|| panic!("install should install {release}")).values();
        for part in ["", "/postgresql"] {
            if let Some(values) = values.pointer_mut(part).and_then(Value::as_object_mut) {
                values.remove("secretChecksum");
            }
        }
        assert_eq!(yaml(&files, &format!("values/{release}.yaml")), values, "{release}");
    }
}

#[test]
fn apply_script_passes_bash_and_shellcheck() {
    for options in ["", "--profile production", "--only lrs", "--only operator"] {
        let (machine, files) = rendered(options);
        let script = text(&files, "apply.sh");
        assert_is_bash("apply.sh", script);
        let path = machine.path("stack/apply.sh");
        let is_executable = {
            use std::os::unix::fs::PermissionsExt;
            fs::metadata(&path).expect("apply.sh").permissions().mode() & 0o111 == 0o111
        };
        assert!(is_executable, "apply.sh should be executable");
        // continuous integration has shellcheck, other machines may lack it
        if let Ok(output) = Command::new("shellcheck").arg(&path).output() {
            let found = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{found}");
        }
    }
}

/// A kubectl that finds no object, and writes its arguments and its standard input to files.
const KUBECTL: &str = r#"#!/bin/bash
printf 'kubectl %s\n' "$*" >> "$CALLS"
case "$*" in *go-template*) echo a-password; exit ;; esac
case "$1" in
  get) [[ "$2 $3" == "configmap/lms-plugin-"*" -n" ]] && [ -n "$PLUGIN" ]; exit ;;
  api-resources) exit 0 ;;
  create | apply) cat >> "$INPUT"; echo --- >> "$INPUT" ;;
  exec) cat > /dev/null ;;
esac
"#;

/// Runs apply.sh with this kubectl and a helm that only writes its arguments to a file.
fn apply(machine: &Machine, plugin: &str) -> (bool, String, String, String) {
    for (name, content) in
        [("kubectl", KUBECTL), ("helm", "#!/bin/bash\nprintf 'helm %s\\n' \"$*\" >> \"$CALLS\"\n")]
    {
        fs::create_dir_all(machine.path("stub")).expect("a folder");
        program::write(&machine.path("stub").join(name), content);
    }
    let path = format!("{}:{}", machine.path("stub").display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .arg(machine.path("stack/apply.sh"))
        .env("PATH", path)
        .env("PLUGIN", plugin)
        .env("CALLS", machine.path("calls"))
        .env("INPUT", machine.path("input"))
        .stdin(Stdio::null())
        .output()
        .expect("apply.sh runs");
    let read = |name: &str| fs::read_to_string(machine.path(name)).unwrap_or_default();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.success(), stderr, read("calls"), read("input"))
}

#[test]
fn apply_script_creates_absent_secrets_with_random_values_through_stdin() {
    let (machine, files) = rendered("");
    let (succeeded, stderr, calls, input) = apply(&machine, "there");
    assert!(succeeded, "{stderr}\n{calls}");
    let mut seen = Vec::new();
    for document in input.split("---\n").filter(|text| text.contains("kind: Secret")) {
        let secret: Value = serde_saphyr::from_str(document).expect("a manifest");
        for (key, value) in secret["stringData"].as_object().expect("stringData") {
            let value = value.as_str().expect("a string");
            if !["username", "roles"].contains(&key.as_str()) {
                assert!(
                    value.len() == 24 && value.chars().all(|c| c.is_ascii_alphanumeric()),
                    "{key}"
                );
                assert!(!calls.contains(value), "{key} should not be an argument");
                seen.push(value.to_string());
            }
        }
    }
    let readme = text(&files, "README.md");
    assert!(readme.contains("| `dataviz-superset` | `admin-password`, `teacher-password`, `lastack-password`, `secret-key` |"));
    seen.sort();
    let all = seen.len();
    seen.dedup();
    assert_eq!((all, seen.len()), (13, 13), "each value should be unique");
    let order = [
        "elastic-operator",
        "manifests/data-lake.yaml",
        "helm upgrade --install lrs",
        "helm test lrs",
    ];
    let positions: Vec<_> =
        order.map(|text| calls.find(text).unwrap_or_else(|| panic!("{text}\n{calls}"))).into();
    assert!(positions.is_sorted(), "{calls}");
}

#[test]
fn apply_script_without_the_plugin_names_the_option_and_applies_nothing() {
    let (machine, _) = rendered("");
    let (succeeded, stderr, calls, _) = apply(&machine, "");
    assert!(!succeeded);
    assert!(
        stderr.contains("error: configmap/lms-plugin-dc423de2a54d: cannot be applied"),
        "{stderr}"
    );
    assert!(stderr.contains("--plugin https://"), "{stderr}");
    assert!(!calls.contains("apply") && !calls.contains("helm"), "{calls}");
}

#[test]
fn render_into_a_folder_with_foreign_files_fails() {
    let machine = Machine::new();
    machine.write("stack/notes.txt", "mine");
    machine
        .run("install --render stack -n alice")
        .exits(1)
        .prints_nothing()
        .says("error: folder stack: cannot be written: it is not empty and was not written by `install --render`")
        .says("hint: name another folder: kubectl lastack install --render stack-new");
    assert_eq!(tree(&machine.path("stack")).len(), 1, "render should write no file");
}

#[test]
fn second_render_replaces_its_own_files_and_keeps_others() {
    let (machine, before) = rendered("");
    machine.write("stack/notes.txt", "mine");
    machine.run("install --render stack -n alice --only lrs").exits(0);
    let after = tree(&machine.path("stack"));
    assert!(before.contains_key(Path::new("values/lms.yaml")));
    assert!(!after.contains_key(Path::new("values/lms.yaml")), "{:?}", after.keys());
    assert!(!machine.path("stack/charts/moodle").exists(), "render should delete the empty folder");
    assert_eq!(text(&after, "notes.txt"), "mine");
}

#[test]
fn render_of_an_address_that_only_the_cluster_knows_is_a_usage_error() {
    let machine = Machine::new();
    machine
        .run("install --render stack -n alice --expose loadbalancer")
        .exits(2)
        .says("error: the address of Moodle: cannot be rendered: only the cluster knows it")
        .says("hint: set `siteUrl` in the values of lms");
    assert!(!machine.path("stack").exists());
    machine.write("lastack.yaml", "values: {lms: {siteUrl: 'https://lms.example.org'}}\n");
    machine.run("install --render stack -n alice --expose loadbalancer -f lastack.yaml").exits(0);
    assert_eq!(
        yaml(&tree(&machine.path("stack")), "values/lms.yaml")["siteUrl"],
        "https://lms.example.org"
    );
}

#[test]
fn render_without_a_namespace_uses_the_namespace_of_the_kubeconfig() {
    let stack = MockedStack::empty();
    stack.machine.run("install --render stack").exits(0);
    let script = fs::read_to_string(stack.machine.path("stack/apply.sh")).expect("apply.sh");
    assert!(script.contains(&format!("kubectl get namespace {NAMESPACE} ")), "{script}");
}
