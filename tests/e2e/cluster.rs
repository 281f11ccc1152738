//! A namespace of the test cluster, and the commands of a user in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Deref;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, Once};
use std::time::{Duration, Instant};

use serde_json::Value;

pub use crate::support::ended::Ended;

use crate::support::context::{self, SANDBOX};

/// The context that all tests use.
pub static CONTEXT: LazyLock<String> = LazyLock::new(|| {
    let named = std::env::var(context::VARIABLE).ok();
    context::chosen(named.as_deref()).unwrap_or_else(|error| panic!("{error}")).to_owned()
});

pub fn is_sandbox() -> bool {
    *CONTEXT == SANDBOX
}

/// Features of the sandbox. On other contexts, the tests that need them are skipped.
#[derive(Debug, Clone, Copy)]
pub enum Need {
    /// Addresses that this machine reaches.
    LoadBalancer,
    /// helm 3 and helm 4.
    TwoHelms,
    /// A node on which the production profile does not fit.
    SmallNode,
    /// A storage class with volumes of limited size, and a Moodle that can be delayed.
    Contract,
    /// An ingress controller, node ports and a load balancer at once.
    EveryExposure,
    /// The stand-in for Elasticsearch SQL.
    Sql,
    /// A server with the protocol of Amazon S3 on the PATH.
    ObjectStorage,
}

impl Need {
    fn reason(self) -> &'static str {
        match self {
            Self::LoadBalancer => "it needs addresses of a load balancer that this machine reaches",
            Self::TwoHelms => "it needs helm 3 and helm 4",
            Self::SmallNode => "it needs a node that is too small for the production profile",
            Self::Contract => "it needs volumes of limited size and the sandbox's Moodle",
            Self::EveryExposure => "it needs node ports, a load balancer and an ingress controller",
            Self::Sql => "it tests the Elasticsearch SQL of the sandbox",
            Self::ObjectStorage => "it needs the object storage of the sandbox",
        }
    }

    /// Whether the context lacks this feature, so that the test must end. Prints the reason without output capture.
    pub fn is_missing(self) -> bool {
        if is_sandbox() {
            return false;
        }
        // an unknown context is an error and skips no test
        environment("4");
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let line = format!("skipped on context {}: {test}: {}\n", *CONTEXT, self.reason());
        let _ = std::io::stderr().write_all(line.as_bytes());
        true
    }
}

pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs one of the sandbox's scripts to its end.
pub fn sandbox(script: &str) {
    assert!(is_sandbox(), "sandbox/{script} does not apply to context {}", *CONTEXT);
    let run = Command::new(repository().join("sandbox").join(script))
        .output()
        .unwrap_or_else(|error| panic!("sandbox/{script}: {error}"));
    assert!(
        run.status.success(),
        "sandbox/{script} failed:\n{}",
        String::from_utf8_lossy(&run.stderr)
    );
}

/// The cluster, with one version of helm and one namespace.
#[derive(Clone)]
pub struct Cluster {
    pub namespace: &'static str,
    environment: BTreeMap<String, String>,
    extra: Vec<(String, String)>,
}

/// The variables that select the cluster and, on the sandbox, the version of helm.
fn environment(helm: &str) -> BTreeMap<String, String> {
    let mut environment = if is_sandbox() { of_sandbox(helm) } else { BTreeMap::new() };
    let files = environment.get("KUBECONFIG").cloned().or_else(|| std::env::var("KUBECONFIG").ok());
    let files = files
        .unwrap_or_else(|| format!("{}/.kube/config", std::env::var("HOME").unwrap_or_default()));
    let files: Vec<PathBuf> = std::env::split_paths(&files).collect();
    environment.insert("KUBECONFIG".into(), kubeconfig(&files).display().to_string());
    environment
}

