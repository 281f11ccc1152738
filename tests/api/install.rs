//! `install` in an empty cluster and over an existing stack.

use std::collections::BTreeMap;

use base64::Engine as _;
use http::Method;
use serde_json::{Value, json};

use crate::support::kubernetes::failure;
use crate::support::stack::{DATA_LAKE, MockedStack, operator, pod};

const SECRETS: &str = "/api/v1/namespaces/alice/secrets";

/// The data of a Secret, decoded.
pub fn secret(stack: &MockedStack, name: &str) -> BTreeMap<String, String> {
    let secret = stack
        .kubernetes
        .object(&format!("{SECRETS}/{name}"))
        .unwrap_or_else(|| panic!("Secret {name} should exist"));
    let decode = |value: &Value| {
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
        String::from_utf8(bytes).unwrap()
    };
    secret["data"]
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), decode(value)))
        .collect()
}

/// All passwords that an install created.
pub fn passwords(stack: &MockedStack) -> Vec<String> {
    const KEYS: [(&str, &[&str]); 10] = [
        ("lrs-ralph", &["password", "moodle-password"]),
        ("data-lake-user-lrs", &["password"]),
        ("data-lake-user-dashboards", &["password"]),
        ("data-lake-user-size", &["password"]),
        ("data-lake-user-lastack", &["password"]),
        (
            "dataviz-superset",
            &["admin-password", "teacher-password", "lastack-password", "secret-key"],
        ),
        ("dataviz-postgresql", &["password"]),
        ("dataviz-valkey", &["password"]),
        ("lms-moodle", &["moodle-password", "learner-password"]),
        ("lms-postgresql", &["password"]),
    ];
    KEYS.iter()
        .flat_map(|(name, keys)| keys.iter().map(|key| secret(stack, name)[*key].clone()))
        .collect()
}

#[test]
fn install_in_an_empty_cluster_builds_a_stack_that_responds() {
    let stack = MockedStack::empty();
    let ended = stack.machine.run("install");
    ended
        .exits(0)
        .prints_nothing()
        .says("Installing into namespace alice of context lab, profile laptop\n")
        .says("Kubernetes 1.34.4")
        .says("helm 4.2.4")
        .says("whoami and heartbeat ok")
        .says("Ready in ")
        .says("  kubectl lastack seed -n alice ");
    let index = stack.elasticsearch.index().expect("the index should exist");
    assert_eq!(index["mappings"]["properties"]["verb.id"]["type"], "keyword");
    assert_eq!(index["settings"]["index.number_of_replicas"], 0, "one node cannot hold a replica");
    for password in passwords(&stack) {
        assert_eq!(password.len(), 24);
        ended.never_shows(&password);
    }
}

#[test]
fn partial_stack_stays_partial_until_all_components_are_requested() {
    let stack = MockedStack::empty();
    stack.machine.run("install --only lrs").exits(0).says(
        "Not part of this stack: lms, dataviz; run `kubectl lastack install -n alice --all` to install all",
    );
    stack.helm.lists(json!([{"name": "lrs", "status": "deployed", "chart": "ralph-0.1.0", "app_version": "5.0.1"}]));
    stack.machine.run("install").exits(0).says("nothing to change").never_shows("lms.");
    stack.machine.run("status").exits(0).prints("heartbeat ok").never_shows("moodle");
    stack.machine.run("configure").exits(0).says("Nothing to change");
    stack.machine.run("install --only dataviz").exits(0).says("Not part of this stack: lms;");
    stack.machine.run("install --dry-run").exits(0).prints("dataviz.release").never_shows("lms.");
    stack
        .machine
        .run("install --all")
        .exits(0)
        .says("lms.release")
        .never_shows("Not part of this stack");
    stack.machine.run("install --only lrs").exits(0).never_shows("Not part of this stack");
    stack.machine.run("install --dry-run").exits(0).prints("lms.release");
    // Moodle uses an account of the LRS, and can run without the LRS
    MockedStack::empty()
        .machine
        .run("install --only lms")
        .exits(0)
        .says("Not part of this stack: operator, datalake, lrs, dataviz;")
        .never_shows("kubectl lastack seed")
        .never_shows("kubectl lastack open dataviz");
}

#[test]
fn install_suggests_next_commands_with_the_same_connection_flags() {
    let stack = MockedStack::empty();
    let flags = "-n alice --context other --as bob";
    stack
        .machine
        .run(&format!("install --only lrs {flags} --token typed-token"))
        .exits(0)
        .says(&format!("`kubectl lastack install {flags} --all` to install all"))
        .says(&format!("  kubectl lastack seed {flags} "))
        .says(&format!("  kubectl lastack status {flags} "))
        .never_shows("typed-token");
}

#[test]
fn install_from_a_settings_file_installs_its_components() {
    let stack = MockedStack::empty();
    stack.machine.write("lastack.yaml", "components: [lrs]\nprofile: classroom\n");
    stack
        .machine
        .run("install -f lastack.yaml")
        .exits(0)
        .says("profile classroom")
        .says("lrs.release")
        .never_shows("dataviz.");
    assert_eq!(stack.helm.calls_of("upgrade").len(), 2, "operator and lrs");
}

#[test]
fn install_detects_an_operator_that_is_no_statefulset() {
    let stack = MockedStack::empty();
    let mut pod =
        pod("elastic-operator-7d9f", json!({"control-plane": "elastic-operator"}), ("https", 9443));
    pod["metadata"]["namespace"] = json!("operators");
    pod["spec"]["containers"][0]["image"] = json!("docker.elastic.co/eck/eck-operator-ubi:3.4.0");
    stack.kubernetes.put([operator()[0].clone(), pod]);
    stack
        .machine
        .run("install")
        .exits(0)
        .says("unchanged operator.release       ECK 3.4.0 in operators");
    assert!(stack.helm.calls_of("upgrade").iter().all(|call| !call.is("elastic-operator")));
}

