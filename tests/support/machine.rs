//! A machine with only the program: a separate home, an empty PATH and no other environment.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

pub use super::ended::Ended;
use super::server::Server;

/// The user's token in every kubeconfig that a test writes. No output may hold it.
pub const TOKEN: &str = "token-of-the-user";

pub struct Machine {
    directory: TempDir,
    environment: Vec<(OsString, OsString)>,
}

impl Machine {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for the test");
        for name in ["home", "bin", "tmp"] {
            fs::create_dir(directory.path().join(name)).expect("a directory for the test");
        }
        Self { directory, environment: Vec::new() }
    }

    /// A machine whose kubeconfig has the contexts `lab` (the current one) and `other` for this server.
    pub fn with_cluster(server: &str) -> Self {
        let machine = Self::new();
        machine.write("home/.kube/config", kubeconfig(server));
        machine
    }

    /// Sets a variable for every run.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().into(), value.as_ref().into()));
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file below the working directory of the runs.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file of the machine"))
            .expect("a directory of the machine");
        fs::write(&path, content).expect("a file of the machine");
        path
    }

    /// The program with these arguments, not yet started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-lastack"));
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env_clear()
            .env("HOME", self.path("home"))
            .env("TMPDIR", self.path("tmp"))
            .env("PATH", self.path("bin"))
            .env("COLUMNS", "100")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the program, sends it this signal after its first request to the server, and waits for its end.
    pub fn signal(&self, line: &str, signal: &str, server: &Server) -> Ended {
        let words: Vec<&str> = line.split_whitespace().collect();
        let child = self.command(&words).spawn().expect("the program starts");
        server.wait_for_a_request();
        let kill = format!("kill -{signal} {}", child.id());
        let killed = Command::new("sh").args(["-c", &kill]).stdin(Stdio::null()).status();
        assert!(killed.expect("sh").success());
        self.ended(line, child.wait_with_output().expect("the program ends"))
    }

    /// Runs the program to its end. The words of the line are the arguments.
    pub fn run(&self, line: &str) -> Ended {
        self.feed(line, "")
    }

    /// The same with standard input.
    pub fn feed(&self, line: &str, input: impl AsRef<[u8]>) -> Ended {
        let arguments: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.command(&arguments);
        if input.as_ref().is_empty() {
            return self.ended(line, command.output().expect("the program runs"));
        }
        let mut child = command.stdin(Stdio::piped()).spawn().expect("the program runs");
        let mut stdin = child.stdin.take().expect("a pipe to the program");
        // a program that ends before it reads all input is judged by its output
        let _ = stdin.write_all(input.as_ref());
        drop(stdin);
        self.ended(line, child.wait_with_output().expect("the program ends"))
    }

    pub fn ended(&self, line: &str, output: Output) -> Ended {
        let mut ended = Ended::new(format!("kubectl lastack {line}"), output);
        for text in [&mut ended.stdout, &mut ended.stderr] {
            assert!(!text.contains('\u{fffd}'), "the program should write UTF-8: {text}");
            *text = neutral(text, self.directory.path());
        }
        ended
    }
}

fn kubeconfig(server: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Config, current-context: lab,
           clusters: [{{name: cluster-of-lab, cluster: {{server: '{server}'}}}}],
           users: [{{name: alice, user: {{token: {TOKEN}}}}}],
           contexts: [{{name: lab, context: {{cluster: cluster-of-lab, user: alice, namespace: alice}}}},
                      {{name: other, context: {{cluster: cluster-of-lab, user: alice}}}}]}}\n"
    )
}

/// The text without the parts that differ between runs: the directory of the machine and durations.
fn neutral(text: &str, directory: &Path) -> String {
    text.replace(&*directory.to_string_lossy(), "[MACHINE]")
        .split_inclusive('\n')
        .map(without_duration)
        .collect()
}

/// A line without its end, if that is three spaces and a duration.
fn without_duration(line: &str) -> String {
    let text = line.strip_suffix('\n').unwrap_or(line);
    let is_duration = |word: &str| {
        word.ends_with('s') && word.starts_with(|c: char| c.is_ascii_digit()) && !word.contains(' ')
    };
    match text.rsplit_once("   ") {
        Some((before, word)) if is_duration(word) => {
            format!("{}{}", before.trim_end(), &line[text.len()..])
        }
        _ => line.into(),
    }
}
