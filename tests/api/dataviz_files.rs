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
    let lab = MockedStack::installed();
    lab.superset.user_renames(ALIVE, "Ours").user_deletes("Is the data flowing?");
    lab.machine.run("install").exits(0).says("Ready, nothing to change");
    lab.machine.run("configure").exits(0).says("2 kept as users changed them");
    assert!(lab.superset.titles("dashboards").contains(&"Ours".to_string()));
    lab.machine
        .run("dashboards list")
        .exits(0)
        .prints("changed in Superset")
        .prints("deleted in Superset")
        .prints("Ada");
    lab.machine.run("status").exits(0).prints("2 dashboards, 31 charts, 2 changed by users");
    lab.machine
        .run("dashboards apply")
        .exits(0)
        .says("kept: dashboard `Is the course alive?` was changed by Ada")
        .says("was deleted in Superset")
        .says("0 applied, 34 unchanged, 2 kept or blocked");
    lab.machine
        .run("dashboards apply --overwrite")
        .exits(0)
        .prints("dashboards/is-the-course-alive.yaml applied")
        .says("2 applied, 34 unchanged");
    assert!(lab.superset.titles("dashboards").contains(&ALIVE.to_string()));
    lab.machine.run("dashboards apply").exits(0).says("0 applied, 36 unchanged, 0 kept or blocked");
}

/// Writes a copy of a shipped file, with these replacements, and returns the folder.
fn file(lab: &MockedStack, name: &str, replace: &[(&str, &str)]) -> String {
    let text = fs::read_to_string(format!("{}/dashboards/{name}", env!("CARGO_MANIFEST_DIR")))
        .expect("a shipped file");
    let text = replace.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{name} should have {from}");
        text.replace(from, to)
    });
    lab.machine.write(&format!("theirs/{name}"), text);
    "theirs".into()
}

#[test]
fn dashboard_applied_from_a_file_stays_until_overwrite() {
    let lab = MockedStack::installed();
    let folder = file(&lab, "dashboards/is-the-course-alive.yaml", &[(ALIVE, "Theirs")]);
    file(&lab, "charts/learners.yaml", &[]);
    lab.machine
        .run(&format!("dashboards apply {folder}"))
        .exits(0)
        .prints("dashboards/is-the-course-alive.yaml applied")
        .says("1 applied, 1 unchanged");
    lab.machine.run("install").exits(0).says("Ready, nothing to change");
    lab.machine.run("configure").exits(0).says("1 kept as users changed them");
    lab.machine.run("status").exits(0).prints("1 changed by users");
    lab.machine.run("dashboards list").exits(0).prints("applied from a file");
    lab.machine
        .run("dashboards apply")
        .exits(0)
        .says("kept: dashboard `Is the course alive?` was applied from a file");
    assert!(lab.superset.titles("dashboards").contains(&"Theirs".to_string()));

    // the user changes the file again
    file(&lab, "dashboards/is-the-course-alive.yaml", &[(ALIVE, "Theirs, better")]);
    lab.machine.run(&format!("dashboards apply {folder}")).exits(0).says("1 applied");
    lab.machine.run("dashboards apply --overwrite").exits(0).says("1 applied, 35 unchanged");
    assert!(lab.superset.titles("dashboards").contains(&ALIVE.to_string()));
    lab.machine.run("dashboards list").exits(0).never_shows("applied from a file");
}

#[test]
fn exported_files_apply_again_and_only_changed_files_count_as_user_changes() {
    let lab = MockedStack::installed();
    lab.superset.user_renames(ALIVE, "Theirs");
    lab.machine
        .run("dashboards export --to theirs")
        .exits(0)
        .prints("theirs/dashboards/is-the-course-alive.yaml")
        .says("skipped: dashboard_export/themes/Corporate.yaml: a theme");
    lab.machine.run("dashboards apply --overwrite").exits(0).says("1 applied");
    lab.machine.write("theirs/tags.yaml", "tags: []");
    lab.machine
        .run("dashboards apply theirs")
        .exits(0)
        .says("skipped: tags.yaml: tags")
        .says("1 applied, 35 unchanged, 0 kept or blocked");
    lab.machine.run("status").exits(0).prints("1 changed by users");
    assert!(lab.superset.titles("dashboards").contains(&"Theirs".to_string()));
}

#[test]
fn apply_of_a_file_equal_to_the_shipped_file_is_no_user_change() {
    let lab = MockedStack::installed();
    lab.superset.user_deletes("Learners");
    let folder = file(&lab, "charts/learners.yaml", &[]);
    lab.machine.run(&format!("dashboards apply {folder} --overwrite")).exits(0).says("1 applied");
    lab.machine.run("status").exits(0).prints("31 charts").never_shows("changed by users");
    assert!(!record(&lab).to_string().contains("person"), "{}", record(&lab));
}

