//! The roles in docs/reference/permissions.md are sufficient: a ServiceAccount with only one of them can run its verbs.

use crate::cluster::{Cluster, Own};
use crate::{beside, lms, remove, stack};

/// Binds a role of `manifests/rbac/` to a new ServiceAccount, and returns the flags to impersonate it.
fn account_with(role: &str, cluster: &Cluster) -> String {
    let name = format!("only-{role}");
    let namespace = cluster.namespace;
    cluster
        .run(
            "kubectl",
            &["apply", "-n", namespace, "-f", &format!("manifests/rbac/{role}.yaml")],
            "",
        )
        .good();
    cluster.shell(&format!(
        "kubectl create serviceaccount {name} -n {namespace} --dry-run=client -o yaml | kubectl apply -f - &&
         kubectl create rolebinding {name} -n {namespace} --role=lastack-{role} --serviceaccount={namespace}:{name} --dry-run=client -o yaml | kubectl apply -f -"
    ))
    .good();
    format!("--as system:serviceaccount:{namespace}:{name}")
}

#[test]
fn status_role_allows_the_reading_verbs() {
    let user = account_with("status", stack());
    let status = stack().lastack(&format!("status -o json {user}")).good().json();
    let operator = status["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["component"] == "operator")
        .unwrap();
    assert_eq!(
        operator["runs"]["state"], "unknown",
        "the role should not allow the namespace of the operator: {status}"
    );
    assert!(
        operator["runs"]["detail"].as_str().unwrap().contains("statefulsets"),
        "status should name the missing permission: {status}"
    );
    let exported = stack().folder("exported-with-the-role");
    for verb in [
        &format!("dashboards export --to {}", exported.display()),
        "creds",
        "seed --count 10",
        "statements --limit 1",
        "replay",
        "open lrs --print",
        "dashboards list",
        "dashboards explain events",
        "dashboards check events",
    ] {
        stack().lastack(&format!("{verb} {user}")).good();
    }
    lms::trace(&user).good();
}

#[test]
fn install_role_allows_repair_and_seed_in_its_namespace() {
    let user = account_with("install", stack());
    stack().kubectl("delete service/lrs-ralph cronjob/data-lake-size");
    stack().lastack(&format!("install {user}")).good().shows("ok        dataviz.size");
    stack().lastack(&format!("seed --count 1000 {user}")).good();
    stack().lastack(&format!("status {user}")).good();
    for verb in ["configure", "dashboards apply"] {
        stack().lastack(&format!("{verb} {user}")).good();
    }
    let planned = stack().lastack(&format!("install --dry-run {user}")).good();
    planned.shows("No changes").prints("unknown   preflight.storage");
    stack().lastack(&format!("uninstall --dry-run {user}")).good().shows("release/lrs");
}

#[test]
fn install_role_allows_the_first_install_and_uninstall_in_its_namespace() {
    beside("e2e-own");
    remove("e2e-own");
    let cluster = Own(Cluster::new("e2e-own", "4"));
    cluster.run("kubectl", &["create", "namespace", cluster.namespace], "").good();
    let user = account_with("install", &cluster);
    cluster
        .lastack(&format!("install --only lms --no-wait {user}"))
        .good()
        .shows("started   lms.release");
    cluster.lastack(&format!("uninstall --yes {user}")).good().shows("Deleted in");
    assert_eq!(
        cluster.kubectl("get deployments,statefulsets,services,persistentvolumeclaims -o name"),
        "",
        "uninstall should delete the stack"
    );
    cluster.run("kubectl", &["delete", "namespace", cluster.namespace], "").good();
}

#[test]
fn install_without_any_permission_names_the_missing_ones() {
    stack().lastack("install --as nobody").exits(4).shows("you may not").shows("secrets");
}
