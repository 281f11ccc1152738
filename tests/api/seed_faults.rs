//! `seed` and an LRS that fails: what can pass is tried again, what cannot is said once.

use std::time::Duration;

use lastack::api::{Account, HttpClient, Ralph};
use lastack::error;
use lastack::seeding::{self, Plan, RetryPolicy};
use lastack::simulator::Generated;
use serde_json::json;

use crate::support::lrs::{Lrs, PASSWORD, USER};
use crate::support::server::{Answer, nobody};
use crate::support::stack::MockedStack;
use crate::support::statements::{array, id, statement, statements};

use super::seed::{machine, seed};

#[test]
fn a_server_error_is_tried_again_and_nothing_is_lost() {
    for fault in [
        Answer::text(500, "oops"),
        Answer::text(502, "bad gateway"),
        Answer::text(503, ""),
        Answer::text(429, "slow down"),
    ] {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(10)));
        lrs.next([fault.clone()]);
        seed(&machine, &lrs, "a.json")
            .exits(0)
            .prints("10 of 10 statements accepted: 10 sent, 0 already stored");
        assert_eq!(lrs.batches().len(), 2, "after {fault:?} the batch should be sent once more");
        assert_eq!(lrs.stored().len(), 10);
    }
}

#[test]
fn a_connection_that_is_cut_is_tried_again() {
    for fault in [Answer::Cut, Answer::CutShort("[\"")] {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(10)));
        lrs.next([fault]);
        seed(&machine, &lrs, "a.json").exits(0).prints("10 of 10 statements accepted");
        assert_eq!(lrs.stored().len(), 10);
    }
}

#[test]
fn an_answer_that_is_not_an_lrs_does_not_count_as_stored() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(10)));
    lrs.next([Answer::text(200, "<html>a proxy's page</html>")]);
    seed(&machine, &lrs, "a.json").exits(0).prints("10 of 10 statements accepted");
    assert_eq!(lrs.batches().len(), 2, "the batch should be sent once more");
}

/// Any LRS by its address.
fn at(endpoint: &str) -> impl FnOnce(&Account) -> Ralph {
    |account| Ralph::at(HttpClient::direct(endpoint).unwrap(), account).unwrap()
}

/// Seeds without the program around it, so that giving up takes a moment and not the minute that an LRS is given
/// to restart.
fn give_up_soon(statements: usize, ralph: impl FnOnce(&Account) -> Ralph) -> anyhow::Error {
    let account = Account { user: USER.into(), password: PASSWORD.to_string().into() };
    let source = Generated::new(1, statements as u64, 10);
    let retry_policy = RetryPolicy {
        attempts: 3,
        first_delay: Duration::from_millis(1),
        longest_delay: Duration::from_millis(2),
    };
    let plan = Plan {
        concurrency: 1,
        retry_policy,
        progress: Box::new(|_| {}),
        retrying: Box::new(|_| {}),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime
        .block_on(async { seeding::run(source, ralph(&account), None, plan).await })
        .expect_err("an LRS that stays away is a failure")
}

#[test]
fn an_lrs_that_stays_away_ends_the_run_with_what_was_stored() {
    let lrs = Lrs::start();
    lrs.next([Answer::ok((0..10).map(id).collect())]).always(Answer::text(503, "no backend"));
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
        "the second batch is given up after 3 tries, the third is not sent"
    );
}

#[test]
fn an_endpoint_that_is_not_there_is_named() {
    let address = nobody();
    let text = error::render(&give_up_soon(1, at(&address)));
    assert!(
        text.contains(&format!("not accepted after 3 attempts: {address}: "))
            && text.contains("Connection refused"),
        "{text}"
    );
}

#[test]
fn a_cluster_that_is_lost_is_another_end_than_an_lrs_that_is() {
    let cluster = nobody();
    let in_cluster = |account: &Account| {
        let client = kube::Client::try_from(kube::Config::new(cluster.parse().unwrap())).unwrap();
        Ralph::new(HttpClient::in_cluster(client, "http://lrs-ralph.alice.svc").unwrap(), account)
            .unwrap()
    };
    let error = give_up_soon(1, in_cluster);
    assert_eq!(error::kind(&error).exit_code(), 4, "{}", error::render(&error));
    assert_eq!(error::kind(&give_up_soon(1, at(&nobody()))).exit_code(), 1);
}

