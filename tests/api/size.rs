//! The CronJob that measures the size of the data lake: `install` creates it, `status` reports when it is overdue.

use http::Method;
use serde_json::{Value, json};

use crate::support::kubernetes::failure;
use crate::support::server::Reply;
use crate::support::stack::{MockedStack, SIZE, stuck_pod};

const JOBS: &str = "/apis/batch/v1/namespaces/alice/jobs";

fn pod_of_the_last_run(stack: &MockedStack, log: &str) {
    let labels = json!({"app.kubernetes.io/instance": "data-lake-size", "batch.kubernetes.io/job-name": "data-lake-size-now"});
    let mut pod =
        stuck_pod("data-lake-size-now-1", "alice", labels, "elasticsearch:8.19.21", json!({}), 0);
    pod["status"]["phase"] = json!("Failed");
    pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 22}});
    stack.kubernetes.put([pod]).logs("data-lake-size-now-1", log);
}

/// Sets the status of a CronJob whose Jobs failed for two hours.
fn make_overdue(stack: &MockedStack) {
    let mut cron = stack.kubernetes.object(SIZE).expect("the CronJob");
    cron["status"] = json!({"lastScheduleTime": "2026-11-27T14:00:00Z", "lastSuccessfulTime": "2026-11-27T12:00:00Z"});
    stack.kubernetes.put([cron]);
}

#[test]
fn size_cronjob_uses_the_image_and_placement_of_the_data_lake() {
    let stack = MockedStack::installed();
    let pod = |stack: &MockedStack| {
        stack.kubernetes.object(SIZE).expect("the CronJob")["spec"]["jobTemplate"]["spec"]["template"]
            ["spec"]
            .clone()
    };
    assert_eq!(
        pod(&stack)["containers"][0]["image"],
        "docker.elastic.co/elasticsearch/elasticsearch:8.19.21"
    );
    assert_eq!(
        pod(&stack)["containers"][0]["env"][1]["value"],
        "https://data-lake-es-http.alice.svc:9200"
    );
    stack.machine.run("install --image-registry mirror.example.org").exits(0);
    assert_eq!(
        pod(&stack)["containers"][0]["image"],
        "mirror.example.org/elasticsearch/elasticsearch:8.19.21"
    );

    let sets = json!([{"name": "default", "count": 1, "podTemplate": {"spec": {"imagePullSecrets": [{"name": "mirror"}], "nodeSelector": {"disk": "fast"}}}}]);
    let values = stack.machine.write(
        "values.yaml",
        json!({"image": "example.org/search:8", "nodeSets": sets}).to_string(),
    );
    stack.machine.run(&format!("install --values datalake={}", values.display())).exits(0);
    let pod = pod(&stack);
    assert_eq!(pod["containers"][0]["image"], "example.org/search:8");
    assert_eq!(
        (&pod["imagePullSecrets"], &pod["nodeSelector"]),
        (&json!([{"name": "mirror"}]), &json!({"disk": "fast"}))
    );
}

#[test]
fn failed_size_jobs_are_a_fault_and_the_next_install_runs_one() {
    let stack = MockedStack::installed();
    make_overdue(&stack);
    pod_of_the_last_run(&stack, "curl: (22) The requested URL returned error: 401\n");
    let why = "the size of the data lake was not measured for 120m: curl: (22) The requested URL returned error: 401; run `kubectl lastack install`";
    stack.machine.run("status").exits(3).prints("fault: dataviz data: ").prints(why);
    stack.machine.run("dashboards explain index-size").exits(3).prints("was not measured for 120m");
    stack.machine.run("install --dry-run").exits(3).prints(
        "the data lake's size is not measured for 120m, should be measured every 10 minutes",
    );
    stack.kubernetes.reacts(Method::POST, JOBS, |world, request| {
        let mut job = request.json();
        job["metadata"]["name"] = json!("data-lake-size-now");
        job["metadata"]["namespace"] = json!("alice");
        job["status"] = json!({"conditions": [{"type": "Failed", "status": "True"}]});
        world.put(job.clone());
        Some(Reply::Json(201, job))
    });
    stack.machine
        .run("install")
        .exits(1)
        .says("error: dataviz.size: job data-lake-size-now: measuring the data lake failed: curl: (22) The requested URL returned error: 401")
        .says("hint: run `kubectl logs job/data-lake-size-now -n alice`");
}

#[test]
fn install_starts_a_size_job_when_the_cronjob_make_overdue() {
    let stack = MockedStack::installed();
    make_overdue(&stack);
    stack.machine.run("install").exits(0).says("ok        dataviz.size");
    let job = stack.kubernetes.object(&format!("{JOBS}/data-lake-size-now")).expect("a run");
    assert_eq!(
        job["metadata"]["ownerReferences"][0]["kind"], "CronJob",
        "the CronJob should own its Jobs: {job}"
    );
    stack.machine.run("status").exits(0);
    stack.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn install_waits_until_elasticsearch_knows_the_role() {
    let stack = MockedStack::installed();
    stack.kubernetes.remove(SIZE);
    let rejected = || {
        Reply::Json(
            403,
            json!({"error": {"reason": "action [indices:admin/get] is unauthorized for user [lastack]"}}),
        )
    };
    stack.elasticsearch.next("/data-lake-size", [rejected(), rejected()]);
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("cronjob data-lake-size: missing, so the size of the data lake is not measured");
    stack
        .machine
        .run("install")
        .exits(0)
        .says("is unauthorized for user [lastack]")
        .says("ok        dataviz.size");
}

#[test]
fn hidden_size_cronjob_is_no_fault_and_a_foreign_one_stays() {
    let stack = MockedStack::installed();
    stack.kubernetes.replies(
        Method::GET,
        SIZE,
        failure(403, "Forbidden", "cronjobs.batch \"data-lake-size\" is forbidden"),
    );
    stack.machine.run("status").exits(0).prints("3 dashboards, 31 charts");

    let stack = MockedStack::installed();
    let mut theirs: Value = stack.kubernetes.object(SIZE).expect("the CronJob");
    theirs["metadata"]["labels"] = json!({});
    theirs["spec"]["schedule"] = json!("0 0 * * *");
    stack.kubernetes.put([theirs]);
    let theirs = stack.kubernetes.object(SIZE).expect("the CronJob");
    stack
        .machine
        .run("install")
        .exits(1)
        .says("namespace alice: CronJob data-lake-size was not created by this tool");
    stack.machine.run("uninstall --yes -n alice").exits(0);
    assert_eq!(stack.kubernetes.object(SIZE), Some(theirs));
}
