//! Kubeconfigs of many shapes, each read by kubectl and by the program. Both must reach the cluster as the same user, or
//! both must fail.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::cluster::{Cluster, Ended};
use crate::stack;
use crate::support::program;

/// A ServiceAccount without permissions, so that each response of the API server names the user.
const ACCOUNT: &str = "e2e-kubeconfigs";

/// How a command ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Succeeded,
    /// The API server denied a request of this user.
    Denied {
        user: String,
    },
    Failed,
}

fn outcome(ended: &Ended) -> Outcome {
    let text = format!("{}{}", ended.stdout, ended.stderr);
    // kubectl asks for an account where a request without one would be anonymous
    if text.contains("Please enter Username") {
        return Outcome::Denied { user: "system:anonymous".into() };
    }
    if let Some((_, rest)) = text.split_once("User \"") {
        let user = rest.split('"').next().unwrap_or_default().to_owned();
        return Outcome::Denied { user };
    }
    match ended.status.code() {
        Some(0) => Outcome::Succeeded,
        _ => Outcome::Failed,
    }
}

/// What the cases are made from.
struct Material {
    folder: PathBuf,
    /// The cluster's address and its authority, in base64.
    server: String,
    authority: String,
    /// The administrator's certificate and key, in base64.
    certificate: String,
    key: String,
    /// The token of the account without permissions.
    token: String,
    /// A credential plugin that gives this token.
    plugin: PathBuf,
}

impl Material {
    fn new(cluster: &Cluster) -> Self {
        let config: Value = serde_json::from_str(
            &cluster
                .run("kubectl", &["config", "view", "--raw", "--minify", "-o", "json"], "")
                .good()
                .stdout,
        )
        .expect("a kubeconfig in JSON");
        let text = |value: &Value| value.as_str().expect("a field of the sandbox").to_owned();
        let (entry, user) = (&config["clusters"][0]["cluster"], &config["users"][0]["user"]);
        cluster.shell(&format!(
            "kubectl create serviceaccount {ACCOUNT} -n {0} --dry-run=client -o yaml | kubectl apply -n {0} -f -",
            cluster.namespace
        )).good();
        let token = cluster.kubectl(&format!("create token {ACCOUNT}")).trim().to_owned();
        let folder = cluster.folder("kubeconfigs");
        let credential = json!({
            "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token},
        });
        let plugin = folder.join("plugin");
        program::write(
            &plugin,
            &format!(
                "#!/bin/sh\necho run >> '{}'\ncat <<'END'\n{credential}\nEND\n",
                folder.join("runs").display()
            ),
        );
        fs::write(folder.join("token"), format!("{token}\n")).expect("a token file");
        Self {
            server: text(&entry["server"]),
            authority: text(&entry["certificate-authority-data"]),
            certificate: text(&user["client-certificate-data"]),
            key: text(&user["client-key-data"]),
            token,
            plugin,
            folder,
        }
    }

    /// A kubeconfig with one context, in the flow style of YAML.
    fn config(&self, cluster: &str, user: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             contexts: [{{name: c, context: {{cluster: k, user: u, namespace: default}}}}]\n\
             clusters:\n- name: k\n  cluster: {{{cluster}}}\n\
             users:\n- name: u\n  user: {{{user}}}\n"
        )
    }

    fn cluster(&self) -> String {
        format!("server: '{}', certificate-authority-data: {}", self.server, self.authority)
    }

    fn administrator(&self) -> String {
        format!("client-certificate-data: {}, client-key-data: {}", self.certificate, self.key)
    }

    fn exec(&self, more: &str) -> String {
        format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, command: '{}', interactiveMode: IfAvailable{more}}}",
            self.plugin.display()
        )
    }
}

