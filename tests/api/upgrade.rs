//! `upgrade` and `rollback`: what they refuse, and the record of versions that `install` keeps.

use serde_json::json;

use crate::support::stack::MockedStack;

const SETTINGS: &str = "/api/v1/namespaces/alice/configmaps/lastack-settings";
const UPGRADE: &str = "upgrade --no-backup --yes -n alice";

/// Changes the recorded versions of the stack.
pub fn edit_versions(stack: &MockedStack, edit: impl Fn(&str) -> String) {
    let mut settings = stack.kubernetes.object(SETTINGS).expect("the settings");
    let versions = settings["data"]["versions.yaml"].as_str().expect("recorded versions");
    let edited = edit(versions);
    assert_ne!(versions, edited, "the edit should change the versions");
    settings["data"]["versions.yaml"] = json!(edited);
    stack.kubernetes.put([settings]);
}

fn versions(stack: &MockedStack) -> String {
    let settings = stack.kubernetes.object(SETTINGS).expect("the settings");
    settings["data"]["versions.yaml"].as_str().expect("recorded versions").to_string()
}

/// A stack with another version of Ralph.
fn with_ralph(version: &str) -> MockedStack {
    let stack = MockedStack::installed();
    set_ralph(&stack, version);
    stack
}

fn set_ralph(stack: &MockedStack, version: &str) {
    edit_versions(stack, |text| {
        // the first of two components with this version
        let text = text.replacen("version: \"5.0.1\"", &format!("version: \"{version}\""), 1);
        text.replace("fundocker/ralph:5.0.1", &format!("fundocker/ralph:{version}"))
    });
}

fn image(stack: &MockedStack) -> String {
    stack.helm.current_values("lrs").expect("the release of Ralph")["image"]["tag"].to_string()
}

#[test]
fn install_keeps_recorded_versions_and_names_newer_ones() {
    let stack = MockedStack::installed();
    stack.machine.run("install").exits(0).never_shows("Newer versions are available");
    stack.machine.run("upgrade").exits(0).says("All components have the versions of this program");
    set_ralph(&stack, "5.0.0");
    stack
        .machine
        .run("install")
        .exits(0)
        .says("Newer versions are available: Ralph 5.0.1; run `kubectl lastack upgrade");
    assert!(versions(&stack).contains("fundocker/ralph:5.0.0"));
    stack.machine.run("install --dry-run").exits(0).says("No changes");
}

#[test]
fn dry_run_shows_parts_and_what_cannot_be_rolled_back() {
    let stack = MockedStack::installed();
    edit_versions(&stack, |text| text.replace("4.5.12", "4.5.11").replace("17.12", "17.11"));
    let shown = stack.machine.run("upgrade --dry-run");
    shown
        .exits(3)
        .prints("lms")
        .prints("4.5.11")
        .prints("only from a backup: changes its database");
    shown.prints("postgresql").prints("17.11").says("Nothing was changed");
    let plan = stack.machine.run("upgrade --dry-run -o json").exits(3).json();
    assert_eq!(plan["kind"], "UpgradePlan");
    assert_eq!(plan["steps"][0]["migrates"], "its database");
    assert_eq!(plan["steps"][1]["component"], "dataviz");
    assert_eq!(plan["steps"][1]["migrates"], json!(null));
}

#[test]
fn upgrade_refuses_what_it_cannot_do() {
    let stack = with_ralph("5.9.0");
    stack.machine.run(UPGRADE).exits(1).says("a downgrade is not possible");
    let stack = with_ralph("4.0.0");
    stack.machine.run(UPGRADE).exits(1).says("the oldest version for this is 5.0.0");
    let stack = with_ralph("5.0.0");
    stack.machine.run("upgrade").exits(2).says("cannot be undone without a backup");
    stack.machine.run("upgrade --no-backup --yes").exits(2).says("`--yes` requires");
    stack.machine.run("upgrade --no-backup").exits(2).says("stdin is not a terminal");
    stack.kubernetes.remove("/api/v1/namespaces/alice/pods/lrs-ralph-0");
    let before = versions(&stack);
    stack.machine.run("rollback").exits(1).says("no upgrade of namespace alice can be rolled back");
    assert_eq!(versions(&stack), before);
    let empty = MockedStack::empty();
    empty.machine.run(UPGRADE).exits(1).says("namespace alice has no stack");
}

#[test]
fn older_program_does_not_change_the_stack_of_a_newer_one() {
    let stack = MockedStack::installed();
    edit_versions(&stack, |text| {
        text.replace(concat!("program: \"", env!("CARGO_PKG_VERSION"), "\""), "program: \"9.0.0\"")
    });
    for line in ["install", UPGRADE, "rollback", "pause", "configure", "creds rotate --yes"] {
        stack.machine.run(line).exits(1).says("kubectl-lastack 9.0.0 changed this stack");
    }
    stack.machine.run("status").exits(0);
    assert!(versions(&stack).contains("program: \"9.0.0\""));
}

#[test]
fn unreadable_record_of_versions_is_named_and_kept() {
    let stack = MockedStack::installed();
    edit_versions(&stack, |_| "components: [".into());
    stack.machine.run("install").exits(1).says("ConfigMap lastack-settings: versions.yaml: ");
    stack.machine.run("status").exits(0).says("unknown settings").says("versions.yaml");
    assert_eq!(versions(&stack), "components: [");
}

#[test]
fn upgrade_changes_ralph_and_a_rollback_returns_it() {
    // without Moodle, there is no event to follow
    let stack = MockedStack::installed();
    let mut settings = stack.kubernetes.object(SETTINGS).expect("the settings");
    settings["data"]["lastack.yaml"] = json!("components: [operator, datalake, lrs, dataviz]\n");
    stack.kubernetes.put([settings]);
    set_ralph(&stack, "5.0.0");
    stack.machine.run("install").exits(0);
    assert!(image(&stack).contains("5.0.0"));
    stack.machine.run(UPGRADE).says("Upgraded in");
    assert!(image(&stack).contains("5.0.1"), "{}", image(&stack));
    let settings = stack.kubernetes.object(SETTINGS).expect("the settings");
    let previous = settings["data"]["previous-versions.yaml"].clone();
    assert!(previous.to_string().contains("ralph:5.0.0"));
    stack.machine.run("rollback --yes -n alice").says("Returned to the versions before");
    assert!(image(&stack).contains("5.0.0"), "{}", image(&stack));
    // as after an upgrade of the operator alone, which serves other stacks too
    let mut settings = stack.kubernetes.object(SETTINGS).expect("the settings");
    settings["data"]["previous-versions.yaml"] = previous;
    stack.kubernetes.put([settings]);
    let again = "All components have the versions from before the upgrade";
    stack.machine.run("rollback --yes -n alice").exits(0).says(again).never_shows("Returned");
}
