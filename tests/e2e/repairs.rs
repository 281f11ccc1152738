//! Faults of the dashboards and their dependencies, and their repair by `install`.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::{Ended, Need, eventually};
use crate::components::{data_lake, metadata, password_of, superset, superset_as_admin};
use crate::stack;
use crate::superset::{CHECK, assert_one_chart_passes, known_statements};

#[test]
fn install_adds_a_missing_field_to_the_mapping() {
    let mut index: Value = serde_json::from_str(
        &std::fs::read_to_string("manifests/statements.json").expect("the index"),
    )
    .expect("JSON");
    let fields = index["mappings"]["properties"].as_object_mut().expect("fields");
    fields.remove("la_video_session").expect("a field that a chart uses");
    // the limit equals the number of fields, so that Elasticsearch adds none dynamically
    let limit: usize = fields
        .values()
        .map(|field| 1 + field["fields"].as_object().map_or(0, serde_json::Map::len))
        .sum();
    index["settings"]["index.mapping.total_fields.limit"] = json!(limit);
    data_lake("lastack", "statements -X DELETE", "").good();
    data_lake(
        "lastack",
        "statements -X PUT -H 'Content-Type: application/json' -d @-",
        &index.to_string(),
    )
    .good();
    stack().lastack("seed --count 100 --seed 7").good();

    stack().lastack("status").exits(3).shows("la_video_session").shows("absent");
    stack()
        .lastack("dashboards explain video-viewings")
        .exits(3)
        .shows("the mapping has no field `la_video_session`")
        .shows("install --only datalake");
    stack()
        .lastack("dashboards check video-viewings --fail-on-error")
        .exits(3)
        .shows("la_video_session");
    stack().lastack("install --only datalake").good().shows("ok        datalake.index");
    stack().lastack("status").good();
    stack().lastack("seed --count 100 --seed 8").good();
    stack().lastack("dashboards check video-viewings --fail-on-error").good();
}

#[test]
fn deleted_dashboard_is_restored_by_two_concurrent_overwrites() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    known_statements();
    superset_as_admin(
        stack(),
        r#"send DELETE "dashboard/$(get dashboard/is-the-data-flowing | pick "['result']['id']")""#,
    )
    .good();
    stack().lastack("install").good().shows("nothing to change");
    stack().lastack("configure dataviz").good();
    stack().lastack("status").good().shows("2 dashboards, 31 charts, 1 changed by users");
    stack().lastack("dashboards list").good().shows("deleted in Superset");

    let both = [
        stack().start("dashboards apply --overwrite"),
        stack().start("dashboards apply --overwrite"),
    ];
    for child in both {
        Ended::of("dashboards apply --overwrite, two concurrent runs", child).good();
    }
    let list = stack().lastack("dashboards list").good();
    assert_eq!(list.stdout.matches("up to date").count(), 3, "{}", list.stdout);
    stack().lastack(CHECK).good();
    stack().lastack("install").good().shows("nothing to change");
}

/// Imitates an upgrade to a version with another file of this dashboard. An import of Superset stops at the first missing
/// chart.
#[test]
fn upgrade_after_a_deleted_chart_keeps_the_other_charts() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    known_statements();
    let shown = || {
        let script = r#"get dashboard/is-the-data-flowing/charts | pick "['result'].__len__()""#;
        superset_as_admin(stack(), script).good().stdout.trim().to_string()
    };
    assert_eq!(shown(), "12");
    let delete = r#"id=$(get "chart/?q=(filters:!((col:slice_name,opr:eq,value:'Odd%20statements')))" | pick "['result'][0]['id']")
        send DELETE "chart/$id""#;
    superset_as_admin(stack(), delete).good();
    let uuid = "8a4a7c46-8d81-47ea-9ee3-511794cb6da8";
    let mut applied: Value = serde_json::from_str(
        stack().kubectl_json("get configmap dataviz-applied")["data"][uuid]
            .as_str()
            .expect("an entry"),
    )
    .expect("JSON");
    applied["digest"] = json!("outdated");
    let patch = json!({"data": {uuid: applied.to_string()}}).to_string();
    stack()
        .run(
            "kubectl",
            &["-n", "e2e", "patch", "configmap", "dataviz-applied", "--type=merge", "-p", &patch],
            "",
        )
        .good();

    stack().lastack("install").good().shows("ok        dataviz.dashboards");
    assert_eq!(shown(), "11");
    stack().lastack("install").good().shows("nothing to change");
    stack()
        .lastack("dashboards apply --overwrite")
        .good()
        .shows("charts/odd-statements.yaml applied")
        .shows("2 applied");
    assert_eq!(shown(), "12");
    stack().lastack(CHECK).good();
}

