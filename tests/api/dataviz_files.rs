//! Dashboards as files: what `apply` and an upgrade import into Superset, which user changes they keep, and what
//! `export` writes.

use std::fs;
use std::io::Write;

use http::Method;
use serde_json::{Value, json};
use zip::write::SimpleFileOptions;

use crate::support::kubernetes::failure;
use crate::support::stack::MockedStack;

const ALIVE: &str = "Is the course alive?";
/// The ConfigMap in which the program records its imports.
const RECORD: &str = "/api/v1/namespaces/alice/configmaps/dataviz-applied";
/// Uuids of an asset that a user created and of some shipped assets.
const COPY: &str = "6f3a3b5e-0000-4000-8000-0000000000c0";
const OF_ALIVE: &str = "de46a221-1b22-4c86-9509-2ad829a7c273";
const OF_FLOWING: &str = "8a4a7c46-8d81-47ea-9ee3-511794cb6da8";
const OF_LEARNERS: &str = "670b93c3-902a-4407-8906-e2098b75f279";
const OF_LOST: &str = "6f3a3b5e-0000-4000-8000-0000000001e5";
const OF_EVENTS: &str = "9a347259-0b1c-494d-9688-2656d9d88d49";
const OF_STATEMENTS: &str = "d4c4bfd1-e948-4743-911f-042f1aafdffc";

#[test]
fn user_changes_and_deletions_in_superset_stay_until_overwrite() {
    let stack = MockedStack::installed();
    stack.superset.user_renames(ALIVE, "Ours").user_deletes("Is the data flowing?");
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
    stack.machine.run("configure").exits(0).says("2 left in place because users changed them");
    assert!(stack.superset.titles("dashboards").contains(&"Ours".to_string()));
    stack
        .machine
        .run("dashboards list")
        .exits(0)
        .prints("changed in Superset")
        .prints("deleted in Superset")
        .prints("Ada");
    stack.machine.run("status").exits(0).prints("2 dashboards, 31 charts, 2 changed by users");
    stack
        .machine
        .run("dashboards apply")
        .exits(0)
        .says("left in place: dashboard `Is the course alive?` was changed by Ada")
        .says("was deleted in Superset")
        .says("0 applied, 34 unchanged, 2 left in place or blocked");
    stack
        .machine
        .run("dashboards apply --overwrite")
        .exits(0)
        .prints("dashboards/is-the-course-alive.yaml applied")
        .says("2 applied, 34 unchanged");
    assert!(stack.superset.titles("dashboards").contains(&ALIVE.to_string()));
    stack
        .machine
        .run("dashboards apply")
        .exits(0)
        .says("0 applied, 36 unchanged, 0 left in place or blocked");
}

/// Writes a copy of a shipped file, with these replacements, and returns the folder.
fn file(stack: &MockedStack, name: &str, replace: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(format!("{}/dashboards/{name}", env!("CARGO_MANIFEST_DIR")))
        .expect("a shipped file");
    let text = replace.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{name} should have {from}");
        text.replace(from, to)
    });
    stack.machine.write(&format!("theirs/{name}"), text);
    "theirs".into()
}

#[test]
fn dashboard_applied_from_a_file_stays_until_overwrite() {
    let stack = MockedStack::installed();
    let folder = file(&stack, "dashboards/is-the-course-alive.yaml", &[(ALIVE, "Theirs")]);
    file(&stack, "charts/learners.yaml", &[]);
    stack
        .machine
        .run(&format!("dashboards apply {folder}"))
        .exits(0)
        .prints("dashboards/is-the-course-alive.yaml applied")
        .says("1 applied, 1 unchanged");
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
    stack.machine.run("configure").exits(0).says("1 left in place because users changed them");
    stack.machine.run("status").exits(0).prints("1 changed by users");
    stack.machine.run("dashboards list").exits(0).prints("applied from a file");
    stack
        .machine
        .run("dashboards apply")
        .exits(0)
        .says("left in place: dashboard `Is the course alive?` was applied from a file");
    assert!(stack.superset.titles("dashboards").contains(&"Theirs".to_string()));

    // the user changes the file again
    file(&stack, "dashboards/is-the-course-alive.yaml", &[(ALIVE, "Theirs, better")]);
    stack.machine.run(&format!("dashboards apply {folder}")).exits(0).says("1 applied");
    stack.machine.run("dashboards apply --overwrite").exits(0).says("1 applied, 35 unchanged");
    assert!(stack.superset.titles("dashboards").contains(&ALIVE.to_string()));
    stack.machine.run("dashboards list").exits(0).never_shows("applied from a file");
}

