//! The verbs that need no cluster.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::machine::Machine;

/// A machine with an invalid kubeconfig, which every verb that reads it reports.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.write("home/.kube/config", "not: [a kubeconfig");
    machine
}

fn versions() -> Value {
    let versions: Value = serde_saphyr::from_str(include_str!("../../manifests/versions.yaml"))
        .expect("the versions file");
    let components = versions["components"].as_object().expect("components");
    assert!(!components.is_empty(), "the versions file should name components");
    versions
}

#[test]
fn version_prints_the_program_and_each_component() {
    let ended = machine().run("version");
    ended
        .exits(0)
        .says_nothing()
        .prints(&format!("kubectl-lastack {}\n", env!("CARGO_PKG_VERSION")));
    for (component, release) in versions()["components"].as_object().unwrap() {
        let version = release["version"].as_str().unwrap();
        let row = ended.stdout.lines().find(|line| line.starts_with(component)).unwrap_or_default();
        assert!(row.ends_with(version), "{component} should be shown as {version}\n{ended}");
    }
}

#[test]
fn version_as_json_has_the_same_values() {
    let document = machine().run("version -o json").json();
    assert_eq!(
        (&document["apiVersion"], &document["kind"]),
        (&"lastack/v1".into(), &"Version".into())
    );
    assert_eq!(document["version"], env!("CARGO_PKG_VERSION"));
    for (component, release) in versions()["components"].as_object().unwrap() {
        assert_eq!(document["components"][component]["version"], release["version"], "{component}");
        assert_eq!(document["components"][component]["images"], release["images"], "{component}");
    }
}

#[test]
fn version_images_prints_one_image_per_line() {
    let ended = machine().run("version --images");
    ended.exits(0).says_nothing();
    let listed: BTreeSet<&str> = ended.stdout.lines().collect();
    let versions = versions();
    let components = versions["components"].as_object().unwrap().values();
    let images = components.flat_map(|release| {
        release["images"].as_object().unwrap().values().map(|image| image.as_str().unwrap())
    });
    assert_eq!(listed, images.collect());
    assert!(!listed.is_empty(), "version should list images");
}

#[test]
fn version_flag_prints_one_line() {
    let ended = machine().run("--version");
    ended.exits(0).says_nothing();
    assert_eq!(ended.stdout, format!("kubectl-lastack {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn completion_script_of_each_shell_completes_every_verb() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ended = machine().run(&format!("completion {shell}"));
        ended.exits(0).says_nothing();
        for word in ["kubectl-lastack", "install", "uninstall", "creds", "namespace", "keep-data"] {
            ended.prints(word);
        }
    }
}
