//! From nothing to nothing with helm 3, in a namespace of its own; data that outlives its stack; keys that hurt; the ways
//! into a stack from outside the cluster.

use crate::cluster::{Cluster, Need, eventually, repository};
use crate::office::Office;
use crate::parts::superset_as_admin;
use crate::{beside, remove};

const DOMAIN: &str = "lab.example.org";
const PARTS: [&str; 3] = ["lms", "lrs", "dataviz"];
/// What the stack begins with.
const BEGINNING: [&str; 2] = ["lms", "lrs"];
/// The Secret with the certificate of this domain, which is not the stack's.
const CERTIFICATE: &str = "certificate";

/// This stack asks for less than its profile, which is what the preflight looks at.
const INSTALL: &str = "install --skip preflight.room";
/// So little that it fits beside other stacks on two cores.
const SMALL: &str = "resources: {requests: {cpu: 20m}}\n";

fn small(lab: &Cluster, parts: &[&str]) -> String {
    let file = lab.file("small.yaml", SMALL);
    parts.iter().map(|part| format!(" --values {part}={}", file.display())).collect()
}

/// A second stack, with helm 3 and behind a name.
fn second() -> Cluster {
    let lab = Cluster::new("e2e-helm3", "3");
    let folder = lab.folder("tls");
    lab.certify(&folder, &format!("*.{DOMAIN}"));
    // what a DNS server and an authority that everybody trusts are elsewhere
    let node = lab.kubectl(
        "get nodes -o jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}",
    );
    let entries = PARTS.map(|part| format!("connect-to = \"{part}.{DOMAIN}::{node}:\"\n")).concat();
    let settings = format!("{entries}cacert = \"{}\"\n", folder.join("tls.crt").display());
    std::fs::write(folder.join(".curlrc"), settings).expect("a temporary file");
    let lab = lab.env("CURL_HOME", folder.to_str().expect("a path that is text"));
    let install = format!(
        "{INSTALL} --only {} --expose nodeport{}",
        BEGINNING.join(","),
        small(&lab, &BEGINNING)
    );
    lab.lastack(&install).good().shows("unchanged operator.release").shows("ok        namespace");
    lab
}

/// Steps of one life, in order: each needs the one before.
#[test]
fn stack_of_helm_3_keeps_its_data_until_uninstall_deletes_it() {
    if Need::EveryExposure.is_missing() {
        return;
    }
    beside("e2e-helm3");
    remove("e2e-helm3");
    remove(Office::NAME);
    let lab = &second();
    let version = lab.run("helm", &["version", "--template", "{{.Version}}"], "").good();
    assert!(
        version.stdout.starts_with("v3."),
        "this life is lived with helm 3, not {}",
        version.stdout
    );
    let before = lab.versions();
    lab.lastack(INSTALL).good().shows("nothing to change");
    assert_eq!(lab.versions(), before, "an install that had nothing to do");
    is_reached_at(lab, &BEGINNING, "http://10.");
    let nodes = lab.lastack("open lms --print").good().stdout;
    lab.lastack(&format!("{INSTALL} --expose loadbalancer")).good();
    is_reached_at(lab, &BEGINNING, "http://10.");
    assert_ne!(
        lab.lastack("open lms --print").good().stdout,
        nodes,
        "Moodle knows the address of its load balancer"
    );

    lab.lastack("seed --count 2000").good().shows("2,000 of 2,000 statements stored");
    lab.lastack("status").good();

    lab.lastack("uninstall --keep-data --yes").good().shows("kept");
    eventually("no pods are left", || lab.kubectl("get pods -o name").is_empty());
    let office = Office::open(lab);
    background_workers_do_their_part(lab, &office);
    let again = lab.lastack("seed --count 2000 -o json").good().json();
    assert_eq!(
        again["alreadyThere"], 2000,
        "statements did not survive `uninstall --keep-data`: {again}"
    );
    hostile_statements_are_stored(lab);

    lab.lastack("uninstall").exits(2).shows("--yes");
    lab.lastack("uninstall --keep-data --yes").good();
    lab.kubectl(&format!("delete secret {CERTIFICATE} {}", Office::NAME));
    lab.lastack("uninstall --yes")
        .good()
        .shows("persistentvolumeclaim/elasticsearch-data-data-lake-es-default-0")
        .shows("Deleted in");
    lab.run("kubectl", &["get", "namespace", lab.namespace], "").exits(1).shows("NotFound");
    office.keeps_what_superset_stored();
    lab.lastack("status").exits(3).shows("No stack");
    lab.lastack("uninstall --yes").good().shows("Nothing to delete");
    // the other stack's, whose tests go on meanwhile
    lab.run(
        "kubectl",
        &[
            "rollout",
            "status",
            "statefulset/elastic-operator",
            "-n",
            "elastic-system",
            "--timeout=30s",
        ],
        "",
    )
    .good();
}

