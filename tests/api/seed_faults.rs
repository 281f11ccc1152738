//! `seed` with a failing LRS: transient errors are retried, permanent errors are reported once.

use std::time::Duration;

use lastack::api::{Account, HttpClient, Ralph};
use lastack::error;
use lastack::seeding::{self, Plan, RetryPolicy};
use lastack::simulator::Generated;
use lastack::simulator::dataset::DataSet;
use serde_json::json;

use crate::support::lrs::{Lrs, PASSWORD, USER};
use crate::support::server::{Reply, unreachable_url};
use crate::support::stack::MockedStack;
use crate::support::statements::{array, id, statement, statements};

use super::seed::{machine, seed};

#[test]
fn seed_retries_after_a_server_error_and_loses_nothing() {
    for fault in [
        Reply::text(500, "oops"),
        Reply::text(502, "bad gateway"),
        Reply::text(503, ""),
        Reply::text(429, "slow down"),
    ] {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(10)));
        lrs.next([fault.clone()]);
        seed(&machine, &lrs, "a.json")
            .exits(0)
            .prints("10 of 10 statements accepted: 10 sent, 0 already stored");
        assert_eq!(lrs.batches().len(), 2, "after {fault:?} seed should send the batch again");
        assert_eq!(lrs.stored().len(), 10);
    }
}

#[test]
fn seed_retries_after_a_closed_connection() {
    for fault in [Reply::Cut, Reply::CutShort("[\"")] {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(10)));
        lrs.next([fault]);
        seed(&machine, &lrs, "a.json").exits(0).prints("10 of 10 statements accepted");
        assert_eq!(lrs.stored().len(), 10);
    }
}

#[test]
fn seed_retries_after_a_response_that_is_not_from_an_lrs() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(10)));
    lrs.next([Reply::text(200, "<html>a proxy's page</html>")]);
    seed(&machine, &lrs, "a.json").exits(0).prints("10 of 10 statements accepted");
    assert_eq!(lrs.batches().len(), 2, "seed should send the batch again");
}

/// A client for the LRS at an address.
fn at(endpoint: &str) -> impl FnOnce(&Account) -> Ralph {
    |account| Ralph::at(HttpClient::direct(endpoint).unwrap(), account).unwrap()
}

/// Seeds through the library with a short back-off. The program itself retries for a minute, the time in which an LRS
/// restarts.
fn give_up_soon(statements: usize, ralph: impl FnOnce(&Account) -> Ralph) -> anyhow::Error {
    let account = Account { user: USER.into(), password: PASSWORD.to_string().into() };
    let source = Generated::new(DataSet::new(1, statements as u64), 10);
    let retry_policy = RetryPolicy {
        attempts: 3,
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(2),
    };
    let plan = Plan {
        rate: None,
        concurrency: 1,
        retry_policy,
        progress: Box::new(|_| {}),
        retrying: Box::new(|_| {}),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime
        .block_on(async { seeding::run(source, ralph(&account), None, plan).await })
        .expect_err("the seed should fail while the LRS is down")
}

#[test]
fn seed_ends_with_the_stored_count_when_the_lrs_stays_down() {
    let lrs = Lrs::start();
    lrs.next([Reply::ok((0..10).map(id).collect())]).always(Reply::text(503, "no backend"));
    let text = error::render(&give_up_soon(30, at(&lrs.endpoint())));
    assert_eq!(
        text,
        "stopped after 10 statements were stored: generated from seed 1: statement 11 and 9 more: \
         not accepted after 3 attempts: the LRS responded with 503: no backend\n  \
         hint: repeat the command; the LRS stores each statement only once"
    );
    assert_eq!(
        lrs.batches().len(),
        1 + 3,
        "seed should stop after 3 attempts of the second batch and not send the third"
    );
}

#[test]
fn seed_names_an_endpoint_that_does_not_respond() {
    let address = unreachable_url();
    let text = error::render(&give_up_soon(1, at(&address)));
    assert!(
        text.contains(&format!("not accepted after 3 attempts: {address}: "))
            && text.contains("Connection refused"),
        "{text}"
    );
}

#[test]
fn seed_exit_code_distinguishes_an_unreachable_cluster_from_an_unreachable_lrs() {
    let cluster = unreachable_url();
    let in_cluster = |account: &Account| {
        let client = kube::Client::try_from(kube::Config::new(cluster.parse().unwrap())).unwrap();
        Ralph::new(HttpClient::in_cluster(client, "http://lrs-ralph.alice.svc").unwrap(), account)
            .unwrap()
    };
    let error = give_up_soon(1, in_cluster);
    assert_eq!(error::kind(&error).exit_code(), 4, "{}", error::render(&error));
    assert_eq!(error::kind(&give_up_soon(1, at(&unreachable_url()))).exit_code(), 1);
}

#[test]
fn seed_does_not_retry_a_wrong_account_or_address() {
    let cases = [
        (401, "check the account and its scopes"),
        (403, "check the account and its scopes"),
        (404, "pass the address of an xAPI endpoint"),
    ];
    for (status, hint) in cases {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(100)));
        lrs.always(Reply::Json(status, json!({"detail": "no"})));
        let ended = seed(&machine, &lrs, "a.json --batch 10 --concurrency 2");
        ended.exits(1).prints_nothing().says(&format!("responded with {status}: no")).says(hint);
        let requests = lrs.server.requests().len();
        assert!(
            requests <= 2,
            "after {status} each of the two workers should stop, but {requests} requests arrived\n{ended}"
        );
    }
}

