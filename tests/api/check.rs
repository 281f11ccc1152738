//! `check`: each check has a fault that fails it and no other.

use std::collections::BTreeSet;

use http::Method;
use serde_json::{Value, json};

use crate::support::elasticsearch::disk;
use crate::support::kubernetes::failure;
use crate::support::lrs::HALF_PAIR;
use crate::support::server::Reply;
use crate::support::stack::{DATA_LAKE, MockedStack, SIZE, node};
use crate::support::statements::statement;
use crate::upgrade::edit_versions;

const RECORD: &str = "/api/v1/namespaces/alice/configmaps/dataviz-applied";
const PODS: &str = "/api/v1/namespaces/alice/pods";
const CLASSES: &str = "/apis/storage.k8s.io/v1/storageclasses";

type Fault = fn(&MockedStack);

/// A fault for each check.
const FAULTS: &[(&str, Fault)] = &[
    ("preflight.cluster", |stack| {
        stack.kubernetes.runs("v1.20.0");
    }),
    ("preflight.helm", |stack| {
        std::fs::remove_file(stack.machine.path("bin/helm")).unwrap();
    }),
    ("preflight.storage", |stack| {
        stack.kubernetes.replies(
            Method::GET,
            CLASSES,
            Reply::ok(json!({"metadata": {}, "items": []})),
        );
        no_claims(stack);
    }),
    ("preflight.room", |stack| {
        stack.kubernetes.put([node("100m", "1Gi")]);
    }),
    ("preflight.program", |stack| {
        edit_versions(stack, |text| {
            let this = concat!("program: \"", env!("CARGO_PKG_VERSION"), "\"");
            text.replace(this, "program: \"9.0.0\"")
        });
    }),
    ("settings.marks", |stack| {
        stack.kubernetes.put([json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "lastack-restore", "namespace": "alice"},
            "data": {"backup": "alice-20261130T093000Z", "location": "backups"},
        })]);
    }),
    ("preflight.admission", |stack| {
        let sentence = "pods \"lastack-check-x\" is forbidden: violates PodSecurity \"restricted:latest\": \
            seccompProfile (pod or container must set securityContext.seccompProfile.type)";
        let rejection = failure(403, "Forbidden", sentence);
        stack.kubernetes.replies(Method::POST, PODS, rejection);
    }),
    ("preflight.node-clocks", |stack| {
        stack.kubernetes.put([json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": {"name": "node-1", "namespace": "kube-node-lease",
                "managedFields": [{"manager": "kubelet", "operation": "Update", "time": "2026-11-29T12:00:00Z"}]},
            "spec": {"renewTime": "2026-11-29T12:07:00.000000Z"},
        })]);
    }),
    ("preflight.newest", |stack| {
        stack.kubernetes.runs("v1.99.0");
    }),
    ("preflight.architecture", |stack| {
        let mut other = node("8", "16Gi");
        other["metadata"]["name"] = json!("node-2");
        other["status"]["nodeInfo"] = json!({"architecture": "s390x"});
        stack.kubernetes.put([other]);
    }),
    ("preflight.quota", |stack| {
        stack.kubernetes.put([json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "team", "namespace": "alice"},
            "status": {"hard": {"requests.memory": "1Gi"}, "used": {"requests.memory": "512Mi"}},
        })]);
    }),
    ("preflight.binding", |stack| {
        for (name, zone) in [("node-2", "a"), ("node-3", "b")] {
            let mut other = node("8", "16Gi");
            other["metadata"]["name"] = json!(name);
            other["metadata"]["labels"] = json!({"topology.kubernetes.io/zone": zone});
            stack.kubernetes.put([other]);
        }
    }),
    ("preflight.clock", |stack| {
        let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
            "metadata": {"creationTimestamp": "2020-01-01T00:00:00Z"}, "status": {"userInfo": {}}});
        let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
        stack.kubernetes.replies(Method::POST, path, Reply::Json(201, review));
    }),
    ("namespace", |stack| {
        let mut namespace = stack.kubernetes.object("/api/v1/namespaces/alice").unwrap();
        namespace["metadata"]["deletionTimestamp"] = json!("2026-11-29T12:00:00Z");
        namespace["status"] = json!({"phase": "Terminating"});
        stack.kubernetes.put([namespace]);
    }),
    ("operator.release", |stack| {
        let path = "/apis/apps/v1/namespaces/elastic-system/statefulsets/elastic-operator";
        let mut operator = stack.kubernetes.object(path).unwrap();
        operator["status"]["readyReplicas"] = json!(0);
        stack.kubernetes.put([operator]);
    }),
    ("lms.accounts", |stack| lose_key(stack, "lms-moodle", "learner-password")),
    ("lms.plugin", |stack| {
        let is_plugin = |object: &Value| {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            object["kind"] == "ConfigMap" && name.starts_with("lms-plugin")
        };
        let mut plugins = stack.kubernetes.objects();
        plugins.retain(is_plugin);
        for plugin in plugins {
            let name = plugin["metadata"]["name"].as_str().unwrap();
            stack.kubernetes.remove(&format!("/api/v1/namespaces/alice/configmaps/{name}"));
        }
    }),
    ("lrs.credentials", |stack| lose_key(stack, "lrs-ralph", "auth.json")),
    ("datalake.accounts", |stack| {
        stack.kubernetes.remove("/api/v1/namespaces/alice/secrets/data-lake-user-size");
    }),
    ("datalake.network", |stack| {
        let path = "/apis/networking.k8s.io/v1/namespaces/alice/networkpolicies/data-lake";
        assert!(stack.kubernetes.object(path).is_some());
        stack.kubernetes.remove(path);
    }),
    ("dataviz.accounts", |stack| lose_key(stack, "dataviz-superset", "secret-key")),
    ("lms.release", |stack| fail_release(stack, "lms")),
    ("lrs.release", |stack| fail_release(stack, "lrs")),
    ("dataviz.release", |stack| fail_release(stack, "dataviz")),
    ("datalake.resource", |stack| {
        let mut lake = stack.kubernetes.object(DATA_LAKE).unwrap();
        lake["spec"]["nodeSets"][0]["count"] = json!(3);
        stack.kubernetes.put([lake]);
    }),
    ("lms.installed", |stack| stack.moodle.world().installed = false),
    ("lms.compatibility", |stack| stack.moodle.world().release = "5.2.1 (Build: 20261005)"),
    ("datalake.cluster", |stack| {
        let mut lake = stack.kubernetes.object(DATA_LAKE).unwrap();
        lake["status"]["health"] = json!("red");
        stack.kubernetes.put([lake]);
    }),
    ("lms.responds", |stack| stack.moodle.world().login = 500),
    ("datalake.index", |stack| {
        let mut index = stack.elasticsearch.index().unwrap();
        index["settings"]["index.blocks.write"] = json!("true");
        stack.elasticsearch.has_index(index);
    }),
    ("dataviz.responds", |stack| {
        stack.superset.is_unhealthy();
    }),
    ("lms.settings", |stack| {
        stack.moodle.world().settings.insert("endpoint".into(), "http://example.com/".into());
    }),
    ("lms.course", |stack| stack.moodle.world().courses.clear()),
    ("dataviz.size", |stack| {
        stack.kubernetes.remove(SIZE);
    }),
    ("dataviz.database", |stack| {
        stack.superset.user_edits("Data lake", |lake| {
            let uri = lake["sqlalchemy_uri"]
                .as_str()
                .unwrap()
                .replace("verify_certs=True", "verify_certs=False");
            lake["sqlalchemy_uri"] = json!(uri);
        });
    }),
    ("lms.store", |stack| stack.moodle.world().stores = vec!["logstore_standard".into()]),
    ("lrs.responds", |stack| {
        stack.lrs.always(Reply::text(500, "{\"database\": \"error\"}"));
    }),
    ("dataviz.dashboards", |stack| {
        // not deleted by a user, because the program has no record of it
        let title = "Is the course alive?";
        let uuid = stack.superset.content(title)["uuid"].as_str().unwrap().to_owned();
        let mut record = stack.kubernetes.object(RECORD).unwrap();
        assert!(record["data"].as_object_mut().unwrap().remove(&uuid).is_some());
        stack.kubernetes.put([record]);
        stack.superset.user_deletes(title);
    }),
    ("dataviz.teacher", |stack| stack.superset.world().teacher.clear()),
    ("lms.cron", |stack| stack.moodle.world().cron = Some(900)),
    ("lms.healthy", |stack| stack.moodle.world().free_bytes = 1 << 20),
    ("lrs.healthy", |stack| {
        let mut damaged = statement(3);
        damaged["actor"]["name"] = json!(HALF_PAIR);
        stack.lrs.has(&[damaged]);
    }),
    ("datalake.healthy", |stack| {
        let busy = json!({"error": {"reason": "all shards failed"}, "status": 503});
        stack.elasticsearch.next("/statements/_stats/store", [Reply::Json(503, busy)]);
    }),
    ("datalake.disk", |stack| {
        let full = json!({"nodes": {"n": disk(3 << 30)}});
        stack.elasticsearch.next("/_nodes/stats/fs", [Reply::ok(full)]);
    }),
    ("datalake.growth", |stack| {
        // 10 GB in five days, and 10 GB left
        let measured = |time: jiff::Timestamp, bytes: u64| {
            let source =
                json!({"timestamp": time.to_string(), "bytes": bytes, "free_bytes": 10_u64 << 30});
            Reply::ok(json!({"hits": {"hits": [{"_source": source}]}}))
        };
        let now = jiff::Timestamp::now();
        let before = now - jiff::SignedDuration::from_hours(120);
        stack.elasticsearch.has_measured(measured(before, 10 << 30), measured(now, 20 << 30));
    }),
    ("datalake.certificates", |stack| {
        let expired = json!([{"expiry": "2026-01-01T00:00:00.000Z"}]);
        stack.elasticsearch.next("/_ssl/certificates", [Reply::ok(expired)]);
    }),
    ("datalake.privileges", |stack| {
        let all = json!({"cluster": ["all"], "indices": []});
        stack.elasticsearch.next("/_security/user/_privileges", [Reply::ok(all)]);
    }),
    ("dataviz.charts", |stack| {
        let broken = json!({"errors": [{"message": "Unknown column [verb.id]"}]});
        stack.superset.fails_query(Reply::Json(400, broken));
    }),
];

