//! `rbac`: the printed Roles, and the files of `manifests/rbac`.

use serde_json::Value;
use snapbox::{assert_data_eq, file};

use crate::support::machine::Machine;

#[test]
fn status_manifest_equals_the_role_of_the_verb() {
    let role = Machine::new().run("rbac status");
    role.exits(0).says_nothing();
    assert_data_eq!(role.stdout, file!["../../manifests/rbac/status.yaml"].raw());
}

#[test]
fn install_manifest_equals_the_role_of_all_changing_verbs() {
    let verbs = "install status check creds-rotate configure dashboards-apply uninstall";
    let role = Machine::new().run(&format!("rbac {verbs} --name lastack-install"));
    role.exits(0).says_nothing();
    assert_data_eq!(role.stdout, file!["../../manifests/rbac/install.yaml"].raw());
}

#[test]
fn role_is_named_after_its_verbs_in_any_order() {
    let role = |line: &str| -> Value {
        let printed = Machine::new().run(line);
        serde_saphyr::from_str(&printed.exits(0).stdout).expect("YAML")
    };
    let (one, other) = (role("rbac seed creds"), role("rbac creds seed seed"));
    assert_eq!(one, other);
    assert_eq!(one["metadata"]["name"], "lastack-creds-seed");
    assert!(one["metadata"]["namespace"].is_null(), "`kubectl apply -n` should give the namespace");
    assert_eq!(role("rbac seed -n alice")["metadata"]["namespace"], "alice");
}
