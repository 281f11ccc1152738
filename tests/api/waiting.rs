//! A wait ends when the resource is ready, when it cannot become ready, or at the deadline.

use http::Method;
use serde_json::{Value, json};

use crate::support::elasticsearch::Elasticsearch;
use crate::support::kubernetes::failure;
use crate::support::machine::Ended;
use crate::support::server::Reply;
use crate::support::stack::{
    DATA_LAKE, MockedStack, data_lake_labels, lrs_labels, lrs_objects, operator, stuck_pod,
};

/// The only pod of the data lake.
fn data_lake_pod(waiting: Value, restarts: u32) -> Value {
    stuck_pod(
        "data-lake-es-default-0",
        "alice",
        data_lake_labels(),
        "docker.elastic.co/elasticsearch/elasticsearch:8.19.21",
        waiting,
        restarts,
    )
}

/// A cluster in which the only pod of the data lake stays in this state.
fn stack_with_pod(waiting: Value, restarts: u32) -> MockedStack {
    stack_with(data_lake_pod(waiting, restarts))
}

/// A cluster in which the operator creates the certificates and this object, and nothing else.
fn stack_with(object: Value) -> MockedStack {
    let stack = stack_without_certificates(object);
    stack.kubernetes.put([json!({"apiVersion": "v1", "kind": "Secret", "data": {"ca.crt": ""},
                             "metadata": {"name": "data-lake-es-http-certs-public", "namespace": "alice"}})]);
    stack
}

/// A cluster in which the operator creates this object, and nothing else.
fn stack_without_certificates(object: Value) -> MockedStack {
    let stack = MockedStack::empty();
    stack.kubernetes.put(operator()).then(Method::PATCH, DATA_LAKE, move |world| {
        let mut data_lake = world.object(DATA_LAKE).expect("the applied object");
        data_lake["status"] = json!({"phase": "ApplyingChanges", "availableNodes": 0});
        world.put(data_lake);
        world.put(object.clone());
    });
    stack
}

#[test]
fn install_ends_at_once_when_an_image_cannot_be_pulled() {
    let message = "failed to resolve reference \"docker.elastic.co/elasticsearch/elasticsearch:8.19.21\": not found";
    let ended = stack_with_pod(json!({"reason": "ErrImagePull", "message": message}), 0)
        .machine
        .run("install");
    ended
        .exits(1)
        .says("error: datalake.cluster: pod data-lake-es-default-0 cannot pull docker.elastic.co/elasticsearch/elasticsearch:8.19.21: not found in the registry")
        .says("hint: check `--image-registry`");
}

#[test]
fn install_ends_with_the_last_log_line_of_a_crash_loop() {
    let stack = stack_with_pod(json!({"reason": "CrashLoopBackOff", "message": "back-off 10s"}), 3);
    stack.kubernetes.logs(
        "data-lake-es-default-0",
        "starting\nmax virtual memory areas vm.max_map_count [65530] is too low\n\n",
    );
    stack.machine
        .run("install")
        .exits(1)
        .says(
            "container main of pod data-lake-es-default-0 keeps crashing (3 restarts): max virtual memory areas vm.max_map_count [65530] is too low",
        )
        .says("hint: kubectl logs data-lake-es-default-0 -c main -n alice --previous");
}

#[test]
fn image_pull_error_does_not_quote_the_log_of_another_container() {
    let mut pod = data_lake_pod(json!({"reason": "ImagePullBackOff", "message": "not found"}), 0);
    let crashing = json!({"name": "sidecar", "image": "b", "imageID": "", "ready": false, "restartCount": 5,
                          "state": {"waiting": {"reason": "CrashLoopBackOff"}}});
    pod["status"]["containerStatuses"].as_array_mut().expect("containers").push(crashing);
    let stack = stack_with(pod);
    stack.kubernetes.logs("data-lake-es-default-0", "of the sidecar");
    let ended = stack.machine.run("install");
    ended.exits(1).says("not found in the registry");
    assert!(!ended.stderr.contains("of the sidecar"), "{}", ended.stderr);
}

