//! The check that the cluster admits the Pods of the stack: Pod Security, admission webhooks and policies.

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DynamicObject, PostParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use crate::cluster::access::{Permission, may};
use crate::components::model::Components;
use crate::engine::Observation;
use crate::stack::Stack;

const CREATE: Permission = Permission::new("create", "", "pods");

/// Creates a Pod for the program of each component in a dry run, which passes everything that admits Pods and stores
/// nothing.
pub async fn check(stack: &Stack, components: Components) -> Result<Observation> {
    let namespace = stack.namespace();
    // a rejected Pod and a missing permission have the same status
    if !may(&stack.cluster, Some(namespace), CREATE).await? {
        return Ok(Observation::unknown(format!(
            "you may not create Pods in namespace {namespace}, which the check tries in a dry run"
        )));
    }
    let dry_run = PostParams { dry_run: true, ..PostParams::default() };
    let kind = ApiResource::erase::<Pod>(&());
    let pods: Api<DynamicObject> = stack.objects(&kind);
    for image in images(stack, components) {
        match pods.create(&dry_run, &serde_json::from_value(pod(&image))?).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {
                return Ok(Observation::Equal(format!(
                    "namespace {namespace} does not exist yet, so no Pod was tried"
                )));
            }
            Err(kube::Error::Api(status))
                if status.message.contains("does not support dry run") =>
            {
                return Ok(Observation::unknown(status.message));
            }
            Err(kube::Error::Api(status)) => {
                return Ok(Observation::blocked(
                    format!("a Pod with the image {image} is rejected: {}", status.message),
                    format!(
                        "ask your cluster administrator to admit the Pods of the stack in namespace {namespace}"
                    ),
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Observation::Equal("the Pods of the stack are admitted".into()))
}

/// The image of the program of each component with Pods in the namespace.
fn images(stack: &Stack, components: Components) -> impl Iterator<Item = String> {
    let here = components.iter().filter(|component| {
        stack.settings.has(component.declaration().name)
            && !component.pods(&stack.settings).is_empty()
    });
    here.map(|component| {
        stack.image(stack.versions.of(component.declaration().name).program_image())
    })
}

/// A Pod with the limits that all Pods of the stack keep. Its container cannot start, because no image has the command.
pub fn pod(image: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "lastack-check-"},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "automountServiceAccountToken": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": 65534, "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": "check",
                "image": image,
                "command": ["/lastack-check"],
                "resources": {
                    "requests": {"cpu": "1m", "memory": "8Mi"},
                    "limits": {"cpu": "100m", "memory": "32Mi"},
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    "readOnlyRootFilesystem": true,
                },
            }],
        },
    })
}
