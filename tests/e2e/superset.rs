//! Dashboards in Superset: chart results, pages, the role of the teacher, and repairs.

use serde_json::{Value, json};

use crate::cluster::Need;
use crate::components::{data_lake, metadata, password_of, superset, superset_as_admin};
use crate::{lms, stack};

pub const CHECK: &str = "dashboards check --expected data/expected-results.json --fail-on-error";

/// Makes the data lake hold exactly the 22,000 statements of the expected results.
pub fn known_statements() {
    if data_lake("lastack", "statements/_count", "").good().json()["count"] == 22_000 {
        return;
    }
    // events in the queue of Moodle would arrive later
    lms::emit();
    data_lake("lastack", "statements -X DELETE", "").good();
    stack().lastack("install").good();
    stack().lastack("dashboards explain learners").exits(3).shows("the index is empty");
    stack()
        .lastack("seed")
        .good()
        .shows("22,000 of 22,000 statements stored")
        .shows("each found in Elasticsearch by its id");
}

pub fn assert_one_chart_passes() {
    stack()
        .lastack("dashboards check learners --expected data/expected-results.json --fail-on-error")
        .good()
        .shows("1 of 1 charts passed");
}

#[test]
fn check_passes_for_known_statements_and_names_a_wrong_chart() {
    known_statements();
    stack().lastack(CHECK).good().shows("31 of 31 charts passed");
    // the field of the course filter in every dashboard
    let named = data_lake(
        "dashboards",
        "statements/_count -G --data-urlencode 'q=la_part_of:\"Cells and Life\"'",
        "",
    );
    assert!(
        named.good().json()["count"].as_u64() > Some(1000),
        "statements should name the course they belong to"
    );
    stack().lastack("dashboards explain learners").good().shows("the chart is not empty");

    let text = std::fs::read_to_string("data/expected-results.json").expect("the expected results");
    let mut expected: Value = serde_json::from_str(&text).expect("JSON");
    expected["charts"]["learners"]["rows"] = json!([[282]]);
    expected["charts"]["events-by-verb"]["columns"][0] = json!("verb");
    let changed = stack().file("expected-results.json", &expected.to_string());
    let ended = stack()
        .lastack(&CHECK.replace("data/expected-results.json", &changed.display().to_string()));
    ended
        .exits(3)
        .shows("learners shows (283), expected (282)")
        .shows("events-by-verb has no column `verb`")
        .shows("29 of 31 charts passed");
}

/// No file can hold arrival times, so aggregations of Elasticsearch give the expected results of these charts.
#[test]
fn arrival_charts_equal_the_aggregations_of_elasticsearch() {
    known_statements();
    let every =
        |interval: &str| json!({"field": "stored", "fixed_interval": interval, "min_doc_count": 1});
    let [happened, oldest, newest] = [
        json!({"avg": {"field": "timestamp"}}),
        json!({"min": {"field": "timestamp"}}),
        json!({"max": {"field": "timestamp"}}),
    ];
    let asked = json!({"size": 0, "aggs": {
        "newest": {"max": {"field": "stored"}},
        "minutes": {"date_histogram": every("1m")},
        "hours": {"date_histogram": every("1h"), "aggs": {"arrived": {"avg": {"field": "stored"}}, "happened": happened, "oldest": oldest, "newest": newest}},
    }});
    let found = data_lake(
        "lastack",
        "statements/_search -H 'Content-Type: application/json' -d @-",
        &asked.to_string(),
    )
    .good()
    .json();
    let found = &found["aggregations"];
    let rows = |bucket: &str, row: &dyn Fn(&Value) -> Value| {
        found[bucket]["buckets"].as_array().expect("buckets").iter().map(row).collect::<Value>()
    };
    let number =
        |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} should be a number"));
    let minute =
        |value: &Value| value["value_as_string"].as_str().expect("a time")[..16].to_string();
    let hours = rows("hours", &|hour| {
        let delay = number(&hour["arrived"]["value"]) - number(&hour["happened"]["value"]);
        json!([
            time(&hour["key_as_string"]),
            hour["doc_count"],
            delay,
            minute(&hour["oldest"]),
            minute(&hour["newest"])
        ])
    });
    let expected = json!({"charts": {
        "newest-arrival": {"columns": ["newest_arrival"], "rows": [[found["newest"]["value_as_string"]]]},
        "arrivals-per-minute": {"columns": ["stored", "events"], "rows": rows("minutes", &|minute| json!([time(&minute["key_as_string"]), minute["doc_count"]]))},
        "delay-of-arrivals": {"columns": ["stored", "events", "mean_delay", "oldest_minute", "newest_minute"], "rows": hours},
    }});
    let file = stack().file("arrivals.json", &expected.to_string());
    let check = format!(
        "dashboards check newest-arrival arrivals-per-minute delay-of-arrivals --expected {} --fail-on-error",
        file.display()
    );
    stack().lastack(&check).good().shows("3 of 3 charts passed");
}

