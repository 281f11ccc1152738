//! The main workflow: install, seed, verify, inspect.

use crate::cluster::{Ended, Need};
use crate::stack;

#[test]
fn second_install_changes_nothing() {
    let before = stack().versions();
    stack().lastack("install").good().shows("nothing to change");
    let after = stack().versions();
    for (object, version) in &before {
        assert_eq!(after.get(object), Some(version), "a second install should not change {object}");
    }
    assert_eq!(before.len(), after.len(), "a second install should create no objects");
}

#[test]
fn status_reports_components_addresses_and_stored_statements() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    stack().lastack("seed --count 1000").good();
    let status = stack().lastack("status -o json").good().json();
    assert_eq!(status["healthy"], true, "{status}");
    let part = |name: &str| {
        status["components"]
            .as_array()
            .unwrap()
            .iter()
            .find(|part| part["component"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(part("lrs")["response"]["detail"], "heartbeat ok");
    assert!(
        part("lrs")["url"].as_str().unwrap().starts_with("http://10.213.1."),
        "status should show the address of the load balancer"
    );
    assert!(
        part("datalake")["data"]["detail"].as_str().unwrap().contains("statements"),
        "{status}"
    );
    assert!(part("datalake")["newest"].is_string());
    assert_eq!(part("dataviz")["data"]["detail"], "3 dashboards, 31 charts");
    stack().lastack("status").good().shows("COMPONENT").shows("green");
}

#[test]
fn tutorial_commands_work_on_the_stack() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    let typed = |script: &str| -> Ended { stack().shell(script).good() };
    typed("kubectl -n e2e get svc lrs-ralph").shows("lrs-ralph");
    typed("kubectl -n e2e get pods").shows("data-lake-es-default-0");
    let script = r#"password=$(kubectl -n e2e get secret lrs-ralph -o jsonpath='{.data.password}' | base64 -d)
        address=$(kubectl -n e2e get svc lrs-ralph -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
        curl -sf --user "admin:$password" "http://$address/whoami""#;
    typed(script).shows("mbox");
}

#[test]
fn creds_shows_the_lrs_password_only_for_a_named_component() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    let hidden = stack().lastack("creds").good();
    let shown = stack().lastack("creds lrs -o json").good().json();
    let password = shown["items"][0]["password"].as_str().expect("a password").to_string();
    assert!(!hidden.stdout.contains(&password), "creds should hide the password");
    let address =
        stack().kubectl("get svc lrs-ralph -o jsonpath={.status.loadBalancer.ingress[0].ip}");
    let config = format!("user = \"admin:{password}\"\n");
    stack().run("curl", &["-sf", "-K", "-", &format!("http://{address}/whoami")], &config).good();
}

#[test]
fn helm_test_of_the_lrs_passes() {
    stack().run("helm", &["test", "lrs", "-n", "e2e"], "").good();
}

#[test]
fn install_rejects_an_oversized_profile_and_an_unknown_value_before_any_change() {
    if Need::SmallNode.is_missing() {
        return;
    }
    let before = stack().versions();
    stack()
        .lastack("install --profile production")
        .exits(1)
        .shows("preflight.room")
        .shows("choose a smaller `--profile`");
    let values = stack().file("unknown.yaml", "replica: 2\n");
    let rejected = stack().lastack(&format!("install --values lms={}", values.display()));
    rejected
        .exits(1)
        .shows("preflight.values")
        .shows("the values for lms are not valid for charts/moodle")
        .shows("replica");
    assert_eq!(
        stack().versions(),
        before,
        "a rejected install should change nothing and store no settings"
    );
}
