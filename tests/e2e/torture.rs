//! Kills at random moments, cut connections, and a full data lake: the repeated command must finish, and no statement may
//! be lost or stored twice.
//!
//! `make torture` runs many of them. LASTACK_TORTURE_SEED repeats the moments of an earlier run, which prints its seed.

use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Ended, Need, eventually};
use crate::components::php_in_moodle;
use crate::lrs::{lrs, stored};
use crate::proxy::{self, HttpProxy};
use crate::stack;

/// One kill of each kind of command.
const KILLS: u32 = 3;

/// The number in an environment variable.
fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} should be a number, not {text}")))
}

/// The seconds since 1970: a seed whose statements no earlier run has stored.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_secs()
}

fn statements() -> u64 {
    stored().as_u64().expect("a number of statements")
}

/// The moments of the kills, from a seed that is printed.
fn random() -> (Xoshiro256PlusPlus, u64) {
    let seed = number("LASTACK_TORTURE_SEED").unwrap_or_else(now);
    println!("LASTACK_TORTURE_SEED={seed}");
    (Xoshiro256PlusPlus::seed_from_u64(seed), seed)
}

/// Starts a command and kills it within this time. A command that is faster has ended well.
fn kill_within(cluster: &Cluster, line: &str, random: &mut Xoshiro256PlusPlus, longest: f64) {
    let seconds = format!("{:.2}", random.random_range(0.01..longest));
    let mut killed = vec!["--signal=KILL", &seconds, env!("CARGO_BIN_EXE_kubectl-lastack")];
    killed.extend(line.split_whitespace().chain(["-n", cluster.namespace]));
    cluster.run("timeout", &killed, "");
}

#[test]
fn killed_commands_lose_and_double_nothing_when_repeated() {
    let (mut random, seed) = random();
    let lrs = lrs();
    lrs.lastack("install --only lrs").good();
    let mut expected = statements();
    for kill in 0..number("LASTACK_TORTURE_KILLS").unwrap_or(KILLS) {
        let (line, longest) = match kill % 3 {
            0 => (format!("seed --count 2000 --seed {}", seed + u64::from(kill)), 3.0),
            1 => {
                let values = lrs.file(
                    "torture.yaml",
                    &format!("podAnnotations: {{lastack/kill: \"{kill}\"}}\n"),
                );
                (format!("install --only lrs --values lrs={}", values.display()), 20.0)
            }
            _ => ("uninstall --keep-data --yes".to_string(), 10.0),
        };
        kill_within(lrs, &line, &mut random, longest);
        let repeated = lrs.lastack(&line);
        match kill % 3 {
            0 => {
                repeated.good().shows("2,000 of 2,000 statements stored");
                expected += 2000;
            }
            1 => _ = repeated.good(),
            _ => {
                repeated.good();
                lrs.lastack("install --only lrs").good();
            }
        }
        assert_eq!(statements(), expected, "after kill {kill} of `{line}`");
    }
    let none = lrs.file("none.yaml", "{}\n");
    lrs.lastack(&format!("install --only lrs --values lrs={}", none.display())).good();
}

#[test]
fn configure_that_is_killed_is_finished_by_its_repetition() {
    let (mut random, _) = random();
    let cluster = stack();
    let kills = number::<u32>("LASTACK_TORTURE_KILLS").map_or(1, |kills| kills / 10);
    for kill in 0..kills {
        let names = kill % 2 == 0;
        let line = format!("configure lms --send-names={names}");
        kill_within(cluster, &line, &mut random, 6.0);
        cluster.lastack(&line).good();
        let sends = php_in_moodle(cluster, "echo get_config('logstore_xapi', 'send_name');");
        assert_eq!(sends, if names { "1" } else { "0" }, "after kill {kill}");
        cluster.lastack("status").good();
    }
    cluster.lastack("configure lms --send-names=false").good();
}

#[test]
fn commands_behind_cut_connections_lose_and_double_nothing_when_repeated() {
    let lrs = lrs();
    lrs.lastack("install --only lrs").good();
    let mut expected = statements();
    let disturbed = disturbed_kubeconfig();
    let values = lrs.file("cut.yaml", "podAnnotations: {lastack/cut: \"1\"}\n");
    for line in [
        format!("seed --count 2000 --seed {}", now()),
        format!("install --only lrs --values lrs={}", values.display()),
        "uninstall --keep-data --yes".to_string(),
    ] {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let mut command = lrs.command("kubectl-lastack", &arguments);
        command.env("KUBECONFIG", &disturbed);
        let ended = Ended::of(&line, command.spawn().expect("the program starts"));
        assert!(!ended.stderr.contains("panicked"), "{ended}");
        if !ended.status.success() {
            ended.shows("error: ").shows("hint: ");
        }
        lrs.lastack(&line).good();
        if line.starts_with("seed") {
            expected += 2000;
        }
        lrs.lastack("install --only lrs").good();
        assert_eq!(statements(), expected, "after `{line}`");
    }
    let none = lrs.file("none.yaml", "{}\n");
    lrs.lastack(&format!("install --only lrs --values lrs={}", none.display())).good();
}

