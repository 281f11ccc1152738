//! The CronJob that measures the size of the data lake: `install` creates it, `status` reports when it is overdue.

use http::Method;
use serde_json::{Value, json};

use crate::support::kubernetes::failure;
use crate::support::server::Answer;
use crate::support::stack::{MockedStack, SIZE, stuck_pod};

const JOBS: &str = "/apis/batch/v1/namespaces/alice/jobs";

fn pod_of_the_last_run(lab: &MockedStack, log: &str) {
    let labels = json!({"app.kubernetes.io/instance": "data-lake-size", "batch.kubernetes.io/job-name": "data-lake-size-now"});
    let mut pod =
        stuck_pod("data-lake-size-now-1", "alice", labels, "elasticsearch:8.19.21", json!({}), 0);
    pod["status"]["phase"] = json!("Failed");
    pod["status"]["containerStatuses"][0]["state"] = json!({"terminated": {"exitCode": 22}});
    lab.kubernetes.put([pod]).logs("data-lake-size-now-1", log);
}

/// Sets the status of a CronJob whose Jobs failed for two hours.
fn make_overdue(lab: &MockedStack) {
    let mut cron = lab.kubernetes.object(SIZE).expect("the CronJob");
    cron["status"] = json!({"lastScheduleTime": "2026-11-27T14:00:00Z", "lastSuccessfulTime": "2026-11-27T12:00:00Z"});
    lab.kubernetes.put([cron]);
}

#[test]
fn size_cronjob_uses_the_image_and_placement_of_the_data_lake() {
    let lab = MockedStack::installed();
    let pod = |lab: &MockedStack| {
        lab.kubernetes.object(SIZE).expect("the CronJob")["spec"]["jobTemplate"]["spec"]["template"]
            ["spec"]
            .clone()
    };
    assert_eq!(
        pod(&lab)["containers"][0]["image"],
        "docker.elastic.co/elasticsearch/elasticsearch:8.19.21"
    );
    assert_eq!(
        pod(&lab)["containers"][0]["env"][1]["value"],
        "https://data-lake-es-http.alice.svc:9200"
    );
    lab.machine.run("install --image-registry mirror.example.org").exits(0);
    assert_eq!(
        pod(&lab)["containers"][0]["image"],
        "mirror.example.org/elasticsearch/elasticsearch:8.19.21"
    );

    let sets = json!([{"name": "default", "count": 1, "podTemplate": {"spec": {"imagePullSecrets": [{"name": "mirror"}], "nodeSelector": {"disk": "fast"}}}}]);
    let values = lab.machine.write(
        "values.yaml",
        json!({"image": "example.org/search:8", "nodeSets": sets}).to_string(),
    );
    lab.machine.run(&format!("install --values datalake={}", values.display())).exits(0);
    let pod = pod(&lab);
    assert_eq!(pod["containers"][0]["image"], "example.org/search:8");
    assert_eq!(
        (&pod["imagePullSecrets"], &pod["nodeSelector"]),
        (&json!([{"name": "mirror"}]), &json!({"disk": "fast"}))
    );
}

#[test]
fn failed_size_jobs_are_a_fault_and_the_next_install_runs_one() {
    let lab = MockedStack::installed();
    make_overdue(&lab);
    pod_of_the_last_run(&lab, "curl: (22) The requested URL returned error: 401\n");
    let why = "the size of the data lake was not measured for 120m: curl: (22) The requested URL returned error: 401; run `kubectl lastack install`";
    lab.machine.run("status").exits(3).prints("fault: dataviz data: ").prints(why);
    lab.machine.run("dashboards explain index-size").exits(3).prints("was not measured for 120m");
    lab.machine.run("install --dry-run").exits(0).prints(
        "the data lake's size is not measured for 120m, should be measured every 10 minutes",
    );
    lab.kubernetes.reacts(Method::POST, JOBS, |world, request| {
        let mut job = request.json();
        job["metadata"]["name"] = json!("data-lake-size-now");
        job["metadata"]["namespace"] = json!("alice");
        job["status"] = json!({"conditions": [{"type": "Failed", "status": "True"}]});
        world.put(job.clone());
        Some(Answer::Json(201, job))
    });
    lab.machine
        .run("install")
        .exits(1)
        .says("error: dataviz.size: job data-lake-size-now: measuring the data lake failed: curl: (22) The requested URL returned error: 401")
        .says("hint: run `kubectl logs job/data-lake-size-now -n alice`");
}

#[test]
fn install_starts_a_size_job_when_the_cronjob_make_overdue() {
    let lab = MockedStack::installed();
    make_overdue(&lab);
    lab.machine.run("install").exits(0).says("ok        dataviz.size");
    let job = lab.kubernetes.object(&format!("{JOBS}/data-lake-size-now")).expect("a run");
    assert_eq!(
        job["metadata"]["ownerReferences"][0]["kind"], "CronJob",
        "the CronJob should own its Jobs: {job}"
    );
    lab.machine.run("status").exits(0);
    lab.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn install_waits_until_elasticsearch_knows_the_role() {
    let lab = MockedStack::installed();
    lab.kubernetes.remove(SIZE);
    let rejected = || {
        Answer::Json(
            403,
            json!({"error": {"reason": "action [indices:admin/get] is unauthorized for user [lastack]"}}),
        )
    };
    lab.elasticsearch.next("/data-lake-size", [rejected(), rejected()]);
    lab.machine
        .run("status")
        .exits(3)
        .prints("cronjob data-lake-size: missing, so the size of the data lake is not measured");
    lab.machine
        .run("install")
        .exits(0)
        .says("is unauthorized for user [lastack]")
        .says("ok        dataviz.size");
}

#[test]
fn hidden_size_cronjob_is_no_fault_and_a_foreign_one_stays() {
    let lab = MockedStack::installed();
    lab.kubernetes.answers(
        Method::GET,
        SIZE,
        failure(403, "Forbidden", "cronjobs.batch \"data-lake-size\" is forbidden"),
    );
    lab.machine.run("status").exits(0).prints("3 dashboards, 31 charts");

    let lab = MockedStack::installed();
    let mut theirs: Value = lab.kubernetes.object(SIZE).expect("the CronJob");
    theirs["metadata"]["labels"] = json!({});
    theirs["spec"]["schedule"] = json!("0 0 * * *");
    lab.kubernetes.put([theirs]);
    let theirs = lab.kubernetes.object(SIZE).expect("the CronJob");
    lab.machine
        .run("install")
        .exits(1)
        .says("namespace alice: CronJob data-lake-size was not created by this tool");
    lab.machine.run("uninstall --yes").exits(0);
    assert_eq!(lab.kubernetes.object(SIZE), Some(theirs));
}
