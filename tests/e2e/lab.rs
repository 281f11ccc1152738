//! A namespace of the sandbox, and the commands a person types there.

use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;
use std::time::{Duration, Instant};

use serde_json::Value;

const CONTEXT: &str = "lastack-sandbox";

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs one of the sandbox's scripts to its end.
pub fn sandbox(script: &str) {
    let run = Command::new(repository().join("sandbox").join(script))
        .output()
        .unwrap_or_else(|error| panic!("sandbox/{script}: {error}"));
    assert!(
        run.status.success(),
        "sandbox/{script} failed:\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

/// The sandbox seen with one of its helms, in one namespace.
pub struct Lab {
    pub namespace: &'static str,
    environment: BTreeMap<String, String>,
    extra: Vec<(String, String)>,
}

/// How a command ended.
pub struct Ended {
    pub line: String,
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Lab {
    pub fn new(namespace: &'static str, helm: &str) -> Self {
        bundle_on_failure();
        let script = format!(
            "eval \"$({}/sandbox/env)\"; printf 'KUBECONFIG=%s\\nPATH=%s\\nLASTACK_PLUGIN=%s\\n' \"$KUBECONFIG\" \"$PATH\" \"$LASTACK_PLUGIN\"",
            repository().display()
        );
        let printed = Command::new("bash")
            .args(["-c", &script])
            .env("HELM", helm)
            .output()
            .expect("sandbox/env can be run");
        assert!(
            printed.status.success(),
            "sandbox/env failed: {}",
            String::from_utf8_lossy(&printed.stderr)
        );
        let text = String::from_utf8(printed.stdout).expect("paths are text");
        let environment = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.to_string(), v.to_string()))
            .collect();
        let lab = Self { namespace, environment, extra: Vec::new() };
        let context = lab.run("kubectl", &["config", "current-context"], "");
        assert_eq!(
            context.stdout.trim(),
            CONTEXT,
            "these tests change the cluster, so they run in the sandbox's only"
        );
        lab
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(repository())
            .env_remove("HELM")
            .envs(&self.environment)
            .envs(self.extra.iter().cloned());
        if program == "kubectl-lastack" {
            command = Command::new(env!("CARGO_BIN_EXE_kubectl-lastack"));
            command
                .args(arguments)
                .args(["-n", self.namespace, "--context", CONTEXT])
                .current_dir(repository());
            command.env_remove("HELM").envs(&self.environment).envs(self.extra.iter().cloned());
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> Ended {
        let began = Instant::now();
        let mut child = self
            .command(program, arguments)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        // a program that ends without reading closes the pipe
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let ended = Ended::of(format!("{program} {}", arguments.join(" ")), child);
        // what a test that fails did until then, and --nocapture shows what takes long
        println!(
            "{:6.1}s  exit {}  {}",
            began.elapsed().as_secs_f32(),
            ended.code,
            ended.line.lines().next().unwrap_or_default()
        );
        ended
    }

    /// `kubectl lastack LINE` in the lab's namespace.
    pub fn lastack(&self, line: &str) -> Ended {
        self.run("kubectl-lastack", &line.split_whitespace().collect::<Vec<_>>(), "")
    }

    /// The same in the background.
    pub fn start(&self, line: &str) -> Child {
        self.command("kubectl-lastack", &line.split_whitespace().collect::<Vec<_>>())
            .spawn()
            .expect("the program starts")
    }

    /// kubectl in the lab's namespace; it must work.
    pub fn kubectl(&self, line: &str) -> String {
        let arguments: Vec<&str> =
            ["-n", self.namespace].into_iter().chain(line.split_whitespace()).collect();
        self.run("kubectl", &arguments, "").good().stdout
    }

    pub fn kubectl_json(&self, line: &str) -> Value {
        serde_json::from_str(&self.kubectl(&format!("{line} -o json")))
            .expect("kubectl -o json gives JSON")
    }

    /// A line of the tutorial, typed into bash as it stands there.
    pub fn shell(&self, script: &str) -> Ended {
        self.run("bash", &["-c", script], "")
    }

    /// A file for the program to read.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a temporary file");
        path
    }

    /// A folder of the lab, made when it is not there.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lastack-e2e-{}-{name}", self.namespace))
    }

    /// Makes a certificate for a name, `tls.crt`, that is its own authority, and its `tls.key`.
    pub fn certify(&self, folder: &Path, name: &str) {
        let script = format!(
            "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=lab' \
                -addext 'subjectAltName=DNS:{name}' -keyout tls.key -out tls.crt",
            folder.display()
        );
        self.shell(&script).good();
    }

    /// Name and version of every object in the namespace that a second install could touch.
    pub fn versions(&self) -> BTreeMap<String, String> {
        const KINDS: &str = "secrets,configmaps,services,serviceaccounts,deployments,networkpolicies,elasticsearches,statefulsets,jobs,pods,\
                              persistentvolumeclaims,ingresses,poddisruptionbudgets,horizontalpodautoscalers";
        let objects = self.kubectl_json(&format!("get {KINDS}"));
        let items = objects["items"].as_array().expect("a list");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        items
            .iter()
            // a pod on its way out changes by itself, and runs of the CronJob come and go
            .filter(|item| item["metadata"]["deletionTimestamp"].is_null())
            .filter(|item| item["metadata"]["labels"]["app.kubernetes.io/name"] != "data-lake-size")
            .map(|item| {
                (
                    format!("{}/{}", text(&item["kind"]), text(&item["metadata"]["name"])),
                    text(&item["metadata"]["resourceVersion"]),
                )
            })
            .collect()
    }
}

/// The lab of one test. When that fails half way, its pods leave their room to the others.
pub struct Own(pub Lab);

impl Deref for Own {
    type Target = Lab;

    fn deref(&self) -> &Lab {
        &self.0
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.run("kubectl", &["delete", "namespace", self.namespace, "--wait=false"], "");
        }
    }
}

/// Asks again until the cluster has got that far; each question takes its time.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let patience = Instant::now() + Duration::from_secs(180);
    while !is_so() {
        assert!(Instant::now() < patience, "it should be so by now: {what}");
    }
}

/// From now on a test that fails leaves the logs of all parts and pods.
fn bundle_on_failure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |failure| {
            usual(failure);
            // a stack that could not be installed fails every test that wants it, and one bundle tells why
            if failure.to_string().contains("previously been poisoned") {
                return;
            }
            bundle(std::thread::current().name().unwrap_or("test"));
        }));
    });
}

fn bundle(test: &str) {
    // beside what this test was built to: a clone that CI made for it is gone afterwards
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .with_file_name("e2e-logs")
        .join(test.replace("::", "."));
    let outcome =
        Command::new(repository().join("sandbox/logs")).arg("--bundle").arg(&directory).output();
    match outcome {
        Ok(output) if output.status.success() => {
            eprintln!("the logs of the sandbox are in {}", directory.display())
        }
        other => eprintln!("the logs of the sandbox could not be collected: {other:?}"),
    }
}

impl Ended {
    pub fn of(line: String, child: Child) -> Self {
        let Output { status, stdout, stderr } = child.wait_with_output().expect("the command ends");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { line, code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
    }

    #[track_caller]
    pub fn good(self) -> Self {
        self.exits(0)
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "`{}` should exit {code}\n--- stdout\n{}\n--- stderr\n{}",
            self.line, self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let found = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            found,
            "`{}` should say `{text}`\n--- stdout\n{}\n--- stderr\n{}",
            self.line, self.stdout, self.stderr
        );
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| {
            panic!("`{}` should print JSON: {error}\n{}", self.line, self.stdout)
        })
    }
}