#[test]
fn exported_files_apply_again_and_only_changed_files_count_as_user_changes() {
    let stack = MockedStack::installed();
    stack.superset.user_renames(ALIVE, "Theirs");
    stack
        .machine
        .run("dashboards export --to theirs")
        .exits(0)
        .prints("theirs/dashboards/is-the-course-alive.yaml")
        .says("skipped: dashboard_export/themes/Corporate.yaml: a theme");
    stack.machine.run("dashboards apply --overwrite").exits(0).says("1 applied");
    stack.machine.write("theirs/tags.yaml", "tags: []");
    stack
        .machine
        .run("dashboards apply theirs")
        .exits(0)
        .says("skipped: tags.yaml: tags")
        .says("1 applied, 35 unchanged, 0 left in place or blocked");
    stack.machine.run("status").exits(0).prints("1 changed by users");
    assert!(stack.superset.titles("dashboards").contains(&"Theirs".to_string()));
}

#[test]
fn apply_of_a_file_equal_to_the_shipped_file_is_no_user_change() {
    let stack = MockedStack::installed();
    stack.superset.user_deletes("Learners");
    let folder = file(&stack, "charts/learners.yaml", &[]);
    stack.machine.run(&format!("dashboards apply {folder} --overwrite")).exits(0).says("1 applied");
    stack.machine.run("status").exits(0).prints("31 charts").never_shows("changed by users");
    assert!(!record(&stack).to_string().contains("person"), "{}", record(&stack));
}

fn record(stack: &MockedStack) -> Value {
    stack.kubernetes.object(RECORD).expect("the record")["data"].clone()
}

#[test]
fn user_changes_stay_when_an_upgrade_ships_newer_files() {
    let stack = MockedStack::installed();
    stack.superset.user_renames(ALIVE, "Ours").user_deletes("Is the data flowing?");
    imported_other_files(&stack, &[OF_ALIVE, OF_FLOWING, OF_STATEMENTS]);
    stack
        .machine
        .run("dashboards list")
        .exits(0)
        .prints("changed in Superset")
        .prints("deleted in Superset");
    stack.machine.run("install").exits(0).says("2 left in place because users changed them");
    let titles = stack.superset.titles("dashboards");
    assert!(
        titles.contains(&"Ours".to_string())
            && !titles.contains(&"Is the data flowing?".to_string()),
        "{titles:?}"
    );
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
}

#[test]
fn upgrade_after_a_deleted_chart_keeps_the_other_charts() {
    let stack = MockedStack::installed();
    assert_eq!(stack.superset.charts_of("Is the data flowing?").len(), 12);
    stack.superset.user_deletes("Odd statements");
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
    imported_other_files(&stack, &[OF_FLOWING]);
    stack.machine.run("install").exits(0);
    assert_eq!(stack.superset.charts_of("Is the data flowing?").len(), 11);
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
    stack
        .machine
        .run("dashboards apply --overwrite")
        .exits(0)
        .prints("charts/odd-statements.yaml applied")
        .says("2 applied");
    assert_eq!(stack.superset.charts_of("Is the data flowing?").len(), 12);
}

