//! Upgrades from older versions of every component, killed in each of them.

use std::fs;
use std::io::{BufRead, BufReader};

use serde_json::{Value, json};

use crate::cluster::{Cluster, repository};

/// The nodes whose work is interrupted, one in each component.
const INTERRUPTED: [&str; 4] =
    ["datalake.resource", "lrs.release", "lms.release", "dataviz.release"];
const UPGRADE: &str = "upgrade --no-backup --yes --timeout 15m";

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
    let set = |component: &mut Value, version: &Value, older: &str| {
        let images = component["images"].as_object_mut().expect("images");
        for image in images.values_mut() {
            let newer = image.as_str().expect("an image");
            *image = json!(newer.replace(version.as_str().expect("a version"), older));
        }
    };
    for (name, variable) in [
        ("datalake", "ELASTICSEARCH"),
        ("lrs", "RALPH"),
        ("lms", "MOODLE"),
        ("dataviz", "SUPERSET"),
    ] {
        let component = &mut components[name];
        let version = component["version"].clone();
        set(component, &version, &older(variable));
        component["version"] = json!(older(variable));
        if component["images"].get("postgresql").is_some() {
            component["images"]["postgresql"] = json!(format!("postgres:{}", older("POSTGRESQL")));
        }
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

/// The images of all Pods.
fn images(cluster: &Cluster) -> String {
    cluster.kubectl(r"get pods -o jsonpath={.items[*].spec.containers[*].image}")
}

/// Every component is upgraded, although the program is killed in each of them, and no data is lost.
pub fn assert_upgrades(cluster: &Cluster) {
    let before = images(cluster);
    for (image, variable) in
        [("elasticsearch", "ELASTICSEARCH"), ("ralph", "RALPH"), ("superset", "SUPERSET")]
    {
        let older = format!("{image}:{}", older(variable));
        assert!(before.contains(&older), "{older} should run: {before}");
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
    }
    cluster
        .lastack(UPGRADE)
        .good()
        .shows("Continuing the upgrade")
        .shows("checks passed")
        .shows("chart `Events` counts it");
    let after = images(cluster);
    for variable in ["ELASTICSEARCH", "RALPH", "MOODLE", "SUPERSET", "POSTGRESQL"] {
        let older = format!(":{}", older(variable));
        assert!(!after.contains(&older), "{older} should not run: {after}");
    }
    cluster.lastack("upgrade").good().shows("All components have the versions of this program");
    cluster
        .lastack("rollback --yes")
        .exits(1)
        .shows("have changed their data")
        .shows("there is no backup");
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
