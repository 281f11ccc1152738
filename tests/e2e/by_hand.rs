//! A stack without `install`: by the script of the rendered folder, and by the explained commands.
//!
//! Each stack is complete and has its own namespace beside the shared stack.

use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::cluster::{Cluster, Own};
use crate::{beside, remove};

/// Requests that are small enough to fit beside the shared stack.
const SETTINGS: &str = "\
values:
  lrs: {resources: {requests: {cpu: 20m}}}
  lms: {resources: {requests: {cpu: 20m}}}
  dataviz: {resources: {requests: {cpu: 20m}}}
";

/// A namespace that does not exist yet.
fn absent(namespace: &'static str) -> Own {
    beside(namespace);
    remove(namespace);
    Own(Cluster::new(namespace, "4"))
}

/// Configures the components, then verifies statements and status.
fn assert_healthy(cluster: &Cluster) {
    cluster.lastack("configure").good();
    cluster.lastack("seed --count 200").good().shows("200 of 200 statements stored");
    cluster.lastack("status").good();
}

fn versions_of_secrets(cluster: &Cluster) -> Vec<(Value, Value)> {
    let list = cluster.kubectl_json("get secrets -l app.kubernetes.io/part-of=lastack");
    let items = list["items"].as_array().expect("a list");
    let version = |item: &Value| {
        (item["metadata"]["name"].clone(), item["metadata"]["resourceVersion"].clone())
    };
    items.iter().map(version).collect()
}

#[test]
fn rendered_stack_is_healthy_after_the_apply_script_and_configure() {
    let cluster = absent("e2e-render");
    let settings = cluster.file("lastack.yaml", SETTINGS);
    let folder = cluster.folder("rendered");
    let line = format!("install --render {} -f {}", folder.display(), settings.display());
    cluster.lastack(&line).good();
    let script = folder.join("apply.sh");
    let script = script.to_str().expect("a path that is text");
    cluster.run(script, &[], "").good().shows("kubectl lastack configure lms");
    assert_healthy(&cluster);
    let before = versions_of_secrets(&cluster);
    assert!(before.len() >= 10, "the script should create all Secrets: {before:?}");
    cluster.run(script, &[], "").good();
    assert_eq!(versions_of_secrets(&cluster), before, "a second run should keep the Secrets");
    cluster.lastack("status").good();
    remove("e2e-render");
}

#[test]
fn explained_commands_in_an_empty_namespace_build_a_healthy_stack() {
    let cluster = absent("e2e-paste");
    cluster.run("kubectl", &["create", "namespace", cluster.namespace], "").good();
    let settings = cluster.file("lastack.yaml", SETTINGS);
    let explained = cluster.lastack(&format!("install --explain -f {}", settings.display())).good();
    // the program as a plugin of kubectl, and a separate working directory for the charts
    let (bin, work) = (cluster.folder("bin"), cluster.folder("work"));
    let plugin = bin.join("kubectl-lastack");
    let _ = std::fs::remove_file(&plugin);
    symlink(env!("CARGO_BIN_EXE_kubectl-lastack"), &plugin).expect("the plugin on PATH");
    let (bin, work) = (bin.display(), work.display());
    let pasted = format!("cd {work}\nexport PATH={bin}:$PATH\n{}", explained.stdout);
    let script = cluster.file("pasted.sh", &pasted);
    cluster.run("bash", &["-e", script.to_str().expect("a path that is text")], "").good();
    assert_healthy(&cluster);
    remove("e2e-paste");
}
