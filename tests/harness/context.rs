//! The end-to-end tests use the sandbox or a named context, and reject every other.

use std::path::PathBuf;

use crate::support::context::{SANDBOX, chosen, only};
use crate::support::machine::Machine;

const KUBECONFIG: &str = "{apiVersion: v1, kind: Config, current-context: production,
    clusters: [{name: c1, cluster: {server: 'https://production.example.org'}},
               {name: c2, cluster: {server: 'https://127.0.0.1:6443', certificate-authority: ca.crt}}],
    users: [{name: u1, user: {token: of-production}}, {name: u2, user: {token: of-kind}}],
    contexts: [{name: production, context: {cluster: c1, user: u1}},
               {name: kind-x, context: {cluster: c2, user: u2, namespace: somewhere}}]}";

fn files(machine: &Machine) -> Vec<PathBuf> {
    vec![machine.write("home/.kube/config", KUBECONFIG), machine.path("absent")]
}

#[test]
fn e2e_without_a_named_context_uses_the_sandbox() {
    assert_eq!(chosen(None), Ok(SANDBOX));
    let machine = Machine::new();
    let error = only(SANDBOX, &files(&machine)).expect_err("no sandbox exists");
    assert!(error.contains("no context `lastack-sandbox`"), "{error}");
    assert!(error.contains("production, kind-x"), "{error}");
}

#[test]
fn e2e_context_that_is_empty_or_current_is_rejected() {
    for name in ["", "  ", "current"] {
        let error = chosen(Some(name)).expect_err("no context was named");
        assert!(error.contains("never use the current one"), "{error}");
    }
}

#[test]
fn e2e_kubeconfig_of_a_named_context_has_no_other_cluster() {
    let machine = Machine::new();
    let config = only(chosen(Some("kind-x")).expect("a name"), &files(&machine)).expect("kind-x");
    assert_eq!(config["current-context"], "kind-x");
    for (list, name) in [("contexts", "kind-x"), ("clusters", "c2"), ("users", "u2")] {
        let names: Vec<_> =
            config[list].as_array().expect("a list").iter().map(|x| &x["name"]).collect();
        assert_eq!(names, [name], "{list} of {config}");
    }
    assert_eq!(
        config["users"][0]["user"]["token"], "of-kind",
        "the kubeconfig should hold the token of the user"
    );
    let authority = config["clusters"][0]["cluster"]["certificate-authority"].as_str();
    let path = machine.path("home/.kube/ca.crt");
    assert_eq!(authority, path.to_str(), "the path of the authority should be absolute");
    assert!(!config.to_string().contains("production"), "{config}");
}
