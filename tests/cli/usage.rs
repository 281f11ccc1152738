//! All usage errors on one page: `usage-errors.txt`.

use snapbox::{assert_data_eq, file};

use crate::support::machine::Machine;

/// Command lines that are wrong in every environment.
const LINES: &[&str] = &[
    "instal",
    "--frobnicate",
    "status extra",
    "status -o xml",
    "status --request-timeout soon",
    "status -n Upper_Case",
    "status --namespace=",
    "install --profile palace",
    "install --only lsm",
    "install --timeout soon",
    "install --render out --explain",
    "install --render out --dry-run",
    "uninstall --yes",
    "install --timeout -5s",
    "install --no-wait --timeout 5m",
    "install --new-namespace -n alice",
    "install --skip preflight.everything",
    "install --skip lrs.release",
    "install --expose everywhere",
    "install --values lrs",
    "install --values lsm=values.yaml",
    "install --values lrs=absent.yaml",
    "install --values lrs=broken.yaml",
    "install -f absent.yaml",
    "install -f unknown-key.yaml",
    "install -f wrong-type.yaml",
    "install -f wrong-component.yaml",
    "install -f broken.yaml",
    "creds lsm",
    "creds lrs -o yaml",
    "creds rotate lsm",
    "creds rotate --timeout soon",
    "seed absent.json",
    "seed empty-directory",
    "seed --count many",
    "seed --count 5 statements.json",
    "seed --batch 0",
    "seed --batch 10001",
    "seed --concurrency 33",
    "seed --write out statements.json",
    "seed --write out --rate 5",
    "seed --rate 0",
    "seed --until yesterday",
    "seed --until 2026-02-30",
    "seed --until 1970-01-01",
    "seed --until now statements.json",
    "seed --cases statements.json",
    "seed --endpoint http://lrs.example.org/xAPI",
    "seed --credentials account",
    "seed --endpoint http://lrs.example.org/xAPI --credentials absent",
    "seed --endpoint http://lrs.example.org/xAPI --credentials no-colon",
    "seed --endpoint http://lrs.example.org/xAPI --credentials empty-file",
    "seed --endpoint nonsense --credentials account",
    "seed --endpoint lrs.example.org --credentials account",
    "seed --endpoint ftp://lrs.example.org/ --credentials account",
    "completion",
    "completion csh",
    "rbac",
    "rbac dashboards",
    "rbac status --name Upper_Case",
    "rbac status -n Upper_Case",
    "version -o xml",
    "statements --agent somebody",
    "statements --verb viewed",
    "statements --since yesterday",
    "statements --limit 0",
    "trace --timeout soon",
    "configure --course huge",
    "configure --background --immediate",
];

fn machine() -> Machine {
    let machine = Machine::with_cluster("http://127.0.0.1:9");
    for (name, content) in [
        ("broken.yaml", "profile: [laptop\n"),
        ("unknown-key.yaml", "profil: laptop\n"),
        ("wrong-type.yaml", "profile: 3\n"),
        ("wrong-component.yaml", "values: {lsm: {}}\n"),
        ("statements.json", "[]"),
        ("account", "teacher:a-secret-word\n"),
        ("no-colon", "a-secret-word\n"),
        ("empty-file", ""),
        ("empty-directory/readme.txt", "no statements\n"),
    ] {
        machine.write(name, content);
    }
    machine
}

#[test]
fn usage_error_names_the_wrong_argument() {
    let machine = machine();
    let mut page = String::new();
    for line in LINES {
        let ended = machine.run(line);
        ended.prints_nothing().never_shows("a-secret-word").never_shows("panicked");
        page.push_str(&format!("{ended}\n"));
    }
    assert_data_eq!(page, file!["usage-errors.txt"].raw());
}

#[test]
fn usage_error_is_reported_before_the_cluster_is_contacted() {
    let machine = machine();
    for line in LINES {
        machine.run(line).exits(2);
    }
}