/// Each part answers there to somebody outside the cluster, and sends nobody to another address.
fn is_reached_at(lab: &Cluster, parts: &[&str], beginning: &str) {
    for part in parts {
        let address = lab.lastack(&format!("open {part} --print")).good().stdout.trim().to_string();
        assert!(address.starts_with(beginning), "{part} is at {address}");
        let base = address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let answer = lab
            .shell(&format!(
                "curl -sSfL --max-redirs 3 -o /dev/null -w '%{{url_effective}}' '{address}'"
            ))
            .good()
            .stdout;
        assert!(
            answer.starts_with(&format!("{base}/")),
            "{part} sends people from {address} to {answer}"
        );
    }
}

/// Every statement that the LRS takes is stored, whatever its keys and types.
fn hostile_statements_are_stored(lab: &Cluster) {
    let file = repository().join("tests/fixtures/hostile-statements.ndjson");
    let lines = std::fs::read_to_string(&file)
        .expect("the fixture")
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    let report = lab.lastack(&format!("seed {} -o json", file.display())).good().json();
    assert_eq!(report["accepted"], lines, "{report}");
    assert_eq!(report["found"], lines, "{report}");
}

/// As many kinds of pods as the production profile has, as small.
const WITH_WORKERS: &str = "replicas: 2\nresources: {requests: {cpu: 20m}}\ncache: {enabled: true}\nbeat: {enabled: true}\n\
                            worker: {replicas: 1, concurrency: 1, resources: {requests: {cpu: 20m}}}\n";
/// Brings Superset so, with its data in a PostgreSQL of somebody else and behind an Ingress with TLS, as production has
/// it, and sees charts come from the cache that all its pods share, and tasks go from beat to the worker.
fn background_workers_do_their_part(lab: &Cluster, office: &Office) {
    let values = lab.file("workers.yaml", &(WITH_WORKERS.to_string() + &office.values()));
    lab.kubectl(&format!(
        "create secret tls {CERTIFICATE} --cert {0}/tls.crt --key {0}/tls.key",
        lab.folder("tls").display()
    ));
    let ingress = format!("--expose ingress --domain {DOMAIN} --tls-secret {CERTIFICATE}");
    lab.lastack(&format!(
        "{INSTALL} --all {ingress}{} --values dataviz={}",
        small(lab, &BEGINNING),
        values.display()
    ))
    .good();
    lab.lastack(INSTALL).good().shows("nothing to change");
    is_reached_at(lab, &PARTS, "https://");
    lab.lastack("open lms --print").good().shows(&format!("https://lms.{DOMAIN}/"));
    lab.lastack("status").good().shows("2/2").shows("login ok");
    office.is_used(lab);
    let ready = lab.kubectl("get deployments -l app.kubernetes.io/instance=dataviz -o jsonpath={.items[*].status.readyReplicas}");
    assert_eq!(ready, "2 1 1 1", "web, beat, worker and Valkey run when install says ready");

    lab.lastack("dashboards check --fail-on-error").good().shows("31 of 31 charts passed");
    // in turns by either pod of the web server, each of which has processes of its own
    let script = r#"dataset=$(get "dataset/?q=(filters:!((col:table_name,opr:eq,value:statements)))" | pick "['result'][0]['id']")
        query='{"datasource":{"id":'$dataset',"type":"table"},"queries":[{"columns":[],"metrics":["learners"]}]}'
        for _ in 1 2 3 4 5 6; do send POST chart/data "$query" | pick "['result'][0]['is_cached']"; done"#;
    let asked = superset_as_admin(lab, script).good();
    let cached: Vec<&str> = asked.stdout.split_whitespace().collect();
    assert_eq!(cached[1..], ["True"; 5], "only the first of the same questions is new: {cached:?}");

    eventually("the worker has done a task that beat sent", || {
        let log = lab.kubectl("logs deployment/dataviz-superset-worker -c worker");
        log.lines().any(|line| line.contains("reports.scheduler") && line.contains("succeeded"))
    });

    // a cache that is away makes charts slower, and nothing else
    lab.kubectl("set image deployment/dataviz-valkey valkey=valkey/valkey:gone");
    eventually("status names the cache", || {
        lab.lastack("status")
            .stdout
            .contains("cannot pull valkey/valkey:gone: not found in the registry")
    });
    lab.lastack("dashboards check learners --fail-on-error").good().shows("1 of 1 charts passed");
    lab.lastack(INSTALL).good().shows("ok        dataviz.release");
    lab.lastack("status").good();
}
