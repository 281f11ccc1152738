//! A `helm` that does nothing but remember what it was asked and answer from files: see `fake-helm`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::machine::Machine;

pub struct Helm {
    directory: PathBuf,
}

/// One call of helm.
#[derive(Debug)]
pub struct Call {
    pub arguments: Vec<String>,
    /// `NAME=value`, a line each.
    pub environment: String,
    pub stdin: String,
    /// What the kubeconfig held that helm was pointed at.
    pub kubeconfig: String,
}

impl Call {
    /// The arguments as a person would type them.
    pub fn line(&self) -> String {
        self.arguments.join(" ")
    }

    pub fn is(&self, verb: &str) -> bool {
        self.arguments.iter().any(|argument| argument == verb)
    }

    pub fn values(&self) -> Value {
        serde_json::from_str(&self.stdin).unwrap_or_else(|error| {
            panic!("helm got no values on standard input: {error}\n{self:?}")
        })
    }
}

impl Helm {
    /// Puts it on the machine's PATH. The script is linked, not written: a file that another thread still holds
    /// open for writing cannot be run.
    pub fn on(machine: &Machine) -> Self {
        symlink(
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/fake-helm"),
            machine.path("bin/helm"),
        )
        .expect("helm on PATH");
        let helm = Self { directory: machine.path("helm") };
        fs::create_dir_all(helm.directory.join("calls")).expect("a place for helm's calls");
        helm.version("v4.2.4")
    }

    pub fn version(self, version: &str) -> Self {
        self.answers("version", version)
    }

    /// The same for a release that this program made at some time, and helm described since.
    pub fn has_release_of_ours(&self, name: &str, status: &str, description: &str) -> &Self {
        let row = json!({"name": name, "status": status, "chart": "", "app_version": ""});
        self.write(&format!("labelled-{name}"), &row.to_string()).has_release(
            name,
            status,
            description,
        )
    }

    /// As if somebody had deleted the Secrets in which helm keeps a release.
    pub fn forgets(&self, name: &str) -> &Self {
        for file in [format!("status-{name}"), format!("labelled-{name}")] {
            fs::remove_file(self.directory.join(file)).expect("a release that helm knows");
        }
        self
    }

    /// A release that helm knows for long, as `helm status` tells it.
    pub fn has_release(&self, name: &str, status: &str, description: &str) -> &Self {
        self.has_release_since("2026-01-01T00:00:00Z", name, status, description)
    }

    /// The same at this very moment.
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

    /// What `helm status` says of the objects of a release that it installs from now on.
    pub fn applies(&self, name: &str, manifest: &str) -> &Self {
        self.write(&format!("manifest-{name}"), &Value::from(manifest).to_string())
    }

    /// All it knows and was asked.
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

    pub fn remembers(&self, memory: &BTreeMap<String, Vec<u8>>) {
        for (name, content) in memory {
            let path = self.directory.join(name);
            fs::create_dir_all(path.parent().expect("helm's folder")).expect("helm's folder");
            fs::write(path, content).expect("helm's file");
        }
    }

    /// What `helm list` says.
    pub fn lists(&self, releases: Value) -> &Self {
        self.write("list", &releases.to_string())
    }

    /// Makes a verb end with this text on stderr.
    pub fn fails(&self, verb: &str, text: &str) -> &Self {
        self.write(&format!("fail-{verb}"), text)
    }

    /// Lines that helm prints before every document.
    pub fn chatters(&self, lines: &str) -> &Self {
        self.write("noise", lines)
    }

    /// The file that is there once helm has installed a release.
    pub fn trace_of(&self, name: &str) -> PathBuf {
        self.directory.join(format!("status-{name}"))
    }

    /// Everything it was asked, in order; it must have been called.
    #[track_caller]
    pub fn calls(&self) -> Vec<Call> {
        let calls = self.recorded();
        assert!(!calls.is_empty(), "helm should have been called");
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

    /// The calls of one verb, of which there may be none.
    pub fn calls_of(&self, verb: &str) -> Vec<Call> {
        self.recorded().into_iter().filter(|call| call.is(verb)).collect()
    }

    fn answers(self, name: &str, text: &str) -> Self {
        self.write(name, text);
        self
    }

    fn write(&self, name: &str, text: &str) -> &Self {
        fs::write(self.directory.join(name), text).expect("an answer of helm");
        self
    }
}