#[test]
fn upgrade_after_a_deleted_dataset_blocks_the_charts_that_need_it() {
    let stack = MockedStack::installed();
    stack.superset.user_deletes("statements");
    imported_other_files(&stack, &[OF_FLOWING, OF_LEARNERS]);
    stack.machine
        .run("install")
        .exits(0)
        .says("1 left in place because users changed them; blocked: chart `Learners` needs dataset `statements`, which is not in Superset");
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
    stack
        .machine
        .run("status")
        .exits(0)
        .prints("3 dashboards, 31 charts, 1 changed by users, 1 blocked");
    stack
        .machine
        .run("dashboards apply")
        .exits(0)
        .says("blocked: chart `Learners` needs dataset `statements`")
        .says("0 applied, 34 unchanged, 2 left in place or blocked");
    // all assets that refer to the dataset are imported again, because its number is new
    stack.machine.run("dashboards apply --overwrite").exits(0).says("33 applied");
}

#[test]
fn apply_of_a_dashboard_with_an_unknown_chart_imports_it_without_the_chart() {
    let stack = MockedStack::installed();
    let part = |name: &str, uuid: &str| json!({"type": "CHART", "meta": {"uuid": uuid, "chartId": 1, "sliceName": name}});
    let dashboard = json!({"dashboard_title": "Mine", "uuid": COPY, "position": {"A": part("Learners", OF_LEARNERS), "B": part("Lost", OF_LOST)}});
    stack.machine.write("mine/dashboard.yaml", dashboard.to_string());
    stack
        .machine
        .run("dashboards apply mine")
        .exits(0)
        .says("dashboard `Mine` was imported without chart `Lost`, which is not in Superset")
        .says("1 applied");
    assert_eq!(stack.superset.charts_of("Mine"), ["Learners"]);
    let lost = json!({"slice_name": "Lost", "uuid": OF_LOST, "dataset_uuid": OF_STATEMENTS, "viz_type": "table", "params": {}});
    stack.machine.write("lost.yaml", lost.to_string());
    stack.machine.run("dashboards apply lost.yaml").exits(0).says("1 applied");
    stack
        .machine
        .run("dashboards apply mine")
        .exits(0)
        .says("1 applied")
        .never_shows("was imported without");
    assert_eq!(stack.superset.charts_of("Mine"), ["Learners", "Lost"]);
}

#[test]
fn upgrade_blocks_a_chart_whose_metric_a_changed_dataset_lacks() {
    let stack = MockedStack::installed();
    stack.superset.user_edits("statements", |dataset| {
        dataset["metrics"]
            .as_array_mut()
            .expect("metrics")
            .retain(|metric| metric["metric_name"] != "learners");
    });
    // no other chart uses the metric, so the other charts stay valid
    imported_other_files(&stack, &[OF_LEARNERS, OF_EVENTS]);
    let why = "chart `Learners` needs metric `learners`, which the changed dataset `statements` in Superset does not have";
    stack
        .machine
        .run("install")
        .exits(0)
        .says(&format!("1 left in place because users changed them; blocked: {why}"));
    stack.machine.run("install").exits(0).says("Ready, nothing to change");
    stack.machine.run("status").exits(0).prints("31 charts, 1 changed by users, 1 blocked");
    stack.machine.run("dashboards apply").exits(0).says(&format!("blocked: {why}"));
    let broken = stack
        .machine
        .run("dashboards explain learners")
        .exits(3)
        .prints("`statements` has no metric `learners`")
        .stdout
        .clone();
    assert!(broken.contains("apply --overwrite"), "{broken}");

    stack
        .machine
        .run("dashboards apply --overwrite")
        .exits(0)
        .prints("charts/learners.yaml applied")
        .says("2 applied, 34 unchanged, 0 left in place or blocked");
}

