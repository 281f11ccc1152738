//! `creds`: passwords stay hidden until the user names a component, and `rotate` replaces them everywhere.

use http::Method;
use serde_json::{Value, json};

use crate::support::server::Reply;
use crate::support::stack::MockedStack;

use super::install::{passwords, secret};

#[test]
fn creds_hides_passwords_until_a_component_is_named() {
    let stack = MockedStack::installed();
    let password = &secret(&stack, "lrs-ralph")["password"];
    stack
        .machine
        .run("creds")
        .exits(0)
        .prints("admin")
        .prints("elastic")
        .prints("********")
        .says("creds lrs")
        .never_shows(password);
    stack
        .machine
        .run("creds lrs")
        .exits(0)
        .says_nothing()
        .prints(password)
        .prints("lrs-ralph/password")
        .never_shows("password-of-elastic");
}

#[test]
fn creds_output_formats_print_variables_or_a_document() {
    let stack = MockedStack::installed();
    let password = &secret(&stack, "lrs-ralph")["password"];
    stack
        .machine
        .run("creds lrs -o env")
        .exits(0)
        .says_nothing()
        .prints(&format!("LASTACK_LRS_PASSWORD='{password}'\n"))
        .prints("LASTACK_LRS_USER='admin'\n");
    let document = stack.machine.run("creds -o json").exits(0).json();
    assert_eq!(document["kind"], "Credentials");
    let accounts: Vec<String> = document["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| format!("{}/{}", item["component"], item["user"]).replace('"', ""))
        .collect();
    assert_eq!(
        accounts,
        [
            "lms/user",
            "lms/tool_generator_000001",
            "lrs/admin",
            "datalake/elastic",
            "dataviz/admin",
            "dataviz/teacher"
        ]
    );
    assert_eq!(document["items"][2]["password"], password.as_str());
}

#[test]
fn creds_prints_the_external_address_when_the_service_has_one() {
    let stack = MockedStack::installed();
    for (service, address) in [("lrs-ralph", "192.0.2.7"), ("dataviz-superset", "192.0.2.8")] {
        let mut object = stack
            .kubernetes
            .object(&format!("/api/v1/namespaces/alice/services/{service}"))
            .expect("the service");
        object["status"] = json!({"loadBalancer": {"ingress": [{"ip": address}]}});
        stack.kubernetes.put([object]);
    }
    stack.machine.run("creds lrs").exits(0).prints("http://192.0.2.7/xAPI").never_shows("svc");
    stack
        .machine
        .run("creds dataviz -o env")
        .exits(0)
        .prints("LASTACK_DATAVIZ_ADMIN_URL='http://192.0.2.8'\n");
    stack.machine.run("creds datalake").exits(0).prints("https://data-lake-es-http.alice.svc:9200");
}

#[test]
fn component_names_accept_the_names_that_status_shows() {
    let stack = MockedStack::installed();
    for (shown, name) in [("moodle", "lms"), ("ralph", "lrs"), ("superset", "dataviz")] {
        assert_eq!(
            stack.machine.run(&format!("creds {shown}")).exits(0).stdout,
            stack.machine.run(&format!("creds {name}")).stdout
        );
    }
    stack
        .machine
        .run("install --only ralph,superset --dry-run")
        .exits(0)
        .prints("lrs.release")
        .prints("dataviz.release")
        .never_shows("lms.release");
}

#[test]
fn creds_without_a_stack_fails_with_a_hint() {
    let stack = MockedStack::empty();
    stack
        .machine
        .run("creds")
        .exits(1)
        .prints_nothing()
        .says("error: namespace alice: no accounts\n")
        .says("to create them");
    stack.machine.run("creds lrs").exits(1).says("namespace alice: no accounts of lrs");
}

#[test]
fn creds_with_a_forbidden_secret_names_the_permission_and_prints_other_rows() {
    let stack = MockedStack::installed();
    let sentence = "secrets \"lrs-ralph\" is forbidden: User \"alice\" cannot get resource \"secrets\" in API group \"\" in the namespace \"alice\"";
    stack.kubernetes.forbids(Method::GET, "/api/v1/namespaces/alice/secrets/lrs-ralph", sentence);
    stack.machine.run("creds lrs").exits(4).prints_nothing().says(sentence);
    let ended = stack.machine.run("creds");
    ended
        .exits(4)
        .prints("elastic")
        .prints("teacher")
        .prints("lrs         unknown")
        .says(&format!("warning: lrs: secret lrs-ralph: {sentence}"));
    ended.says("error: cannot read all accounts");
    stack
        .machine
        .run("creds -o env")
        .exits(4)
        .prints("LASTACK_DATALAKE_USER='elastic'\n")
        .never_shows("unknown")
        .says(sentence);
}

/// The values of the last upgrade of a release.
fn values(stack: &MockedStack, release: &str) -> Value {
    let calls = stack.helm.calls_of("upgrade");
    calls.iter().rfind(|call| call.is(release)).expect("the release").values()
}

#[test]
fn creds_rotate_replaces_passwords_of_a_component_in_all_its_clients() {
    let stack = MockedStack::installed();
    let (before, others) = (secret(&stack, "lrs-ralph"), secret(&stack, "dataviz-superset"));
    let checksum = values(&stack, "lrs")["secretChecksum"].clone();
    let ended = stack.machine.run("creds rotate lrs --yes");
    ended
        .exits(0)
        .prints("lrs-ralph")
        .prints("password, moodle-password")
        .says("ok        lrs.release")
        .says("ok        lms.settings")
        .says("unchanged lms.release")
        .says("Rotated in ");
    let after = secret(&stack, "lrs-ralph");
    for key in ["password", "moodle-password"] {
        assert_ne!(before[key], after[key], "{key}");
        ended.never_shows(&before[key]).never_shows(&after[key]);
        assert!(
            accepts(&after["auth.json"], &after[key])
                && !accepts(&after["auth.json"], &before[key]),
            "the LRS should accept only the new {key}"
        );
    }
    assert_eq!(stack.moodle.world().settings["password"], after["moodle-password"]);
    assert_ne!(values(&stack, "lrs")["secretChecksum"], checksum, "the pods should restart");
    assert_eq!(secret(&stack, "dataviz-superset"), others);
    stack.machine.run("install").exits(0).says("nothing to change");
}

/// Whether a password fits any account in Ralph's accounts file.
fn accepts(accounts: &str, password: &str) -> bool {
    let accounts: Vec<Value> = serde_json::from_str(accounts).expect("an accounts file");
    let hashes = accounts.iter().map(|account| account["hash"].as_str().expect("a hash"));
    hashes.into_iter().any(|hash| bcrypt::verify(password, hash).expect("bcrypt"))
}

#[test]
fn creds_rotate_replaces_every_password_and_keeps_the_key_of_superset() {
    let stack = MockedStack::installed();
    let key = secret(&stack, "dataviz-superset")["secret-key"].clone();
    let before = passwords(&stack);
    let databases = ["lms", "dataviz"].map(|name| values(&stack, name)["postgresql"].clone());
    let ended = stack.machine.run("creds rotate --yes");
    ended.exits(0);
    let after = passwords(&stack);
    for (old, new) in before.iter().zip(&after) {
        assert_eq!(old == new, *old == key, "only the key should stay");
        ended.never_shows(old).never_shows(new);
    }
    for (name, before) in ["lms", "dataviz"].into_iter().zip(databases) {
        let after = &values(&stack, name)["postgresql"]["secretChecksum"];
        assert_ne!(*after, before["secretChecksum"], "PostgreSQL of {name} should restart");
    }
    assert_eq!(
        stack.moodle.world().learner_password,
        secret(&stack, "lms-moodle")["learner-password"].as_str()
    );
    stack.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn creds_rotate_without_confirmation_replaces_nothing() {
    let stack = MockedStack::installed();
    let before = passwords(&stack);
    stack
        .machine
        .run("creds rotate lrs")
        .exits(2)
        .prints_nothing()
        .says("stdin is not a terminal; no password was replaced")
        .says("pass `--yes`");
    // a rotation that could not be completed does not begin
    stack.helm.has_release("lrs", "deployed", "of another tool");
    std::fs::remove_file(stack.helm.state_file("lrs").with_file_name("labelled-lrs")).unwrap();
    stack.machine.run("creds rotate --yes").exits(1).says("no password was replaced: lrs.release");
    assert_eq!(passwords(&stack), before);
}

#[test]
fn interrupted_creds_rotate_is_completed_by_install() {
    let stack = MockedStack::installed();
    let before = secret(&stack, "lrs-ralph");
    stack.helm.fails("upgrade", "Error: the server is away");
    stack
        .machine
        .run("creds rotate lrs --yes")
        .exits(1)
        .prints("lrs-ralph")
        .says("the Secrets have new passwords")
        .says("the server is away");
    let after = secret(&stack, "lrs-ralph");
    assert_ne!(after["password"], before["password"]);
    std::fs::remove_file(stack.helm.state_file("lrs").with_file_name("fail-upgrade")).unwrap();
    stack.machine.run("install").exits(0).says("ok        lrs.release");
    assert_eq!(secret(&stack, "lrs-ralph"), after, "install should not replace passwords");
    assert_eq!(stack.moodle.world().settings["password"], after["moodle-password"]);
    stack.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn creds_rotate_leaves_a_foreign_secret_in_place_and_names_it() {
    let stack = MockedStack::installed();
    let path = "/api/v1/namespaces/alice/secrets/lms-postgresql";
    let mut theirs = stack.kubernetes.object(path).expect("the Secret");
    theirs["metadata"]["labels"] = json!({});
    stack.kubernetes.put([theirs]);
    let before = secret(&stack, "lms-postgresql");
    stack
        .machine
        .run("creds rotate lms --yes")
        .exits(0)
        .prints("lms-moodle")
        .says("warning: secret lms-postgresql was not created by this tool and is left in place");
    assert_eq!(secret(&stack, "lms-postgresql"), before);
    MockedStack::empty()
        .machine
        .run("creds rotate lrs --yes")
        .exits(1)
        .says("namespace alice: no passwords of lrs to replace");
}

#[test]
fn creds_rotate_resends_events_that_the_lrs_rejected_meanwhile() {
    let stack = MockedStack::installed();
    {
        let mut world = stack.moodle.world();
        world.failed = vec![
            json!({"errortype": 401, "alone": false, "events": 3, "oldest": 0, "response": ""}),
        ];
        world.replayed = json!({"due": 3, "sent": 3, "already": 0, "rejected": 0, "never": 0});
    }
    stack.machine.run("creds rotate lrs --yes").exits(0).says("3 of 3 events resent");
}

#[test]
fn creds_rotate_warns_when_moodle_keeps_no_rejected_events() {
    let stack = MockedStack::installed();
    stack.machine.run("configure lms --immediate").exits(0);
    let warning = "events are lost while the LRS rejects its old password";
    stack.machine.run("creds rotate lrs --yes").exits(0).says(warning);
    stack.machine.run("creds rotate dataviz --yes").exits(0).never_shows(warning);
}

#[test]
fn creds_rotate_waits_until_the_operator_applies_the_new_password() {
    let stack = MockedStack::installed();
    let rejection = json!({"error": {"reason": "unable to authenticate user [lastack]"}});
    stack.elasticsearch.next("/_cluster/health", [Reply::Json(401, rejection)]);
    stack
        .machine
        .run("install")
        .exits(0)
        .says("the operator has not applied the password of account lastack yet");
}
