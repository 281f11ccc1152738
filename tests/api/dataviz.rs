//! Superset: the assets that `install` imports, the faults that `status` reports, and the `dashboards` verbs.

use std::fs;

use serde_json::{Value, json};

use crate::support::server::Reply;
use crate::support::stack::{MockedStack, NAMESPACE, dataviz_database_labels, node, stuck_pod};

/// The uuid of an asset that a user created.
const THEIRS: &str = "6f3a3b5e-0000-4000-8000-0000000000d0";

#[test]
fn install_imports_the_connection_and_the_dashboards() {
    let stack = MockedStack::installed();
    assert_eq!(stack.superset.titles("databases"), ["Data lake"]);
    assert_eq!(stack.superset.titles("dashboards").len(), 3);
    let values = stack
        .helm
        .calls_of("upgrade")
        .into_iter()
        .find(|call| call.line().contains("dataviz"))
        .expect("the release")
        .values();
    assert_eq!(values["existingSecret"], "dataviz-superset");
    stack
        .machine
        .run("dashboards list")
        .exits(0)
        .prints("is-the-course-alive")
        .prints("up to date");
}

#[test]
fn install_with_a_foreign_connection_of_the_same_name_fails_and_keeps_it() {
    let stack = MockedStack::empty();
    stack.superset.user_creates("databases", json!({"database_name": "Data lake", "uuid": THEIRS}));
    stack
        .machine
        .run("install")
        .exits(1)
        .says("Superset has another connection with the name `Data lake`")
        .says("rename it in Superset");
    assert_eq!(stack.superset.imports(), 0);
    stack.superset.user_renames("Data lake", "My lake");
    stack.machine.run("install").exits(0);
    assert_eq!(stack.superset.titles("databases"), ["Data lake", "My lake"]);
}

#[test]
fn import_that_superset_rejects_fails_with_the_file_name() {
    let stack = MockedStack::empty();
    stack.machine.run("install --only lrs").exits(0);
    let rejection = json!({"errors": [{"message": "Error importing assets", "extra": {"charts/videos.yaml": {"viz_type": ["Missing"]}}}]});
    for _ in 0..3 {
        stack.superset.fails_import(Reply::Json(422, rejection.clone()));
    }
    stack
        .machine
        .run("install --all")
        .exits(1)
        .says("dataviz.database: Superset responded with 422 to the import of assets")
        .says("charts/videos.yaml");
    stack.machine.run("install --all").exits(1);
    stack.machine.run("install --all").exits(1);
    stack.machine.run("install --all").exits(0);
}

#[test]
fn install_without_a_usable_driver_fails_and_names_the_log() {
    let stack = MockedStack::empty();
    stack.superset.has_no_driver();
    stack
        .machine
        .run("install")
        .exits(1)
        .says("dataviz.database: Superset cannot import the driver for Elasticsearch")
        .says("kubectl logs deployment/dataviz-superset -c drivers -n alice");
}

#[test]
fn configure_with_a_changed_data_lake_password_imports_the_connection_again() {
    let stack = MockedStack::installed();
    let secret = "/api/v1/namespaces/alice/secrets/data-lake-user-dashboards";
    let mut changed = stack.kubernetes.object(secret).expect("the account");
    changed["data"]["password"] = json!("Y2hhbmdlZA==");
    stack.kubernetes.put([changed]);
    stack.machine.run("configure dataviz").exits(0).says("ok        dataviz.database");
    assert_eq!(stack.superset.imports(), 3);
    stack.machine.run("configure dataviz").exits(0).says("Nothing to change");
}

