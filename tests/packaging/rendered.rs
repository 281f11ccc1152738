//! The rendered charts: rules for every object, with default and full values.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

use super::{chart::OURS, read, root};

pub const RELEASE: &str = "lms";
pub const NAMESPACE: &str = "alice";

/// The helm that the sandbox built, or helm on PATH. The wrapper of `sandbox/env` needs the network of the sandbox.
fn helm() -> PathBuf {
    let name = format!("helm{}", std::env::consts::EXE_SUFFIX);
    let sandbox = std::env::var_os("LASTACK_SANDBOX")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache/lastack-sandbox")))
        .map(|state| state.join("helm4"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    sandbox
        .into_iter()
        .chain(std::env::split_paths(&path))
        .map(|folder| folder.join(&name))
        .find(|helm| helm.is_file())
        .expect(
            "the chart tests need helm: add it to PATH, or build it with sandbox/up --build-only",
        )
}

fn run(verb: &[&str], values: &Value) -> Output {
    let mut child = Command::new(helm())
        // settings and plugins of the user have no effect
        .env_clear()
        .env("HOME", std::env::temp_dir())
        .args(verb)
        .args(["--namespace", NAMESPACE, "--kube-version", "1.34.0", "--values", "-"])
        .current_dir(root())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("helm");
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(values.to_string().as_bytes())
        .expect("helm reads its values");
    child.wait_with_output().expect("helm ends")
}

fn template(chart: &str, values: &Value) -> Output {
    run(&["template", RELEASE, &format!("charts/{chart}")], values)
}

pub fn text(chart: &str, values: &Value) -> String {
    let output = template(chart, values);
    assert!(
        output.status.success(),
        "{chart} with {values}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("text")
}

pub fn objects(chart: &str, values: &Value) -> Vec<Value> {
    text(chart, values)
        .split("\n---\n")
        .map(|object| {
            serde_saphyr::from_str(object)
                .unwrap_or_else(|error| panic!("{chart}: {error}: {object}"))
        })
        .collect()
}

/// The error of helm when the chart rejects the values.
pub fn rejection(chart: &str, values: &Value) -> String {
    let output = template(chart, values);
    assert!(!output.status.success(), "{chart} should reject {values}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub fn object<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("{kind} {name} should be rendered"))
}

/// The default values, and values that enable all options.
fn value_sets(chart: &str) -> Vec<Value> {
    let full = match chart {
        "moodle" => json!({
            "replicas": 2,
            "siteName": "Cells & Life * 'quoted'",
            "secretChecksum": "0a",
            "plugin": {"configMap": "lms-plugin", "checksum": "0b"},
            "cron": {"enabled": false},
            "persistence": {"accessModes": ["ReadWriteMany"], "storageClass": "shared", "retain": false},
            "autoscaling": {"enabled": true, "min": 2},
            "postgresql": {"enabled": false},
            "externalDatabase": {"host": "db.example.org", "existingSecret": "db", "sslMode": "verify-full", "caSecret": "db-ca"},
            "ingress": {"enabled": true, "host": "lms.example.org", "tlsSecret": "tls"},
            "networkPolicy": {"egress": [{"ports": [{"port": 587}]}]},
            "extraEnv": [{"name": "SMTP_HOST", "value": "mail.example.org"}],
        }),
        "ralph" => {
            json!({"replicas": 2, "ingress": {"enabled": true, "host": "lrs.example.org"}, "secretChecksum": "0a"})
        }
        _ => json!({
            "replicas": 2,
            "postgresql": {"enabled": false},
            "externalDatabase": {"host": "db.example.org", "existingSecret": "db", "sslMode": "verify-full", "caSecret": "db-ca"},
            "cache": {"enabled": true},
            "worker": {"replicas": 1},
            "beat": {"enabled": true},
            "ingress": {"enabled": true, "host": "dataviz.example.org"},
        }),
    };
    vec![json!({}), full]
}

fn each_rendering(mut check: impl FnMut(&str, &[Value])) {
    for chart in OURS {
        for values in value_sets(chart) {
            let objects = objects(chart, &values);
            assert!(pods(&objects).count() > 0, "{chart} should have pods with {values}");
            check(chart, &objects);
        }
    }
}

fn pod_of(object: &Value) -> Option<&Value> {
    match object["kind"].as_str()? {
        "Pod" => Some(&object["spec"]),
        "Deployment" | "StatefulSet" | "Job" => Some(&object["spec"]["template"]["spec"]),
        _ => None,
    }
}

/// Pods with the name of their owner.
fn pods(objects: &[Value]) -> impl Iterator<Item = (&str, &Value)> {
    objects
        .iter()
        .filter_map(|object| Some((object["metadata"]["name"].as_str()?, pod_of(object)?)))
}

pub fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"]
        .into_iter()
        .flat_map(|kind| pod[kind].as_array().into_iter().flatten())
}

#[test]
fn every_chart_passes_helm_lint() {
    for chart in OURS {
        for values in value_sets(chart) {
            let output = run(&["lint", "--strict", &format!("charts/{chart}")], &values);
            assert!(
                output.status.success(),
                "{chart} with {values}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}

#[test]
fn every_object_has_the_labels_of_its_release() {
    each_rendering(|chart, objects| {
        for object in objects {
            let metadata = &object["metadata"];
            let labels = &metadata["labels"];
            let name = &metadata["name"];
            assert_eq!(metadata["namespace"], NAMESPACE, "{chart}: {name}");
            assert_eq!(labels["app.kubernetes.io/part-of"], "lastack", "{chart}: {name}");
            assert_eq!(labels["app.kubernetes.io/instance"], RELEASE, "{chart}: {name}");
            assert!(
                labels["app.kubernetes.io/name"].is_string()
                    && labels["app.kubernetes.io/component"].is_string()
                    || chart == "ralph",
                "{chart}: {name}"
            );
        }
    });
}

#[test]
fn every_pod_meets_the_restricted_standard_and_has_no_token() {
    each_rendering(|chart, objects| {
        assert!(
            pods(objects).count() >= 2,
            "{chart}: the chart should render its pods and its test pod"
        );
        for (name, pod) in pods(objects) {
            let security = &pod["securityContext"];
            assert_eq!(pod["automountServiceAccountToken"], false, "{chart}: {name}");
            assert_eq!(pod["enableServiceLinks"], false, "{chart}: {name}");
            assert_eq!(security["runAsNonRoot"], true, "{chart}: {name}");
            assert!(security["runAsUser"].as_u64().is_some_and(|user| user > 0), "{chart}: {name}");
            assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault", "{chart}: {name}");
            for container in containers(pod) {
                let at = format!("{chart}: {name}, container {}", container["name"]);
                let security = &container["securityContext"];
                assert_eq!(security["allowPrivilegeEscalation"], false, "{at}");
                assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{at}");
                // the image of Moodle writes settings into its own files at the start
                let writes = chart == "moodle" && container["name"] == "moodle";
                assert_eq!(security["readOnlyRootFilesystem"], !writes, "{at}");
                assert!(
                    container["resources"]["requests"]["memory"].is_string(),
                    "{at} should request memory"
                );
                assert!(
                    container["resources"]["limits"]["memory"].is_string(),
                    "{at} should have a memory limit"
                );
            }
        }
    });
}

/// Environment variables with a password refer to a Secret, and no chart creates a Secret.
#[test]
fn rendered_objects_hold_no_password() {
    let mut passwords = BTreeSet::new();
    each_rendering(|chart, objects| {
        assert!(objects.iter().all(|object| object["kind"] != "Secret"), "{chart}");
        for variable in pods(objects)
            .flat_map(|(_, pod)| containers(pod))
            .flat_map(|container| container["env"].as_array().into_iter().flatten())
        {
            let name = variable["name"].as_str().expect("a name").to_uppercase();
            if name.contains("PASS") && !name.ends_with("_FILE") {
                passwords.insert(chart.to_owned());
                let given = variable["value"].as_str().unwrap_or_default();
                assert!(given.is_empty(), "{chart}: {name} is {given}");
                assert!(
                    variable["valueFrom"]["secretKeyRef"].is_object() || variable["value"] == "",
                    "{chart}: {name}"
                );
            }
        }
    });
    let expected = BTreeSet::from(["moodle".to_owned(), "ralph".to_owned()]);
    assert_eq!(
        passwords, expected,
        "all charts but that of Superset, which reads files, should have such variables"
    );
}

/// With server-side apply, Kubernetes rejects a container that names a variable twice.
#[test]
fn containers_name_each_variable_once() {
    each_rendering(|chart, objects| {
        for (name, container) in pods(objects)
            .flat_map(|(name, pod)| containers(pod).map(move |container| (name, container)))
        {
            let mut seen = BTreeSet::new();
            for variable in container["env"].as_array().into_iter().flatten() {
                assert!(
                    seen.insert(variable["name"].as_str()),
                    "{chart}: {name} should have {} once",
                    variable["name"]
                );
            }
        }
    });
}

#[test]
fn pods_mount_exactly_their_volumes() {
    each_rendering(|chart, objects| {
        for (name, pod) in pods(objects) {
            let names = |list: &Value| -> BTreeSet<String> {
                list.as_array()
                    .into_iter()
                    .flatten()
                    .map(|entry| entry["name"].as_str().expect("a name").to_owned())
                    .collect()
            };
            let mounted: BTreeSet<_> =
                containers(pod).flat_map(|container| names(&container["volumeMounts"])).collect();
            let mut volumes = names(&pod["volumes"]);
            if name.ends_with("-postgresql") {
                volumes.insert("data".into());
            }
            assert_eq!(mounted, volumes, "{chart}: {name}");
        }
    });
}

/// Its Pod sets a new password at its start. A new password of another account must not stop the database.
#[test]
fn postgresql_restarts_for_a_new_password_of_its_own_only() {
    for chart in ["moodle", "superset"] {
        let checksum = |values: &Value| {
            let objects = objects(chart, values);
            object(&objects, "StatefulSet", "lms-postgresql")["spec"]["template"]["metadata"]["annotations"]["lastack/secret-checksum"].clone()
        };
        assert_eq!(checksum(&json!({"secretChecksum": "0a"})), Value::Null, "{chart}");
        assert_eq!(checksum(&json!({"postgresql": {"secretChecksum": "0b"}})), "0b", "{chart}");
    }
}

#[test]
fn postgresql_templates_of_both_charts_are_equal() {
    let of = |chart: &str| {
        read(&format!("charts/{chart}/templates/postgresql.yaml")).replace(chart, "CHART")
    };
    assert_eq!(of("moodle"), of("superset"), "a change of one template belongs in the other, too");
}

#[test]
fn external_database_with_verified_tls_needs_an_authority() {
    for chart in ["moodle", "superset"] {
        let external = |mode: &str| json!({"postgresql": {"enabled": false}, "externalDatabase": {"host": "db.example.org", "existingSecret": "db", "sslMode": mode}});
        for mode in ["verify-ca", "verify-full"] {
            let rejection = rejection(chart, &external(mode));
            assert!(
                rejection.contains(&format!("sslMode {mode} needs"))
                    && rejection.contains("externalDatabase.caSecret"),
                "{chart}: {rejection}"
            );
        }
        assert!(!objects(chart, &external("require")).is_empty());
    }
}

#[test]
fn ingress_body_limit_equals_the_limit_of_the_component() {
    for (chart, limit) in [("moodle", "200M"), ("ralph", "20m"), ("superset", "64m")] {
        let annotations = json!({"example.org/own": "kept"});
        let mut values = json!({"ingress": {"enabled": true, "host": "la.example.org", "annotations": annotations}});
        if chart == "moodle" {
            values["php"] = json!({"uploadLimit": limit});
        }
        let objects = objects(chart, &values);
        let ingress = objects
            .iter()
            .find(|object| object["kind"] == "Ingress")
            .unwrap_or_else(|| panic!("{chart} should render an Ingress"));
        let found = &ingress["metadata"]["annotations"];
        assert_eq!(found["nginx.ingress.kubernetes.io/proxy-body-size"], limit, "{chart}");
        assert_eq!(found["example.org/own"], "kept", "{chart}");
    }
}

#[test]
fn image_with_a_digest_is_used_as_it_is_named() {
    let digest = format!("@sha256:{}", "0b".repeat(32));
    let (whole, tagged) = (format!("example.org/image{digest}"), format!("17.12{digest}"));
    let images = |chart: &str, values: &Value| -> BTreeSet<String> {
        let objects = objects(chart, values);
        let names = pods(&objects).flat_map(|(_, pod)| containers(pod));
        names.map(|container| container["image"].as_str().expect("an image").to_string()).collect()
    };
    for chart in ["moodle", "ralph", "superset"] {
        let by_repository = json!({"repository": whole});
        let by_tag = json!({"repository": "example.org/image", "tag": tagged});
        let expected =
            [(by_repository, whole.clone()), (by_tag, format!("example.org/image:{tagged}"))];
        for (image, expected) in expected {
            let mut values = json!({"image": image});
            let others: &[&str] = match chart {
                "moodle" => &["postgresql"],
                "superset" => &["postgresql", "cache"],
                _ => &[],
            };
            for other in others {
                values[*other] = json!({"image": image});
            }
            assert_eq!(images(chart, &values), BTreeSet::from([expected]), "{chart}");
        }
    }
}
