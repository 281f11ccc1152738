//! Install, seed, prove, look.

use serde_json::json;

use crate::lab::Ended;
use crate::stack;

fn statements_in_elasticsearch() -> u64 {
    // the tutorial's way: as `elastic`, from inside the pod
    let script = r#"password=$(kubectl -n e2e get secret data-lake-es-elastic-user -o go-template='{{.data.elastic | base64decode}}')
        kubectl -n e2e exec data-lake-es-default-0 --container elasticsearch -- curl -ks -u "elastic:$password" https://localhost:9200/statements/_count"#;
    let answer = stack().shell(script).good().json();
    answer["count"].as_u64().expect("a count")
}

#[test]
fn a_second_install_changes_nothing() {
    let before = stack().versions();
    stack().lastack("install").good().says("nothing to change");
    let after = stack().versions();
    for (object, version) in &before {
        assert_eq!(after.get(object), Some(version), "{object} was changed by an install that had nothing to do");
    }
    assert_eq!(before.len(), after.len(), "an install that had nothing to do made objects");
}

#[test]
fn every_statement_of_the_example_is_stored_once_however_often_it_is_sent() {
    stack().lastack("seed").good().says("22,000 of 22,000 statements stored").says("each found in Elasticsearch by its id");
    let stored = statements_in_elasticsearch();
    let again = stack().lastack("seed data -o json").good().json();
    assert_eq!(again["alreadyThere"], 22_000, "the files of data/ are the statements that seed makes: {again}");
    assert_eq!(again["accepted"], 0);
    assert_eq!(again["found"], 22_000);
    assert_eq!(statements_in_elasticsearch(), stored, "the second seed stored something twice");
}

#[test]
fn statements_from_standard_input_arrive_and_a_bad_one_keeps_no_good_one_out() {
    let good = |n: u32| {
        json!({
            "id": format!("00000000-0000-4000-8000-00000000000{n}"), "timestamp": "2026-03-01T10:00:00Z",
            "actor": {"account": {"homePage": "https://example.org", "name": "1"}},
            "verb": {"id": "http://id.tincanapi.com/verb/viewed"}, "object": {"id": "https://example.org/1"},
        })
        .to_string()
    };
    let bad = good(9).replace(r#""homePage":"https://example.org","#, "");
    let lines = format!("{}\n{bad}\n{}\n", good(1), good(2));
    let ended = stack().run("kubectl-lastack", &["seed", "-"], &lines).exits(1);
    ended.says("2 of 3 statements stored").says("refused: standard input: statement 2");
}

#[test]
fn status_tells_what_runs_answers_and_is_stored() {
    stack().lastack("seed --count 1000").good();
    let status = stack().lastack("status -o json").good().json();
    assert_eq!(status["healthy"], true, "{status}");
    let part = |name: &str| status["parts"].as_array().unwrap().iter().find(|part| part["part"] == name).unwrap().clone();
    assert_eq!(part("ralph")["answers"]["detail"], "heartbeat ok");
    assert!(part("ralph")["url"].as_str().unwrap().starts_with("http://10.213.1."), "the load balancer's address is shown");
    assert!(part("datalake")["data"]["detail"].as_str().unwrap().contains("statements"), "{status}");
    assert!(part("datalake")["newest"].is_string());
    assert_eq!(part("superset")["data"]["detail"], "3 dashboards, 31 charts");
    stack().lastack("status").good().says("PART").says("green");
}

#[test]
fn the_lines_of_the_tutorial_work_on_the_stack() {
    let typed = |script: &str| -> Ended { stack().shell(script).good() };
    typed("kubectl -n e2e get svc lrs-ralph").says("lrs-ralph");
    typed("kubectl -n e2e get pods").says("data-lake-es-default-0");
    let script = r#"password=$(kubectl -n e2e get secret lrs-ralph -o jsonpath='{.data.password}' | base64 -d)
        address=$(kubectl -n e2e get svc lrs-ralph -o jsonpath='{.status.loadBalancer.ingress[0].ip}')
        curl -sf --user "admin:$password" "http://$address/whoami""#;
    typed(script).says("mbox");
}

#[test]
fn the_passwords_that_creds_shows_open_the_lrs_and_only_when_asked_for() {
    let hidden = stack().lastack("creds").good();
    let shown = stack().lastack("creds lrs -o json").good().json();
    let password = shown["items"][0]["password"].as_str().expect("a password").to_string();
    assert!(!hidden.stdout.contains(&password), "a password is shown without being asked for");
    let address = stack().kubectl("get svc lrs-ralph -o jsonpath={.status.loadBalancer.ingress[0].ip}");
    let config = format!("user = \"admin:{password}\"\n");
    stack().run("curl", &["-sf", "-K", "-", &format!("http://{address}/whoami")], &config).good();
}

#[test]
fn a_chart_test_passes() {
    stack().run("helm", &["test", "lrs", "-n", "e2e"], "").good();
}