/// An event of the kubelet about a pod, some seconds old.
fn event_of_pod(pod: &str, seconds: i64, reason: &str, message: &str) -> [Value; 1] {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    [
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": format!("{pod}.{seconds}"), "namespace": "alice"}, "type": "Warning",
            "involvedObject": {"kind": "Pod", "name": pod}, "reason": reason, "lastTimestamp": at.to_string(), "message": message}),
    ]
}

#[test]
fn install_names_the_probe_that_causes_a_crash_loop() {
    let mut pod =
        data_lake_pod(json!({"reason": "CrashLoopBackOff", "message": "back-off 10s"}), 3);
    let began = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60);
    pod["status"]["containerStatuses"][0]["lastState"] =
        json!({"terminated": {"exitCode": 0, "startedAt": began.to_string()}});
    let stack = stack_with(pod);
    let name = "data-lake-es-default-0";
    stack.kubernetes.put(event_of_pod(
        name,
        90,
        "Unhealthy",
        "Startup probe failed: connection refused",
    ));
    stack.kubernetes.put(event_of_pod(name, 50, "Unhealthy", "Readiness probe failed: no"));
    stack.kubernetes.put(event_of_pod(
        name,
        11,
        "Unhealthy",
        "Startup probe failed: Get \"http://10.0.0.1/\": context deadline exceeded",
    ));
    stack.kubernetes.put(event_of_pod(
        name,
        10,
        "Killing",
        "Container main failed startup probe, will be restarted",
    ));
    stack.kubernetes.logs(name, "Finished server process");
    stack.machine.run("install").exits(1).says(
        "container main of pod data-lake-es-default-0 keeps crashing (3 restarts): the kubelet kills it because its startup probe failed: \
         Get \"http://10.0.0.1/\": context deadline exceeded",
    );
}

#[test]
fn install_names_the_latest_failed_probe_of_a_running_container() {
    let name = "data-lake-es-default-0";
    let stack = || {
        let mut pod = data_lake_pod(json!(null), 0);
        let began = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(60);
        pod["status"]["containerStatuses"][0]["state"] =
            json!({"running": {"startedAt": began.to_string()}});
        let stack = stack_with(pod);
        stack.kubernetes.put(event_of_pod(
            name,
            90,
            "Unhealthy",
            "Readiness probe failed: of the run before",
        ));
        stack.kubernetes.put(event_of_pod(
            name,
            20,
            "Unhealthy",
            "Startup probe failed: of the start",
        ));
        stack
    };
    let why = format!("container main of pod {name} is running and not ready yet");
    let started = stack().machine.run("install --timeout 1s");
    started.exits(124).says(&why);
    assert!(
        !started.stderr.contains("probe failed"),
        "the message should not name a probe of an earlier run: {}",
        started.stderr
    );

    let hangs = stack();
    hangs.kubernetes.put(event_of_pod(
        name,
        5,
        "Unhealthy",
        "Readiness probe failed: HTTP probe failed with statuscode: 500",
    ));
    let why = format!("{why}: its readiness probe failed: HTTP probe failed with statuscode: 500");
    hangs.machine.run("install --timeout 1s").exits(124).says(&why);
}

#[test]
fn install_ends_when_a_container_needs_a_missing_secret() {
    let stack = stack_with_pod(
        json!({"reason": "CreateContainerConfigError", "message": "secret \"data-lake-roles\" not found"}),
        0,
    );
    stack
        .machine
        .run("install")
        .exits(1)
        .says("cannot start container main: secret \"data-lake-roles\" not found");
}

#[test]
fn install_ends_when_a_volume_needs_a_missing_secret() {
    let mut pod = data_lake_pod(json!({"reason": "ContainerCreating"}), 0);
    pod["spec"]["volumes"] = json!([{"name": "a", "secret": {"secretName": "data-lake-roles"}},
                                    {"name": "b", "secret": {"secretName": "later", "optional": true}},
                                    {"name": "c", "secret": {"secretName": "typo"}}]);
    stack_with(pod)
        .machine
        .run("install")
        .exits(1)
        .says("pod data-lake-es-default-0 cannot start: secret typo is missing");
}

