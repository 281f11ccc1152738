//! `diff` shows every difference in full, and changes nothing.

use serde_json::json;

use crate::support::stack::MockedStack;

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: lrs-ralph\nspec:\n  type: ClusterIP\n";
const PATH: &str = "/api/v1/namespaces/alice/services/lrs-ralph";

#[test]
fn diff_of_an_unchanged_stack_is_empty() {
    let stack = MockedStack::installed();
    stack.machine.run("diff").exits(0).prints_nothing().says("No differences");
}

#[test]
fn diff_shows_each_field_of_a_changed_object() {
    let stack = MockedStack::empty();
    stack.helm.applies("lrs", SERVICE).renders("lrs", SERVICE);
    stack.machine.run("install").exits(0);
    let mut service = stack.kubernetes.object(PATH).unwrap();
    service["spec"]["type"] = "LoadBalancer".into();
    stack.kubernetes.put([service]);
    let changes = stack.kubernetes.changes();
    let ended = stack.machine.run("diff");
    ended.exits(3).says("1 object differs");
    assert_eq!(
        ended.stdout,
        "--- service/lrs-ralph (cluster)\n+++ service/lrs-ralph (install)\n@@ .spec.type @@\n-LoadBalancer\n+ClusterIP\n"
    );
    assert_eq!(stack.kubernetes.changes(), changes);
}

#[test]
fn diff_with_an_option_of_install_shows_what_it_would_change() {
    let stack = MockedStack::installed();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: more\nstringData:\n  key: hidden-value\n";
    stack.helm.renders("lrs", secret);
    stack
        .machine
        .run("diff --profile classroom --skip preflight.room")
        .exits(3)
        .prints("--- configmap/lastack-settings (cluster)")
        .prints("@@ .profile @@\n+classroom\n")
        .prints("--- /dev/null\n+++ secret/more (install)\n+apiVersion: v1\n")
        .never_shows("hidden-value");
}

#[test]
fn diff_before_the_first_install_shows_what_is_missing() {
    let stack = MockedStack::empty();
    stack
        .machine
        .run("diff")
        .exits(3)
        .prints("--- /dev/null")
        .prints("+++ secret lrs-ralph (install)")
        .says("not compared");
    assert_eq!(stack.kubernetes.changes(), Vec::<String>::new());
}

#[test]
fn diff_with_a_failed_check_names_the_check() {
    let stack = MockedStack::installed();
    stack.kubernetes.runs("v1.20.0");
    stack.machine.run("diff").exits(3).prints_nothing().says("error: preflight.cluster: ");
}

#[test]
fn diff_names_the_fields_of_a_chart_from_another_version() {
    let stack = MockedStack::installed();
    stack.superset.program_edits("Events", |chart| {
        chart["params"]["subheader"] = json!("older text");
    });
    let ended = stack.machine.run("diff");
    ended.exits(3).says("1 object differs");
    assert_eq!(
        ended.stdout,
        "--- charts/events.yaml (cluster)\n+++ charts/events.yaml (install)\n@@ .params.subheader @@\n\
         -older text\n+things that learners did\n"
    );
}