#[test]
fn seed_does_not_retry_a_forbidden_port_forward() {
    let stack = MockedStack::installed();
    let sentence = stack.hides_pods();
    let ended = stack.machine.run("seed --count 10");
    ended.exits(4).says(sentence).says("after 0 statements were stored");
    assert!(!ended.stderr.contains("retrying"), "{ended}");
}

#[test]
fn seed_into_a_read_only_index_names_the_index() {
    let stack = MockedStack::installed();
    let mut index = stack.elasticsearch.index().expect("the index");
    index["settings"]["index.blocks.read_only_allow_delete"] = json!("true");
    stack.elasticsearch.has_index(index);
    // Ralph itself responds with 500, which `seed` retries for a minute
    stack.lrs.always(Reply::Json(405, json!({"detail": "no"})));
    let full =
        "warning: index statements accepts no statements, because a disk of the data lake is full";
    stack.machine.run("seed --count 10").exits(1).says(full).says("after 0 statements were stored");
}

#[test]
fn seed_retries_an_interrupted_verification() {
    let stack = MockedStack::installed();
    stack
        .elasticsearch
        .next("/statements/_refresh", [Reply::Cut])
        .next("/statements/_count", [Reply::text(503, "busy"), Reply::text(429, "busy")]);
    stack
        .machine
        .run("seed --count 10")
        .exits(0)
        .prints("10 of 10 statements stored: 10 sent")
        .prints("each found")
        .says("retrying");
}

#[test]
fn seed_without_verification_still_reports_the_sent_statements() {
    let stack = MockedStack::installed();
    let asked = || {
        stack
            .elasticsearch
            .server
            .requests()
            .iter()
            .filter(|request| request.path == "/statements/_count")
            .count()
    };
    for status in [400, 401, 403] {
        stack.elasticsearch.next(
            "/statements/_count",
            [Reply::Json(status, json!({"error": {"reason": "not like this"}}))],
        );
        let before = asked();
        stack.machine
            .run("seed --count 10")
            .exits(1)
            .prints("10 of 10 statements accepted: 10 sent")
            .prints("not verified: cannot query the data lake")
            .says(&format!("error: cannot verify the statements: Elasticsearch responded with {status} to POST /statements/_count: not like this\n"))
            .says("hint: repeat the command to verify them");
        assert_eq!(asked() - before, 1, "{status} should not be retried");
    }
    stack.elasticsearch.next("/statements/_count", [Reply::text(400, "")]);
    let report = stack.machine.run("seed --count 10 -o json").exits(1).json();
    assert_eq!(
        (&report["sent"], &report["found"], &report["complete"]),
        (&json!(10), &json!(null), &json!(false))
    );
}

#[test]
fn seed_with_a_wrong_password_does_not_show_it() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("account", "teacher:another-password\n");
    seed(&machine, &lrs, "--count 10")
        .exits(1)
        .says("responded with 401")
        .never_shows("another-password")
        .never_shows(PASSWORD);
}