#[test]
fn install_ends_when_a_projected_volume_lacks_a_source_or_a_key() {
    let lacks = |sources: Value, said: &str| {
        let mut pod = data_lake_pod(json!({"reason": "ContainerCreating"}), 0);
        pod["spec"]["volumes"] = json!([{"name": "a", "projected": {"sources": sources}}]);
        stack_with(pod)
            .machine
            .run("install")
            .exits(1)
            .says(&format!("cannot start: {said} is missing"));
    };
    let roles = |key: &str| json!({"secret": {"name": "data-lake-roles", "items": [{"key": key, "path": "roles.yml"}]}});
    let later = json!({"secret": {"name": "later", "optional": true}});
    lacks(json!([roles("roles.yml"), later, {"configMap": {"name": "typo"}}]), "configmap typo");
    lacks(json!([roles("roles.yaml")]), "key roles.yaml of secret data-lake-roles");
}

#[test]
fn install_ends_for_a_current_quota_error_and_not_for_an_old_one() {
    let event = |at: jiff::Timestamp| {
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "data-lake-es-default.1", "namespace": "alice"}, "type": "Warning",
               "involvedObject": {"kind": "StatefulSet", "name": "data-lake-es-default"}, "reason": "FailedCreate", "lastTimestamp": at.to_string(),
               "message": "create Pod data-lake-es-default-0 in StatefulSet data-lake-es-default failed error: \
                           pods \"data-lake-es-default-0\" is forbidden: exceeded quota: seats, requested: memory=1536Mi"})
    };
    let why = "statefulset data-lake-es-default cannot create its pods: exceeded quota: seats, requested: memory=1536Mi";
    let now = jiff::Timestamp::now();
    stack_with(event(now))
        .machine
        .run("install")
        .exits(1)
        .says(&format!("error: datalake.cluster: {why}"))
        .says("kubectl describe statefulset");
    stack_with(event(now - jiff::SignedDuration::from_hours(24)))
        .machine
        .run("install --timeout 1s")
        .exits(124)
        .says(why);
}

#[test]
fn timeout_names_the_object_and_its_last_cause() {
    let stack = stack_with_pod(json!({"reason": "ContainerCreating"}), 0);
    stack.machine
        .run("install --timeout 1s")
        .exits(124)
        .prints_nothing()
        .says("error: datalake.cluster: elasticsearch data-lake is not ready after ")
        .says("0 of 1 node, phase ApplyingChanges: pod data-lake-es-default-0 is starting, image elasticsearch:8.19.21")
        .says("hint: increase `--timeout`");
}

#[test]
fn install_skips_dependents_of_a_failed_node_and_finishes_the_others() {
    let stack = stack_with_pod(json!({"reason": "ErrImagePull", "message": "not found"}), 0);
    stack
        .machine
        .run("install")
        .exits(1)
        .says("skipped   datalake.index         needs datalake.cluster")
        .says("ok        lrs.credentials");
}

#[test]
fn install_starts_superset_without_waiting_for_the_data_lake() {
    let stack = stack_with_pod(json!({"reason": "ErrImagePull", "message": "not found"}), 0);
    stack
        .machine
        .run("install")
        .exits(1)
        .says("ok        dataviz.release")
        .says("skipped   dataviz.database       needs datalake.index")
        .says("error: datalake.cluster");
}

#[test]
fn install_waits_for_a_certificate_of_the_new_authority() {
    const POD: &str = "data-lake-es-default-0";
    let stack = MockedStack::installed();
    let before = Elasticsearch::start("before", stack.lrs.store());
    let now = stack.elasticsearch.server.address();
    let mut connections = 0;
    let path = format!("/api/v1/namespaces/alice/pods/{POD}/portforward");
    stack.kubernetes.forwards(POD, before.server.address()).reacts(
        Method::GET,
        &path,
        move |world, _| {
            connections += 1;
            if connections > 4 {
                world.forward(POD, now);
            }
            None
        },
    );
    stack.machine
        .run("install")
        .exits(0)
        .says("working   datalake.cluster       Elasticsearch has no certificate of the new authority yet")
        .says("ok        datalake.cluster")
        .says("unchanged datalake.index");
}