#[test]
fn install_keeps_user_options_of_the_connection_and_restores_its_address() {
    let stack = MockedStack::installed();
    let imports = stack.superset.imports();
    stack.superset.user_edits("Data lake", |lake| {
        (lake["cache_timeout"], lake["database_name"]) = (json!(60), json!("Our lake"))
    });
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
    assert_eq!(stack.superset.imports(), imports);

    stack.superset.user_edits("Our lake", |lake| {
        let uri = lake["sqlalchemy_uri"]
            .as_str()
            .expect("an address")
            .replace("verify_certs=True", "verify_certs=False");
        lake["sqlalchemy_uri"] = json!(uri);
    });
    stack.machine.run("install").exits(0).says("ok        dataviz.database");
    let lake = stack.superset.content("Our lake");
    assert!(
        lake["sqlalchemy_uri"].as_str().expect("an address").contains("verify_certs=True"),
        "{lake}"
    );
    assert_eq!(
        (&lake["cache_timeout"], &lake["extra"]["allows_virtual_table_explore"]),
        (&json!(60), &json!(true))
    );
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
}

#[test]
fn status_fails_for_a_wrong_password_of_the_tool_and_not_of_the_admin() {
    let stack = MockedStack::installed();
    stack.superset.rejects_login("admin");
    stack.machine.run("status").exits(0).prints("login ok, admin's password was changed");
    stack.superset.rejects_login("lastack");
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("login of the tool's own account lastack: wrong password");
    stack
        .machine
        .run("dashboards list")
        .exits(1)
        .says("login of the tool's own account lastack: wrong password")
        .says("hint: run `kubectl lastack install`");
}

#[test]
fn status_with_a_failed_superset_database_names_the_pod_and_the_cause() {
    let stack = MockedStack::installed();
    let path = "/apis/apps/v1/namespaces/alice/statefulsets/dataviz-postgresql";
    let well = stack.kubernetes.object(path).expect("the database");
    let mut down = well.clone();
    down["status"]["readyReplicas"] = json!(0);
    let waiting = json!({"reason": "ImagePullBackOff", "message": "not found"});
    stack.kubernetes.put([
        down.clone(),
        stuck_pod(
            "dataviz-postgresql-0",
            NAMESPACE,
            dataviz_database_labels(),
            "postgres:99",
            waiting,
            0,
        ),
    ]);
    stack.superset.loses_its_database(true);
    let why = "Superset's PostgreSQL is down: pod dataviz-postgresql-0 cannot pull postgres:99: not found in the registry";
    stack.machine.run("status").exits(3).prints(&format!("dataviz response: {why}"));
    stack
        .machine
        .run("dashboards check")
        .exits(1)
        .says(why)
        .says("hint: run `kubectl lastack install`");
    stack
        .machine
        .run("install")
        .exits(1)
        .says("dataviz.release: ")
        .says("pod dataviz-postgresql-0 cannot pull postgres:99");

    down["spec"]["replicas"] = json!(0);
    stack.kubernetes.put([down]);
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("PostgreSQL is down: statefulset dataviz-postgresql is scaled to 0 pods");
    stack.kubernetes.remove(path);
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("PostgreSQL is down: statefulset dataviz-postgresql is missing");
    stack.kubernetes.put([well]);
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("Superset responded with 500 to the login: Fatal error");
}