#[test]
fn second_install_changes_nothing() {
    let stack = MockedStack::installed();
    let (changes, passwords) = (stack.kubernetes.changes(), passwords(&stack));
    stack
        .machine
        .run("install")
        .exits(0)
        .says("Ready, nothing to change, in ")
        .never_shows("  ok ");
    assert_eq!(
        stack.kubernetes.changes(),
        changes,
        "the second run should send no request that changes an object"
    );
    assert_eq!(self::passwords(&stack), passwords);
    assert_eq!(
        stack.helm.calls_of("upgrade").len(),
        4,
        "operator, lms, lrs and dataviz, once each"
    );
    assert_eq!(stack.superset.imports(), 2, "the connection and the dashboards, once each");
}

#[test]
fn install_keeps_the_settings_of_an_earlier_install() {
    let stack = MockedStack::empty();
    stack.machine.run("install --profile classroom --no-wait").exits(0).says("profile classroom");
    stack.machine.run("install --dry-run").exits(0).says("profile classroom");
    stack.machine.run("install --dry-run --profile laptop").exits(3).says("profile laptop");
}

#[test]
fn install_labels_its_objects() {
    let stack = MockedStack::installed();
    for path in [
        "/api/v1/namespaces/alice/secrets/lrs-ralph",
        "/api/v1/namespaces/alice/configmaps/lastack-settings",
        DATA_LAKE,
    ] {
        let labels = &stack.kubernetes.object(path).unwrap()["metadata"]["labels"];
        assert_eq!(labels["app.kubernetes.io/part-of"], "lastack", "{path}");
        assert_eq!(labels["app.kubernetes.io/managed-by"], "kubectl-lastack", "{path}");
    }
}

#[test]
fn install_creates_a_missing_namespace() {
    let stack = MockedStack::empty();
    stack.machine.run("install -n bob --only lrs --timeout 0").says("bob, new");
    let namespace =
        stack.kubernetes.object("/api/v1/namespaces/bob").expect("the namespace should exist");
    let labels = &namespace["metadata"]["labels"];
    assert_eq!(labels["app.kubernetes.io/managed-by"], "kubectl-lastack");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
}

#[test]
fn new_namespace_is_named_after_the_user() {
    let stack = MockedStack::empty();
    let machine = stack.machine.env("USER", "Bob.O'Hara");
    machine
        .run("install --new-namespace --dry-run")
        .exits(3)
        .says("Installing into namespace bob-o-hara-");
}

#[test]
fn install_only_installs_the_component_and_its_dependencies() {
    let stack = MockedStack::empty();
    stack
        .machine
        .run("install --only datalake")
        .exits(0)
        .says("datalake.index")
        .never_shows("lrs.");
    let installed: Vec<String> =
        stack.helm.calls_of("upgrade").iter().map(|call| call.line()).collect();
    assert!(installed.len() == 1 && installed[0].contains("elastic-operator"), "{installed:?}");
}

#[test]
fn component_installed_alone_joins_the_same_stack_later() {
    let stack = MockedStack::empty();
    stack
        .machine
        .run("install --only operator --profile classroom")
        .exits(0)
        .never_shows("settings");
    stack.machine.run("install --only datalake --profile classroom").exits(0);
    stack.machine.run("install --dry-run").exits(0).says("profile classroom");
}

#[test]
fn secret_created_by_another_client_during_install_is_kept() {
    let stack = MockedStack::empty();
    let foreign = json!({"username": "YWRtaW4=", "password": "dGhlaXJz"});
    stack.kubernetes.reacts(Method::POST, SECRETS, move |world, request| {
        let mut secret = request.json();
        if secret["metadata"]["name"] != "lrs-ralph" {
            return None;
        }
        secret["data"] = foreign.clone();
        secret["metadata"]["namespace"] = json!("alice");
        secret["apiVersion"] = json!("v1");
        secret["kind"] = json!("Secret");
        world.put(secret);
        Some(failure(409, "AlreadyExists", "secrets \"lrs-ralph\" already exists"))
    });
    stack.machine.run("install").exits(0);
    let secret = secret(&stack, "lrs-ralph");
    assert_eq!(secret["password"], "theirs", "an existing password should never be overwritten");
    assert!(
        secret["auth.json"].contains("$2b$"),
        "the accounts file should hold the existing password"
    );
}

#[test]
fn install_keeps_a_changed_password_and_updates_the_accounts_file() {
    let stack = MockedStack::installed();
    let before = secret(&stack, "lrs-ralph");
    let chosen = base64::engine::general_purpose::STANDARD.encode("chosen by a user");
    let mut object = stack.kubernetes.object(&format!("{SECRETS}/lrs-ralph")).unwrap();
    object["data"]["password"] = json!(chosen);
    stack.kubernetes.put([object]);
    stack.machine.run("install").exits(0).says("lrs.credentials").never_shows("chosen by a user");
    let after = secret(&stack, "lrs-ralph");
    assert_eq!(after["password"], "chosen by a user");
    assert_ne!(
        after["auth.json"], before["auth.json"],
        "the accounts file should hold the new password"
    );
    assert_eq!(
        stack.helm.calls_of("upgrade").len(),
        5,
        "the pods should restart with the new password"
    );
}

#[test]
fn install_uses_an_existing_operator() {
    let stack = MockedStack::empty();
    stack.kubernetes.put(crate::support::stack::operator());
    stack.machine.run("install").exits(0).says("ECK 3.5.0 in elastic-system");
    assert!(
        stack.helm.calls_of("upgrade").iter().all(|call| !call.line().contains("elastic-operator"))
    );
}