/// As after a restart of the node, when the operator still reports the earlier state.
#[test]
fn install_waits_for_a_data_lake_that_restarts() {
    const POD: &str = "/api/v1/namespaces/alice/pods/data-lake-es-default-0";
    let stack = MockedStack::installed();
    let ready = stack.kubernetes.object(POD).expect("the pod");
    let mut starts = ready.clone();
    starts["status"]["conditions"][0]["status"] = json!("False");
    stack.kubernetes.put([starts]);
    let mut looks = 0;
    stack.kubernetes.reacts(Method::GET, DATA_LAKE, move |world, _| {
        looks += 1;
        if looks > 5 {
            world.put(ready.clone());
        }
        None
    });
    stack
        .machine
        .run("install")
        .exits(0)
        .says("working   datalake.cluster")
        .says("service data-lake-es-http has no ready pod")
        .says("ok        datalake.cluster")
        .says("unchanged datalake.index");
}

#[test]
fn install_names_missing_certificates_at_the_deadline() {
    let stack =
        stack_without_certificates(data_lake_pod(json!({"reason": "ContainerCreating"}), 0));
    stack.machine
        .run("install --timeout 1s")
        .exits(124)
        .says("error: datalake.resource: the certificate authority of elasticsearch data-lake is not ready after ")
        .says("the operator has not created its certificates yet")
        .says("skipped   dataviz.release        needs datalake.resource");
}

#[test]
fn install_without_waiting_applies_all_that_is_possible() {
    let stack = stack_with_pod(json!({"reason": "ContainerCreating"}), 0);
    stack
        .machine
        .run("install --no-wait")
        .exits(0)
        .says("ok        datalake.resource")
        .says("started   datalake.cluster")
        .says("later     datalake.index")
        .says("Started; not ready yet: ")
        .says("kubectl lastack install -n alice   complete the install");
    assert!(stack.kubernetes.changes().contains(&format!("PATCH {DATA_LAKE}")));
}

#[test]
fn install_names_a_missing_operator_at_the_deadline() {
    let stack = MockedStack::empty();
    // helm installs the operator, and no object appears
    stack.kubernetes.replies(
        Method::GET,
        "/apis/apps/v1/statefulsets",
        Reply::ok(json!({"metadata": {}, "items": []})),
    );
    stack
        .machine
        .run("install --timeout 1s")
        .exits(124)
        .says("error: operator.release: the ECK operator is not ready after ")
        .says("being created");
}

/// An upgrade of Ralph whose new pod cannot pull its image. `at_each_look` runs when the program looks at the rollout.
fn upgrade_to_a_missing_image(
    stack: &MockedStack,
    mut at_each_look: impl FnMut() + Send + 'static,
) -> Ended {
    let labels = json!({"app.kubernetes.io/name": "ralph", "app.kubernetes.io/instance": "lrs"});
    let selector = labels.clone();
    stack.kubernetes.reacts(Method::GET, LRS, move |_, _| {
        at_each_look();
        Some(Reply::ok(json!({
            "metadata": {"name": "lrs-ralph", "namespace": "alice", "generation": 2},
            "spec": {"replicas": 1, "selector": {"matchLabels": selector}, "template": {}},
            "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1},
        })))
    });
    let waiting = json!({"reason": "ImagePullBackOff", "message": "not found"});
    stack.kubernetes.put([stuck_pod(
        "lrs-ralph-1",
        "alice",
        labels,
        "nowhere.example.org/fundocker/ralph:5.0.1",
        waiting,
        0,
    )]);
    let ended = stack.machine.run("install --only lrs --image-registry nowhere.example.org");
    ended.exits(1).says("pod lrs-ralph-1 cannot pull nowhere.example.org/fundocker/ralph:5.0.1: not found in the registry");
    ended
}

