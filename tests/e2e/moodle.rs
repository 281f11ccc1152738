//! Moodle without the other parts, in namespaces beside the shared stack: what breaks in its pods, and how `install` mends it.

use std::sync::LazyLock;

use crate::beside;
use crate::lab::{Ended, Lab, Own, eventually};
use crate::parts::{in_moodle, php_in_moodle};

static MOODLE: LazyLock<Lab> = LazyLock::new(|| Lab::with("e2e-lms", "lms"));

/// A Moodle, which from now on is this test's alone.
fn moodle() -> &'static Lab {
    beside(|| &MOODLE)
}

fn is_well() {
    moodle().lastack("status").good().says("events, 0 waiting");
}

#[test]
fn a_plugin_that_is_gone_is_put_back_from_the_cluster() {
    in_moodle(moodle(), "rm -rf admin/tool/log/store/xapi").good();
    moodle().lastack("status").exits(3).says("the plugin that sends events is not installed");
    moodle().lastack("configure lms").exits(1).says("`kubectl lastack install` puts it there");
    moodle().lastack("install").good().says("ok       lms.installed");
    is_well();
    moodle().lastack("install").good().says("nothing to change");
}

#[test]
fn a_database_that_is_down_is_named_and_brought_back() {
    moodle().kubectl("scale statefulset lms-postgresql --replicas=0");
    moodle().kubectl("wait --for=delete pod/lms-postgresql-0 --timeout=60s");
    moodle().lastack("status").exits(3).says("Moodle's PostgreSQL is down: statefulset lms-postgresql is scaled to 0 pods");
    moodle().lastack("install").good();
    is_well();
}

#[test]
fn an_address_that_somebody_gave_moodle_is_taken_back() {
    moodle().kubectl("set env deployment/lms-moodle SITE_URL=http://elsewhere.example.org");
    moodle().kubectl("rollout status deployment/lms-moodle --timeout=180s");
    moodle().lastack("status").exits(3).says("to http://elsewhere.example.org");
    moodle().lastack("install").good();
    is_well();
}

#[test]
fn a_first_start_that_was_killed_half_way_begins_again_and_a_volume_that_is_full_is_named() {
    let lab = beside(|| Own(Lab::new("e2e-half", "4")));
    let slow = "extraEnv: [{name: CONTRACT_INSTALL_SECONDS, value: \"10\"}]\npersistence: {size: 64Mi, storageClass: sized}\n";
    let slow = lab.file("slow.yaml", slow);
    let mut install = lab.start(&format!("install --only lms --values lms={}", slow.display()));
    eventually("Moodle has begun to install itself", || {
        assert!(install.try_wait().expect("a child").is_none(), "install ended before Moodle began");
        lab.run("kubectl", &["-n", "e2e-half", "logs", "deploy/lms-moodle", "-c", "moodle"], "").stdout.contains("-->System")
    });
    lab.kubectl("delete pod -l app.kubernetes.io/instance=lms,app.kubernetes.io/component=web --grace-period=1");
    Ended::of("install while its pod is killed".into(), install).good();
    let log = lab.kubectl("logs deploy/lms-moodle -c moodle");
    assert!(log.contains("an installation was stopped half-way"), "{log}");

    lab.lastack("status").good();
    in_moodle(&lab, "dd if=/dev/zero of=/var/www/moodledata/filler bs=1M").exits(1).says("No space left on device");
    lab.lastack("status").exits(3).says("the volume with Moodle's files is full, 0 B are left");
    in_moodle(&lab, "rm /var/www/moodledata/filler").good();
    lab.lastack("status").good();
    lab.lastack("uninstall --yes").good();
}

#[test]
fn an_upgrade_that_was_killed_half_way_goes_on() {
    php_in_moodle(moodle(), "set_config('allversionshash', '');");
    let slow = moodle().file("slow.yaml", "extraEnv: [{name: CONTRACT_UPGRADE_SECONDS, value: \"20\"}]\n");
    let mut install = moodle().start(&format!("install --values lms={}", slow.display()));
    eventually("Moodle upgrades the plugin", || {
        assert!(install.try_wait().expect("a child").is_none(), "install ended before Moodle began");
        in_moodle(moodle(), "php admin/cli/cfg.php --name=version").stdout.contains("Site is being upgraded")
    });
    moodle().kubectl("delete pod -l app.kubernetes.io/instance=lms,app.kubernetes.io/component=web --grace-period=1");
    Ended::of("install while its pod is killed".into(), install).good();
    let log = moodle().kubectl("logs deploy/lms-moodle -c moodle");
    assert!(log.contains("an upgrade was stopped half-way"), "{log}");
    is_well();
    let none = moodle().file("none.yaml", "{}\n");
    moodle().lastack(&format!("install --values lms={}", none.display())).good();
}