/// A name, a kubeconfig, and flags that both programs know.
type Case = (&'static str, Vec<u8>, String);

fn cases(material: &Material) -> Vec<Case> {
    let Material { server, authority, token, .. } = material;
    let cluster = material.cluster();
    let administrator = material.administrator();
    let bearer = format!("token: {token}");
    let plain = |user: &str| material.config(&cluster, user);
    let wrapped: String = authority
        .as_bytes()
        .chunks(64)
        .map(|line| format!("      {}\n", String::from_utf8_lossy(line)))
        .collect();
    let with_authority = |field: &str| {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
             clusters:\n- name: k\n  cluster:\n    server: '{server}'\n    {field}\n\
             users: [{{name: u, user: {{{bearer}}}}}]\n"
        )
    };
    let utf16: Vec<u8> = [0xFF, 0xFE]
        .into_iter()
        .chain(plain(&bearer).encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let mut cases: Vec<Case> = vec![("UTF-16", utf16, String::new())];
    let mut case = |name, text: String| cases.push((name, text.into_bytes(), String::new()));
    case("administrator with a certificate", plain(&administrator));
    case("token", plain(&bearer));
    case(
        "token beside an empty user and password",
        plain(&format!("{bearer}, username: '', password: ''")),
    );
    case(
        "token beside empty certificate data",
        plain(&format!("{bearer}, client-certificate-data: '', client-key-data: ''")),
    );
    case("token file that ends in a newline", plain("tokenFile: token"));
    case("token file beside a stale token", plain("tokenFile: token, token: stale"));
    case("absent token file beside a token", plain(&format!("tokenFile: absent, {bearer}")));
    case("stale token", plain("token: stale"));
    case("no user", plain(""));
    case("user and password", plain("username: a, password: b"));
    case("credential plugin", plain(&material.exec("")));
    case(
        "credential plugin without cluster information",
        plain(&material.exec(", provideClusterInfo: null, args: null, env: null")),
    );
    case(
        "credential plugin with cluster information",
        plain(&material.exec(", provideClusterInfo: true")),
    );
    case("credential plugin beside a token", plain(&format!("{}, {bearer}", material.exec(""))));
    case(
        "absent credential plugin",
        plain(
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: e2e-absent, interactiveMode: Never}",
        ),
    );
    case(
        "credential plugin that fails",
        plain(
            "exec: {apiVersion: client.authentication.k8s.io/v1, command: 'false', interactiveMode: Never}",
        ),
    );
    case("impersonated user", plain(&format!("{administrator}, as: alice")));
    case(
        "impersonated user with a group",
        plain(&format!("{administrator}, as: alice, as-groups: ['system:masters']")),
    );
    case(
        "empty fields of the cluster",
        material.config(
            &format!("{cluster}, tls-server-name: '', proxy-url: '', certificate-authority: ''"),
            &bearer,
        ),
    );
    case(
        "a key given twice",
        material.config(&format!("server: 'https://127.0.0.1:9', {cluster}"), &bearer),
    );
    case(
        "unknown fields",
        material.config(&format!("{cluster}, colour: red"), &format!("{bearer}, colour: [1]")),
    );
    case(
        "authority over several lines",
        with_authority(&format!("certificate-authority-data: |\n{wrapped}")),
    );
    case(
        "authority as binary data",
        with_authority(&format!(
            "certificate-authority-data: !!binary {}",
            STANDARD.encode(authority)
        )),
    );
    case(
        "authority in a file beside the kubeconfig",
        with_authority("certificate-authority: ca.crt"),
    );
    case("no authority", with_authority("disable-compression: true"));
    case("no authority and no verification", with_authority("insecure-skip-tls-verify: true"));
    case(
        "authority that is no certificate",
        with_authority("certificate-authority-data: aGVsbG8="),
    );
    case("authority that is not base64", with_authority("certificate-authority-data: '%'"));
    case("server without a scheme", material.config(&cluster.replace("https://", ""), &bearer));
    case(
        "server with a slash at the end",
        material.config(&cluster.replace(":6443'", ":6443/'"), &bearer),
    );
    case("server in capitals", material.config(&cluster.replace("https://", "HTTPS://"), &bearer));
    case("no server", material.config("server: ''", &bearer));
    case(
        "another server name",
        material.config(&format!("{cluster}, tls-server-name: kubernetes"), &bearer),
    );
    case(
        "a server name that the certificate lacks",
        material.config(&format!("{cluster}, tls-server-name: example.org"), &bearer),
    );
    case("an entry of another user without a configuration", plain(&bearer).replace("users:\n", "users:\n- {name: gcp, user: {auth-provider: {name: gcp, config: null}}}\n- {name: empty}\n"));
    case(
        "a context without a cluster beside it",
        plain(&bearer)
            .replace("contexts: [", "contexts: [{name: d}, {name: e, context: {user: u}}, "),
    );
    case("context without a user", plain(&bearer).replace(", user: u,", ","));
    case("context of an absent user", plain(&bearer).replace(", user: u,", ", user: absent,"));
    case(
        "context of an absent cluster",
        plain(&bearer).replace("cluster: k, user", "cluster: absent, user"),
    );
    case("no current context", plain(&bearer).replace("current-context: c\n", ""));
    case(
        "absent current context",
        plain(&bearer).replace("current-context: c\n", "current-context: absent\n"),
    );
    case("empty file", String::new());
    case("another kind", plain(&bearer).replace("kind: Config", "kind: Pod"));
    case("not YAML", "a: b: c\n\t- [".into());
    case("JSON", json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
        "clusters": [{"name": "k", "cluster": {"server": server, "certificate-authority-data": authority}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }).to_string());
    let mut flags =
        |name, text: String, flags: String| cases.push((name, text.into_bytes(), flags));
    let without_context = plain(&bearer).replace("current-context: c\n", "");
    flags("--context", without_context.clone(), "--context c".into());
    flags(
        "--server and --token without a context",
        without_context.clone(),
        format!("--server {server} --token {token} --insecure-skip-tls-verify"),
    );
    flags("--cluster and --user without a context", without_context, "--cluster k --user u".into());
    flags(
        "--as over a relative authority",
        with_authority("certificate-authority: ca.crt"),
        "--as bob".into(),
    );
    flags("--token over a certificate", plain(&administrator), format!("--token {token}"));
    flags("--user that is absent", plain(&bearer), "--user absent".into());
    cases
}