#[test]
fn upgrade_rolls_back_when_its_pod_cannot_start() {
    let stack = MockedStack::installed();
    upgrade_to_a_missing_image(&stack, || {}).says("release lrs was rolled back to revision 1");
    assert_eq!(stack.helm.calls_of("rollback").len(), 1);
}

#[test]
fn upgrade_restarts_a_pod_that_crashed_before_instead_of_judging_it() {
    let stack = MockedStack::installed();
    let waiting = json!({"reason": "CrashLoopBackOff", "message": "back-off 5m0s"});
    let image = "fundocker/ralph:5.0.1";
    let crashing = stuck_pod("lrs-ralph-0", "alice", lrs_labels(), image, waiting, 9);
    let mut ralph = stack.kubernetes.object(LRS).expect("the Deployment of Ralph");
    ralph["status"]["availableReplicas"] = json!(0);
    stack.kubernetes.put([crashing, ralph.clone()]);
    // its database is available again, so the replacement starts
    ralph["status"]["availableReplicas"] = json!(1);
    let pod = "/api/v1/namespaces/alice/pods/lrs-ralph-0";
    stack.kubernetes.reacts(Method::DELETE, pod, move |world, _| {
        world.remove(pod);
        world.put(ralph.clone());
        lrs_objects().into_iter().for_each(|object| world.put(object));
        Some(Reply::ok(json!({"kind": "Status", "metadata": {}})))
    });
    stack.machine.run("install").exits(0).says("ok        lrs.release");
}

#[test]
fn upgrade_does_not_roll_back_the_revision_of_another_helm() {
    let stack = MockedStack::installed();
    let state = stack.helm.state_file("lrs");
    // another helm upgrades the release after this program did
    let upgrade = move || {
        let text = std::fs::read_to_string(&state).expect("the state of helm");
        std::fs::write(&state, text.replace("\"version\":2", "\"version\":3")).expect("a file");
    };
    upgrade_to_a_missing_image(&stack, upgrade)
        .says("release lrs was not rolled back, because this command did not create revision 3");
    assert_eq!(stack.helm.calls_of("rollback").len(), 0);
}

const LRS: &str = "/apis/apps/v1/namespaces/alice/deployments/lrs-ralph";

#[test]
fn install_continues_after_a_transient_server_error() {
    for (code, reason) in
        [(429, "TooManyRequests"), (500, "InternalError"), (503, "ServiceUnavailable")]
    {
        let stack = MockedStack::installed();
        let mut is_first = true;
        stack.kubernetes.reacts(Method::GET, LRS, move |_, _| {
            std::mem::take(&mut is_first).then(|| failure(code, reason, "try again later"))
        });
        let ended = stack.machine.run("install --only lrs --image-registry registry.example.org");
        ended.exits(0).says("try again later").says("ok        lrs.release");
        assert_eq!(stack.helm.calls_of("rollback").len(), 0, "{ended}");
    }
}

#[test]
fn install_with_a_hanging_server_ends_at_the_deadline() {
    let stack = MockedStack::installed();
    stack.kubernetes.replies(Method::GET, LRS, Reply::Hang);
    stack
        .machine
        .run("install --only lrs --image-registry registry.example.org --timeout 1s")
        .exits(124)
        .says("lrs.release: deployment lrs-ralph is not ready after ")
        .says("the last request got no response")
        .says("hint: increase `--timeout`");
}

#[test]
fn upgrade_is_not_rolled_back_when_its_state_cannot_be_read() {
    let stack = MockedStack::installed();
    stack.kubernetes.replies(Method::GET, LRS, failure(401, "Unauthorized", "Unauthorized"));
    stack.machine
        .run("install --only lrs --image-registry registry.example.org")
        .exits(4)
        .says("lrs.release: release lrs was upgraded and not rolled back, because its state is unknown: deployment lrs-ralph")
        .says("rejected the credentials");
    assert_eq!(stack.helm.calls_of("rollback").len(), 0);
}

