//! Backup and restore: into another namespace, over a stack, after an interruption. The stack has older versions, which a
//! restore keeps and an upgrade replaces.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use age::secrecy::ExposeSecret;
use serde_json::Value;

use crate::cluster::{Cluster, Need, Own};
use crate::components::superset_as_admin;
use crate::permissions::account_for;
use crate::{beside, remove, stack, upgrade};

const NAMESPACE: &str = "e2e-drill";
const RESTORED: &str = "e2e-drilled";
const OPTIONS: &str = "--skip preflight.room --timeout 10m";
const COMPONENTS: [&str; 3] = ["lms", "lrs", "dataviz"];
const RENAMED: &str = "Flowing";

/// The values of a stack that is small enough to run beside another one.
fn small(cluster: &Cluster) -> String {
    let file = cluster.file("small.yaml", "resources: {requests: {cpu: 20m}}\n");
    COMPONENTS.map(|component| format!(" --values {component}={}", file.display())).concat()
}

fn statements(cluster: &Cluster) -> u64 {
    let status = cluster.lastack("status -o json").good().json();
    let components = status["components"].as_array().expect("components");
    let lake = components.iter().find(|one| one["component"] == "datalake").expect("a data lake");
    lake["figures"]["statements"].as_u64().expect("a number of statements")
}

fn titles(cluster: &Cluster) -> String {
    let script = r#"get dashboard/ |
        python3 -c "import json, sys; print(sorted(one['dashboard_title'] for one in json.load(sys.stdin)['result']))""#;
    superset_as_admin(cluster, script).good().stdout
}

fn accounts(cluster: &Cluster) -> Vec<(String, String)> {
    let all = cluster.lastack("creds -o json").good().json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    let items = all["items"].as_array().expect("accounts").iter();
    // the operator makes a new password for the administrator of Elasticsearch
    items
        .filter(|item| item["user"] != "elastic")
        .map(|item| (text(&item["user"]), text(&item["password"])))
        .collect()
}

/// A file of the newest backup.
fn file_of(location: &Path, name: &str) -> PathBuf {
    let folder =
        fs::read_dir(location).expect("a location").map(|entry| entry.expect("one").path());
    folder.max().expect("a backup").join(name)
}

fn change(file: &Path) {
    let mut bytes = fs::read(file).expect("a file of the backup");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("a changed file");
}

#[test]
fn backup_restores_a_deleted_stack_in_another_namespace() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    beside(NAMESPACE);
    remove(NAMESPACE);
    remove(RESTORED);
    let old = Own(Cluster::new(NAMESPACE, "4"));
    upgrade::record_older_versions(&old);
    old.lastack(&format!("install --expose loadbalancer {OPTIONS}{}", small(&old)))
        .good()
        .shows("Newer versions are available: Elasticsearch ");
    old.lastack("seed --count 3000").good();
    let click = old.lastack("trace --keep -o json").good().json();
    let rename = format!(
        r#"id=$(get dashboard/is-the-data-flowing | pick "['result']['id']")
        send PUT "dashboard/$id" '{{"dashboard_title":"{RENAMED}"}}'"#
    );
    superset_as_admin(&old, &rename).good();
    let before = (statements(&old), titles(&old), accounts(&old));
    assert!(before.0 > 3000 && before.1.contains(RENAMED), "{before:?}");

    let location = old.folder("backups");
    let _ = fs::remove_dir_all(&location);
    let shown = location.display();
    let identity = age::x25519::Identity::generate();
    let key = old.file("drill-key.txt", identity.to_string().expose_secret());
    let recipient = identity.to_public();
    old.lastack(&format!("backup {shown} --recipient {recipient}"))
        .good()
        .shows("11 secrets, encrypted")
        .shows("Complete: ")
        .never_shows("not in the backup");
    old.lastack(&format!("backup list {shown}")).good().shows("complete").shows("3,0");
    old.lastack(&format!("backup verify {shown}")).good().shows("as in the manifest");
    old.lastack("uninstall --yes").good();

    let new = Own(Cluster::new(RESTORED, "4"));
    let restore = format!(
        "restore {shown} --identity {} --expose loadbalancer {OPTIONS}{}",
        key.display(),
        small(&new)
    );
    let chunk = file_of(&location, "statements/000001.ndjson.gz");
    change(&chunk);
    new.lastack(&restore).exits(1).shows("its checksum differs from the manifest");
    new.lastack("status").exits(3).shows("No stack");
    change(&chunk);
    let other = age::x25519::Identity::generate();
    let wrong = old.file("drill-other.txt", other.to_string().expose_secret());
    new.lastack(&restore.replace(&*key.to_string_lossy(), &wrong.to_string_lossy()))
        .exits(1)
        .shows("the secrets were encrypted for another recipient");
    new.lastack("status").exits(3).shows("No stack");

    new.lastack(&restore.replace("--timeout 10m", "--timeout 5s")).exits(124);
    new.lastack("status")
        .exits(3)
        .shows("the restore of backup e2e-drill-")
        .shows("is not complete");
    new.lastack(&restore)
        .good()
        .shows("statements, each verified")
        .shows("rows in 55 tables, as in the backup")
        .shows("checks passed")
        .shows("chart `Events` counts it");
    assert_eq!((statements(&new), titles(&new), accounts(&new)), before);
    let id = click["hops"][3]["detail"].as_str().unwrap_or_default();
    let id = id.strip_prefix("statement ").expect("the statement of the click");
    new.lastack("statements --limit 50 -o json").good().shows(id);
    assert_pauses_and_resumes(&new, before.0);
    upgrade::assert_upgrades(&new);
    assert_eq!((statements(&new), titles(&new), accounts(&new)), before);
    new.kubectl("delete namespace e2e-drilled --wait=false");
}

#[test]
fn roles_allow_a_backup_with_passwords_and_the_restore_of_its_statements() {
    let location = stack().folder("backups-with-the-role").join("new");
    let _ = fs::remove_dir_all(&location);
    let shown = location.display();
    let recipient = age::x25519::Identity::generate().to_public();
    let user = account_for("backup", stack());
    stack().lastack(&format!("backup {shown} --recipient {recipient} {user}")).good();
    let mode = fs::metadata(&location).expect("the location").permissions().mode();
    assert_eq!(mode & 0o77, 0, "only the owner should read the files, and the mode is {mode:o}");
    let user = account_for("restore", stack());
    stack()
        .lastack(&format!("restore {shown} --only statements {user}"))
        .good()
        .shows("statements, each verified");
}

/// A paused stack has no running Pods, and keeps its data.
fn assert_pauses_and_resumes(cluster: &Cluster, stored: u64) {
    let may_pause = account_for("pause", cluster);
    cluster.lastack(&format!("pause {may_pause}")).good().shows("Paused; all data is kept");
    let running = cluster.kubectl("get pods --field-selector=status.phase=Running -o name");
    assert_eq!(running, "", "no Pod should run");
    cluster.lastack("status").exits(3).shows("the stack is paused").shows("kubectl lastack resume");
    cluster.lastack("install").exits(1).shows("is paused").shows("kubectl lastack resume");
    let may_resume = account_for("resume", cluster);
    cluster.lastack(&format!("resume {may_resume}")).good().shows("Ready in");
    cluster.lastack("status").good().never_shows("paused");
    assert_eq!(statements(cluster), stored);
    cluster.lastack("resume").good().shows("is not paused");
}