#[test]
fn apply_of_a_copy_with_the_slug_of_another_dashboard_fails() {
    let file = std::fs::read_to_string("dashboards/dashboards/is-the-data-flowing.yaml")
        .expect("a dashboard");
    let copy = file
        .replace("8a4a7c46-8d81-47ea-9ee3-511794cb6da8", "6f3a3b5e-0000-4000-8000-00000000e2e3");
    let copy = stack().file("copy.yaml", &copy);
    let apply = format!("dashboards apply {}", copy.display());
    stack()
        .lastack(&apply)
        .exits(1)
        .shows("has the slug `is-the-data-flowing` of another dashboard in Superset, `Is the data flowing?`");
    let list = stack().lastack("dashboards list").good();
    assert_eq!(list.stdout.matches("up to date").count(), 3, "{}", list.stdout);
}

#[test]
fn install_keeps_connection_options_and_restores_the_connection_address() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    known_statements();
    let change = |body: &str| {
        let script = format!(
            r#"id=$(get "database/" | pick "['result'][0]['id']"); send PUT "database/$id" '{body}'"#
        );
        superset_as_admin(stack(), &script).good();
    };
    let timeout = || {
        let script = r#"id=$(get "database/" | pick "['result'][0]['id']"); get "database/$id" | pick "['result']['cache_timeout']""#;
        superset_as_admin(stack(), script).good().stdout.trim().to_string()
    };
    change(r#"{"cache_timeout":60}"#);
    stack().lastack("install").good().shows("nothing to change");
    metadata(
        "superset",
        "UPDATE dbs SET sqlalchemy_uri = replace(sqlalchemy_uri, 'verify_certs=True', 'verify_certs=False'), changed_on = now()",
    );
    stack().lastack("install").good().shows("ok        dataviz.database");
    assert_eq!(timeout(), "60");
    stack().lastack("install").good().shows("nothing to change");
    assert_one_chart_passes();
    // restores the state for other tests
    change(r#"{"cache_timeout":null}"#);
}

#[test]
fn admin_password_changed_in_superset_is_kept() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    const CHOSEN: &str = "chosen-in-the-browser-01";
    let ours = password_of(stack(), "admin");
    let becomes = |password: &str| format!(r#"send PUT me/ '{{"password":"{password}"}}'"#);
    superset(stack(), "admin", &ours, &becomes(CHOSEN)).good();
    stack().lastack("status").good().shows("admin's password was changed");
    stack().lastack("install").good().shows("nothing to change");
    superset(stack(), "admin", CHOSEN, &becomes(&ours)).good();
    let status = stack().lastack("status").good();
    assert!(!status.stdout.contains("password was changed"), "{}", status.stdout);
}

#[test]
fn apply_of_a_broken_or_hostile_archive_changes_nothing() {
    let before = stack().lastack("dashboards list -o json").good().json();
    let folder = tempfile::tempdir().expect("a folder");
    // file name, Python code that fills the archive, exit code, expected text
    let archives = [
        ("slip.zip", "z.writestr('b/../../../charts/a.yaml', chart)", 2, "is outside the archive"),
        (
            "link.zip",
            "i = zipfile.ZipInfo('b/charts/a.yaml'); i.create_system = 3; i.external_attr = 0o120777 << 16; z.writestr(i, '/etc/passwd')",
            2,
            "is outside",
        ),
        ("bomb.zip", "z.writestr('b/charts/a.yaml', b'a' * 200_000_000)", 2, "larger than 2 MB"),
        (
            "many.zip",
            "[z.writestr(f'b/charts/{n}.yaml', chart) for n in range(3000)]",
            2,
            "the limit is 2000",
        ),
        (
            "future.zip",
            "z.writestr('b/metadata.yaml', 'version: 2.0.0'); z.writestr('b/charts/a.yaml', chart)",
            2,
            "format 2.0.0",
        ),
        ("no-yaml.zip", "z.writestr('b/charts/a.yaml', 'slice_name: [')", 2, "not YAML"),
        ("no-uuid.zip", "z.writestr('b/charts/a.yaml', 'slice_name: a')", 2, "has no uuid"),
        ("empty.zip", "z.writestr('b/readme.txt', 'nothing')", 2, "contain no dashboard"),
        ("not-a.zip", "z.fp.write(b'PK and then something else')", 2, "not a readable zip archive"),
        (
            "half.zip",
            "z.writestr('b/charts/a.yaml', chart)",
            2,
            "charts/a.yaml: has no dataset_uuid",
        ),
        (
            "orphan.zip",
            "z.writestr('b/charts/a.yaml', chart + 'dataset_uuid: 6f3a3b5e-0000-4000-8000-00000000e2e2')",
            2,
            "neither in the files nor in Superset",
        ),
        // only Superset detects this fault, and its error gives no details
        (
            "half-chart.zip",
            "z.writestr('b/charts/a.yaml', chart + 'dataset_uuid: d4c4bfd1-e948-4743-911f-042f1aafdffc')",
            1,
            "to the import of assets",
        ),
    ];
    for (name, fill, code, says) in archives {
        let file: PathBuf = folder.path().join(name);
        let chart = "slice_name: a\\nuuid: 6f3a3b5e-0000-4000-8000-00000000e2e1\\n";
        let script = format!(
            "import sys, zipfile\nchart = '{chart}'\nz = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n{fill}\nz.close()\n"
        );
        let script = if name == "not-a.zip" {
            script.replace("z.close()\n", "z.fp.close()\n")
        } else {
            script
        };
        stack().run("python3", &["-", &file.display().to_string()], &script).good();
        stack().lastack(&format!("dashboards apply {}", file.display())).exits(code).shows(says);
    }
    assert_eq!(stack().lastack("dashboards list -o json").good().json(), before);
    stack().lastack("install").good().shows("nothing to change");
}

#[test]
fn install_without_reachable_drivers_fails_and_keeps_the_old_pod() {
    known_statements();
    let nowhere =
        stack().file("nowhere.yaml", "drivers: {indexUrl: \"https://127.0.0.1:9/simple\"}\n");
    let none = stack().file("none.yaml", "{}\n");
    let install = |values: &PathBuf| {
        stack().lastack(&format!("install --values dataviz={}", values.display()))
    };
    install(&nowhere)
        .exits(1)
        .shows("container drivers of pod dataviz-superset-")
        .shows("127.0.0.1:9");
    assert_one_chart_passes();
    install(&none).good();
    assert_one_chart_passes();
    stack().lastack("install").good().shows("nothing to change");
}

#[test]
fn install_restores_a_superset_database_that_is_down() {
    known_statements();
    stack().kubectl("scale statefulset dataviz-postgresql --replicas=0");
    stack().kubectl("wait --for=delete pod/dataviz-postgresql-0 --timeout=120s");
    stack()
        .lastack("status")
        .exits(3)
        .shows("Superset's PostgreSQL is down: statefulset dataviz-postgresql is scaled to 0 pods");
    // kubectl owns the field that it sets, and Kubernetes itself waits for the broken pod without end
    stack().kubectl("set image statefulset/dataviz-postgresql postgresql=postgres:99");
    stack().kubectl("scale statefulset dataviz-postgresql --replicas=1");
    eventually("the image of PostgreSQL cannot be pulled", || {
        stack()
            .lastack("status")
            .exits(3)
            .stdout
            .contains("pod dataviz-postgresql-0 cannot pull postgres:99: not found in the registry")
    });
    stack()
        .lastack("dashboards check")
        .exits(1)
        .shows("Superset's PostgreSQL is down")
        .shows("hint: run `kubectl lastack install`");
    stack().lastack("install").good();
    stack().lastack("status").good();
    assert_one_chart_passes();
}

#[test]
fn install_completes_a_killed_migration_of_the_superset_database() {
    known_statements();
    metadata("postgres", "DROP DATABASE superset WITH (FORCE)");
    metadata("postgres", "CREATE DATABASE superset");
    stack().lastack("status").exits(3).shows("dataviz");

    let job = "-l app.kubernetes.io/instance=dataviz,app.kubernetes.io/component=init";
    let old = stack().kubectl(&format!("get pods {job} -o name"));
    let mut install = stack().start("install");
    let log =
        |pod: &str| stack().run("kubectl", &["-n", "e2e", "logs", pod, "-c", "init"], "").stdout;
    let mut pod = String::new();
    eventually("the new job migrates the database", || {
        pod = stack()
            .kubectl(&format!("get pods {job} -o name"))
            .lines()
            .find(|name| !old.contains(*name))
            .unwrap_or_default()
            .to_string();
        !pod.is_empty() && log(&pod).contains("Running upgrade")
    });
    install.kill().expect("the install process");
    install.wait().expect("the install ends");
    stack().kubectl(&format!("delete job {job} --cascade=orphan"));
    stack().kubectl(&format!("delete {pod} --force --grace-period=0"));

    stack().lastack("install").good().shows("ok        dataviz.release");
    stack().lastack(CHECK).good().shows("31 of 31 charts passed");
    stack().lastack("install").good().shows("nothing to change");
}

#[test]
fn install_distributes_a_new_certificate_authority_to_all_components() {
    known_statements();
    let authority = || {
        stack().kubectl(r"get secret data-lake-es-http-certs-public -o jsonpath={.data.ca\.crt}")
    };
    let before = authority();
    stack().kubectl("delete secret data-lake-es-http-ca-internal data-lake-es-http-certs-internal");
    eventually("the operator creates a new authority", || authority() != before);
    stack().lastack("install").good();
    stack().lastack("status").good();
    assert_one_chart_passes();
    stack().lastack("seed data/statements-00.json.gz").good().shows("1,000 already stored");
}