#[test]
fn seed_with_one_invalid_statement_stores_the_others() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(1000)));
    lrs.finds_invalid(&id(617));
    let ended = seed(&machine, &lrs, "a.json");
    ended
        .exits(1)
        .prints("999 of 1,000 statements accepted: 1,000 sent, 0 already stored, 1 rejected")
        .says("rejected: a.json: statement 618 (byte ")
        .says(&format!("(id {}): 422 ", id(617)))
        .says("error: not all statements are stored: 1 rejected")
        .never_shows("learner-617");
    assert_eq!(lrs.stored().len(), 999);
    assert!(!lrs.stored().contains_key(&id(617)));
}

/// Ralph validates the body as one statement, then as an array, and its 422 holds both results. Only the second one
/// names the fault.
#[test]
fn seed_of_an_invalid_statement_names_the_missing_field() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(2)));
    lrs.finds_invalid(&id(1));
    seed(&machine, &lrs, "a.json")
        .exits(1)
        .says("422 verb: Field required")
        .never_shows("LaxStatement");
}

#[test]
fn seed_with_many_invalid_statements_counts_all_and_shows_some() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(60)));
    for number in 0..30 {
        lrs.finds_invalid(&id(number));
    }
    let ended = seed(&machine, &lrs, "a.json");
    ended
        .exits(1)
        .prints("30 of 60 statements accepted")
        .says("warning: and 10 more rejected statements");
    assert_eq!(ended.stderr.matches("warning: rejected: ").count(), 20, "{ended}");
}

#[test]
fn seed_rejects_a_statement_that_is_stored_with_other_content() {
    let (machine, lrs) = (machine(), Lrs::start());
    let mut other = statement(3);
    other["verb"]["id"] = json!("http://adlnet.gov/expapi/verbs/failed");
    lrs.has(&[other]);
    machine.write("a.json", array(&statements(10)));
    let ended = seed(&machine, &lrs, "a.json");
    ended
        .exits(1)
        .prints("9 of 10 statements accepted")
        .says("a.json: statement 4 (byte")
        .says("409 Differing statements already exist");
    assert_eq!(lrs.stored().len(), 10);
}

#[test]
fn seed_conflict_counts_as_stored_only_for_equal_content() {
    let (machine, lrs) = (machine(), Lrs::start());
    let timeless: Vec<_> = statements(3)
        .into_iter()
        .map(|mut statement| {
            statement.as_object_mut().unwrap().remove("timestamp");
            statement
        })
        .collect();
    machine.write("a.json", array(&timeless));
    seed(&machine, &lrs, "a.json")
        .exits(0)
        .prints("3 of 3 statements accepted: 3 sent, 0 already stored");
    seed(&machine, &lrs, "a.json")
        .exits(0)
        .prints("3 of 3 statements accepted: 3 sent, 3 already stored");

    let mut other = statement(1);
    other["object"]["id"] = json!("https://example.org/another-course");
    lrs.has(&[other]);
    seed(&machine, &lrs, "a.json")
        .exits(1)
        .prints("2 of 3 statements accepted: 3 sent, 2 already stored, 1 rejected")
        .says("rejected: a.json: statement 2 (byte")
        .says(&format!("(id {}): 409 Differing statements already exist", id(1)));
}

#[test]
fn seed_splits_a_batch_that_is_too_large() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(100)));
    lrs.accepts_at_most(5_000);
    seed(&machine, &lrs, "a.json")
        .exits(0)
        .prints("100 of 100 statements accepted: 100 sent, 0 already stored, 0 rejected");
    assert_eq!(lrs.stored().len(), 100);
}

#[test]
fn seed_never_repeats_a_rejected_request_unchanged() {
    for status in [400, 409, 413, 422] {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(4)));
        lrs.always(Reply::Json(status, json!({"detail": "no"})));
        seed(&machine, &lrs, "a.json")
            .exits(1)
            .prints("0 of 4 statements accepted: 4 sent, 0 already stored, 4 rejected");
        let mut batches = lrs.batches();
        let sent = batches.len();
        batches.sort();
        batches.dedup();
        assert_eq!(batches.len(), sent, "after {status} no body should arrive twice");
        assert_eq!(sent, 7, "four statements should take 1 + 2 + 4 requests");
    }
}