/// Checks whose fault needs another stack than the mocked one: see the tests below.
const ELSEWHERE: &[&str] = &[
    // the date decides: `end_of_fixes_is_reported_months_before_it` in the module
    "preflight.support",
    // `check_before_an_install_checks_the_cluster_for_a_profile`
    "preflight.expansion",
    // `check_of_an_exposed_stack_without_its_ingress_class_fails`
    "preflight.exposure",
    // `install_with_a_value_unknown_to_the_chart_fails_before_any_change`
    "preflight.values",
    // an absent record is no stack
    "settings",
];

fn no_claims(stack: &MockedStack) {
    let claims = "/api/v1/namespaces/alice/persistentvolumeclaims";
    stack.kubernetes.replies(Method::GET, claims, Reply::ok(json!({"metadata": {}, "items": []})));
}

fn lose_key(stack: &MockedStack, secret: &str, key: &str) {
    let mut secret =
        stack.kubernetes.object(&format!("/api/v1/namespaces/alice/secrets/{secret}")).unwrap();
    assert!(secret["data"].as_object_mut().unwrap().remove(key).is_some());
    stack.kubernetes.put([secret]);
}

fn fail_release(stack: &MockedStack, release: &str) {
    stack.helm.has_release_of_ours(release, "failed", "Upgrade failed");
}