#[test]
fn status_with_an_external_database_does_not_look_for_its_pods() {
    let stack = MockedStack::installed();
    let file = stack.machine.path("values.yaml");
    fs::write(&file, "postgresql: {enabled: false}\nexternalDatabase: {host: db.example.org, existingSecret: db}\n").unwrap();
    stack.kubernetes.remove("/apis/apps/v1/namespaces/alice/statefulsets/dataviz-postgresql");
    stack.machine.run(&format!("install --values dataviz={}", file.display())).exits(0);
    // its owner can change its password, and pods read the password only at their start
    let checksum = || {
        stack
            .helm
            .calls_of("upgrade")
            .into_iter()
            .rfind(|call| call.is("dataviz"))
            .expect("the release")
            .values()["secretChecksum"]
            .clone()
    };
    let before = checksum();
    stack.kubernetes
        .put([json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db", "namespace": NAMESPACE}, "data": {"password": "bmV3"}})]);
    stack.machine.run("install").exits(0);
    assert_ne!(checksum(), before, "the pods should restart with the new password");

    stack.superset.loses_its_database(true);
    stack.machine.run("status").exits(3).prints("Superset's PostgreSQL is not part of this stack, and may be the cause: Superset responded with 500");
}

#[test]
fn status_without_the_dataviz_component_is_healthy() {
    let stack = MockedStack::empty();
    stack.machine.run("install --only lrs").exits(0);
    stack.helm.lists(json!([{"name": "lrs", "status": "deployed", "chart": "ralph-0.1.0", "app_version": "5.0.1"}]));
    stack.machine.run("status").exits(0).prints("heartbeat ok").never_shows("dataviz");
}

#[test]
fn status_and_explain_name_a_data_lake_that_superset_cannot_reach() {
    let stack = MockedStack::installed();
    stack.superset.cannot_reach_the_data_lake("unable to authenticate user [dashboards]");
    let why = "unable to authenticate user [dashboards]";
    stack
        .machine
        .run("status")
        .exits(3)
        .prints(&format!("dataviz data: Superset cannot reach the data lake: {why}"));
    stack
        .machine
        .run("dashboards explain learners")
        .exits(3)
        .prints("broken  database")
        .prints(why)
        .prints("configure dataviz");
    stack.superset.has_no_driver();
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("dataviz data: Superset cannot import the driver for Elasticsearch");
    stack
        .machine
        .run("dashboards explain learners")
        .exits(3)
        .prints("broken  driver")
        .prints("-c drivers -n alice");
}

#[test]
fn explain_distinguishes_a_rejected_query_from_one_that_needs_too_much_memory() {
    let stack = MockedStack::installed();
    stack.machine.run("seed --count 10").exits(0);
    let explain = |error: &str| {
        stack.superset.gives_rows(json!({"colnames": [], "data": [], "error": error}));
        stack
            .machine
            .run("dashboards explain learners")
            .exits(3)
            .prints("broken  query")
            .prints(error)
            .stdout
            .clone()
    };
    assert!(explain("line 1:8: Unknown function [MEDIAN]").contains("docs/guides/dashboards.md"));
    let large = explain(
        "[request] Data too large, data for [<agg [groupby]>] would be larger than the limit",
    );
    assert!(large.contains("filter for a shorter period, because the query needs too much memory, or run `kubectl lastack install --profile classroom`"), "{large}");
}

#[test]
fn check_compares_a_chart_with_its_expected_result() {
    let stack = MockedStack::installed();
    let rows = |learners: u64| json!({"colnames": ["learners"], "coltypes": [0], "data": [{"learners": learners}]});
    let expected = stack.machine.path("expected-results.json");
    fs::write(
        &expected,
        json!({"charts": {"learners": {"columns": ["learners"], "rows": [[283]]}}}).to_string(),
    )
    .unwrap();
    let check =
        format!("dashboards check learners --fail-on-error --expected {}", expected.display());

    stack.superset.gives_rows(rows(283));
    stack
        .machine
        .run(&check)
        .exits(0)
        .prints("learners")
        .prints("good")
        .says("1 of 1 charts passed");
    let checked = stack.machine.run(&format!("{check} --slow 0 -o json")).exits(3).json();
    assert_eq!(
        (&checked["items"][0]["name"], &checked["items"][0]["result"]),
        (&json!("learners"), &json!("slow"))
    );
    stack.superset.gives_rows(rows(284));
    stack.machine.run(&check).exits(3).prints("wrong: learners shows (284), expected (283)");
    stack.machine.run(&check.replace("--fail-on-error", "")).exits(0).prints("wrong");
    stack.superset.gives_rows(json!({"error": "Unknown column [x]"}));
    let junit = stack.machine.path("junit.xml");
    stack
        .machine
        .run(&format!("{check} --junit {}", junit.display()))
        .exits(3)
        .prints("error: learners Unknown column [x]");
    assert!(fs::read_to_string(junit).unwrap().contains("Unknown column [x]"));
    stack.machine.run("dashboards check nobody").exits(1).says("chart `nobody`: not in Superset");
}

#[test]
fn check_with_one_failed_query_reports_one_failed_chart() {
    let stack = MockedStack::installed();
    stack.superset.fails_query(Reply::Json(403, json!({"message": "Forbidden"})));
    stack
        .machine
        .run("dashboards check --fail-on-error")
        .exits(3)
        .prints("Superset responded with 403")
        .says("30 of 31 charts passed");
    stack.superset.fails_query(Reply::Cut);
    stack
        .machine
        .run("dashboards check --fail-on-error")
        .exits(3)
        .prints("error: ")
        .says("30 of 31 charts passed");
}

#[test]
fn check_of_an_uncheckable_chart_fails_only_with_an_expected_result() {
    let stack = MockedStack::installed();
    stack.superset.user_edits("Learners", |chart| chart["viz_type"] = json!("sunburst"));
    let cause = "learners is a sunburst without a saved query";
    stack
        .machine
        .run("dashboards check --fail-on-error")
        .exits(0)
        .prints(cause)
        .says("30 of 31 charts passed, 1 cannot be checked");
    let expected = stack.machine.write(
        "expected-results.json",
        json!({"charts": {"learners": {"columns": ["learners"], "rows": [[283]]}}}).to_string(),
    );
    stack
        .machine
        .run(&format!(
            "dashboards check learners --fail-on-error --expected {}",
            expected.display()
        ))
        .exits(3)
        .prints("wrong: learners cannot be checked: the chart is a sunburst without a saved query")
        .says("0 of 1 charts passed");
}

#[test]
fn apply_overwrite_replaces_the_saved_query_of_a_chart() {
    let stack = MockedStack::installed();
    stack.superset.user_edits("Learners", |chart| {
        chart["query_context"] = json!(r#"{"queries": [{"metrics": ["saved"]}]}"#)
    });
    let asked = || {
        stack.machine.run("dashboards check learners").exits(0);
        let request = stack
            .superset
            .server
            .requests()
            .into_iter()
            .rfind(|request| request.path == "/api/v1/chart/data");
        request.expect("a query").json()["queries"][0]["metrics"].clone()
    };
    assert_eq!(asked(), json!(["saved"]));
    stack.machine.run("dashboards apply --overwrite").exits(0).says("1 applied");
    assert_eq!(asked(), json!(["learners"]));
}

#[test]
fn explain_of_a_chart_on_another_database_ignores_the_data_lake() {
    let stack = MockedStack::installed();
    let [database, dataset, grades] = ["d0", "d1", "d2"].map(|end| THEIRS.replace("d0", end));
    stack.superset.user_creates("databases", json!({"database_name": "Theirs", "uuid": database}));
    let columns = json!([{"column_name": "grade"}]);
    stack.superset.user_creates("datasets", json!({"table_name": "grades", "uuid": dataset, "database_uuid": database, "columns": columns}));
    let chart = |title: &str, uuid: &str, params: Value| json!({"slice_name": title, "uuid": uuid, "dataset_uuid": dataset, "viz_type": "table", "params": params});
    stack.superset.user_creates("charts", chart("Grades", &grades, json!({"groupby": ["grade"]})));
    stack.superset.gives_rows(json!({"colnames": ["grade"], "data": [{"grade": 3}]}));
    stack
        .machine
        .run("dashboards explain Grades")
        .exits(0)
        .prints("not the data lake")
        .prints("the chart is not empty")
        .never_shows("index");
    stack.superset.cannot_reach_the_data_lake("no route").has_no_driver();
    stack
        .machine
        .run("dashboards explain Grades")
        .exits(3)
        .prints("broken  database  no route")
        .never_shows("configure dataviz");
}

#[test]
fn check_of_a_deleted_chart_with_an_expected_result_fails() {
    let stack = MockedStack::installed();
    let expected = stack.machine.path("expected-results.json");
    fs::write(
        &expected,
        json!({"charts": {"learners": {"columns": ["learners"], "rows": []}}}).to_string(),
    )
    .unwrap();
    stack.superset.user_deletes("Learners");
    stack
        .machine
        .run(&format!("dashboards check --fail-on-error --expected {}", expected.display()))
        .exits(3)
        .prints("wrong: learners is not in Superset");
    stack
        .machine
        .run("dashboards explain learners")
        .exits(3)
        .prints("deleted in Superset")
        .prints("dashboards apply --overwrite");
}

#[test]
fn open_prints_the_address_of_the_first_dashboard() {
    let stack = MockedStack::installed();
    let mut service = stack
        .kubernetes
        .object("/api/v1/namespaces/alice/services/dataviz-superset")
        .expect("the service");
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}});
    stack.kubernetes.put([service]);
    stack
        .machine
        .run("open dataviz --print")
        .exits(0)
        .prints("http://192.0.2.7/superset/dashboard/is-the-course-alive/\n");
}

