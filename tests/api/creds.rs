//! `creds`: passwords stay hidden until the user names a component.

use http::Method;
use serde_json::json;

use crate::support::stack::MockedStack;

use super::install::secret;

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
