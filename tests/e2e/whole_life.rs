//! The lifecycle of a stack with helm 3 in a separate namespace: exposure, retained data, hostile statements, uninstall.

use crate::cluster::{Cluster, Need, eventually, repository};
use crate::components::superset_as_admin;
use crate::office::Office;
use crate::{beside, remove};

const DOMAIN: &str = "e2e.example.org";
const COMPONENTS: [&str; 3] = ["lms", "lrs", "dataviz"];
/// The first components of the stack.
const FIRST_COMPONENTS: [&str; 2] = ["lms", "lrs"];
/// The Secret with the certificate of this domain, which is not part of the stack.
const CERTIFICATE: &str = "certificate";

/// This stack requests less than its profile, which the preflight check uses.
const INSTALL: &str = "install --skip preflight.room";
/// Requests that are small enough for several stacks on two cores.
const SMALL: &str = "resources: {requests: {cpu: 20m}}\n";

fn small(cluster: &Cluster, parts: &[&str]) -> String {
    let file = cluster.file("small.yaml", SMALL);
    parts.iter().map(|part| format!(" --values {part}={}", file.display())).collect()
}

/// A second stack, with helm 3 and a domain.
fn second() -> Cluster {
    let cluster = Cluster::new("e2e-helm3", "3");
    let folder = cluster.folder("tls");
    cluster.certify(&folder, &format!("*.{DOMAIN}"));
    // replaces a DNS server and a public certificate authority
    let node = cluster.kubectl(
        "get nodes -o jsonpath={.items[0].status.addresses[?(@.type=='InternalIP')].address}",
    );
    let entries =
        COMPONENTS.map(|part| format!("connect-to = \"{part}.{DOMAIN}::{node}:\"\n")).concat();
    let settings = format!("{entries}cacert = \"{}\"\n", folder.join("tls.crt").display());
    std::fs::write(folder.join(".curlrc"), settings).expect("a temporary file");
    let cluster = cluster.env("CURL_HOME", folder.to_str().expect("a path that is text"));
    let install = format!(
        "{INSTALL} --only {} --expose nodeport{}",
        FIRST_COMPONENTS.join(","),
        small(&cluster, &FIRST_COMPONENTS)
    );
    cluster
        .lastack(&install)
        .good()
        .shows("unchanged operator.release")
        .shows("ok        namespace");
    cluster
}