#[test]
fn open_prints_an_ipv6_address_in_brackets() {
    let stack = MockedStack::installed();
    let mut service = stack
        .kubernetes
        .object("/api/v1/namespaces/alice/services/dataviz-superset")
        .expect("the service");
    service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "2001:db8::7"}]}});
    stack.kubernetes.put([service.clone()]);
    stack.machine.run("open dataviz --print").exits(0).prints("http://[2001:db8::7]/superset/");

    let mut machine = node("8", "16Gi");
    machine["status"]["addresses"] = json!([{"type": "InternalIP", "address": "2001:db8::1"}]);
    service["status"] = json!({});
    service["spec"]["type"] = json!("NodePort");
    service["spec"]["ports"][0]["nodePort"] = json!(30088);
    stack.kubernetes.put([machine, service]);
    stack
        .machine
        .run("open dataviz --print")
        .exits(0)
        .prints("http://[2001:db8::1]:30088/superset/");
}

#[test]
fn teachers_get_the_data_sets_of_the_dashboards_and_not_the_connection() {
    let stack = MockedStack::installed();
    let permissions = stack.superset.world().permissions();
    let of = |name: &str| {
        let named = permissions.iter().filter(|(_, permission, _)| *permission == name);
        named.map(|(id, ..)| *id).collect::<Vec<_>>()
    };
    let granted = || {
        let mut granted = stack.superset.world().teacher.clone();
        granted.sort();
        granted
    };
    let (datasets, database) = (of("datasource_access"), of("database_access")[0]);
    assert_eq!((datasets.len(), granted()), (2, datasets.clone()));
    // an earlier version granted the connection, and an administrator something else
    stack.superset.world().teacher = vec![5, database, datasets[0]];
    stack
        .machine
        .run("install --dry-run")
        .exits(3)
        .prints("role Teacher is database_access on [Data lake].(id:");
    stack.machine.run("configure dataviz").exits(0).says("role Teacher reads the dashboards");
    assert_eq!(granted(), [&[5], &datasets[..]].concat());
}

#[test]
fn creds_of_dataviz_prints_the_admin_and_the_teacher_account() {
    let stack = MockedStack::installed();
    stack
        .machine
        .run("creds dataviz")
        .exits(0)
        .prints("admin")
        .prints("teacher")
        .prints(&format!("http://dataviz-superset.{NAMESPACE}.svc"));
    let lines = stack.machine.run("creds dataviz -o env").exits(0).stdout.clone();
    for name in ["LASTACK_DATAVIZ_ADMIN_PASSWORD", "LASTACK_DATAVIZ_TEACHER_PASSWORD"] {
        assert!(lines.contains(name), "{name} should be in\n{lines}");
    }
}
