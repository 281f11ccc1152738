//! The choice of the cluster, and the errors when it is unreachable.

use crate::support::machine::{Machine, TOKEN};
use crate::support::server::{Reply, Server, unreachable_url};

const VERBS: [&str; 16] = [
    "install",
    "status",
    "creds",
    "creds rotate --yes",
    "seed",
    "open lms",
    "configure",
    "statements",
    "trace",
    "dashboards list",
    "pause",
    "resume",
    "backup backups",
    "upgrade --no-backup",
    "rollback",
    "uninstall --yes -n alice",
];

#[test]
fn program_without_arguments_and_kubeconfig_prints_help() {
    Machine::new()
        .run("")
        .exits(0)
        .says_nothing()
        .prints("kubectl lastack install")
        .never_shows("In namespace");
}

#[test]
fn program_without_arguments_prints_help_when_the_cluster_is_unreachable() {
    Machine::with_cluster(&unreachable_url())
        .run("")
        .exits(0)
        .says_nothing()
        .prints("kubectl lastack install");
}

#[test]
fn every_verb_without_a_kubeconfig_exits_with_4() {
    for verb in VERBS {
        Machine::new()
            .run(verb)
            .exits(4)
            .prints_nothing()
            .says("error: there is no kubeconfig, and this is not a pod of a cluster\n")
            .says("hint: name a kubeconfig with `--kubeconfig FILE` or the KUBECONFIG variable\n");
    }
}