#[test]
fn kubeconfigs_lead_kubectl_and_the_program_to_the_same_user() {
    let cluster = stack();
    let material = Material::new(cluster);
    let authority = STANDARD.decode(&material.authority).expect("the authority in base64");
    fs::write(material.folder.join("ca.crt"), authority).expect("a certificate");
    let path = material.folder.join("config");
    let runs = material.folder.join("runs");
    let mut differing = Vec::new();
    for (name, kubeconfig, flags) in cases(&material) {
        fs::write(&path, kubeconfig).expect("a kubeconfig");
        let _ = fs::remove_file(&runs);
        let line = |program: &str| {
            format!(
                "{program} --kubeconfig {} --request-timeout 20s {flags} -n {} </dev/null",
                path.display(),
                cluster.namespace
            )
        };
        let theirs = cluster.shell(&line("kubectl get secrets"));
        let ours =
            cluster.shell(&line(&format!("{} status", env!("CARGO_BIN_EXE_kubectl-lastack"))));
        ours.never_shows("panicked").never_shows(&material.token).never_shows(&material.key);
        let count = fs::read_to_string(&runs).map_or(0, |runs| runs.lines().count());
        let (expected, found) = (outcome(&theirs), outcome(&ours));
        if expected != found || count > 2 {
            differing.push(format!(
                "{name}: kubectl {expected:?}, the program {found:?}, the plugin ran {count} times for both\n{theirs}\n{ours}"
            ));
        }
    }
    cluster.kubectl(&format!("delete serviceaccount {ACCOUNT}"));
    assert!(differing.is_empty(), "{}", differing.join("\n\n"));
}
