//! Moodle without the other parts, in a namespace beside the shared stack: what breaks in its pods, and how `install` mends it.

use std::path::PathBuf;
use std::process::Child;
use std::sync::{LazyLock, Mutex, PoisonError};

use crate::cluster::{Cluster, Ended, Need, eventually};
use crate::parts::{in_moodle, php_in_moodle};
use crate::turns::Turn;
use crate::{beside, remove};

/// The Moodle of these tests: on a small volume, and installed although its pod was killed while it did that.
static MOODLE: LazyLock<Cluster> = LazyLock::new(|| Cluster::new(NAMESPACE, "4"));
const NAMESPACE: &str = "e2e-lms";

/// What Moodle said when its installation was killed and made again. None while there is no such Moodle.
static BEGINNING: Mutex<Option<String>> = Mutex::new(None);

fn begin() -> String {
    remove(NAMESPACE);
    let values = slow(&MOODLE, "INSTALL");
    let install = MOODLE.start(&format!("install --only lms --values lms={}", values.display()));
    killed_when(&MOODLE, install, "Moodle installs itself", || logs(&MOODLE).contains("-->System"));
    logs(&MOODLE)
}

/// Values with which it takes some seconds more for this, so that it can be killed meanwhile.
fn slow(lab: &Cluster, what: &str) -> PathBuf {
    let values = format!(
        "extraEnv: [{{name: CONTRACT_{what}_SECONDS, value: \"10\"}}]\npersistence: {{size: 64Mi, storageClass: sized}}\n"
    );
    lab.file("slow.yaml", &values)
}

/// It, which from now on is this test's alone.
fn moodle() -> &'static Cluster {
    if beside(NAMESPACE) == Turn::Began {
        let mut beginning = BEGINNING.lock().unwrap_or_else(PoisonError::into_inner);
        // others may have needed the room meanwhile
        let is_there = MOODLE.run("kubectl", &["get", "namespace", NAMESPACE], "").status.success();
        if !is_there || beginning.is_none() {
            *beginning = None;
            *beginning = Some(begin());
        }
    }
    &MOODLE
}

/// Kills Moodle's pod while a command is at work there, which has to end well all the same.
fn killed_when(lab: &Cluster, mut command: Child, what: &str, is_so: impl Fn() -> bool) {
    eventually(what, || {
        assert!(
            command.try_wait().expect("a child").is_none(),
            "install ended before Moodle began"
        );
        is_so()
    });
    lab.kubectl("delete pod -l app.kubernetes.io/instance=lms,app.kubernetes.io/component=web --grace-period=1");
    Ended::of("install while its pod is killed", command).good();
}

/// What Moodle's container has said, also when there is none yet.
fn logs(lab: &Cluster) -> String {
    lab.run("kubectl", &["-n", lab.namespace, "logs", "deploy/lms-moodle", "-c", "moodle"], "")
        .stdout
}

fn is_well() {
    moodle().lastack("status").good().shows("events, 0 waiting");
}

#[test]
fn a_plugin_that_is_gone_is_put_back_from_the_cluster() {
    if Need::Contract.is_missing() {
        return;
    }
    in_moodle(moodle(), "rm -rf admin/tool/log/store/xapi").good();
    moodle().lastack("status").exits(3).shows("the plugin that sends events is not installed");
    moodle().lastack("configure lms").exits(1).shows("run `kubectl lastack install` to install it");
    moodle().lastack("install").good().shows("ok        lms.installed");
    is_well();
    moodle().lastack("install").good().shows("nothing to change");
}

#[test]
fn a_database_that_is_down_is_named_and_brought_back() {
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
    is_well();
}

#[test]
fn an_address_that_somebody_gave_moodle_is_taken_back() {
    if Need::Contract.is_missing() {
        return;
    }
    moodle().kubectl("set env deployment/lms-moodle SITE_URL=http://elsewhere.example.org");
    moodle().kubectl("rollout status deployment/lms-moodle --timeout=180s");
    moodle().lastack("status").exits(3).shows("to http://elsewhere.example.org");
    moodle().lastack("install").good();
    is_well();
}

#[test]
fn a_beginning_that_was_killed_half_way_is_made_again() {
    if Need::Contract.is_missing() {
        return;
    }
    moodle();
    let log = BEGINNING.lock().expect("the log").clone().expect("the log of the beginning");
    assert!(log.contains("an installation was stopped half-way"), "{log}");
    is_well();
}

#[test]
fn a_volume_that_is_full_is_named() {
    if Need::Contract.is_missing() {
        return;
    }
    in_moodle(moodle(), "dd if=/dev/zero of=/var/www/moodledata/filler bs=1M")
        .exits(1)
        .shows("No space left on device");
    moodle().lastack("status").exits(3).shows("the volume with Moodle's files is full, 0 B left");
    in_moodle(moodle(), "rm /var/www/moodledata/filler").good();
    is_well();
}

#[test]
fn an_upgrade_that_was_killed_half_way_goes_on() {
    if Need::Contract.is_missing() {
        return;
    }
    php_in_moodle(moodle(), "set_config('allversionshash', '');");
    let install =
        moodle().start(&format!("install --values lms={}", slow(moodle(), "UPGRADE").display()));
    killed_when(moodle(), install, "Moodle upgrades the plugin", || {
        in_moodle(moodle(), "php admin/cli/cfg.php --name=version")
            .stdout
            .contains("Site is being upgraded")
    });
    let log = logs(moodle());
    assert!(log.contains("an upgrade was stopped half-way"), "{log}");
    is_well();
}