fn results(stack: &MockedStack) -> Vec<(String, String, Value)> {
    let report = stack.machine.run("check -o json").json();
    let checks = report["checks"].as_array().expect("the checks").iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    checks.map(|check| (text(&check["id"]), text(&check["result"]), check.clone())).collect()
}

#[test]
fn check_of_a_healthy_stack_is_one_line() {
    let stack = MockedStack::installed();
    let changes = stack.kubernetes.changes();
    let ended = stack.machine.run("check");
    ended.exits(0);
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    assert_eq!(stack.kubernetes.changes(), changes);
}

#[test]
fn every_check_has_a_fault_that_fails_it_and_no_other() {
    let ids: BTreeSet<String> =
        results(&MockedStack::installed()).into_iter().map(|(id, ..)| id).collect();
    let covered: BTreeSet<String> = FAULTS
        .iter()
        .map(|(id, _)| *id)
        .chain(ELSEWHERE.iter().copied())
        .map(String::from)
        .collect();
    let healthy: BTreeSet<&String> = ids.iter().filter(|id| !covered.contains(*id)).collect();
    assert_eq!(healthy, BTreeSet::new(), "each check should have a fault in FAULTS");

    let mut wrong = Vec::new();
    for (id, fault) in FAULTS {
        let stack = MockedStack::installed();
        fault(&stack);
        let mut failed: Vec<_> =
            results(&stack).into_iter().filter(|(_, result, _)| result == "failed").collect();
        match failed.len() {
            1 if failed[0].0 == *id => {
                let (_, _, check) = failed.remove(0);
                assert!(check["remedy"].as_str().is_some_and(|text| !text.is_empty()), "{check}");
            }
            _ => wrong.push(format!("{id}: {failed:#?}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn check_shows_the_observation_the_remedy_and_the_section() {
    let stack = MockedStack::installed();
    stack.moodle.world().free_bytes = 1 << 20;
    stack
        .machine
        .run("check")
        .exits(3)
        .prints("error    lms.healthy")
        .prints("the volume with Moodle's files is full")
        .prints("remedy: ")
        .prints("/docs/reference/checks.md#lmshealthy")
        .prints("1 failed");
}

#[test]
fn check_of_an_exposed_stack_without_its_ingress_class_fails() {
    let stack = MockedStack::empty();
    let path = "/apis/networking.k8s.io/v1/ingressclasses/nginx";
    stack.kubernetes.put([json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"},
    })]);
    let options = "--expose ingress --domain example.org --ingress-class nginx --only lrs";
    stack.machine.run(&format!("install {options}")).exits(0);
    stack.helm.lists(json!([{"name": "lrs", "status": "deployed", "chart": "ralph-0.1.0", "app_version": "5.0.1"}]));
    stack.machine.run("check").exits(0);
    stack.kubernetes.remove(path);
    stack.machine.run("check").exits(3).prints("error    preflight.exposure").prints("1 failed");
}

#[test]
fn check_with_only_a_warning_succeeds() {
    let stack = MockedStack::installed();
    stack.kubernetes.runs("v1.99.0");
    stack
        .machine
        .run("check")
        .exits(0)
        .prints("warning  preflight.newest")
        .prints("1 with a warning");
    let report = stack.machine.run("check -o junit");
    report
        .exits(0)
        .prints("<testcase name=\"preflight.newest\" time=\"0.000\"/>")
        .prints("failures=\"0\"");
}

#[test]
fn check_ignores_the_architecture_of_a_node_that_accepts_no_pods() {
    let stack = MockedStack::installed();
    let mut other = node("8", "16Gi");
    other["metadata"]["name"] = json!("node-2");
    other["status"]["nodeInfo"] = json!({"architecture": "s390x"});
    other["spec"] = json!({"taints": [{"key": "mainframe", "effect": "NoSchedule"}]});
    stack.kubernetes.put([other]);
    stack.machine.run("check").exits(0);
}

#[test]
fn check_without_one_permission_reports_one_unknown_check() {
    let stack = MockedStack::installed();
    stack.kubernetes.forbids(Method::GET, CLASSES, "storageclasses.storage.k8s.io is forbidden");
    stack.machine.run("check").exits(0).prints("unknown  preflight.storage").prints("1 unknown");
}

#[test]
fn check_without_a_stack_fails_and_suggests_the_checks_of_the_cluster() {
    let stack = MockedStack::empty();
    stack.machine.run("check").exits(3).says("No stack in namespace alice").says("check --pre");
}

#[test]
fn check_before_an_install_checks_the_cluster_for_a_profile() {
    let stack = MockedStack::empty();
    stack.machine.run("check --pre --verbose").exits(0).prints("ok       preflight.permissions");
    stack
        .machine
        .run("check --pre --profile production")
        .exits(3)
        .prints("error    preflight.room")
        .prints("warning  preflight.expansion")
        .prints("storage class standard cannot expand volumes");
    stack.kubernetes.denies("create secrets");
    stack.machine.run("check --pre").exits(3).prints("error    preflight.permissions");
}

/// The manifest of a Deployment with one image.
fn deployment(image: &str) -> String {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"},
        "spec": {"template": {"spec": {"containers": [{"name": "any", "image": image}]}}},
    })
    .to_string()
}