#[test]
fn a_wrong_door_is_knocked_at_once() {
    let cases = [
        (401, "check the account and its scopes"),
        (403, "check the account and its scopes"),
        (404, "pass the address of an xAPI endpoint"),
    ];
    for (status, hint) in cases {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(100)));
        lrs.always(Answer::Json(status, json!({"detail": "no"})));
        let ended = seed(&machine, &lrs, "a.json --batch 10 --concurrency 2");
        ended.exits(1).prints_nothing().says(&format!("responded with {status}: no")).says(hint);
        let requests = lrs.server.requests().len();
        assert!(
            requests <= 2,
            "after {status} each of the two workers should stop, but {requests} requests came\n{ended}"
        );
    }
}

#[test]
fn a_port_forward_that_the_user_may_not_open_is_not_tried_again() {
    let lab = MockedStack::installed();
    let sentence = lab.hides_pods();
    let ended = lab.machine.run("seed --count 10");
    ended.exits(4).says(sentence).says("after 0 statements were stored");
    assert!(!ended.stderr.contains("retrying"), "{ended}");
}

#[test]
fn an_index_that_takes_nothing_is_named_beside_what_the_lrs_says() {
    let lab = MockedStack::installed();
    let mut index = lab.elasticsearch.index().expect("the index");
    index["settings"]["index.blocks.read_only_allow_delete"] = json!("true");
    lab.elasticsearch.has_index(index);
    // not the 500 that Ralph has for it, which is tried again for a minute
    lab.lrs.always(Answer::Json(405, json!({"detail": "no"})));
    let full =
        "warning: index statements accepts no statements, because a disk of the data lake is full";
    lab.machine.run("seed --count 10").exits(1).says(full).says("after 0 statements were stored");
}

#[test]
fn a_proof_that_is_interrupted_is_made_all_the_same() {
    let lab = MockedStack::installed();
    lab.elasticsearch
        .next("/statements/_refresh", [Answer::Cut])
        .next("/statements/_count", [Answer::text(503, "busy"), Answer::text(429, "busy")]);
    lab.machine
        .run("seed --count 10")
        .exits(0)
        .prints("10 of 10 statements stored: 10 sent")
        .prints("each found")
        .says("retrying");
}

#[test]
fn a_proof_that_cannot_be_made_leaves_the_report_of_what_was_sent() {
    let lab = MockedStack::installed();
    let asked = || {
        lab.elasticsearch
            .server
            .requests()
            .iter()
            .filter(|request| request.path == "/statements/_count")
            .count()
    };
    for status in [400, 401, 403] {
        lab.elasticsearch.next(
            "/statements/_count",
            [Answer::Json(status, json!({"error": {"reason": "not like this"}}))],
        );
        let before = asked();
        lab.machine
            .run("seed --count 10")
            .exits(1)
            .prints("10 of 10 statements accepted: 10 sent")
            .prints("not verified: cannot query the data lake")
            .says(&format!("error: cannot verify the statements: Elasticsearch responded with {status} to POST /statements/_count: not like this\n"))
            .says("hint: repeat the command to verify them");
        assert_eq!(asked() - before, 1, "{status} is an answer");
    }
    lab.elasticsearch.next("/statements/_count", [Answer::text(400, "")]);
    let report = lab.machine.run("seed --count 10 -o json").exits(1).json();
    assert_eq!(
        (&report["sent"], &report["found"], &report["complete"]),
        (&json!(10), &json!(null), &json!(false))
    );
}

#[test]
fn a_wrong_password_is_not_shown() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("account", "teacher:another-password\n");
    seed(&machine, &lrs, "--count 10")
        .exits(1)
        .says("responded with 401")
        .never_shows("another-password")
        .never_shows(PASSWORD);
}

#[test]
fn one_invalid_statement_costs_itself_only() {
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

/// Ralph tries one statement first and then an array, and its 422 tells of both. Only the second says what is wrong.
#[test]
fn seed_of_invalid_statement_names_the_field_that_is_missing() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(2)));
    lrs.finds_invalid(&id(1));
    seed(&machine, &lrs, "a.json")
        .exits(1)
        .says("422 verb: Field required")
        .never_shows("LaxStatement");
}

