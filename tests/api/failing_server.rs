//! Every verb against an API server that rejects requests, is overloaded, hangs, closes connections or sends invalid data.

use http::Method;

use crate::support::kubernetes::{Kubernetes, failure};
use crate::support::machine::{Ended, Machine, TOKEN};
use crate::support::server::Reply;
use crate::support::stack::{MockedStack, empty_cluster};

const VERBS: [&str; 22] = [
    "install",
    "status",
    "creds",
    "creds rotate --yes",
    "seed --count 1",
    "open lms --print",
    "configure",
    "sources list",
    "sources add campus",
    "statements",
    "trace",
    "replay",
    "backfill",
    "reconcile",
    "coverage",
    "dashboards check",
    "pause",
    "resume",
    "backup backups",
    "upgrade --no-backup",
    "rollback",
    "uninstall --yes -n alice",
];

/// Runs each verb against a server that gives this response to every request.
fn each_verb(reply: &Reply, flags: &str, check: impl Fn(&Ended)) {
    for verb in VERBS {
        let kubernetes = Kubernetes::with(empty_cluster());
        kubernetes.replies_to_all(reply.clone());
        let machine = Machine::with_cluster(&kubernetes.url());
        let ended = machine.run(&format!("{verb} {flags}"));
        ended.prints_nothing().never_shows("panicked").never_shows(TOKEN);
        check(&ended);
        let requests = kubernetes.server.requests().len();
        assert!(
            requests <= 2,
            "a verb should not repeat its requests to a failing server: {requests} requests\n{ended}"
        );
    }
}

#[test]
fn every_verb_with_rejected_credentials_exits_with_4() {
    each_verb(&failure(401, "Unauthorized", "Unauthorized"), "", |ended| {
        ended
            .exits(4)
            .says("error: the API server rejected the credentials of this kubeconfig user\n");
    });
}

#[test]
fn every_verb_with_an_overloaded_server_stops_after_few_requests() {
    for (code, reason) in [
        (429, "TooManyRequests"),
        (503, "ServiceUnavailable"),
        (504, "Timeout"),
        (500, "InternalError"),
    ] {
        each_verb(&failure(code, reason, "the server is busy with other things"), "", |ended| {
            ended.exits(1).says("the server is busy with other things");
        });
    }
}

#[test]
fn every_verb_quotes_the_response_of_a_proxy() {
    each_verb(&Reply::text(502, "<html>Bad Gateway</html>"), "", |ended| {
        ended.exits(1).says("error: the API server responded with 502: <html>Bad Gateway</html>\n");
    });
}

#[test]
fn every_verb_with_a_response_that_is_not_json_fails() {
    each_verb(&Reply::text(200, "this is not Kubernetes"), "", |ended| {
        ended.exits(1).says("error: cannot parse a response of the API server: ");
    });
}

#[test]
fn every_verb_with_a_closed_connection_exits_with_4() {
    for reply in [Reply::Cut, Reply::CutShort("{\"kind\": \"Conf")] {
        each_verb(&reply, "", |ended| {
            ended
                .exits(4)
                .says("error: ")
                .says("cannot reach the API server: ")
                .says("hint: check `kubectl cluster-info`");
        });
    }
}

#[test]
fn every_verb_with_a_hanging_server_ends_at_the_request_timeout() {
    each_verb(&Reply::Hang, "--request-timeout 1s", |ended| {
        ended.exits(4).says("cannot reach the API server: ");
    });
}

#[test]
fn creds_with_a_hanging_secret_request_names_the_secret() {
    let stack = MockedStack::installed();
    stack.kubernetes.replies(
        Method::GET,
        "/api/v1/namespaces/alice/secrets/lrs-ralph",
        Reply::Hang,
    );
    stack
        .machine
        .run("creds lrs --request-timeout 1s")
        .exits(4)
        .says("secret lrs-ralph: cannot reach the API server: ");
}

#[test]
fn install_with_a_forbidden_write_names_the_permission() {
    let stack = MockedStack::empty();
    let sentence = "secrets is forbidden: User \"alice\" cannot create resource \"secrets\" in API group \"\" in the namespace \"alice\"";
    stack.kubernetes.forbids(Method::POST, "/api/v1/namespaces/alice/secrets", sentence);
    stack.machine.run("install").exits(4).says(sentence);
}