#[test]
fn database_with_only_an_outdated_pod_is_not_ready() {
    let stack = MockedStack::installed();
    let mut set = stack
        .kubernetes
        .object("/apis/apps/v1/namespaces/alice/statefulsets/lms-postgresql")
        .expect("the database");
    set["status"].as_object_mut().expect("a status").remove("updatedReplicas");
    stack.kubernetes.put([set]);
    let why = "statefulset lms-postgresql has 1 of 1 pods ready, 0 of the newest template";
    stack.machine.run("install --dry-run").exits(3).prints("change    lms.release").prints(why);
    stack.machine.run("install --timeout 1s").exits(124).says(why);
}

#[test]
fn operator_volumes_are_checked_in_the_namespace_of_the_operator() {
    let stack = || {
        let stack = MockedStack::empty();
        let mut operator = operator();
        operator[1]["status"] = json!({"replicas": 1, "readyReplicas": 0});
        let labels = operator[1]["metadata"]["labels"].clone();
        let waiting = json!({"reason": "ContainerCreating"});
        let mut pod = stuck_pod(
            "elastic-operator-0",
            "elastic-system",
            labels,
            "docker.elastic.co/eck/eck-operator:3.5.0",
            waiting,
            0,
        );
        pod["spec"]["volumes"] =
            json!([{"name": "conf", "configMap": {"name": "elastic-operator"}}]);
        stack.kubernetes.put(operator).put([pod]);
        stack
    };
    let pulls = stack();
    pulls.kubernetes.put([json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "elastic-operator", "namespace": "elastic-system"}})]);
    pulls
        .machine
        .run("install --timeout 1s")
        .exits(124)
        .says("pod elastic-operator-0 is starting, image eck-operator:3.5.0");
    stack()
        .machine
        .run("install --timeout 1s")
        .exits(1)
        .says("pod elastic-operator-0 cannot start: configmap elastic-operator is missing")
        .says("hint: create configmap elastic-operator in namespace elastic-system");
}

#[test]
fn upgrade_at_the_deadline_continues_and_is_not_rolled_back() {
    let stack = MockedStack::installed();
    stack.kubernetes.reacts(Method::GET, "/apis/apps/v1/namespaces/alice/deployments/lrs-ralph", |_, _| {
        Some(Reply::ok(json!({
            "metadata": {"name": "lrs-ralph", "namespace": "alice", "generation": 2},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "none"}}, "template": {}},
            "status": {"observedGeneration": 2, "replicas": 2, "updatedReplicas": 1, "availableReplicas": 1},
        })))
    });
    stack
        .machine
        .run("install --only lrs --image-registry slow.example.org --timeout 2s")
        .exits(124)
        .says("then repeat the command to continue");
    assert_eq!(
        stack.helm.calls_of("rollback").len(),
        0,
        "a rollback could interrupt a database migration"
    );
}

#[test]
fn failure_of_an_earlier_template_does_not_fail_the_next_rollout() {
    let stack = MockedStack::installed();
    let mut looks = 0;
    let path = "/apis/apps/v1/namespaces/alice/deployments/lrs-ralph";
    stack.kubernetes.reacts(Method::GET, path, move |_, _| {
        looks += 1;
        let failure = json!({"type": "ReplicaFailure", "status": "True", "message": "no new pods"});
        // the controller has not observed the newest template yet
        (looks < 6).then(|| Reply::ok(json!({
            "metadata": {"name": "lrs-ralph", "namespace": "alice", "generation": 2},
            "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "none"}}, "template": {}},
            "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 0, "conditions": [failure]},
        })))
    });
    let line = "install --only lrs --image-registry registry.example.org";
    stack.machine.run(line).exits(0).never_shows("cannot create pods");
}

#[test]
fn install_accepts_the_longest_possible_timeout() {
    let stack = MockedStack::installed();
    stack
        .machine
        .run("install --timeout 18446744073709551615 --request-timeout 9223372036854775807s")
        .exits(0)
        .says("nothing to change");
}