#[test]
fn many_invalid_statements_are_counted_and_some_are_shown() {
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
fn a_statement_that_is_stored_with_other_content_is_refused_by_name() {
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
fn a_conflict_counts_as_there_only_when_the_same_statement_is_there() {
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
fn a_batch_that_is_too_large_is_sent_in_parts() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(100)));
    lrs.takes_at_most(5_000);
    seed(&machine, &lrs, "a.json")
        .exits(0)
        .prints("100 of 100 statements accepted: 100 sent, 0 already stored, 0 rejected");
    assert_eq!(lrs.stored().len(), 100);
}

#[test]
fn refusals_are_never_sent_again_unchanged() {
    for status in [400, 409, 413, 422] {
        let (machine, lrs) = (machine(), Lrs::start());
        machine.write("a.json", array(&statements(4)));
        lrs.always(Answer::Json(status, json!({"detail": "no"})));
        seed(&machine, &lrs, "a.json")
            .exits(1)
            .prints("0 of 4 statements accepted: 4 sent, 0 already stored, 4 rejected");
        let mut batches = lrs.batches();
        let sent = batches.len();
        batches.sort();
        batches.dedup();
        assert_eq!(batches.len(), sent, "after {status} the same body came again");
        assert_eq!(sent, 7, "four statements are told apart by 1 + 2 + 4 requests");
    }
}

#[test]
fn the_echo_of_a_refused_batch_is_not_shown() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(1)));
    lrs.always(Answer::Json(400, json!({"input": "x".repeat(1_000_000)})));
    let ended = seed(&machine, &lrs, "a.json");
    ended.exits(1).says("400");
    assert!(
        ended.stderr.len() < 1000,
        "an error should be short, it has {} bytes",
        ended.stderr.len()
    );
}

#[test]
fn seed_of_statement_at_which_the_lrs_fails_rejects_it_and_stores_the_rest() {
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
    assert!(took < Duration::from_secs(30), "it should take seconds, not {took:?}");
}

#[test]
fn seed_of_many_statements_at_which_the_lrs_fails_comes_to_its_end() {
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
    assert!(requests < 2 * 300 + 10, "a statement should cost two requests, these are {requests}");
}

#[test]
fn seed_into_an_index_that_is_closed_rejects_no_statement() {
    let lab = MockedStack::installed();
    let mut index = lab.elasticsearch.index().expect("the index");
    index["settings"]["index.blocks.write"] = json!("true");
    lab.elasticsearch.has_index(index);
    lab.machine.write("a.json", array(&statements(3)));
    let failure = Answer::Json(500, json!({"detail": "Statements bulk indexation failed"}));
    lab.lrs.next(vec![failure; 4]);
    lab.machine.run("seed a.json").exits(0).prints("3 of 3 statements stored");
    let batches = lab.lrs.batches();
    assert!(batches.iter().all(|batch| batch.len() == 3), "no batch is split: {batches:?}");
}

#[test]
fn seed_of_three_thousand_invalid_statements_takes_a_few_requests() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(3100)));
    for number in 0..3000 {
        lrs.finds_invalid(&id(number));
    }
    seed(&machine, &lrs, "a.json").exits(1).prints("100 of 3,100 statements accepted");
    let requests = lrs.batches().len();
    assert!(requests < 10, "the LRS names all of a batch at once, these are {requests} requests");
}

#[test]
fn seed_of_stored_statements_with_other_content_asks_the_data_lake_once() {
    let lab = MockedStack::installed();
    let mut stored = statements(900);
    for statement in &mut stored[..800] {
        statement["verb"]["id"] = json!("http://example.org/other");
    }
    lab.lrs.has(&stored);
    lab.machine.write("a.json", array(&statements(1000)));
    lab.machine
        .run("seed a.json")
        .exits(1)
        .prints("200 of 1,000 statements stored: 1,000 sent, 100 already stored, 800 rejected")
        .says("409 a statement with the same id and different content is stored");
    assert_eq!(lab.lrs.batches().len(), 2, "the batch, and what is new in it");
}

#[test]
fn seed_that_is_redirected_says_where_to_at_once() {
    let (machine, lrs) = (machine(), Lrs::start());
    machine.write("a.json", array(&statements(10)));
    lrs.always(Answer::Redirect("https://lrs.example.org/xAPI/statements".into()));
    seed(&machine, &lrs, "a.json")
        .exits(1)
        .says("responded with 302: redirected to https://lrs.example.org/xAPI/statements")
        .says("hint: pass the address of an xAPI endpoint");
    assert_eq!(lrs.server.requests().len(), 1);
}
