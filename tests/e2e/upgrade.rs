//! Upgrades from older versions of every component, killed in each of them.

use std::fs;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::cluster::{Cluster, repository};

/// The nodes whose work is interrupted, one in each component.
const INTERRUPTED: [&str; 4] =
    ["datalake.resource", "lrs.release", "lms.release", "dataviz.release"];
const UPGRADE: &str = "upgrade --no-backup --yes --timeout 15m";

/// The components with an older version of their program, and its variable. The charts do not support an older Superset.
const PROGRAMS: [(&str, &str); 3] =
    [("datalake", "ELASTICSEARCH"), ("lrs", "RALPH"), ("lms", "MOODLE")];

/// An older version that the sandbox has, by the name of its variable.
fn older(name: &str) -> String {
    let file = fs::read_to_string(repository().join("sandbox/versions.env")).expect("versions");
    let value = |line: &str| {
        let value = line.strip_prefix(name)?.strip_prefix("_OLDER_VERSION=")?;
        value.split_whitespace().next().map(str::to_string)
    };
    file.lines().find_map(value).expect("an older version")
}

/// The record of a stack that an older release of the program made.
fn older_versions() -> Value {
    let file = fs::read_to_string(repository().join("manifests/versions.yaml")).expect("versions");
    let file: Value = serde_saphyr::from_str(&file).expect("YAML");
    let mut components = file["components"].clone();
    for (name, variable) in PROGRAMS {
        let component = &mut components[name];
        let newer = component["version"].as_str().expect("a version").to_string();
        for image in component["images"].as_object_mut().expect("images").values_mut() {
            *image = json!(image.as_str().expect("an image").replace(&newer, &older(variable)));
        }
        component["version"] = json!(older(variable));
    }
    for name in ["lms", "dataviz"] {
        let image = format!("postgres:{}", older("POSTGRESQL"));
        components[name]["images"]["postgresql"] = json!(image);
    }
    json!({"program": env!("CARGO_PKG_VERSION"), "components": components})
}

/// Records older versions for a stack that is installed next.
pub fn record_older_versions(cluster: &Cluster) {
    let namespace = cluster.namespace;
    let labels = json!({"app.kubernetes.io/part-of": "lastack", "app.kubernetes.io/managed-by": "kubectl-lastack"});
    let objects = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}},
        {"apiVersion": "v1", "kind": "ConfigMap",
         "metadata": {"name": "lastack-settings", "namespace": namespace, "labels": labels},
         "data": {"lastack.yaml": "{}", "versions.yaml": older_versions().to_string()}},
    ]});
    // as the program does, so that its own apply replaces these values
    let apply = ["apply", "--server-side", "--field-manager=kubectl-lastack", "-f", "-"];
    cluster.run("kubectl", &apply, &objects.to_string()).good();
}

/// The images of all Pods that run.
fn images(cluster: &Cluster) -> String {
    cluster.kubectl(
        "get pods --field-selector=status.phase=Running -o jsonpath={.items[*].spec.containers[*].image}",
    )
}

/// Every component is upgraded, although the program is killed in each of them, and no data is lost.
pub fn assert_upgrades(cluster: &Cluster) {
    let before = images(cluster);
    let tags = ["ELASTICSEARCH", "RALPH", "MOODLE", "POSTGRESQL"].map(older);
    for tag in &tags {
        assert!(before.contains(tag), "{tag} should run: {before}");
    }
    cluster
        .lastack("upgrade --dry-run")
        .exits(3)
        .shows("only from a backup: changes its database")
        .shows(&older("POSTGRESQL"));
    cluster.lastack("upgrade").exits(2).shows("cannot be undone without a backup");
    for node in INTERRUPTED {
        kill_during(cluster, node);
        cluster.lastack("status").exits(3).shows("the upgrade is not complete");
        if node == "datalake.resource" {
            assert_returns_a_component_that_fails(cluster);
        }
    }
    cluster
        .lastack(UPGRADE)
        .good()
        .shows("Continuing the upgrade")
        .shows("checks passed")
        .shows("chart `Events` counts it");
    let after = images(cluster);
    for tag in &tags {
        assert!(!after.contains(tag), "{tag} should not run: {after}");
    }
    cluster.lastack("upgrade").good().shows("All components have the versions of this program");
    cluster
        .lastack("rollback --yes")
        .exits(1)
        .shows("have changed their data")
        .shows("there is no backup");
}

/// A component whose new Pods are rejected gets its earlier version again. Those before it keep their new ones.
fn assert_returns_a_component_that_fails(cluster: &Cluster) {
    let name = format!("{}-no-new-ralph", cluster.namespace);
    let rejected = "object.spec.containers.all(one, one.image.endsWith(':OLDER') || !one.image.contains('ralph:'))";
    let selected = json!({"matchLabels": {"kubernetes.io/metadata.name": cluster.namespace}});
    let api = "admissionregistration.k8s.io/v1";
    let pods = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]});
    let policy = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicy", "metadata": {"name": name},
         "spec": {"matchConstraints": {"resourceRules": [pods]},
                  "validations": [{"expression": rejected.replace("OLDER", &older("RALPH")), "message": "no new Ralph"}]}},
        {"apiVersion": api, "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": name},
         "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": {"namespaceSelector": selected}}},
    ]});
    cluster.run("kubectl", &["apply", "-f", "-"], &policy.to_string()).good();
    let ended = cluster.lastack(UPGRADE);
    let names = ["validatingadmissionpolicies/", "validatingadmissionpolicybindings/"];
    let [policy, binding] = names.map(|kind| format!("{kind}{name}"));
    cluster.run("kubectl", &["delete", &policy, &binding], "").good();
    ended
        .exits(1)
        .shows("no new Ralph")
        .shows(&format!("Ralph was returned to version {}", older("RALPH")))
        .shows("kubectl lastack upgrade");
    let images = images(cluster);
    assert!(images.contains(&format!("ralph:{}", older("RALPH"))), "{images}");
    assert!(!images.contains(&older("ELASTICSEARCH")), "{images}");
}

/// Kills an upgrade as soon as it changes this node.
fn kill_during(cluster: &Cluster, node: &str) {
    let mut upgrade = cluster.start(&format!("{UPGRADE} -o json"));
    let output = BufReader::new(upgrade.stdout.take().expect("its output"));
    let is_working = |line: &str| {
        let event: Value = serde_json::from_str(line).unwrap_or_default();
        event["id"] == node && event["state"] == "working"
    };
    let mut lines = output.lines().map_while(Result::ok);
    let found = lines.find(|line| is_working(line));
    upgrade.kill().expect("a running upgrade");
    upgrade.wait().expect("its end");
    assert!(found.is_some(), "the upgrade should have worked on {node}");
}