/// No file can hold the sizes, so the test compares the CronJob with the index, and the charts with its documents.
#[test]
fn size_charts_show_the_measured_values() {
    known_statements();
    // the only Job is the one of this test
    stack().kubectl(r#"patch cronjob data-lake-size -p {"spec":{"suspend":true}}"#);
    let measured = measure();
    assert_eq!(measured["statements"], 22_000, "{measured}");
    let stats = data_lake("lastack", "statements/_stats/store", "").good().json();
    let bytes = |value: &Value| value.as_f64().unwrap_or_else(|| panic!("{value} should be bytes"));
    // Elasticsearch merges segments meanwhile
    let ratio =
        bytes(&measured["bytes"]) / bytes(&stats["_all"]["total"]["store"]["size_in_bytes"]);
    assert!((0.5..2.0).contains(&ratio), "{measured} should be about {stats}");
    let asked = json!({"size": 0, "aggs": {"hours": {
        "date_histogram": {"field": "timestamp", "fixed_interval": "1h", "min_doc_count": 1},
        "aggs": {"taken": {"max": {"field": "bytes"}}, "left": {"min": {"field": "free_bytes"}}},
    }}});
    let found = data_lake(
        "dashboards",
        "data-lake-size/_search -H 'Content-Type: application/json' -d @-",
        &asked.to_string(),
    )
    .good()
    .json();
    let rows = |figure: &str| -> Value {
        let hours = found["aggregations"]["hours"]["buckets"].as_array().expect("buckets");
        hours
            .iter()
            .map(|hour| json!([time(&hour["key_as_string"]), hour[figure]["value"]]))
            .collect()
    };
    let expected = json!({"charts": {
        "index-size": {"columns": ["timestamp", "size"], "rows": rows("taken")},
        "room-left": {"columns": ["timestamp", "room_left"], "rows": rows("left")},
    }});
    let file = stack().file("room.json", &expected.to_string());
    stack()
        .lastack(&format!(
            "dashboards check index-size room-left --expected {} --fail-on-error",
            file.display()
        ))
        .good();
    stack().lastack("install").good().shows("nothing to change");
    stack().kubectl(r#"patch cronjob data-lake-size -p {"spec":{"suspend":false}}"#);
}

/// Starts a Job of the CronJob, and returns its document.
fn measure() -> Value {
    stack().kubectl("create job --from=cronjob/data-lake-size by-hand");
    stack().kubectl("wait --for=condition=complete job/by-hand --timeout=60s");
    let measured = stack().kubectl("logs job/by-hand");
    stack().kubectl("delete job by-hand");
    serde_json::from_str(&measured).expect("a document")
}

/// A time in the format of the expected results: without milliseconds, and midnight as a date.
fn time(value: &Value) -> Value {
    let seconds = value
        .as_str()
        .and_then(|text| text.get(..19))
        .unwrap_or_else(|| panic!("{value} should be a time"));
    json!(seconds.strip_suffix("T00:00:00").map_or(format!("{seconds}Z"), str::to_string))
}

#[test]
fn repeated_seed_stores_each_statement_once() {
    known_statements();
    let again = stack().lastack("seed data -o json").good().json();
    assert_eq!(
        again["alreadyThere"], 22_000,
        "the files in data/ should equal the generated statements: {again}"
    );
    assert_eq!(again["accepted"], 0);
    assert_eq!(again["found"], 22_000);
    // the command of the tutorial: as `elastic`, inside the pod
    let script = r#"password=$(kubectl -n e2e get secret data-lake-es-elastic-user -o go-template='{{.data.elastic | base64decode}}')
        kubectl -n e2e exec data-lake-es-default-0 --container elasticsearch -- curl -ks -u "elastic:$password" https://localhost:9200/statements/_count"#;
    assert_eq!(
        stack().shell(script).good().json()["count"],
        22_000,
        "the second seed should store no statement twice"
    );
}

#[test]
fn sandbox_sql_replies_as_elasticsearch_does() {
    if Need::Sql.is_missing() {
        return;
    }
    known_statements();
    stack().run("sandbox/tests/sql", &["e2e"], "").good();
}

#[test]
fn chart_changed_by_a_file_fails_its_check_until_overwrite() {
    known_statements();
    let chart = std::fs::read_to_string("dashboards/charts/events.yaml").expect("a chart");
    assert!(chart.contains("metric: events"), "{chart}");
    let changed = stack().file("events.yaml", &chart.replace("metric: events", "metric: learners"));
    stack().lastack(&format!("dashboards apply {}", changed.display())).good().shows("1 applied");
    stack().lastack(CHECK).exits(3).shows("wrong: events").shows("30 of 31 charts passed");
    // an asset that a user applied stays
    stack().lastack("install").good().shows("nothing to change");
    stack().lastack("status").good().shows("1 changed by users");
    stack().lastack(CHECK).exits(3);
    stack()
        .lastack("dashboards apply --overwrite")
        .good()
        .shows("charts/events.yaml applied")
        .shows("1 applied");
    stack().lastack(CHECK).good();
}

#[test]
fn renamed_dashboard_is_exported_and_kept_until_overwrite() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    known_statements();
    let rename = r#"id=$(get dashboard/is-the-data-flowing | pick "['result']['id']")
        send PUT "dashboard/$id" '{"dashboard_title":"Flowing"}'"#;
    superset_as_admin(stack(), rename).good();
    stack().lastack("install").good().shows("nothing to change");
    stack().lastack("dashboards list").good().shows("Flowing").shows("changed in Superset");
    stack().lastack("status").good().shows("1 changed by users");

    let folder = std::env::temp_dir().join("lastack-e2e-export");
    let _ = std::fs::remove_dir_all(&folder);
    stack()
        .run(
            "kubectl-lastack",
            &["dashboards", "export", "Flowing", "--to", &folder.display().to_string()],
            "",
        )
        .good();
    let exported = std::fs::read_to_string(folder.join("dashboards/is-the-data-flowing.yaml"))
        .expect("the dashboard's file");
    assert!(exported.contains("Flowing"), "{exported}");
    assert!(!folder.join("databases").exists(), "export should not write the connection");

    stack().lastack("dashboards apply --overwrite").good().shows("1 applied");
    stack().lastack("dashboards list").good().shows("Is the data flowing?");
    // the exported files can be applied
    stack()
        .lastack(&format!("dashboards apply {}", folder.display()))
        .good()
        .shows("dashboards/is-the-data-flowing.yaml applied")
        .shows("1 applied");
    // the dashboard stays, and the unchanged charts and dataset still count as shipped
    stack().lastack("install").good().shows("nothing to change");
    stack().lastack("status").good().shows("1 changed by users");
    stack().lastack("dashboards list").good().shows("Flowing").shows("applied from a file");
    stack().lastack(CHECK).good();
    stack().lastack("dashboards apply --overwrite").good().shows("1 applied");
    stack().lastack("dashboards list").good().shows("Is the data flowing?");
}

#[test]
fn install_repairs_changed_passwords_and_keys() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    known_statements();
    metadata(
        "superset",
        "INSERT INTO logs (action, dttm) VALUES ('of long ago', now() - interval '400 days')",
    );
    // a value that no earlier run of this test set
    let changed = format!("changed-by-the-test-of-dataviz-{}", std::process::id());
    let patch = |secret: &str, key: &str| {
        let value = format!(r#"{{"stringData":{{"{key}":"{changed}"}}}}"#);
        stack().run("kubectl", &["-n", "e2e", "patch", "secret", secret, "-p", &value], "").good();
    };
    patch("data-lake-user-dashboards", "password");
    stack().lastack("configure dataviz").good().shows("ok        dataviz.database");
    assert_one_chart_passes();

    // a documented key rotation: Superset still reads old values with the previous key, and unchanged assets stay
    let secret = stack().kubectl("get secret dataviz-superset -o jsonpath={.data.secret-key}");
    let both = format!(
        r#"{{"data":{{"previous-secret-key":"{secret}"}},"stringData":{{"secret-key":"another-key-{changed}"}}}}"#
    );
    stack()
        .run("kubectl", &["-n", "e2e", "patch", "secret", "dataviz-superset", "-p", &both], "")
        .good();
    patch("dataviz-superset", "teacher-password");
    stack().lastack("install").good().shows("unchanged dataviz.database");
    assert_one_chart_passes();
    superset(stack(), "teacher", &changed, "get me/").good();

    // an undocumented key change: Superset cannot read its stored values, and the tool's own account has an unknown password
    patch("dataviz-superset", "secret-key");
    // a hash without a password
    metadata(
        "superset",
        "UPDATE ab_user SET password = 'pbkdf2:sha256:1$salt$00' WHERE username = 'lastack'",
    );
    stack()
        .lastack("status")
        .exits(3)
        .shows("login of the tool's own account lastack: wrong password");
    stack().lastack("install").good();
    assert_one_chart_passes();
    stack().lastack("install").good().shows("nothing to change");
    // the Job ran after each of these changes, and deletes old log entries
    assert_eq!(
        metadata("superset", "SELECT count(*) FROM logs WHERE action = 'of long ago'"),
        "0\n"
    );
}

#[test]
fn teacher_sees_every_chart_and_cannot_change_anything() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    known_statements();
    measure();
    // Superset caches results for a minute; a check bypasses the cache
    stack().lastack("dashboards check index-size").good();
    let url = stack().lastack("open dataviz --print").good().stdout;
    let url = url
        .trim()
        .strip_suffix("/superset/dashboard/is-the-course-alive/")
        .unwrap_or_else(|| panic!("open should print the first dashboard: {url}"));
    let password = password_of(stack(), "teacher");
    let slugs = ["is-the-course-alive", "how-do-learners-watch-the-videos", "is-the-data-flowing"];
    let charts_of = |slug: &str| {
        let file = std::fs::read_to_string(format!("dashboards/dashboards/{slug}.yaml"))
            .expect("a dashboard");
        file.matches("type: CHART").count()
    };
    let dashboards: serde_json::Map<String, Value> =
        slugs.iter().map(|slug| (slug.to_string(), json!(charts_of(slug)))).collect();
    let asked = json!({
        "url": url, "user": "teacher", "password": password, "dashboards": dashboards,
        "filters": {"is-the-course-alive": {"Course": "Cells and Life"}, "is-the-data-flowing": {"Course": "Cells and Life"}}, "screenshots": std::env::var("LASTACK_SCREENSHOTS").ok(),
    });
    let newest = metadata("superset", "SELECT max(id) FROM logs").trim().to_string();
    let began = jiff::Timestamp::now();
    let pages = stack()
        .run("/usr/bin/python3", &["tests/e2e/dashboards.py"], &asked.to_string())
        .good()
        .json();
    let log = metadata("superset", &format!("SELECT action FROM logs WHERE id > {newest}"));
    assert_eq!(
        log.lines().filter(|action| *action == "dashboard").count(),
        slugs.len(),
        "Superset should log each opened dashboard: {log}"
    );
    // without the limit, a view writes about ninety rows
    assert!(log.lines().count() < 40, "Superset should not log the queries of charts: {log}");
    // without the limit, a page stores its label colours at its end and draws all charts again
    let requests =
        stack().kubectl(&format!("logs deployment/dataviz-superset --since-time={began}"));
    assert!(
        requests.contains("POST /api/v1/chart/data") && !requests.contains("/colors"),
        "{requests}"
    );
    for slug in slugs {
        let charts = pages[slug]["charts"]
            .as_object()
            .unwrap_or_else(|| panic!("the pages should include {slug}: {pages}"));
        assert!(!charts.is_empty(), "{slug} should show charts: {pages}");
        for (title, text) in charts {
            let text = text.as_str().unwrap_or_default();
            let allowed = title == "Which statements are odd?";
            for bad in ["rror", "No results", "No data", "Unexpected"] {
                assert!(allowed || !text.contains(bad), "`{title}` of {slug} shows `{text}`");
            }
        }
    }
    let shows = |slug: &str, when: &str, title: &str, number: &str| {
        let text = pages[slug][when][title]
            .as_str()
            .unwrap_or_else(|| panic!("`{title}` should be on {slug}: {}", pages[slug]));
        assert!(
            text.split_whitespace().any(|word| word == number),
            "`{title}` should show {number}, not `{text}`"
        );
    };
    shows("is-the-course-alive", "charts", "Learners", "283");
    shows("is-the-course-alive", "charts", "Events", "22,000");
    shows("how-do-learners-watch-the-videos", "charts", "Learners who watched", "278");
    shows("how-do-learners-watch-the-videos", "charts", "Viewings", "1,845");
    shows("is-the-data-flowing", "charts", "Events", "22,000");
    shows("is-the-data-flowing", "charts", "Odd statements", "0");
    // the statements in `data` whose parent is this course, and their actors
    shows("is-the-course-alive", "filtered", "Learners", "66");
    shows("is-the-course-alive", "filtered", "Events", "2,871");
    shows("is-the-data-flowing", "filtered", "Events", "2,871");
    let room = |when: &str| {
        pages["is-the-data-flowing"][when]["How much room do the statements take?"].clone()
    };
    assert!(room("charts").as_str().is_some_and(|text| text.contains("MB")), "{}", room("charts"));
    assert_eq!(
        room("filtered"),
        room("charts"),
        "the course filter should not change the size chart"
    );

    assert_cannot_change_anything(&password);
}

/// Asserts that Superset rejects changes by a teacher.
fn assert_cannot_change_anything(password: &str) {
    let script = r#"for path in sqllab/ query/ database/ security/users/ chart/; do echo "look $path $(code "$path")"; done
        for kind in dashboard chart; do
          id=$(get "$kind/" | pick "['result'][0]['id']")
          echo "change $kind $(code "$kind/$id" PUT '{"certified_by": "me"}')"
          echo "delete $kind $(code "$kind/$id" DELETE)"
          echo "make $kind $(code "$kind/" POST '{"dashboard_title": "Mine", "slice_name": "Mine", "datasource_id": 1, "datasource_type": "table"}')"
        done"#;
    let ended = superset(stack(), "teacher", password, script).good();
    assert_eq!(ended.stdout.lines().count(), 11, "{}", ended.stdout);
    for line in ended.stdout.lines() {
        let expected =
            if line.starts_with("look chart/") { ["200"].as_slice() } else { &["403", "404"] };
        assert!(
            expected.iter().any(|code| line.ends_with(code)),
            "a teacher should receive {expected:?}, not `{line}`"
        );
    }
}

#[test]
fn helm_test_of_superset_passes() {
    stack().run("helm", &["test", "dataviz", "-n", "e2e"], "").good();
}
