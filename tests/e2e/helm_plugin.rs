//! `helm plugin install` of this checkout, and `helm lastack` with the flags of helm.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use crate::cluster::{CONTEXT, Cluster, Need, repository};
use crate::stack;

/// The plugin as in a checkout, with the program under test instead of an older build.
fn plugin(directory: &Path) -> String {
    for file in ["plugin.yaml", "plugin.complete", "scripts/plugin-install", "scripts/plugin-run"] {
        let there = directory.join(file);
        fs::create_dir_all(there.parent().expect("a directory")).expect("a directory");
        fs::copy(repository().join(file), there).expect("a copy");
    }
    fs::create_dir(directory.join("bin")).expect("a directory");
    symlink(env!("CARGO_BIN_EXE_kubectl-lastack"), directory.join("bin/kubectl-lastack"))
        .expect("a link");
    directory.to_string_lossy().into_owned()
}

fn works_with(helm: &str) {
    stack();
    let home = tempfile::tempdir().expect("a directory");
    let cluster = Cluster::new("e2e", helm)
        .env("HELM_DATA_HOME", &home.path().to_string_lossy())
        .env("HELM_PLUGINS", &home.path().join("plugins").to_string_lossy());
    let plugin = plugin(&home.path().join("lastack"));
    cluster.run("helm", &["plugin", "install", &plugin], "").good();
    let status = cluster
        .run(
            "helm",
            &["lastack", "status", "-o", "json", "-n", "e2e", "--kube-context", &CONTEXT],
            "",
        )
        .good()
        .json();
    assert_eq!(
        (status["namespace"].as_str(), status["context"].as_str()),
        (Some("e2e"), Some(CONTEXT.as_str()))
    );
    let elsewhere = cluster
        .run("helm", &["lastack", "status", "-o", "json", "-n", "default"], "")
        .exits(3)
        .json();
    assert_eq!(elsewhere["namespace"], "default", "the namespace flag of helm should apply");
    let offered = cluster.run("helm", &["__complete", "lastack", "sta"], "").good();
    assert!(
        offered.stdout.contains("status\t") && offered.stdout.contains("statements\t"),
        "{}",
        offered.stdout
    );
}

#[test]
fn helm_plugin_works_with_helm_3() {
    if Need::TwoHelms.is_missing() {
        return;
    }
    works_with("3");
}

#[test]
fn helm_plugin_works_with_helm_4() {
    if Need::TwoHelms.is_missing() {
        return;
    }
    works_with("4");
}