fn record(lab: &MockedStack) -> Value {
    lab.kubernetes.object(RECORD).expect("the record")["data"].clone()
}

#[test]
fn user_changes_stay_when_an_upgrade_ships_newer_files() {
    let lab = MockedStack::installed();
    lab.superset.user_renames(ALIVE, "Ours").user_deletes("Is the data flowing?");
    imported_other_files(&lab, &[OF_ALIVE, OF_FLOWING, OF_STATEMENTS]);
    lab.machine
        .run("dashboards list")
        .exits(0)
        .prints("changed in Superset")
        .prints("deleted in Superset");
    lab.machine.run("install").exits(0).says("2 kept as users changed them");
    let titles = lab.superset.titles("dashboards");
    assert!(
        titles.contains(&"Ours".to_string())
            && !titles.contains(&"Is the data flowing?".to_string()),
        "{titles:?}"
    );
    lab.machine.run("install").exits(0).says("Ready, nothing to change");
}

#[test]
fn upgrade_after_a_deleted_chart_keeps_the_other_charts() {
    let lab = MockedStack::installed();
    assert_eq!(lab.superset.charts_of("Is the data flowing?").len(), 12);
    lab.superset.user_deletes("Odd statements");
    lab.machine.run("install").exits(0).says("Ready, nothing to change");
    imported_other_files(&lab, &[OF_FLOWING]);
    lab.machine.run("install").exits(0);
    assert_eq!(lab.superset.charts_of("Is the data flowing?").len(), 11);
    lab.machine.run("install").exits(0).says("Ready, nothing to change");
    lab.machine
        .run("dashboards apply --overwrite")
        .exits(0)
        .prints("charts/odd-statements.yaml applied")
        .says("2 applied");
    assert_eq!(lab.superset.charts_of("Is the data flowing?").len(), 12);
}

#[test]
fn upgrade_after_a_deleted_dataset_blocks_the_charts_that_need_it() {
    let lab = MockedStack::installed();
    lab.superset.user_deletes("statements");
    imported_other_files(&lab, &[OF_FLOWING, OF_LEARNERS]);
    lab.machine
        .run("install")
        .exits(0)
        .says("1 kept as users changed them; blocked: chart `Learners` needs dataset `statements`, which is not in Superset");
    lab.machine.run("install").exits(0).says("Ready, nothing to change");
    lab.machine
        .run("status")
        .exits(0)
        .prints("3 dashboards, 31 charts, 1 changed by users, 1 blocked");
    lab.machine
        .run("dashboards apply")
        .exits(0)
        .says("blocked: chart `Learners` needs dataset `statements`")
        .says("0 applied, 34 unchanged, 2 kept or blocked");
    // all assets that refer to the dataset are imported again, because its number is new
    lab.machine.run("dashboards apply --overwrite").exits(0).says("33 applied");
}

#[test]
fn apply_of_a_dashboard_with_an_unknown_chart_imports_it_without_the_chart() {
    let lab = MockedStack::installed();
    let part = |name: &str, uuid: &str| json!({"type": "CHART", "meta": {"uuid": uuid, "chartId": 1, "sliceName": name}});
    let dashboard = json!({"dashboard_title": "Mine", "uuid": COPY, "position": {"A": part("Learners", OF_LEARNERS), "B": part("Lost", OF_LOST)}});
    lab.machine.write("mine/dashboard.yaml", dashboard.to_string());
    lab.machine
        .run("dashboards apply mine")
        .exits(0)
        .says("dashboard `Mine` was imported without chart `Lost`, which is not in Superset")
        .says("1 applied");
    assert_eq!(lab.superset.charts_of("Mine"), ["Learners"]);
    let lost = json!({"slice_name": "Lost", "uuid": OF_LOST, "dataset_uuid": OF_STATEMENTS, "viz_type": "table", "params": {}});
    lab.machine.write("lost.yaml", lost.to_string());
    lab.machine.run("dashboards apply lost.yaml").exits(0).says("1 applied");
    lab.machine
        .run("dashboards apply mine")
        .exits(0)
        .says("1 applied")
        .never_shows("was imported without");
    assert_eq!(lab.superset.charts_of("Mine"), ["Learners", "Lost"]);
}