/// Records these assets as imports of another version of this program, from other files.
fn imported_other_files(stack: &MockedStack, uuids: &[&str]) {
    let mut map = stack.kubernetes.object(RECORD).expect("the record");
    for uuid in uuids {
        let mut applied: Value =
            serde_json::from_str(map["data"][uuid].as_str().expect("an entry")).expect("JSON");
        applied["digest"] = json!("of another file");
        // that version did not record the origin
        applied.as_object_mut().expect("an entry").remove("origin");
        map["data"][uuid] = json!(applied.to_string());
    }
    stack.kubernetes.put([map]);
}

#[test]
fn apply_of_a_copy_with_the_slug_or_table_of_another_asset_fails() {
    let stack = MockedStack::installed();
    let (imports, ours) = (stack.superset.imports(), stack.superset.titles("dashboards"));
    let folder =
        file(&stack, "dashboards/is-the-course-alive.yaml", &[(OF_ALIVE, COPY), (ALIVE, "A copy")]);
    stack.machine
        .run(&format!("dashboards apply {folder}"))
        .exits(1)
        .says("dashboards/is-the-course-alive.yaml: has the slug `is-the-course-alive` of another dashboard in Superset, `Is the course alive?` (")
        .says("hint: give the file another slug");
    assert_eq!(stack.superset.titles("dashboards"), ours);

    let stack = MockedStack::installed();
    let folder = file(&stack, "datasets/data-lake/statements.yaml", &[(OF_STATEMENTS, COPY)]);
    stack
        .machine
        .run(&format!("dashboards apply {folder} --overwrite"))
        .exits(1)
        .says("has the table `statements` of another dataset in Superset, `statements` (d4c4bfd1")
        .says("hint: omit the file and set the dataset_uuid of its charts");
    assert_eq!(stack.superset.imports(), imports);

    // two new files cannot have the same slug
    let stack = MockedStack::installed();
    let new = |slug: &str, uuid: &str| {
        format!("dashboard_title: New\nslug: {slug}\nuuid: {uuid}\nposition: {{}}\n")
    };
    stack.machine.write("two/a.yaml", new("new", COPY));
    stack.machine.write("two/b.yaml", new("new", &COPY.replace('c', "d")));
    stack
        .machine
        .run("dashboards apply two")
        .exits(2)
        .says("dashboards/a.yaml, dashboards/b.yaml: both have the slug `new`");
    stack.machine.write("two/b.yaml", new("newer", &COPY.replace('c', "d")));
    stack.machine.run("dashboards apply two").exits(0).says("2 applied");
}

#[test]
fn apply_with_a_concurrent_import_imports_again_before_it_records() {
    let stack = MockedStack::installed();
    stack.superset.user_renames(ALIVE, "Ours");
    let imports = stack.superset.imports();
    let mut others = 1;
    stack.kubernetes.reacts(Method::PATCH, RECORD, move |_, request| {
        assert!(
            request.json()["metadata"]["resourceVersion"].is_string(),
            "{request} should carry the known version"
        );
        (others > 0).then(|| {
            others -= 1;
            failure(409, "Conflict", "the object has been modified")
        })
    });
    stack.machine.run("dashboards apply --overwrite").exits(0).says("1 applied");
    assert_eq!(stack.superset.imports(), imports + 2);
    stack.machine.run("dashboards apply").exits(0).says("0 applied, 36 unchanged");
}

#[test]
fn apply_of_a_hostile_archive_sends_nothing_to_superset() {
    let stack = MockedStack::installed();
    let imports = stack.superset.imports();
    let file = stack.machine.path("evil.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&file).unwrap());
    archive.start_file("../../charts/a.yaml", SimpleFileOptions::default()).unwrap();
    archive.write_all(b"slice_name: a\n").unwrap();
    archive.finish().unwrap();
    stack
        .machine
        .run(&format!("dashboards apply {}", file.display()))
        .exits(2)
        .says("is outside the archive");
    assert_eq!(stack.superset.imports(), imports);
}
