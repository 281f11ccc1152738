//! `completion install`: the script that kubectl runs to complete `kubectl lastack`.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::support::machine::{Ended, Machine};

/// A machine with the program on PATH as a link, as krew installs it.
fn machine() -> Machine {
    let machine = Machine::new();
    symlink(env!("CARGO_BIN_EXE_kubectl-lastack"), machine.path("bin/kubectl-lastack"))
        .expect("the program on PATH");
    machine
}

/// The completion that kubectl receives after these words.
fn completed(machine: &Machine, words: &[&str]) -> Ended {
    let script = machine.path("bin/kubectl_complete-lastack");
    let output = Command::new(script)
        .args(words)
        .env_clear()
        .env("PATH", machine.path("bin"))
        .output()
        .expect("the installed script runs");
    machine.ended(&words.join(" "), output)
}

#[test]
fn completion_install_enables_completion_in_kubectl() {
    let machine = machine();
    let installed = machine.run("completion install");
    installed
        .exits(0)
        .prints_nothing()
        .says("bin/kubectl_complete-lastack written\n")
        .says("source <(kubectl completion bash)");
    completed(&machine, &[""])
        .exits(0)
        .says_nothing()
        .prints("install\tInstall the stack")
        .prints("\n:4\n")
        .never_shows("__complete");
    let after = |words: &[&str]| completed(&machine, words).stdout;
    assert_eq!(after(&["install", "--profile", "c"]).lines().last(), Some(":4"));
    assert!(after(&["install", "--profile", "c"]).starts_with("classroom"));
    assert_eq!(after(&["seed", ""]), ":0\n", "the shell should complete file names");
}

#[test]
fn completion_install_updates_an_outdated_script_and_leaves_a_current_one() {
    let machine = machine();
    let file = machine.path("bin/kubectl_complete-lastack");
    machine.run("completion install").exits(0);
    let script = fs::read_to_string(&file).unwrap();
    machine.run("completion install").exits(0).says("unchanged");
    fs::write(&file, script.replace("exec", "command")).unwrap();
    machine.run("completion install").exits(0).says("written");
    assert_eq!(fs::read_to_string(&file).unwrap(), script);
}

#[test]
fn completion_install_rejects_a_foreign_file() {
    let machine = machine();
    let file = machine.write("bin/kubectl_complete-lastack", "#!/bin/sh\necho mine\n");
    machine
        .run("completion install")
        .exits(1)
        .says("was not written by this tool")
        .says("hint: delete the file");
    assert_eq!(fs::read_to_string(file).unwrap(), "#!/bin/sh\necho mine\n");
}

#[test]
fn completion_install_avoids_the_directory_that_krew_manages() {
    let machine = machine();
    fs::create_dir(machine.path("receipts")).unwrap();
    machine
        .run("completion install")
        .exits(1)
        .says("krew manages ")
        .says("hint: choose another directory on PATH with `--dir`");
    assert!(!machine.path("bin/kubectl_complete-lastack").exists());
    fs::create_dir_all(machine.path("home/own")).unwrap();
    let path = [machine.path("bin"), machine.path("home/own")];
    let path = std::env::join_paths(path).unwrap().into_string().unwrap();
    let machine = machine.env("PATH", path);
    machine.run("completion install").exits(0).says("home/own/kubectl_complete-lastack written");
    assert!(!machine.path("bin/kubectl_complete-lastack").exists());
}

#[test]
fn completion_uninstall_deletes_only_what_completion_install_wrote() {
    let machine = machine();
    let file = machine.path("bin/kubectl_complete-lastack");
    machine.run("completion install").exits(0);
    machine.run("completion uninstall").exits(0).says("bin/kubectl_complete-lastack deleted");
    assert!(!file.exists());
    machine.run("completion uninstall").exits(0).says("There is no kubectl_complete-lastack");
    fs::write(&file, "#!/bin/sh\necho mine\n").unwrap();
    machine.run("completion uninstall").exits(0).says("left in place");
    assert!(file.exists());
}

#[test]
fn completion_install_warns_about_path_and_fails_without_the_directory() {
    let machine = machine();
    machine
        .run("completion install --dir home")
        .exits(0)
        .says("warning: home is not on PATH, so kubectl cannot find the program");
    machine.run("completion install --dir bin").exits(0).never_shows("warning");
    machine
        .run("completion install --dir absent")
        .exits(1)
        .says("cannot write absent/kubectl_complete-lastack")
        .says("hint: choose a directory on PATH");
    Machine::new()
        .run("completion install")
        .exits(1)
        .says("kubectl-lastack is not on PATH")
        .says("hint: add it to PATH");
}
