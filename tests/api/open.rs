//! `open`: the address of a component, or a port-forward that stays open.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Child;

use crate::support::stack::MockedStack;

/// The response that a browser receives.
fn fetch(address: &str) -> String {
    let (host, path) =
        address.trim_start_matches("http://").split_once('/').expect("an address with a path");
    let mut stream = TcpStream::connect(host).expect("the port of the forward");
    write!(stream, "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
        .expect("a request");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("a reply");
    reply
}

/// Starts `open lrs` and returns the address that it prints first.
fn opened(stack: &MockedStack) -> (Child, String) {
    let mut child =
        stack.machine.command(&["open", "lrs", "--print"]).spawn().expect("the program runs");
    let mut address = String::new();
    BufReader::new(child.stdout.as_mut().expect("a pipe"))
        .read_line(&mut address)
        .expect("an address");
    (child, address)
}

#[test]
fn open_without_an_external_address_keeps_a_port_forward_open() {
    let stack = MockedStack::installed();
    let (mut child, address) = opened(&stack);
    assert!(
        address.starts_with("http://127.0.0.1:") && address.ends_with("/__heartbeat__\n"),
        "{address}"
    );
    for _ in 0..2 {
        let reply = fetch(address.trim());
        assert!(reply.starts_with("HTTP/1.1 200 "), "{reply}");
    }
    assert!(
        child.try_wait().expect("a child").is_none(),
        "the port-forward should stay open until the test ends it"
    );
    child.kill().and_then(|()| child.wait()).expect("the program runs until the test ends it");
}

#[test]
fn open_forwards_to_a_custom_service_port() {
    let stack = MockedStack::installed();
    let mut service = stack
        .kubernetes
        .object("/api/v1/namespaces/alice/services/lrs-ralph")
        .expect("the Service");
    service["spec"]["ports"][0]["port"] = 8081.into();
    stack.kubernetes.put([service]);
    let values = stack.machine.path("values.yaml");
    std::fs::write(&values, "service: {port: 8081}\n").expect("a file");
    stack.machine.run(&format!("install --values lrs={}", values.display())).exits(0);
    let (mut child, address) = opened(&stack);
    assert!(fetch(address.trim()).starts_with("HTTP/1.1 200 "), "{address} should reach the pod");
    child.kill().and_then(|()| child.wait()).expect("the program runs until the test ends it");
}

#[test]
fn open_of_a_service_without_ready_pods_fails() {
    let stack = MockedStack::installed();
    stack.kubernetes.remove("/api/v1/namespaces/alice/pods/lrs-ralph-0");
    stack
        .machine
        .run("open lrs --print")
        .exits(1)
        .prints_nothing()
        .says("service lrs-ralph has no ready pod");
}
