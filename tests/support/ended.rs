//! The end of a run of a program, and the assertions on it. All tests use this type.

use std::fmt;
use std::process::{Child, ExitStatus, Output};

use serde_json::Value;

/// The end of a run. Every assertion returns it, so a test can chain assertions:
///
/// | assertion | stdout | stderr |
/// |---|---|---|
/// | `prints` | holds the text | |
/// | `says` | | holds the text |
/// | `shows` | either of them holds the text | |
/// | `never_shows` | does not hold the text | does not hold the text |
pub struct Ended {
    /// The command line.
    pub line: String,
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    pub fn new(line: impl Into<String>, output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self {
            line: line.into(),
            status: output.status,
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Waits for the end of a running program.
    pub fn of(line: impl Into<String>, child: Child) -> Self {
        Self::new(line, child.wait_with_output().expect("the program ends"))
    }

    /// The run succeeded. Returns the run itself.
    #[track_caller]
    pub fn good(self) -> Self {
        self.exits(0);
        self
    }

    #[track_caller]
    pub fn exits(&self, code: i32) -> &Self {
        assert_eq!(self.status.code(), Some(code), "the exit code should be {code}\n{self}");
        self
    }

    /// A signal ended the program.
    #[track_caller]
    pub fn is_killed(&self) -> &Self {
        assert_eq!(self.status.code(), None, "a signal should end the program\n{self}");
        self
    }

    /// Stderr holds this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert!(self.stderr.contains(text), "stderr should say {text:?}\n{self}");
        self
    }

    /// Stdout holds this text.
    #[track_caller]
    pub fn prints(&self, text: &str) -> &Self {
        assert!(self.stdout.contains(text), "stdout should hold {text:?}\n{self}");
        self
    }

    /// One of the streams holds this text. For tests that do not depend on the stream.
    #[track_caller]
    pub fn shows(&self, text: &str) -> &Self {
        assert!(
            self.stdout.contains(text) || self.stderr.contains(text),
            "{text:?} should be shown\n{self}"
        );
        self
    }

    /// Neither stream holds this text.
    #[track_caller]
    pub fn never_shows(&self, text: &str) -> &Self {
        assert!(
            !self.stdout.contains(text) && !self.stderr.contains(text),
            "{text:?} should not be shown\n{self}"
        );
        self
    }

    #[track_caller]
    pub fn prints_nothing(&self) -> &Self {
        assert!(self.stdout.is_empty(), "stdout should be empty\n{self}");
        self
    }

    #[track_caller]
    pub fn says_nothing(&self) -> &Self {
        assert!(self.stderr.is_empty(), "stderr should be empty\n{self}");
        self
    }

    /// The lines of stdout, at least one.
    #[track_caller]
    pub fn lines(&self) -> Vec<&str> {
        assert!(!self.stdout.trim().is_empty(), "stdout should have lines\n{self}");
        self.stdout.lines().collect()
    }

    /// Stdout, which must be a JSON document. A document of the program must match its schema.
    #[track_caller]
    pub fn json(&self) -> Value {
        self.document(&self.stdout)
    }

    /// The lines of stdout, each of which must be a JSON document.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<Value> {
        self.lines().into_iter().map(|line| self.document(line)).collect()
    }

    #[track_caller]
    fn document(&self, text: &str) -> Value {
        let document: Value = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("stdout should be JSON: {error}\n{self}"));
        if document["apiVersion"] == "lastack/v1" {
            let kind = document["kind"].as_str().expect("a kind");
            let file = format!("{}/docs/reference/schema/{kind}.json", env!("CARGO_MANIFEST_DIR"));
            let schema =
                std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{file}: {error}"));
            let schema = serde_json::from_str(&schema).expect("a schema");
            jsonschema::validate(&schema, &document).unwrap_or_else(|error| {
                panic!("{file}: {error}: {}\n{self}", error.instance_path())
            });
        }
        document
    }
}

/// The run as a user sees it, for snapshots and failed tests.
impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "$ {}", self.line)?;
        match self.status.code() {
            Some(code) => writeln!(f, "exit code {code}")?,
            None => writeln!(f, "{}", self.status)?,
        }
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            if !text.is_empty() {
                writeln!(f, "--- {name}\n{}", text.trim_end_matches('\n'))?;
            }
        }
        Ok(())
    }
}