#[test]
fn pod_variables_without_a_token_are_ignored() {
    let machine = Machine::new()
        .env("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .env("KUBERNETES_SERVICE_PORT", "9");
    machine.run("status").exits(4).says("this is not a pod of a cluster");
}

#[test]
fn every_verb_with_an_unreachable_cluster_exits_with_4() {
    let machine = Machine::with_cluster(&unreachable_url());
    for verb in VERBS {
        machine
            .run(verb)
            .exits(4)
            .prints_nothing()
            .says("cannot reach the API server")
            .says("hint: check `kubectl cluster-info`, or choose another cluster with `--context`")
            .never_shows("panicked")
            .never_shows(TOKEN);
    }
}

#[test]
fn server_name_that_does_not_resolve_is_unreachable() {
    Machine::with_cluster("http://cluster.invalid")
        .run("status")
        .exits(4)
        .says("cannot reach the API server");
}

#[test]
fn unknown_context_lists_the_known_contexts() {
    Machine::with_cluster(&unreachable_url())
        .run("status --context production")
        .exits(4)
        .says("error: the kubeconfig has no context `production`\n")
        .says("hint: it has: lab, other\n");
}

#[test]
fn unknown_cluster_and_unknown_user_are_named() {
    let machine = Machine::with_cluster(&unreachable_url());
    machine.run("status --cluster moon").exits(4).says("the kubeconfig has no cluster `moon`");
    machine.run("status --user bob").exits(4).says("the kubeconfig has no user `bob`");
}

#[test]
fn kubeconfig_without_a_current_context_fails_with_a_hint() {
    let machine = Machine::new();
    machine.write(
        "home/.kube/config",
        "{apiVersion: v1, kind: Config, contexts: [], clusters: [], users: []}",
    );
    machine
        .run("status")
        .exits(4)
        .says("the kubeconfig has no current context")
        .says("--context NAME");
}

#[test]
fn kubeconfig_that_is_missing_or_invalid_is_named() {
    let machine = Machine::new();
    machine.write("broken", "contexts: [\n");
    machine.run("status --kubeconfig absent").exits(4).says("no usable kubeconfig").says("absent");
    machine.run("status --kubeconfig broken").exits(4).says("no usable kubeconfig");
}

#[test]
fn context_with_an_unknown_cluster_is_named() {
    let machine = Machine::new();
    machine.write(
        "home/.kube/config",
        "{apiVersion: v1, kind: Config, current-context: lab, contexts: [{name: lab, context: {cluster: gone, user: u}}]}",
    );
    machine.run("status").exits(4).says("context `lab` of the kubeconfig cannot be used");
}

/// The namespace in the requests of a command. The server only records requests.
fn requested_namespace(machine: Machine, server: &Server, line: &str) -> String {
    machine.run(line);
    let path = server
        .requests()
        .iter()
        .map(|request| request.path.clone())
        .find(|path| path.contains("/namespaces/"))
        .unwrap_or_default();
    path.split('/').nth(4).unwrap_or_default().to_owned()
}

fn server() -> Server {
    Server::start(|_| Reply::text(404, "404 page not found\n"))
}

#[test]
fn namespace_comes_from_the_flag_then_the_context_then_default() {
    for (line, namespace) in [
        ("status -n typed", "typed"),
        ("-n typed status", "typed"),
        ("status", "alice"),
        ("status --context other", "default"),
    ] {
        let server = server();
        assert_eq!(
            requested_namespace(Machine::with_cluster(&server.url()), &server, line),
            namespace,
            "kubectl lastack {line}"
        );
    }
}

#[test]
fn helm_variables_apply_under_helm_only() {
    let machine = |server: &Server| {
        Machine::with_cluster(&server.url())
            .env("HELM_NAMESPACE", "of-helm")
            .env("HELM_KUBECONTEXT", "")
    };
    let (stray, given, typed) = (server(), server(), server());
    assert_eq!(
        requested_namespace(machine(&stray), &stray, "status"),
        "alice",
        "a variable of helm should not change the namespace under kubectl"
    );
    let under_helm = |server: &Server| machine(server).env("HELM_PLUGIN_NAME", "lastack");
    assert_eq!(requested_namespace(under_helm(&given), &given, "status"), "of-helm");
    assert_eq!(
        requested_namespace(under_helm(&typed), &typed, "status -n typed"),
        "typed",
        "the flag should override the variable of helm"
    );
}

#[test]
fn helm_context_and_server_apply_under_helm() {
    let server = server();
    let machine = Machine::with_cluster(&unreachable_url())
        .env("HELM_PLUGIN_NAME", "lastack")
        .env("HELM_KUBEAPISERVER", server.url());
    assert_eq!(requested_namespace(machine, &server, "status"), "alice");
    let machine = Machine::with_cluster(&unreachable_url())
        .env("HELM_PLUGIN_NAME", "lastack")
        .env("HELM_KUBECONTEXT", "gone");
    machine.run("status").exits(4).says("the kubeconfig has no context `gone`");
}

#[test]
fn cluster_in_no_proxy_is_reached_without_the_proxy() {
    let uses_proxy = |no_proxy: &str, kubeconfig_names_it: bool| {
        let proxy = Server::start(|_| Reply::text(502, "no"));
        // the proxy has another name than the cluster
        let address = format!("http://localhost:{}", proxy.address().port());
        let machine = Machine::with_cluster("https://127.0.0.1:9")
            .env("HTTPS_PROXY", &address)
            .env("NO_PROXY", no_proxy);
        if kubeconfig_names_it {
            let file = machine.path("home/.kube/config");
            let named = std::fs::read_to_string(&file)
                .expect("the kubeconfig")
                .replace("server:", &format!("proxy-url: '{address}', server:"));
            std::fs::write(file, named).expect("the kubeconfig");
        }
        machine.run("status").exits(4);
        !proxy.requests().is_empty()
    };
    assert!(uses_proxy("", false));
    assert!(uses_proxy("10.0.0.0/8,.example.org", false));
    assert!(!uses_proxy("10.0.0.0/8,127.0.0.1", false));
    assert!(!uses_proxy("127.0.0.0/8", false));
    assert!(
        uses_proxy("127.0.0.1", true),
        "NO_PROXY should not affect the proxy of the kubeconfig, as in kubectl"
    );
}

#[test]
fn complete_connection_flags_need_no_kubeconfig() {
    let typed = server();
    Machine::new().run(&format!("status -n alice --token typed-token --server {}", typed.url()));
    let given = server();
    let under_helm = [
        ("HELM_PLUGIN_NAME", "lastack"),
        ("HELM_NAMESPACE", "alice"),
        ("HELM_KUBETOKEN", "typed-token"),
    ];
    let machine =
        under_helm.iter().fold(Machine::new(), |machine, (name, value)| machine.env(name, value));
    machine.env("HELM_KUBEAPISERVER", given.url()).run("status");
    for server in [typed, given] {
        let requests = server.requests();
        let first = requests.first().expect("a request");
        assert!(first.path.contains("/namespaces/alice/"), "{first:?}");
        assert_eq!(first.headers["authorization"], "Bearer typed-token");
    }
}

#[test]
fn kubeconfig_entries_named_by_flags_need_a_kubeconfig() {
    for (flag, name) in [("context", "lab"), ("cluster", "moon"), ("user", "bob")] {
        Machine::new()
            .run(&format!("status --server http://127.0.0.1:9 --{flag} {name}"))
            .exits(4)
            .says(&format!("error: there is no kubeconfig that could have the {flag} `{name}`\n"))
            .says("hint: name a kubeconfig");
    }
}

#[test]
fn kubeconfig_list_ignores_missing_files() {
    let server = server();
    let list = |machine: Machine| {
        let list = format!("absent:{}", machine.path("home/.kube/config").display());
        machine.env("KUBECONFIG", list)
    };
    assert_eq!(
        requested_namespace(list(Machine::with_cluster(&server.url())), &server, "status"),
        "alice"
    );
    list(Machine::new()).run("status").exits(4).says("error: there is no kubeconfig at absent:[MACHINE]/home/.kube/config, and this is not a pod");
}

#[test]
fn token_and_impersonation_reach_the_server() {
    let server = server();
    let machine = Machine::with_cluster(&server.url());
    machine.run("status --as bob --as-group staff").never_shows(TOKEN);
    let requests = server.requests();
    let header = |name: &str| {
        requests[0]
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(header("authorization"), format!("Bearer {TOKEN}"));
    assert_eq!(header("impersonate-user"), "bob");
    assert_eq!(header("impersonate-group"), "staff");
}