/// The phases of one lifecycle, in order: each needs the one before.
#[test]
fn stack_of_helm_3_keeps_its_data_until_uninstall_deletes_it() {
    if Need::EveryExposure.is_missing() {
        return;
    }
    beside("e2e-helm3");
    remove("e2e-helm3");
    remove(Office::NAME);
    let cluster = &second();
    let version = cluster.run("helm", &["version", "--template", "{{.Version}}"], "").good();
    assert!(
        version.stdout.starts_with("v3."),
        "the test should use helm 3, not {}",
        version.stdout
    );
    let before = cluster.versions();
    cluster.lastack(INSTALL).good().shows("nothing to change");
    assert_eq!(cluster.versions(), before, "a second install should change nothing");
    assert_reachable_at(cluster, &FIRST_COMPONENTS, "http://10.");
    let nodes = cluster.lastack("open lms --print").good().stdout;
    cluster.lastack(&format!("{INSTALL} --expose loadbalancer")).good();
    assert_reachable_at(cluster, &FIRST_COMPONENTS, "http://10.");
    assert_ne!(
        cluster.lastack("open lms --print").good().stdout,
        nodes,
        "Moodle should use the address of its load balancer"
    );

    cluster.lastack("seed --count 2000").good().shows("2,000 of 2,000 statements stored");
    cluster.lastack("status").good();

    cluster.lastack("uninstall --keep-data --yes").good().shows("retained");
    eventually("no pods are left", || cluster.kubectl("get pods -o name").is_empty());
    let office = Office::open(cluster);
    assert_background_workers(cluster, &office);
    let again = cluster.lastack("seed --count 2000 -o json").good().json();
    assert_eq!(
        again["alreadyThere"], 2000,
        "statements should survive `uninstall --keep-data`: {again}"
    );
    // repeated ids, equal content, late arrivals and actors by mail
    let planted = "seed --count 0 --cases --until now --rate 200";
    cluster.lastack(planted).good().shows("349 of 349 statements stored");
    cluster.lastack(planted).good().shows("349 of 349 statements stored");
    assert_hostile_statements_stored(cluster);

    cluster.lastack("uninstall").exits(2).shows("--yes");
    cluster.lastack("uninstall --keep-data --yes").good();
    cluster.kubectl(&format!("delete secret {CERTIFICATE} {}", Office::NAME));
    cluster
        .lastack("uninstall --yes")
        .good()
        .shows("persistentvolumeclaim/elasticsearch-data-data-lake-es-default-0")
        .shows("Deleted in");
    cluster.run("kubectl", &["get", "namespace", cluster.namespace], "").exits(1).shows("NotFound");
    office.assert_dashboards_kept();
    cluster.lastack("status").exits(3).shows("No stack");
    cluster.lastack("uninstall --yes").good().shows("Nothing to delete");
    // the operator of the shared stack, whose tests still run
    cluster
        .run(
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

/// Each component responds at its external address, and redirects to no other address.
fn assert_reachable_at(cluster: &Cluster, components: &[&str], beginning: &str) {
    for component in components {
        let address =
            cluster.lastack(&format!("open {component} --print")).good().stdout.trim().to_string();
        assert!(
            address.starts_with(beginning),
            "{component} should have an address with {beginning}, not {address}"
        );
        let base = address.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
        let reply = cluster
            .shell(&format!(
                "curl -sSfL --max-redirs 3 -o /dev/null -w '%{{url_effective}}' '{address}'"
            ))
            .good()
            .stdout;
        assert!(
            reply.starts_with(&format!("{base}/")),
            "{component} should not redirect from {address} to {reply}"
        );
    }
}

/// The data lake stores every statement that the LRS accepts, with any keys and types.
fn assert_hostile_statements_stored(cluster: &Cluster) {
    let file = repository().join("tests/fixtures/hostile-statements.ndjson");
    let lines = std::fs::read_to_string(&file)
        .expect("the fixture")
        .lines()
        .filter(|line| !line.trim().is_empty())
        .count();
    let report = cluster.lastack(&format!("seed {} -o json", file.display())).good().json();
    assert_eq!(report["accepted"], lines, "{report}");
    assert_eq!(report["found"], lines, "{report}");
}

/// All kinds of pods of the production profile, with small requests.
const WITH_WORKERS: &str = "replicas: 2\nresources: {requests: {cpu: 20m}}\ncache: {enabled: true}\nbeat: {enabled: true}\n\
                            worker: {replicas: 1, concurrency: 1, resources: {requests: {cpu: 20m}}}\n";
/// Installs Superset as in production: with an external PostgreSQL and an Ingress with TLS. Asserts that its pods share the
/// cache, and that the worker runs tasks of beat.
fn assert_background_workers(cluster: &Cluster, office: &Office) {
    let values = cluster.file("workers.yaml", &(WITH_WORKERS.to_string() + &office.values()));
    cluster.kubectl(&format!(
        "create secret tls {CERTIFICATE} --cert {0}/tls.crt --key {0}/tls.key",
        cluster.folder("tls").display()
    ));
    let ingress = format!("--expose ingress --domain {DOMAIN} --tls-secret {CERTIFICATE}");
    cluster
        .lastack(&format!(
            "{INSTALL} --all {ingress}{} --values dataviz={}",
            small(cluster, &FIRST_COMPONENTS),
            values.display()
        ))
        .good();
    cluster.lastack(INSTALL).good().shows("nothing to change");
    assert_reachable_at(cluster, &COMPONENTS, "https://");
    cluster.lastack("open lms --print").good().shows(&format!("https://lms.{DOMAIN}/"));
    cluster.lastack("status").good().shows("2/2").shows("login ok");
    office.assert_used(cluster);
    let ready = cluster.kubectl("get deployments -l app.kubernetes.io/instance=dataviz -o jsonpath={.items[*].status.readyReplicas}");
    assert_eq!(
        ready, "2 1 1 1 1",
        "web, beat, drivers, worker and Valkey should be ready after install"
    );

    cluster.lastack("dashboards check --fail-on-error").good().shows("31 of 31 charts passed");
    // the requests alternate between two web pods with several processes each
    let script = r#"dataset=$(get "dataset/?q=(filters:!((col:table_name,opr:eq,value:statements)))" | pick "['result'][0]['id']")
        query='{"datasource":{"id":'$dataset',"type":"table"},"queries":[{"columns":[],"metrics":["learners"]}]}'
        for _ in 1 2 3 4 5 6; do send POST chart/data "$query" | pick "['result'][0]['is_cached']"; done"#;
    let asked = superset_as_admin(cluster, script).good();
    let cached: Vec<&str> = asked.stdout.split_whitespace().collect();
    assert_eq!(
        cached[1..],
        ["True"; 5],
        "only the first of the equal queries should miss the cache: {cached:?}"
    );

    eventually("the worker completes a task of beat", || {
        let log = cluster.kubectl("logs deployment/dataviz-superset-worker -c worker");
        log.lines().any(|line| line.contains("reports.scheduler") && line.contains("succeeded"))
    });

    // without the cache, charts are slower and still correct
    cluster.kubectl("set image deployment/dataviz-valkey valkey=valkey/valkey:gone");
    eventually("status names the cache", || {
        cluster
            .lastack("status")
            .stdout
            .contains("cannot pull valkey/valkey:gone: not found in the registry")
    });
    cluster
        .lastack("dashboards check learners --fail-on-error")
        .good()
        .shows("1 of 1 charts passed");
    cluster.lastack(INSTALL).good().shows("ok        dataviz.release");
    cluster.lastack("status").good();
    office.assert_restored(cluster);
}
