//! `helm plugin install` of this checkout, and `helm lastack` with what helm was given.

use crate::lab::{Lab, repository};
use crate::stack;

fn works_with(helm: &str) {
    stack();
    let home = tempfile::tempdir().expect("a directory");
    let lab = Lab::new("e2e", helm)
        .env("HELM_DATA_HOME", &home.path().to_string_lossy())
        .env("HELM_PLUGINS", &home.path().join("plugins").to_string_lossy());
    // the plugin runs the program of PATH where the checkout has none built
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_kubectl-lastack")).parent().expect("a directory").to_string_lossy().into_owned();
    let path = lab.shell("printf %s \"$PATH\"").good().stdout;
    let lab = lab.env("PATH", &format!("{path}:{program}"));
    lab.run("helm", &["plugin", "install", &repository().to_string_lossy()], "").good();
    let status = lab.run("helm", &["lastack", "status", "-o", "json", "-n", "e2e", "--kube-context", "lastack-sandbox"], "").good().json();
    assert_eq!((status["namespace"].as_str(), status["context"].as_str()), (Some("e2e"), Some("lastack-sandbox")));
    let elsewhere = lab.run("helm", &["lastack", "status", "-o", "json", "-n", "default"], "").exits(3).json();
    assert_eq!(elsewhere["namespace"], "default", "the namespace that helm was given counts");
}

#[test]
fn it_works_with_helm_3() {
    works_with("3");
}

#[test]
fn it_works_with_helm_4() {
    works_with("4");
}
