//! Moodle without the other components, beside the shared stack: the faults of its pods, and their repair by `install`.

use std::path::PathBuf;
use std::process::Child;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::cluster::{Cluster, Ended, Need, eventually};
use crate::components::{in_moodle, php_in_moodle};
use crate::turns::Turn;
use crate::{beside, remove};

/// The Moodle of these tests, with a small volume. A test kills its pod during the installation.
static MOODLE: LazyLock<Cluster> = LazyLock::new(|| Cluster::new(NAMESPACE, "4"));
const NAMESPACE: &str = "e2e-lms";

/// The log of Moodle after its interrupted installation. None without such a Moodle.
static INSTALLATION_LOG: Mutex<Option<String>> = Mutex::new(None);

fn begin() -> String {
    remove(NAMESPACE);
    let values = held(&MOODLE, "tables rolesactive");
    let mut install =
        MOODLE.start(&format!("install --only lms --values lms={}", values.display()));
    kill_when(&MOODLE, &mut install, "Moodle installs itself", || {
        logs(&MOODLE).contains("-->System")
    });
    killed_when(&MOODLE, install, "Moodle has roles and no name", has_roles);
    logs(&MOODLE)
}

/// Whether its database has the mark that Moodle sets shortly before an installation is complete.
fn has_roles() -> bool {
    let query = "SELECT value FROM mdl_config WHERE name = 'rolesactive'";
    let psql = format!("psql -U \"$POSTGRES_USER\" \"$POSTGRES_DB\" -tAc \"{query}\"");
    let line = ["exec", "-n", NAMESPACE, "lms-postgresql-0", "--", "sh", "-c", &psql];
    MOODLE.run("kubectl", &line, "").stdout.trim() == "1"
}

/// Values with which Moodle waits in each of the phases until a test kills its pod.
fn held(cluster: &Cluster, phases: &str) -> PathBuf {
    let values = format!(
        "extraEnv: [{{name: CONTRACT_HOLD, value: \"{phases}\"}}]\npersistence: {{size: 64Mi, storageClass: sized}}\n"
    );
    cluster.file("held.yaml", &values)
}

/// The Moodle, for the exclusive use of this test.
fn moodle() -> &'static Cluster {
    if beside(NAMESPACE) == Turn::Began {
        let mut log = INSTALLATION_LOG.lock().unwrap_or_else(PoisonError::into_inner);
        // another test may have deleted the namespace
        let is_there = MOODLE.run("kubectl", &["get", "namespace", NAMESPACE], "").status.success();
        if !is_there || log.is_none() {
            *log = None;
            *log = Some(begin());
        }
    }
    &MOODLE
}

/// Kills the pod of Moodle during a command, which must still succeed.
fn killed_when(cluster: &Cluster, mut command: Child, what: &str, is_so: impl Fn() -> bool) {
    kill_when(cluster, &mut command, what, is_so);
    Ended::of("install while its pod is killed", command).good();
}

fn kill_when(cluster: &Cluster, command: &mut Child, what: &str, is_so: impl Fn() -> bool) {
    eventually(what, || {
        assert!(
            command.try_wait().expect("a child").is_none(),
            "install should run until the pod is killed"
        );
        is_so()
    });
    cluster.kubectl("delete pod -l app.kubernetes.io/instance=lms,app.kubernetes.io/component=web --grace-period=1");
}

/// The log of the Moodle container, or an empty text without one.
fn logs(cluster: &Cluster) -> String {
    cluster
        .run("kubectl", &["-n", cluster.namespace, "logs", "deploy/lms-moodle", "-c", "moodle"], "")
        .stdout
}

fn assert_healthy() {
    moodle().lastack("status").good().shows("events, 0 waiting");
}

#[test]
fn install_restores_a_deleted_plugin_from_the_cluster() {
    if Need::Contract.is_missing() {
        return;
    }
    in_moodle(moodle(), "rm -rf admin/tool/log/store/xapi").good();
    moodle().lastack("status").exits(3).shows("the plugin that sends events is not installed");
    moodle().lastack("configure lms").exits(1).shows("run `kubectl lastack install` to install it");
    moodle().lastack("install").good().shows("ok        lms.installed");
    assert_healthy();
    moodle().lastack("install").good().shows("nothing to change");
}

#[test]
fn install_restores_a_moodle_database_that_is_scaled_down() {
    if Need::Contract.is_missing() {
        return;
    }
    moodle().kubectl("scale statefulset lms-postgresql --replicas=0");
    moodle().kubectl("wait --for=delete pod/lms-postgresql-0 --timeout=60s");
    moodle()
        .lastack("status")
        .exits(3)
        .shows("Moodle's PostgreSQL is down: statefulset lms-postgresql is scaled to 0 pods");
    moodle().lastack("install").good();
    assert_healthy();
}

#[test]
fn install_restores_a_changed_moodle_address() {
    if Need::Contract.is_missing() {
        return;
    }
    moodle().kubectl("set env deployment/lms-moodle SITE_URL=http://elsewhere.example.org");
    moodle().kubectl("rollout status deployment/lms-moodle --timeout=180s");
    moodle().lastack("status").exits(3).shows("to http://elsewhere.example.org");
    moodle().lastack("install").good();
    assert_healthy();
}

#[test]
fn moodle_installation_that_was_killed_is_repeated() {
    if Need::Contract.is_missing() {
        return;
    }
    moodle();
    let log =
        INSTALLATION_LOG.lock().expect("the log").clone().expect("the log of the installation");
    assert!(log.contains("an installation was stopped half-way"), "{log}");
    assert_healthy();
}

#[test]
fn status_names_a_full_moodle_volume() {
    if Need::Contract.is_missing() {
        return;
    }
    in_moodle(moodle(), "dd if=/dev/zero of=/var/www/moodledata/filler bs=1M")
        .exits(1)
        .shows("No space left on device");
    moodle().lastack("status").exits(3).shows("the volume with Moodle's files is full, 0 B left");
    in_moodle(moodle(), "rm /var/www/moodledata/filler").good();
    assert_healthy();
}

#[test]
fn moodle_upgrade_that_was_killed_continues() {
    if Need::Contract.is_missing() {
        return;
    }
    php_in_moodle(moodle(), "set_config('allversionshash', '');");
    let install =
        moodle().start(&format!("install --values lms={}", held(moodle(), "upgrade").display()));
    killed_when(moodle(), install, "Moodle upgrades the plugin", || {
        in_moodle(moodle(), "php admin/cli/cfg.php --name=version")
            .stdout
            .contains("Site is being upgraded")
    });
    let log = logs(moodle());
    assert!(log.contains("an upgrade was stopped half-way"), "{log}");
    assert_healthy();
}
