//! The steps that a user runs with kubectl, helm and bash instead of this program.

use anyhow::{Context, Result};
use serde_json::Value;

use super::helm::Install;

/// The folder that `install --explain` names for the files of `install --render`.
pub const FOLDER: &str = "lastack";

/// One step of a user.
pub enum Step {
    /// The reason for the next step.
    Remark(String),
    /// Shell commands that need no file.
    Command(String),
    /// A manifest without a secret, applied from a file or from standard input.
    Apply {
        /// The name of its file, without an ending.
        file: &'static str,
        manifest: Value,
    },
    /// A Secret with random values, which the commands create unless it exists.
    Secret { name: &'static str, keys: Vec<&'static str>, commands: String },
    Release {
        install: Install,
        /// A command that succeeds when the release is not needed.
        unless: Option<String>,
        /// Commands that wait for the release.
        waits: Vec<String>,
    },
    /// An object that the rendered files lack.
    Required {
        /// In the form of kubectl, such as `configmap/lms-plugin`.
        object: String,
        /// The option of `install --render` that adds it to the files.
        option: String,
    },
    /// A verb of this program with its arguments, and the reason why no other command replaces it.
    Verb { verb: String, reason: &'static str },
}

impl Step {
    pub fn command(command: impl Into<String>) -> Self {
        Self::Command(command.into())
    }
}

/// A command that reads `input` unchanged.
pub fn with_input(command: &str, input: &str) -> String {
    format!("{command} <<'EOF'\n{}\nEOF", input.trim_end_matches('\n'))
}

/// A command that reads `input` after the shell replaced its variables and commands.
pub fn with_expanded_input(command: &str, input: &str) -> String {
    format!("{command} <<EOF\n{}\nEOF", input.trim_end_matches('\n'))
}

/// A manifest or values, with their keys in alphabetical order.
///
/// # Errors
/// When the value cannot be written as YAML.
pub fn yaml(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).context("a manifest cannot be written as YAML")
}
