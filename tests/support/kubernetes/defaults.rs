//! Defaults of the API server, as far as the objects of the product and the tests need them. The recordings in
//! `tests/fixtures/recordings/kubernetes` list the defaults that are left out.

use base64::Engine as _;
use serde_json::{Value, json};

/// Adds the defaults of the API server to a written object.
pub fn complete(object: &mut Value) {
    let kind = object["kind"].as_str().unwrap_or_default().to_owned();
    match kind.as_str() {
        "Namespace" => namespace(object),
        "Secret" => secret(object),
        "Service" => service(object),
        "Deployment" => {
            let spec = &mut object["spec"];
            set(spec, "replicas", json!(1));
            set(spec, "revisionHistoryLimit", json!(10));
            set(spec, "progressDeadlineSeconds", json!(600));
            if spec["strategy"]["type"].is_null() {
                spec["strategy"] = json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}});
            }
            template(&mut spec["template"], "Always");
        }
        "StatefulSet" => {
            set(&mut object["spec"], "replicas", json!(1));
            template(&mut object["spec"]["template"], "Always");
        }
        "CronJob" => {
            let spec = &mut object["spec"];
            set(spec, "concurrencyPolicy", json!("Allow"));
            set(spec, "suspend", json!(false));
            set(spec, "successfulJobsHistoryLimit", json!(3));
            set(spec, "failedJobsHistoryLimit", json!(1));
            set(&mut spec["jobTemplate"], "metadata", json!({}));
            template(&mut spec["jobTemplate"]["spec"]["template"], "");
        }
        "Job" => {
            let spec = &mut object["spec"];
            set(spec, "parallelism", json!(1));
            set(spec, "completions", json!(1));
            set(spec, "backoffLimit", json!(6));
            set(spec, "suspend", json!(false));
            template(&mut spec["template"], "");
        }
        "Pod" => {
            pod(&mut object["spec"], "Always");
            set(&mut object["spec"], "enableServiceLinks", json!(true));
            set(&mut object["status"], "phase", json!("Pending"));
        }
        _ => {}
    }
}

fn set(object: &mut Value, key: &str, value: Value) {
    if object[key].is_null() {
        object[key] = value;
    }
}

/// The items of a list, which may not exist.
fn items<'a>(object: &'a mut Value, list: &str) -> impl Iterator<Item = &'a mut Value> {
    object.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten()
}

fn namespace(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
    set(&mut object["spec"], "finalizers", json!(["kubernetes"]));
    set(&mut object["status"], "phase", json!("Active"));
}

fn secret(object: &mut Value) {
    set(object, "type", json!("Opaque"));
    let fields = object.as_object_mut().expect("an object");
    // `stringData` is stored encoded in `data`
    if let Some(Value::Object(texts)) = fields.remove("stringData") {
        for (key, text) in texts {
            let bytes = text.as_str().unwrap_or_default();
            object["data"][key] = json!(base64::engine::general_purpose::STANDARD.encode(bytes));
        }
    }
}

fn service(object: &mut Value) {
    let spec = &mut object["spec"];
    set(spec, "type", json!("ClusterIP"));
    set(spec, "sessionAffinity", json!("None"));
    set(spec, "internalTrafficPolicy", json!("Cluster"));
    for port in items(spec, "ports") {
        set(port, "protocol", json!("TCP"));
        let target = port["port"].clone();
        set(port, "targetPort", target);
    }
}

fn template(template: &mut Value, restart: &str) {
    // an empty template of a test stays empty
    if template["spec"]["containers"].is_array() {
        set(template, "metadata", json!({}));
        pod(&mut template["spec"], restart);
    }
}

fn pod(spec: &mut Value, restart: &str) {
    if !restart.is_empty() {
        set(spec, "restartPolicy", json!(restart));
    }
    set(spec, "dnsPolicy", json!("ClusterFirst"));
    set(spec, "schedulerName", json!("default-scheduler"));
    set(spec, "terminationGracePeriodSeconds", json!(30));
    set(spec, "securityContext", json!({}));
    for list in ["initContainers", "containers"] {
        for container in items(spec, list) {
            set(container, "terminationMessagePath", json!("/dev/termination-log"));
            set(container, "terminationMessagePolicy", json!("File"));
            set(container, "resources", json!({}));
            let image = container["image"].as_str().unwrap_or_default();
            let moves = image.ends_with(":latest") || !image.contains(':');
            let policy = if moves { "Always" } else { "IfNotPresent" };
            set(container, "imagePullPolicy", json!(policy));
            for port in items(container, "ports") {
                set(port, "protocol", json!("TCP"));
            }
        }
    }
}
