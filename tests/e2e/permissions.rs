//! The Roles that `rbac` prints: a ServiceAccount with only one of them can run its verbs, and nothing beyond.

use crate::cluster::{Cluster, Own};
use crate::{beside, lms, remove, stack};

/// Binds a Role to a new ServiceAccount, and returns the flags to impersonate it.
fn account_with(name: &str, role: &str, cluster: &Cluster) -> String {
    let namespace = cluster.namespace;
    cluster.run("kubectl", &["apply", "-n", namespace, "-f", "-"], role).good();
    let account = format!("only-{name}");
    cluster.shell(&format!(
        "kubectl create serviceaccount {account} -n {namespace} --dry-run=client -o yaml | kubectl apply -f - &&
         kubectl create rolebinding {account} -n {namespace} --role=lastack-{name} --serviceaccount={namespace}:{account} --dry-run=client -o yaml | kubectl apply -f -"
    ))
    .good();
    format!("--as system:serviceaccount:{namespace}:{account}")
}

/// The same with the Role for a verb.
pub fn account_for(verb: &str, cluster: &Cluster) -> String {
    let role = cluster.lastack(&format!("rbac {verb}")).good().stdout;
    account_with(verb, &role, cluster)
}

/// The same with `manifests/rbac/install.yaml`.
fn account_for_install(cluster: &Cluster) -> String {
    account_with("install", include_str!("../../manifests/rbac/install.yaml"), cluster)
}

/// Fails unless the API server denies each of these requests of kubectl.
#[track_caller]
pub fn assert_denied(user: &str, requests: &[&str]) {
    for request in requests {
        let namespace = stack().namespace;
        let line = format!("kubectl -n {namespace} {user} {request}");
        let ended = stack().shell(&line);
        assert!(!ended.status.success(), "the API server should deny `{line}`:\n{ended}");
        ended.shows("forbidden");
    }
}

/// A command in a Pod. The API server checks the permission before it looks for the Pod.
const EXEC: &str = "get --raw /api/v1/namespaces/e2e/pods/any/exec";

/// The objects that give access to everything in the stack.
const MOST_SENSITIVE: [&str; 4] = [
    "get secret data-lake-es-elastic-user",
    "get secret data-lake-es-http-certs-internal",
    "get secret data-lake-es-http-ca-internal",
    "get secrets",
];

#[test]
fn status_role_shows_the_status_and_reaches_no_administrator_of_the_data_lake() {
    let user = account_for("status", stack());
    let status = stack().lastack(&format!("status -o json {user}")).good().json();
    let aspect = |component: &str, name: &str| {
        let rows = status["components"].as_array().expect("components");
        let row = rows.iter().find(|row| row["component"] == component).expect("a row");
        (row[name]["state"].clone(), row[name]["detail"].as_str().unwrap_or_default().to_string())
    };
    for component in ["lrs", "datalake", "dataviz"] {
        for name in ["runs", "pods", "response", "data"] {
            assert_eq!(aspect(component, name).0, "good", "{component} {name}: {status:#}");
        }
    }
    for (component, name, permission) in
        [("operator", "runs", "statefulsets"), ("lms", "data", "pods/exec")]
    {
        let (state, detail) = aspect(component, name);
        assert_eq!(state, "unknown", "{component} {name}: {status:#}");
        assert!(detail.contains(permission), "the row should name {permission}: {detail}");
    }
    let chart = stack().lastack("status -o json").good().json();
    assert_eq!(
        aspect("lrs", "runs").1,
        chart["components"][1]["runs"]["detail"].as_str().unwrap_or_default(),
        "the labels should give the version that helm reports"
    );
    assert_denied(&user, &MOST_SENSITIVE);
    assert_denied(
        &user,
        &[
            "get secret lms-moodle",
            "get secret data-lake-user-lastack",
            "exec deployment/lrs-ralph -- true",
            EXEC,
            "delete deployment lrs-ralph",
            "create configmap beyond",
        ],
    );
}

#[test]
fn role_of_each_verb_allows_the_verb_and_nothing_beyond() {
    let exported = stack().folder("exported-with-the-role");
    let export = format!("dashboards export --to {}", exported.display());
    for (verb, line) in [
        ("creds", "creds"),
        ("logs", "logs --tail 1"),
        ("seed", "seed --count 10"),
        ("statements", "statements --limit 1"),
        ("open", "open lrs --print"),
        ("replay", "replay"),
        ("dashboards-list", "dashboards list"),
        ("dashboards-apply", "dashboards apply"),
        ("dashboards-export", export.as_str()),
        ("dashboards-check", "dashboards check events"),
        ("dashboards-explain", "dashboards explain events"),
        ("configure", "configure"),
    ] {
        let user = account_for(verb, stack());
        stack().lastack(&format!("{line} {user}")).good();
        // `creds` shows the administrator of the data lake on purpose
        let sensitive = if verb == "creds" { &MOST_SENSITIVE[1..] } else { &MOST_SENSITIVE };
        assert_denied(&user, sensitive);
        if !["replay", "configure"].contains(&verb) {
            assert_denied(&user, &[EXEC]);
        }
    }
    lms::trace(&account_for("trace", stack())).good();
}

#[test]
fn install_role_allows_repair_and_seed_in_its_namespace() {
    let user = account_for_install(stack());
    stack().kubectl("delete service/lrs-ralph cronjob/data-lake-size");
    stack().lastack(&format!("install {user}")).good().shows("ok        dataviz.size");
    stack().lastack(&format!("seed --count 1000 {user}")).good();
    stack().lastack(&format!("status {user}")).good();
    for verb in ["configure", "dashboards apply", "creds rotate lrs --yes"] {
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
    let user = account_for_install(&cluster);
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

#[test]
fn namespace_that_install_created_rejects_privileged_pods() {
    let namespace = stack().namespace;
    let found = stack().kubectl_json(&format!("get namespace {namespace}"));
    assert_eq!(found["metadata"]["labels"]["pod-security.kubernetes.io/enforce"], "restricted");
    let pod = stack().shell(&format!(
        "kubectl -n {namespace} run privileged --image=none --privileged --dry-run=server"
    ));
    assert!(!pod.status.success(), "Kubernetes should reject the Pod:\n{pod}");
    pod.shows("violates PodSecurity \"restricted");
}