#[test]
fn seed_does_not_print_the_echo_of_a_rejected_batch() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(1)));
    lrs.always(Reply::Json(400, json!({"input": "x".repeat(1_000_000)})));
    let ended = seed(&machine, &lrs, "a.json");
    ended.exits(1).says("400");
    assert!(
        ended.stderr.len() < 1000,
        "the error should be short, but has {} bytes",
        ended.stderr.len()
    );
}

#[test]
fn seed_rejects_a_statement_that_crashes_the_lrs_and_stores_the_rest() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(1000)));
    lrs.crashes_at(&id(617)).crashes_at(&id(618));
    let started = std::time::Instant::now();
    seed(&machine, &lrs, "a.json")
        .exits(1)
        .prints("998 of 1,000 statements accepted: 1,000 sent, 0 already stored, 2 rejected")
        .says("rejected: a.json: statement 618 (byte ")
        .says(&format!("(id {}): 500 Internal Server Error", id(617)))
        .says("rejected: a.json: statement 619 (byte ");
    assert_eq!(lrs.stored().len(), 998);
    let took = started.elapsed();
    assert!(took < Duration::from_secs(30), "the run should take seconds, not {took:?}");
}

#[test]
fn seed_ends_when_many_statements_crash_the_lrs() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(300)));
    for number in 0..300 {
        lrs.crashes_at(&id(number));
    }
    seed(&machine, &lrs, "a.json")
        .exits(1)
        .prints("0 of 300 statements accepted")
        .says("and 280 more");
    let requests = lrs.batches().len();
    assert!(
        requests < 2 * 300 + 10,
        "a statement should take two requests, not {requests} in total"
    );
}

#[test]
fn seed_into_a_write_blocked_index_rejects_no_statement() {
    let stack = MockedStack::installed();
    let mut index = stack.elasticsearch.index().expect("the index");
    index["settings"]["index.blocks.write"] = json!("true");
    stack.elasticsearch.has_index(index);
    stack.machine.write("a.json", array(&statements(3)));
    let failure = Reply::Json(500, json!({"detail": "Statements bulk indexation failed"}));
    stack.lrs.next(vec![failure; 4]);
    stack.machine.run("seed a.json").exits(0).prints("3 of 3 statements stored");
    let batches = stack.lrs.batches();
    assert!(
        batches.iter().all(|batch| batch.len() == 3),
        "seed should split no batch: {batches:?}"
    );
}

#[test]
fn seed_of_three_thousand_invalid_statements_sends_few_requests() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(3100)));
    for number in 0..3000 {
        lrs.finds_invalid(&id(number));
    }
    seed(&machine, &lrs, "a.json").exits(1).prints("100 of 3,100 statements accepted");
    let requests = lrs.batches().len();
    assert!(
        requests < 10,
        "the LRS names all faults of a batch at once, but seed sent {requests} requests"
    );
}

#[test]
fn seed_of_conflicting_statements_queries_the_data_lake_once() {
    let stack = MockedStack::installed();
    let mut stored = statements(900);
    for statement in &mut stored[..800] {
        statement["verb"]["id"] = json!("http://example.org/other");
    }
    stack.lrs.has(&stored);
    stack.machine.write("a.json", array(&statements(1000)));
    stack
        .machine
        .run("seed a.json")
        .exits(1)
        .prints("200 of 1,000 statements stored: 1,000 sent, 100 already stored, 800 rejected")
        .says("409 a statement with the same id and different content is stored");
    assert_eq!(stack.lrs.batches().len(), 2, "seed should send the batch, then its new statements");
}

#[test]
fn seed_that_is_redirected_names_the_target_at_once() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(10)));
    lrs.always(Reply::Redirect("https://lrs.example.org/xAPI/statements".into()));
    seed(&machine, &lrs, "a.json")
        .exits(1)
        .says("responded with 302: redirected to https://lrs.example.org/xAPI/statements")
        .says("hint: pass the address of an xAPI endpoint");
    assert_eq!(lrs.server.requests().len(), 1);
}