#[test]
fn upgrade_blocks_a_chart_whose_metric_a_changed_dataset_lacks() {
    let lab = MockedStack::installed();
    lab.superset.user_edits("statements", |dataset| {
        dataset["metrics"]
            .as_array_mut()
            .expect("metrics")
            .retain(|metric| metric["metric_name"] != "learners");
    });
    // no other chart uses the metric, so the other charts stay valid
    imported_other_files(&lab, &[OF_LEARNERS, OF_EVENTS]);
    let why = "chart `Learners` needs metric `learners`, which the changed dataset `statements` in Superset does not have";
    lab.machine
        .run("install")
        .exits(0)
        .says(&format!("1 kept as users changed them; blocked: {why}"));
    lab.machine.run("install").exits(0).says("Ready, nothing to change");
    lab.machine.run("status").exits(0).prints("31 charts, 1 changed by users, 1 blocked");
    lab.machine.run("dashboards apply").exits(0).says(&format!("blocked: {why}"));
    let broken = lab
        .machine
        .run("dashboards explain learners")
        .exits(3)
        .prints("`statements` has no metric `learners`")
        .stdout
        .clone();
    assert!(broken.contains("apply --overwrite"), "{broken}");

    lab.machine
        .run("dashboards apply --overwrite")
        .exits(0)
        .prints("charts/learners.yaml applied")
        .says("2 applied, 34 unchanged, 0 kept or blocked");
}

/// Records these assets as imports of another version of this program, from other files.
fn imported_other_files(lab: &MockedStack, uuids: &[&str]) {
    let mut map = lab.kubernetes.object(RECORD).expect("the record");
    for uuid in uuids {
        let mut applied: Value =
            serde_json::from_str(map["data"][uuid].as_str().expect("an entry")).expect("JSON");
        applied["digest"] = json!("of another file");
        // that version did not record the origin
        applied.as_object_mut().expect("an entry").remove("origin");
        map["data"][uuid] = json!(applied.to_string());
    }
    lab.kubernetes.put([map]);
}

#[test]
fn apply_of_a_copy_with_the_slug_or_table_of_another_asset_fails() {
    let lab = MockedStack::installed();
    let (imports, ours) = (lab.superset.imports(), lab.superset.titles("dashboards"));
    let folder =
        file(&lab, "dashboards/is-the-course-alive.yaml", &[(OF_ALIVE, COPY), (ALIVE, "A copy")]);
    lab.machine
        .run(&format!("dashboards apply {folder}"))
        .exits(1)
        .says("dashboards/is-the-course-alive.yaml: has the slug `is-the-course-alive` of another dashboard in Superset, `Is the course alive?` (")
        .says("hint: give the file another slug");
    assert_eq!(lab.superset.titles("dashboards"), ours);

    let lab = MockedStack::installed();
    let folder = file(&lab, "datasets/data-lake/statements.yaml", &[(OF_STATEMENTS, COPY)]);
    lab.machine
        .run(&format!("dashboards apply {folder} --overwrite"))
        .exits(1)
        .says("has the table `statements` of another dataset in Superset, `statements` (d4c4bfd1")
        .says("hint: omit the file and set the dataset_uuid of its charts");
    assert_eq!(lab.superset.imports(), imports);

    // two new files cannot have the same slug
    let lab = MockedStack::installed();
    let new = |slug: &str, uuid: &str| {
        format!("dashboard_title: New\nslug: {slug}\nuuid: {uuid}\nposition: {{}}\n")
    };
    lab.machine.write("two/a.yaml", new("new", COPY));
    lab.machine.write("two/b.yaml", new("new", &COPY.replace('c', "d")));
    lab.machine
        .run("dashboards apply two")
        .exits(2)
        .says("dashboards/a.yaml, dashboards/b.yaml: both have the slug `new`");
    lab.machine.write("two/b.yaml", new("newer", &COPY.replace('c', "d")));
    lab.machine.run("dashboards apply two").exits(0).says("2 applied");
}

#[test]
fn apply_with_a_concurrent_import_imports_again_before_it_records() {
    let lab = MockedStack::installed();
    lab.superset.user_renames(ALIVE, "Ours");
    let imports = lab.superset.imports();
    let mut others = 1;
    lab.kubernetes.reacts(Method::PATCH, RECORD, move |_, request| {
        assert!(
            request.json()["metadata"]["resourceVersion"].is_string(),
            "{request} should carry the known version"
        );
        (others > 0).then(|| {
            others -= 1;
            failure(409, "Conflict", "the object has been modified")
        })
    });
    lab.machine.run("dashboards apply --overwrite").exits(0).says("1 applied");
    assert_eq!(lab.superset.imports(), imports + 2);
    lab.machine.run("dashboards apply").exits(0).says("0 applied, 36 unchanged");
}

#[test]
fn apply_of_a_hostile_archive_sends_nothing_to_superset() {
    let lab = MockedStack::installed();
    let imports = lab.superset.imports();
    let file = lab.machine.path("evil.zip");
    let mut archive = zip::ZipWriter::new(fs::File::create(&file).unwrap());
    archive.start_file("../../charts/a.yaml", SimpleFileOptions::default()).unwrap();
    archive.write_all(b"slice_name: a\n").unwrap();
    archive.finish().unwrap();
    lab.machine
        .run(&format!("dashboards apply {}", file.display()))
        .exits(2)
        .says("is outside the archive");
    assert_eq!(lab.superset.imports(), imports);
}
