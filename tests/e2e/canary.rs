//! No password or key of the stack is anywhere but in its Secrets. Each is random, so finding one is proof of a leak.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::cluster::{Cluster, is_sandbox};
use crate::stack;

/// Keys of Secrets that hold nothing secret: names, roles and certificates.
const PUBLIC: &[&str] = &[
    "ca.crt",
    "tls.crt",
    "roles.yml",
    "roles",
    "username",
    "users_roles",
    "lrs-user",
    "moodle-user",
];
/// A shorter value would be found by chance.
const SHORTEST: usize = 8;

/// The secret values of the stack, by `SECRET/KEY`.
fn secrets(cluster: &Cluster) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let found = cluster.kubectl_json("get secrets");
    for secret in found["items"].as_array().expect("a list") {
        let name = secret["metadata"]["name"].as_str().expect("a name");
        // helm stores its releases in Secrets
        if name.starts_with("sh.helm.release.") {
            continue;
        }
        for (key, value) in secret["data"].as_object().into_iter().flatten() {
            let bytes = STANDARD.decode(value.as_str().expect("base64")).expect("base64");
            let Ok(text) = String::from_utf8(bytes) else { continue };
            if !PUBLIC.contains(&key.as_str()) && text.len() >= SHORTEST {
                values.insert(format!("{name}/{key}"), text.trim().to_string());
            }
        }
    }
    values
}

/// The command lines of all processes of this machine, which include those of the sandbox's containers.
fn command_lines() -> String {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The content of all files of a folder.
fn files(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        match path.is_dir() {
            true => text.push_str(&files(&path)),
            false => text.push_str(&String::from_utf8_lossy(&fs::read(&path).expect("a file"))),
        }
    }
    text
}

fn unzipped(archive: &Path) -> String {
    let mut archive =
        zip::ZipArchive::new(fs::File::open(archive).expect("a report")).expect("a zip archive");
    let mut text = String::new();
    for index in 0..archive.len() {
        archive.by_index(index).expect("a file").read_to_string(&mut text).expect("a text");
    }
    text
}

#[test]
fn secrets_are_in_no_object_log_argument_release_or_file() {
    let cluster = stack();
    let secrets = secrets(cluster);
    for expected in [
        "lrs-ralph/password",
        "lms-moodle/moodle-password",
        "lms-postgresql/password",
        "dataviz-superset/teacher-password",
        "dataviz-superset/secret-key",
        "data-lake-es-elastic-user/elastic",
        "data-lake-user-lrs/password",
    ] {
        assert!(secrets.contains_key(expected), "{expected} among {:?}", secrets.keys());
    }
    let mut places: BTreeMap<String, String> = BTreeMap::new();

    let kinds = cluster.kubectl("api-resources --namespaced --verbs=list -o name");
    let kinds: Vec<&str> = kinds
        .lines()
        .filter(|kind| *kind != "secrets" && !kind.contains("metrics.k8s.io"))
        .collect();
    places.insert("objects".into(), cluster.kubectl(&format!("get {} -o yaml", kinds.join(","))));

    let pods = cluster.kubectl_json("get pods");
    for pod in pods["items"].as_array().expect("a list") {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let line = ["logs", "-n", cluster.namespace, name, "--all-containers", "--tail=-1"];
        places.insert(format!("logs of {name}"), cluster.run("kubectl", &line, "").stdout);
    }
    for release in ["lrs", "lms", "dataviz"] {
        let line = ["get", "all", release, "-n", cluster.namespace];
        places.insert(format!("release {release}"), cluster.run("helm", &line, "").good().stdout);
    }

    let home = tempfile::tempdir().expect("a folder");
    let shown = |line: &str| {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let mut command = cluster.command("kubectl-lastack", &arguments);
        for variable in ["HOME", "TMPDIR", "XDG_RUNTIME_DIR", "XDG_CACHE_HOME"] {
            command.env(variable, home.path());
        }
        let ended = command.output().expect("the program runs");
        [ended.stdout, ended.stderr]
            .map(|text| String::from_utf8_lossy(&text).into_owned())
            .join("\n")
    };
    let rendered = home.path().join("rendered");
    let exported = home.path().join("exported");
    for line in [
        "status -o json",
        "status --namespace nowhere",
        "configure --dry-run",
        "install --dry-run",
        "install --explain",
        "install --image-registry nowhere.example.org --timeout 1s --only lrs --dry-run",
        "dashboards check",
        "trace",
        "rbac install status",
        "version --images",
        &format!("install --render {}", rendered.display()),
        &format!("dashboards export --to {}", exported.display()),
    ] {
        places.insert(format!("`{line}`"), shown(line));
    }
    let report = home.path().join("report.zip");
    shown(&format!("report {}", report.display()));
    places.insert("the report".into(), unzipped(&report));
    fs::remove_file(report).expect("a report");
    places.insert("files".into(), files(home.path()));
    if is_sandbox() {
        places.insert("command lines".into(), command_lines());
    }

    for (place, text) in &places {
        for (name, value) in &secrets {
            let encoded = STANDARD.encode(value);
            assert!(
                !text.contains(value.as_str()) && !text.contains(&encoded),
                "{place} should not contain {name}"
            );
        }
    }
}
