//! Pipes, colours and signals.

use std::io::pipe;
use std::process::{Command, Stdio};

use crate::support::machine::Machine;
use crate::support::server::{Reply, Server};

#[test]
fn closed_stdout_is_no_error() {
    let machine = Machine::new();
    for line in [
        "version",
        "version --images",
        "version -o json",
        "completion bash",
        "--help",
        "install --help",
        "",
    ] {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let output = machine.command(&arguments).stdout(writer).output().unwrap();
        machine.ended(line, output).exits(0).says_nothing();
    }
}

#[test]
fn closed_stderr_does_not_change_the_exit_code() {
    let machine = Machine::new();
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let output = machine.command(&["status"]).stderr(writer).output().unwrap();
    machine.ended("status", output).exits(4).prints_nothing();
}

const ESCAPE: &str = "\u{1b}[";

#[test]
fn output_without_a_terminal_has_no_colour() {
    for line in ["--help", "status", "status --nonsense", "version", ""] {
        Machine::new().run(line).never_shows(ESCAPE);
    }
}

#[test]
fn no_color_overrides_forced_colour() {
    let forced = Machine::new().env("CLICOLOR_FORCE", "1");
    forced.run("status").says(ESCAPE);
    forced.env("NO_COLOR", "1").run("status").never_shows(ESCAPE);
}

#[test]
fn ctrl_c_ends_a_hanging_request_at_once() {
    let server = Server::start(|_| Reply::Hang);
    let machine = Machine::with_cluster(&server.url());
    machine
        .signal("status", "INT", &server)
        .exits(130)
        .prints_nothing()
        .says("error: interrupted")
        .says("hint: run the command again to continue; nothing was rolled back");
}

#[test]
fn ctrl_c_is_the_usual_end_of_a_command_without_one() {
    for line in ["status --watch", "logs -f", "open lrs --print"] {
        let server = Server::start(|_| Reply::Hang);
        let machine = Machine::with_cluster(&server.url());
        machine.signal(line, "INT", &server).exits(130).says_nothing();
    }
}

#[test]
fn sigterm_ends_a_command_and_leaves_no_credential_behind() {
    let server = Server::start(|_| Reply::Hang);
    let machine = Machine::with_cluster(&server.url());
    // a token of a flag makes a kubeconfig for helm
    let child = machine.command(&["status", "--token", "s3cret"]).spawn().unwrap();
    server.wait_for_a_request();
    let folder = machine.path("tmp");
    let files = || std::fs::read_dir(&folder).expect("the temporary folder").count();
    assert_eq!(files(), 1, "the kubeconfig for helm");
    let killed = Command::new("sh")
        .args(["-c", &format!("kill -TERM {}", child.id())])
        .stdin(Stdio::null())
        .status()
        .unwrap();
    assert!(killed.success());
    let ended = machine.ended("status", child.wait_with_output().unwrap());
    ended.exits(130).says("error: interrupted").never_shows("s3cret");
    assert_eq!(files(), 0, "after the end");
}
