//! `--dry-run` lists changes and makes none.

use http::Method;

use crate::support::kubernetes::failure;
use crate::support::stack::MockedStack;

#[test]
fn dry_run_in_an_empty_cluster_lists_new_resources_and_creates_none() {
    let stack = MockedStack::empty();
    let ended = stack.machine.run("install --dry-run");
    ended
        .exits(3)
        .prints("unchanged preflight.cluster")
        .prints("create    operator.release        eck-operator --repo https://helm.elastic.co --version 3.5.0")
        .prints("create    lrs.credentials")
        .prints("later     datalake.index          after datalake.cluster")
        .says("nothing was changed");
    assert_eq!(stack.kubernetes.changes(), Vec::<String>::new());
    assert!(
        stack.helm.calls().iter().all(|call| call.is("version") || call.is("status")),
        "{:?}",
        stack.helm.calls()
    );
}

#[test]
fn dry_run_over_an_installed_stack_reports_no_changes() {
    let stack = MockedStack::installed();
    let changes = stack.kubernetes.changes();
    stack
        .machine
        .run("install --dry-run")
        .exits(0)
        .says("No changes")
        .never_shows("create ")
        .never_shows("change ");
    assert_eq!(stack.kubernetes.changes(), changes);
}

const SERVICE: &str =
    "apiVersion: v1\nkind: Service\nmetadata:\n  name: lrs-ralph\nspec:\n  type: ClusterIP\n";

#[test]
fn dry_run_names_changed_and_deleted_objects() {
    let stack = MockedStack::empty();
    stack.helm.applies("lrs", SERVICE);
    stack.machine.run("install").exits(0);
    let path = "/api/v1/namespaces/alice/services/lrs-ralph";
    let mut service = stack.kubernetes.object(path).unwrap();
    for (kind, code, finding) in [
        ("ClusterIP", 0, "unchanged lrs.release"),
        (
            "LoadBalancer",
            3,
            "change    lrs.release             service/lrs-ralph .spec.type is LoadBalancer, should be ClusterIP",
        ),
    ] {
        service["spec"]["type"] = kind.into();
        stack.kubernetes.put([service.clone()]);
        stack.machine.run("install --dry-run").exits(code).prints(finding);
    }
    stack.kubernetes.replies(
        Method::GET,
        path,
        failure(404, "NotFound", "services \"lrs-ralph\" not found"),
    );
    stack
        .machine
        .run("install --dry-run")
        .exits(3)
        .prints("service/lrs-ralph is absent, should be present");
}

#[test]
fn dry_run_with_a_blocking_check_fails_and_names_the_check() {
    let stack = MockedStack::empty();
    stack.kubernetes.runs("v1.20.0");
    stack
        .machine
        .run("install --dry-run")
        .exits(3)
        .prints("blocked   preflight.cluster")
        .prints("later     namespace               after preflight.cluster");
}

#[test]
fn dry_run_of_uninstall_lists_resources_and_deletes_none() {
    let stack = MockedStack::installed();
    let changes = stack.kubernetes.changes();
    stack
        .machine
        .run("uninstall --dry-run")
        .exits(0)
        .says_nothing()
        .prints("release/lrs")
        .prints("secret/lrs-ralph")
        .prints("elasticsearch/data-lake");
    assert_eq!(stack.kubernetes.changes(), changes);
    assert_eq!(stack.helm.calls_of("uninstall").len(), 0);
}

#[test]
fn dry_run_with_a_forbidden_read_still_checks_other_resources() {
    let stack = MockedStack::installed();
    let sentence = "storageclasses.storage.k8s.io is forbidden: User \"alice\" cannot list resource \"storageclasses\"";
    stack.kubernetes.forbids(Method::GET, "/apis/storage.k8s.io/v1/storageclasses", sentence);
    stack
        .machine
        .run("install --dry-run")
        .exits(0)
        .prints("unknown   preflight.storage")
        .prints("unchanged lrs.responds")
        .says("No changes");
    stack.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn dry_run_without_access_to_pods_reports_the_plugin_as_unknown() {
    let stack = MockedStack::installed();
    let sentence = stack.hides_pods();
    stack.machine.run("install --dry-run").exits(0).prints("unknown   lms.installed");
    stack
        .machine
        .run("configure lms")
        .exits(4)
        .says("failed    lms.settings")
        .says(sentence)
        .says("hint: ask your cluster administrator for this permission");
}