fn of_sandbox(helm: &str) -> BTreeMap<String, String> {
    let script = format!(
        "eval \"$({}/sandbox/env)\"; printf 'KUBECONFIG=%s\\nPATH=%s\\nLASTACK_PLUGIN=%s\\nNO_PROXY=%s\\n' \"$KUBECONFIG\" \"$PATH\" \"$LASTACK_PLUGIN\"",
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
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

/// A kubeconfig with the test cluster only, so that no command can reach another cluster.
fn kubeconfig(files: &[PathBuf]) -> PathBuf {
    static WRITTEN: LazyLock<std::sync::Mutex<Option<PathBuf>>> = LazyLock::new(Default::default);
    let mut written = WRITTEN.lock().expect("the kubeconfig");
    written
        .get_or_insert_with(|| {
            let config = context::only(&CONTEXT, files).unwrap_or_else(|error| panic!("{error}"));
            let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-kubeconfig");
            let _ = std::fs::remove_file(&path);
            std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .and_then(|mut file| file.write_all(config.to_string().as_bytes()))
                .expect("a kubeconfig for the tests");
            path
        })
        .clone()
}

impl Cluster {
    pub fn new(namespace: &'static str, helm: &str) -> Self {
        report_on_failure();
        let cluster = Self { namespace, environment: environment(helm), extra: Vec::new() };
        let context = cluster.run("kubectl", &["config", "current-context"], "").good();
        assert_eq!(context.stdout.trim(), *CONTEXT, "the tests should use the chosen context only");
        cluster
    }

    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.extra.push((name.into(), value.into()));
        self
    }

    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = if program == "kubectl-lastack" {
            let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-lastack"));
            command.args(arguments).args(["-n", self.namespace, "--context", &CONTEXT]);
            // the image registry of this cluster
            if let Ok(registry) = std::env::var("LASTACK_E2E_IMAGE_REGISTRY")
                && arguments.first() == Some(&"install")
            {
                command.args(["--image-registry", &registry]);
            }
            command
        } else {
            let mut command = Command::new(program);
            command.args(arguments);
            command
        };
        command
            .current_dir(repository())
            .env_remove("HELM")
            .envs(&self.environment)
            .envs(self.extra.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn run(&self, program: &str, arguments: &[&str], input: &str) -> Ended {
        LAST.set(Some(self.clone()));
        let began = Instant::now();
        let mut child = self
            .command(program, arguments)
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        // a program that ends without reading closes the pipe
        let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
        let ended = Ended::of(format!("{program} {}", arguments.join(" ")), child);
        // the trace of a failed test; `--nocapture` shows the slow commands
        println!(
            "{:6.1}s  {}  {}",
            began.elapsed().as_secs_f32(),
            ended.status,
            ended.line.lines().next().unwrap_or_default()
        );
        ended
    }

    /// `kubectl lastack LINE` in the namespace.
    pub fn lastack(&self, line: &str) -> Ended {
        self.run("kubectl-lastack", &line.split_whitespace().collect::<Vec<_>>(), "")
    }

    /// The same in the background.
    pub fn start(&self, line: &str) -> Child {
        self.command("kubectl-lastack", &line.split_whitespace().collect::<Vec<_>>())
            .spawn()
            .expect("the program starts")
    }

    /// kubectl in the namespace; it must succeed.
    pub fn kubectl(&self, line: &str) -> String {
        let arguments: Vec<&str> =
            ["-n", self.namespace].into_iter().chain(line.split_whitespace()).collect();
        self.run("kubectl", &arguments, "").good().stdout
    }

    pub fn kubectl_json(&self, line: &str) -> Value {
        serde_json::from_str(&self.kubectl(&format!("{line} -o json")))
            .expect("kubectl -o json gives JSON")
    }

    /// A script in bash, such as a command of the tutorial.
    pub fn shell(&self, script: &str) -> Ended {
        self.run("bash", &["-c", script], "")
    }

    /// A file for the program to read.
    pub fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("a temporary file");
        path
    }

    /// A folder for the namespace, created if necessary.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).expect("a temporary folder");
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("lastack-e2e-{}-{name}", self.namespace))
    }

    /// Creates a self-signed certificate for a name: `tls.crt` and `tls.key`.
    pub fn certify(&self, folder: &Path, name: &str) {
        let script = format!(
            "cd {} && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=e2e' \
                -addext 'subjectAltName=DNS:{name}' -keyout tls.key -out tls.crt",
            folder.display()
        );
        self.shell(&script).good();
    }

    /// Name and version of every object in the namespace that a second install could change.
    pub fn versions(&self) -> BTreeMap<String, String> {
        const KINDS: &str = "secrets,configmaps,services,serviceaccounts,deployments,networkpolicies,elasticsearches,statefulsets,jobs,pods,\
                              persistentvolumeclaims,ingresses,poddisruptionbudgets,horizontalpodautoscalers";
        let objects = self.kubectl_json(&format!("get {KINDS}"));
        let items = objects["items"].as_array().expect("a list");
        assert!(!items.is_empty(), "namespace {} should have objects", self.namespace);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
        items
            .iter()
            // terminating pods and Jobs of the CronJob change without an install
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

/// The namespace of one test. A failed test deletes it, so that its pods free their capacity.
pub struct Own(pub Cluster);

impl Deref for Own {
    type Target = Cluster;

    fn deref(&self) -> &Cluster {
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

/// Repeats a check until it holds, or to a deadline. The check itself takes time, so there is no pause.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(180);
    while !is_so() {
        assert!(Instant::now() < deadline, "timeout: {what}");
    }
}

thread_local! {
    /// The cluster of the last command of this test.
    static LAST: RefCell<Option<Cluster>> = const { RefCell::new(None) };
}

/// Makes every failed test write a report of its stack.
fn report_on_failure() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |failure| {
            usual(failure);
            // a failed install of the shared stack fails many tests, and one report is enough
            if failure.to_string().contains("previously been poisoned") {
                return;
            }
            let last = LAST.with_borrow(Clone::clone);
            if let Some(cluster) = last {
                report(&cluster, std::thread::current().name().unwrap_or("test"));
            }
        }));
    });
}

fn report(cluster: &Cluster, test: &str) {
    // beside the build of this test, because CI deletes its clone
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("e2e-reports");
    let file = directory.join(format!("{}.zip", test.replace("::", ".")));
    let _ = std::fs::create_dir_all(&directory);
    let _ = std::fs::remove_file(&file);
    let arguments = ["report", &file.display().to_string()];
    match cluster.command("kubectl-lastack", &arguments).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            eprintln!("the report of namespace {} is {}", cluster.namespace, file.display())
        }
        other => eprintln!("no report of namespace {}: {other:?}", cluster.namespace),
    }
}
