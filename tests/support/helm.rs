//! A stand-in of `helm` that records its calls and replies from files: see `helm-stand-in`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::machine::Machine;

#[derive(Clone)]
pub struct Helm {
    directory: PathBuf,
}

/// One call of helm.
#[derive(Debug)]
pub struct Call {
    pub arguments: Vec<String>,
    /// `NAME=value`, one per line.
    pub environment: String,
    pub stdin: String,
    /// The content of the kubeconfig.
    pub kubeconfig: String,
}

impl Call {
    /// The arguments as one line.
    pub fn line(&self) -> String {
        self.arguments.join(" ")
    }

    pub fn is(&self, verb: &str) -> bool {
        self.arguments.iter().any(|argument| argument == verb)
    }

    pub fn values(&self) -> Value {
        serde_json::from_str(&self.stdin).unwrap_or_else(|error| {
            panic!("helm should receive values on standard input: {error}\n{self:?}")
        })
    }
}

impl Helm {
    /// Adds the stand-in to the PATH of the machine. The script is linked, not copied: a file that another thread still
    /// holds open for writing cannot run.
    pub fn on(machine: &Machine) -> Self {
        symlink(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/helm-stand-in"),
            machine.path("bin/helm"),
        )
        .expect("helm on PATH");
        let helm = Self { directory: machine.path("helm") };
        fs::create_dir_all(helm.directory.join("calls")).expect("a folder for the calls of helm");
        helm.version("v4.2.4")
    }

    pub fn version(self, version: &str) -> Self {
        self.replies("version", version)
    }

    /// Adds a release that this program installed, with the status and the description of helm.
    pub fn has_release_of_ours(&self, name: &str, status: &str, description: &str) -> &Self {
        let row = json!({"name": name, "status": status, "chart": "", "app_version": ""});
        self.write(&format!("labelled-{name}"), &row.to_string()).has_release(
            name,
            status,
            description,
        )
    }

    /// Deletes the state of a release, as if the Secrets of helm were deleted.
    pub fn forgets(&self, name: &str) -> &Self {
        for file in [format!("status-{name}"), format!("labelled-{name}")] {
            fs::remove_file(self.directory.join(file)).expect("a release in the state of helm");
        }
        self
    }

    /// Adds an old release in the form of `helm status`.
    pub fn has_release(&self, name: &str, status: &str, description: &str) -> &Self {
        self.has_release_since("2026-01-01T00:00:00Z", name, status, description)
    }

    /// Adds a release that changes at this moment.
    pub fn works_on_release(&self, name: &str, status: &str, description: &str) -> &Self {
        self.has_release_since(&jiff::Timestamp::now().to_string(), name, status, description)
    }

    fn has_release_since(&self, time: &str, name: &str, status: &str, description: &str) -> &Self {
        let info = json!({"status": status, "description": description, "last_deployed": time});
        self.write(
            &format!("status-{name}"),
            &json!({"name": name, "version": 3, "manifest": "", "info": info}).to_string(),
        )
    }

    /// Sets the output of `helm template` for a release.
    pub fn renders(&self, name: &str, manifest: &str) -> &Self {
        self.write(&format!("template-{name}"), manifest)
    }

    /// Sets the manifest in `helm status` for later installs of a release.
    pub fn applies(&self, name: &str, manifest: &str) -> &Self {
        self.write(&format!("manifest-{name}"), &Value::from(manifest).to_string())
    }

    /// All files of the stand-in: its state and its calls.
    pub fn memory(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            for entry in
                fs::read_dir(self.directory.join(&folder)).expect("helm's folder").flatten()
            {
                let name = format!("{folder}{}", entry.file_name().to_string_lossy());
                match entry.path().is_dir() {
                    true => folders.push(format!("{name}/")),
                    false => drop(files.insert(name, fs::read(entry.path()).expect("helm's file"))),
                }
            }
        }
        files
    }

    pub fn restore(&self, memory: &BTreeMap<String, Vec<u8>>) {
        for (name, content) in memory {
            let path = self.directory.join(name);
            fs::create_dir_all(path.parent().expect("helm's folder")).expect("helm's folder");
            fs::write(path, content).expect("helm's file");
        }
    }

    /// Sets the output of `helm list`.
    pub fn lists(&self, releases: Value) -> &Self {
        self.write("list", &releases.to_string())
    }

    /// Makes a verb fail with this text on stderr.
    pub fn fails(&self, verb: &str, text: &str) -> &Self {
        self.write(&format!("fail-{verb}"), text)
    }

    /// Sets lines that helm prints before every document.
    pub fn chatters(&self, lines: &str) -> &Self {
        self.write("noise", lines)
    }

    /// The state file of an installed release.
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("status-{name}"))
    }

    /// All calls in order, at least one.
    #[track_caller]
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.recorded();
        assert!(!calls.is_empty(), "the program should call helm");
        calls
    }

    fn recorded(&self) -> Vec<Call> {
        let order = fs::read_to_string(self.directory.join("calls/order")).unwrap_or_default();
        let read = |call: &str, what: &str| {
            fs::read_to_string(self.directory.join(format!("calls/{call}/{what}")))
                .unwrap_or_default()
        };
        let calls = order.lines().map(|call| Call {
            arguments: read(call, "arguments").lines().map(Into::into).collect(),
            environment: read(call, "environment"),
            stdin: read(call, "stdin"),
            kubeconfig: read(call, "kubeconfig"),
        });
        calls.collect()
    }

    /// The calls of one verb, possibly none.
    pub fn calls_of(&self, verb: &str) -> Vec<Call> {
        self.recorded().into_iter().filter(|call| call.is(verb)).collect()
    }

    /// The values of the current revision of a release: those of its last upgrade that was not rolled back.
    pub fn current_values(&self, release: &str) -> Option<Value> {
        let mut revisions = Vec::new();
        for call in self.recorded() {
            let is_of = |verb| call.is(verb) && call.is(release);
            if is_of("upgrade") {
                revisions.push(call.values());
            } else if is_of("rollback") {
                revisions.pop();
            }
        }
        revisions.pop()
    }

    fn replies(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.directory.join(name), text).expect("a file of the stand-in");
        self
    }
}