/// The Pod of a Job of `check --pull`. The image `gone` cannot be pulled, and no other has the command of the container.
fn pod_of(job: &Value) -> Value {
    let name = job["metadata"]["name"].as_str().expect("a name");
    let image = &job["spec"]["template"]["spec"]["containers"][0]["image"];
    let state = match image.as_str().expect("an image").contains("gone") {
        true => json!({"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}),
        false => json!({"terminated": {"exitCode": 128, "reason": "StartError"}}),
    };
    let status = json!({"name": "check", "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state});
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": format!("{name}-x"), "namespace": "alice", "labels": {"batch.kubernetes.io/controller-uid": job["metadata"]["uid"]}},
        "spec": {"containers": [{"name": "check", "image": image}]},
        "status": {"containerStatuses": [status]},
    })
}

#[test]
fn check_pulls_each_image_on_request_and_deletes_what_it_started() {
    let stack = MockedStack::installed();
    stack.helm.renders("lrs", &deployment("fundocker/ralph:5.0.1"));
    for release in ["lms", "dataviz", "elastic-operator"] {
        stack.helm.renders(release, &deployment("registry.example.org/gone:1"));
    }
    let is_ours = |object: &Value| {
        object["metadata"]["generateName"]
            .as_str()
            .is_some_and(|name| name.starts_with("lastack-check-"))
    };
    stack.kubernetes.then(Method::POST, "/apis/batch/v1/namespaces/alice/jobs", move |world| {
        for job in world.of_kind("Job").iter().filter(|job| is_ours(job)) {
            world.put(pod_of(job));
        }
    });
    let ended = stack.machine.run("check --pull");
    ended
        .exits(3)
        .prints("error    preflight.images")
        .prints("registry.example.org/gone:1: ")
        .prints("--image-registry")
        .prints("1 failed")
        .never_shows("ralph:5.0.1: ");
    let left: Vec<Value> = stack
        .kubernetes
        .objects()
        .into_iter()
        .filter(|object| object["kind"] == "Job" && is_ours(object))
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    stack.machine.run("check").exits(0).never_shows("preflight.images");
}