/// A kubeconfig that reaches the API server through a proxy with faults.
fn disturbed_kubeconfig() -> PathBuf {
    let text = lrs().kubectl("config view --raw --flatten --minify -o json");
    let mut config: Value = serde_json::from_str(&text).expect("a kubeconfig");
    let cluster = &mut config["clusters"][0]["cluster"];
    let server = cluster["server"].as_str().expect("a server").to_string();
    let authority = server.trim_start_matches("https://").trim_end_matches('/');
    let name = authority.rsplit_once(':').map_or(authority, |(name, _)| name);
    cluster["server"] = json!(format!("https://{}", proxy::cutting(address(authority))));
    cluster["tls-server-name"] = json!(name);
    lrs().file("disturbed-kubeconfig.json", &config.to_string())
}

fn address(authority: &str) -> SocketAddr {
    use std::net::ToSocketAddrs as _;
    authority.to_socket_addrs().expect("an address").next().expect("an address")
}

#[test]
fn seed_through_a_proxy_with_faults_stores_each_statement_once() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    let lrs = lrs();
    lrs.lastack("install --only lrs --expose loadbalancer").good();
    let expected = statements() + 3000;
    let seed = format!("seed --count 3000 --seed {}", now());
    let service = lrs.kubectl_json("get service lrs-ralph");
    let ip = service["status"]["loadBalancer"]["ingress"][0]["ip"].as_str().expect("an address");
    let ralph = address(&format!("{ip}:80"));
    let limit = Duration::from_secs(1);
    eventually("the load balancer reaches Ralph", || {
        TcpStream::connect_timeout(&ralph, limit).is_ok()
    });
    let proxy = HttpProxy::start(ralph);
    let secret = lrs.kubectl("get secret lrs-ralph -o go-template={{.data.password|base64decode}}");
    let account = lrs.file("account", &format!("admin:{secret}\n"));
    let line = format!(
        "{seed} --batch 100 --endpoint http://{}/xAPI --credentials {}",
        proxy.address,
        account.display()
    );
    lrs.lastack(&line).good();
    std::fs::remove_file(account).expect("the file with the account");
    assert!(proxy.disturbed() > 5, "the proxy should disturb requests");
    // another LRS is not verified, and a search sees the last statements after a second
    eventually("all statements are visible", || statements() >= expected);
    assert_eq!(statements(), expected);
    lrs.lastack(&seed).good().shows("3,000 of 3,000 statements stored");
    assert_eq!(statements(), expected);
    lrs.lastack("install --only lrs --expose none").good();
}

/// Sends a request to Elasticsearch as its administrator.
fn as_elastic(request: &str, body: &Value) -> Ended {
    let script = format!(
        r#"password=$(kubectl -n {0} get secret data-lake-es-elastic-user -o go-template='{{{{.data.elastic | base64decode}}}}')
        kubectl -n {0} exec -i data-lake-es-default-0 --container elasticsearch -- \
            curl -ksSf -u "elastic:$password" -X PUT -H 'Content-Type: application/json' --data @- https://localhost:9200/{request}"#,
        lrs().namespace
    );
    lrs().run("bash", &["-c", &script], &body.to_string())
}

#[test]
fn seed_into_a_read_only_index_fails_and_its_repetition_loses_nothing() {
    let lrs = lrs();
    lrs.lastack("install --only lrs").good();
    let expected = statements() + 500;
    let seed = format!("seed --count 500 --seed {}", now());
    let block = |is_set: bool| {
        as_elastic("statements/_settings", &json!({"index.blocks.read_only": is_set})).good();
    };
    block(true);
    lrs.lastack(&seed).exits(1).shows("index.blocks.read_only is set");
    lrs.lastack("status").exits(3).shows("index.blocks.read_only is set");
    block(false);
    lrs.lastack(&seed).good().shows("500 of 500 statements stored");
    assert_eq!(statements(), expected);
}

#[test]
fn full_disk_is_named_and_seed_continues_when_there_is_room() {
    let lrs = lrs();
    lrs.lastack("install --only lrs").good();
    let expected = statements() + 500;
    let seed = format!("seed --count 500 --seed {}", now());
    // Elasticsearch compares the use of the disk with these limits
    let watermarks = |low: Value, high: Value, flood: Value| {
        let disk = "cluster.routing.allocation.disk";
        let settings = json!({"persistent": {
            format!("{disk}.watermark.low"): low, format!("{disk}.watermark.high"): high,
            format!("{disk}.watermark.flood_stage"): flood, "cluster.info.update.interval": "10s",
        }});
        as_elastic("_cluster/settings", &settings).good();
    };
    watermarks(json!("1%"), json!("2%"), json!("3%"));
    eventually("Elasticsearch finds its disk full", || {
        lrs.lastack("status").stdout.contains("a disk of the data lake is full")
    });
    lrs.lastack(&seed).exits(1).shows("a disk of the data lake is full");
    watermarks(Value::Null, Value::Null, Value::Null);
    eventually("Elasticsearch finds room on its disk", || lrs.lastack("status").status.success());
    lrs.lastack(&seed).good().shows("500 of 500 statements stored");
    assert_eq!(statements(), expected);
}
