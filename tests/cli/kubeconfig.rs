//! Kubeconfigs that kubectl accepts, and what reaches the server. The expected values are those of kubectl 1.34.

use crate::support::machine::{Machine, TOKEN};
use crate::support::server::{Reply, Request, Server};
use crate::support::stack::MockedStack;

fn server() -> Server {
    Server::start(|_| Reply::text(404, "404 page not found\n"))
}

/// A kubeconfig of one context, with these fields of its cluster and its user.
fn kubeconfig(cluster: &str, user: &str) -> String {
    format!(
        "apiVersion: v1
kind: Config
current-context: lab
contexts:
- name: lab
  context: {{cluster: k, user: u, namespace: alice}}
clusters:
- name: k
  cluster: {{{cluster}}}
users:
- name: u
  user: {{{user}}}
"
    )
}

/// The first request that `status` makes with this kubeconfig.
fn first_request(machine: &Machine, server: &Server, kubeconfig: impl AsRef<[u8]>) -> Request {
    machine.write("home/.kube/config", kubeconfig);
    let ended = machine.run("status");
    ended.never_shows("panicked");
    server.requests().first().unwrap_or_else(|| panic!("no request\n{ended}")).clone()
}

fn authorization(request: &Request) -> &str {
    request.headers.get("authorization").map_or("", |value| value.to_str().expect("a header"))
}

#[test]
fn server_without_a_scheme_is_reached_over_http() {
    let server = server();
    let text = kubeconfig(&format!("server: '{}'", server.address()), "token: t0k");
    let request = first_request(&Machine::new(), &server, text);
    assert!(request.path.contains("/namespaces/alice/"), "{request}");
}

#[test]
fn server_that_is_no_address_is_named() {
    let machine = Machine::new();
    machine.write("home/.kube/config", kubeconfig("server: 'unix:///run/api'", "token: t0k"));
    machine.run("status").exits(4).says(
        "error: context `lab` of the kubeconfig cannot be used: `unix:///run/api` is not the address of a server\n",
    );
}

#[test]
fn kubeconfig_in_utf16_is_read() {
    let server = server();
    let text = kubeconfig(&format!("server: {}", server.url()), "token: t0k");
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let request = first_request(&Machine::new(), &server, [b"\xFF\xFE", &bytes[..]].concat());
    assert_eq!(authorization(&request), "Bearer t0k");
}

#[test]
fn kubeconfig_in_torn_utf16_is_an_error() {
    let machine = Machine::new();
    machine.write("home/.kube/config", b"\xFF\xFEa\0b");
    machine.run("status").exits(4).says("/.kube/config`: not valid UTF-16").never_shows("panicked");
}

#[test]
fn token_beside_an_empty_user_and_password_is_sent() {
    let server = server();
    let text = kubeconfig(
        &format!("server: {}", server.url()),
        "token: t0k, username: '', password: '', client-certificate-data: '', client-key-data: ''",
    );
    let request = first_request(&Machine::new(), &server, text);
    assert_eq!(authorization(&request), "Bearer t0k");
}

#[test]
fn token_file_with_a_newline_is_sent_instead_of_a_stale_token() {
    let server = server();
    let machine = Machine::new();
    machine.write("home/.kube/token", "fresh\n");
    let text = kubeconfig(&format!("server: {}", server.url()), "token: stale, tokenFile: token");
    let request = first_request(&machine, &server, text);
    assert_eq!(authorization(&request), "Bearer fresh");
}

#[test]
fn token_that_no_header_can_hold_is_an_error() {
    let machine = Machine::new();
    let text = kubeconfig("server: 'http://127.0.0.1:9'", r#"token: "s3cret\n""#);
    machine.write("home/.kube/config", text);
    machine
        .run("status")
        .exits(4)
        .says("error: the user's token has a character that a request cannot carry\n")
        .never_shows("panicked")
        .never_shows("s3cret");
}

#[test]
fn empty_and_incomplete_fields_are_absent_ones() {
    let server = server();
    let cluster = format!(
        "server: first, server: '{}', certificate-authority-data: '', tls-server-name: '', proxy-url: ''",
        server.url()
    );
    let text = kubeconfig(&cluster, "token: t0k, exec: null").replace(
        "users:\n",
        "users:
- {name: gcp, user: {auth-provider: {name: gcp, config: null}}}
- {name: aws, user: {exec: {command: aws, args: null, provideClusterInfo: null}}}
- {name: none, user: null}
",
    );
    let text = text.replace("contexts:\n", "contexts:\n- {name: bare, context: {user: u}}\n");
    let request = first_request(&Machine::new(), &server, text);
    assert_eq!(authorization(&request), "Bearer t0k");
}

#[test]
fn empty_current_context_of_the_first_file_leaves_the_second_ones() {
    let server = server();
    let machine = Machine::new();
    machine.write("first", "{apiVersion: v1, kind: Config, current-context: '', clusters: []}");
    let text = kubeconfig(&format!("server: {}", server.url()), "token: t0k");
    let list = format!("first:{}", machine.path("home/.kube/config").display());
    let request = first_request(&machine.env("KUBECONFIG", list), &server, text);
    assert_eq!(authorization(&request), "Bearer t0k");
}

#[test]
fn server_and_token_flags_need_no_context() {
    let server = server();
    let machine = Machine::new();
    let text = kubeconfig("server: 'http://127.0.0.1:9'", "token: of-the-file");
    machine.write("home/.kube/config", text.replace("current-context: lab\n", ""));
    machine.run(&format!("status -n alice --token typed --server {}", server.url()));
    let requests = server.requests();
    assert_eq!(authorization(requests.first().expect("a request")), "Bearer typed");
}

#[test]
fn fault_of_a_kubeconfig_is_told_without_its_text() {
    let machine = Machine::new();
    let valid = kubeconfig("server: 'http://127.0.0.1:9'", "password: hunter2");
    for (text, fault) in [
        (valid.replace("hunter2", "\"hunter2"), "not valid YAML at line "),
        (valid.replace("hunter2", "[hunter2]"), "`users[0].user.password` is not a string"),
        (
            valid.replace("password: hunter2", "client-key-data: hunter2!"),
            "`users[0].user.client-key-data` is not base64",
        ),
        ("hunter2".into(), "the document is not a mapping"),
    ] {
        machine.write("home/.kube/config", text);
        machine
            .run("status")
            .exits(4)
            .says("error: no usable kubeconfig: `[MACHINE]/home/.kube/config`: ")
            .says(fault)
            .never_shows("hunter2");
    }
}

#[test]
fn helm_reads_relative_paths_of_an_impersonated_user() {
    let lab = MockedStack::empty();
    let machine = &lab.machine;
    let text = std::fs::read_to_string(machine.path("home/.kube/config")).expect("a kubeconfig");
    let text = text
        .replace("server:", "certificate-authority: ca.crt, server:")
        .replace(&format!("token: {TOKEN}"), "tokenFile: token");
    let authority = rcgen::generate_simple_self_signed(["ca".to_string()]).expect("a certificate");
    machine.write("lab/ca.crt", authority.cert.pem());
    machine.write("lab/token", "t0k");
    machine.write("lab/config", text);
    machine.run("install --only lrs --kubeconfig lab/config --as bob").exits(0);
    let calls = lab.helm.calls_of("upgrade");
    let derived = &calls.first().expect("a release").kubeconfig;
    for file in ["lab/ca.crt", "lab/token"] {
        let path = machine.path(file);
        assert!(derived.contains(&*path.to_string_lossy()), "{file} is absolute in {derived}");
    }
}
