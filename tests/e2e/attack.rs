//! Senders without an account, on every port of the stack. A port-forward passes by all NetworkPolicies.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{Cluster, Ended};
use crate::stack;

/// Runs a script beside a port-forward to a port of a pod or a Service. `$port` is the port on this machine.
fn forwarded(cluster: &Cluster, object: &str, port: i64, script: &str) -> Ended {
    cluster.shell(&format!(
        "set -eu
         coproc kubectl port-forward -n {} {object} :{port} 2>&1
         forward=$COPROC_PID; trap 'kill $forward 2>/dev/null || true' EXIT
         read -r line <&\"${{COPROC[0]}}\"
         port=${{line#*127.0.0.1:}}; port=${{port%% *}}
         {script}",
        cluster.namespace
    ))
}

/// The restarts of each running pod.
fn restarts(cluster: &Cluster) -> BTreeMap<String, i64> {
    let pods = cluster.kubectl_json("get pods --field-selector status.phase=Running");
    let count = |pod: &Value| {
        let containers = pod["status"]["containerStatuses"].as_array().into_iter().flatten();
        containers.filter_map(|container| container["restartCount"].as_i64()).sum()
    };
    let name = |pod: &Value| pod["metadata"]["name"].as_str().expect("a name").to_owned();
    let pods = pods["items"].as_array().expect("a list");
    pods.iter()
        // a run of the CronJob ends meanwhile
        .filter(|pod| pod["metadata"]["ownerReferences"][0]["kind"] != "Job")
        .map(|pod| (name(pod), count(pod)))
        .collect()
}

/// The pods of the stack with the ports that they declare.
fn ports(cluster: &Cluster) -> Vec<(String, i64)> {
    let pods = cluster.kubectl_json("get pods --field-selector status.phase=Running");
    let mut ports = Vec::new();
    for pod in pods["items"].as_array().expect("a list") {
        let name = pod["metadata"]["name"].as_str().expect("a name");
        let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
        for port in containers.flat_map(|container| container["ports"].as_array()).flatten() {
            ports.push((name.to_owned(), port["containerPort"].as_i64().expect("a port")));
        }
    }
    ports
}

#[test]
fn every_component_survives_large_requests_without_an_account() {
    let cluster = stack();
    let before = restarts(cluster);
    let ports = ports(cluster);
    let listening: Vec<i64> = ports.iter().map(|(_, port)| *port).collect();
    for expected in [8080, 8088, 9200, 5432] {
        assert!(listening.contains(&expected), "port {expected} should be among {listening:?}");
    }
    let body = format!("[{}{{}}]", "{},".repeat(9 << 20));
    let body = cluster.file("large.json", &body);
    for (pod, port) in ports {
        // a port-forward ends with a connection that the server closes
        for path in [
            "http://127.0.0.1:$port/",
            "http://127.0.0.1:$port/xAPI/statements",
            "https://127.0.0.1:$port/",
        ] {
            let script = format!(
                "curl -sk --noproxy '*' -m 60 -o /dev/null -H 'Content-Type: application/json' \
                   -H 'X-Experience-API-Version: 1.0.3' --data-binary @{} {path} || true",
                body.display()
            );
            forwarded(cluster, &format!("pod/{pod}"), port, &script).good();
        }
    }
    assert_eq!(restarts(cluster), before, "no container should have been restarted");
    cluster.lastack("status").good();
}

#[test]
fn lrs_checks_account_and_size_before_it_reads_a_request() {
    let cluster = stack();
    let large = cluster.file("too-large.json", &format!("[\"{}\"]", "x".repeat(21 << 20)));
    let script = format!(
        "eval \"$({program} creds lrs -o env -n {namespace} --context {context})\"
         ask() {{ curl -s --noproxy '*' -m 60 -o /dev/null -w \"%{{http_code}}\\n\" -H 'X-Experience-API-Version: 1.0.3' \"$@\"; }}
         lrs=http://127.0.0.1:$port
         for path in docs redoc openapi.json whoami xAPI/statements nowhere; do ask $lrs/$path; done
         ask -u nobody:wrong $lrs/xAPI/statements
         ask -H 'Authorization: Basic %%%' $lrs/xAPI/statements
         ask -H 'Authorization: Bearer e30' $lrs/xAPI/statements
         account=$LASTACK_LRS_USER:$LASTACK_LRS_PASSWORD
         ask $lrs/__heartbeat__
         ask -K <(echo \"user = \\\"$account\\\"\") $lrs/whoami
         ask -K <(echo \"user = \\\"$account\\\"\") -H 'Content-Type: application/json' --data-binary @{large} $lrs/xAPI/statements || true
         ask -K <(echo \"user = \\\"$account\\\"\") -H 'Content-Type: application/json' -H 'Transfer-Encoding: chunked' --data-binary @{large} $lrs/xAPI/statements || true",
        program = env!("CARGO_BIN_EXE_kubectl-lastack"),
        namespace = cluster.namespace,
        context = *crate::cluster::CONTEXT,
        large = large.display(),
    );
    let ended = forwarded(cluster, "service/lrs-ralph", 80, &script).good();
    let statuses: Vec<&str> = ended.stdout.split_whitespace().collect();
    assert_eq!(statuses[..9], ["401"; 9], "without a valid account");
    assert_eq!(statuses[9..], ["200", "200", "413", "413"], "with an account");
}
