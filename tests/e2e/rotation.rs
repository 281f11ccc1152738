//! `creds rotate` in the shared stack, and passwords that users changed in Moodle.

use std::cell::Cell;

use crate::cluster::{Need, eventually};
use crate::components::{password_of, php_in_moodle, superset};
use crate::lms::{assert_each_once, emit, views, when_it_says};
use crate::superset::{assert_one_chart_passes, known_statements};
use crate::{lms, stack};

fn php(code: &str) -> String {
    php_in_moodle(stack(), code)
}

fn value(secret: &str, key: &str) -> String {
    let template = format!("{{{{index .data \"{key}\" | base64decode}}}}");
    stack()
        .run(
            "kubectl",
            &["-n", "e2e", "get", "secret", secret, "-o", &format!("go-template={template}")],
            "",
        )
        .good()
        .stdout
}

/// Whether Moodle accepts a password of its administrator.
fn is_administrators(password: &str) -> bool {
    php(&format!("echo validate_internal_user_password(get_admin(), '{password}') ? 'yes' : 'no';"))
        == "yes"
}

fn status_after_the_restart_of_moodle() -> String {
    stack().kubectl("rollout status deployment/lms-moodle --timeout=180s");
    let mut status = String::new();
    eventually("the stack is healthy", || {
        let ended = stack().lastack("status");
        status = ended.stdout.clone();
        ended.status.success()
    });
    status
}

#[test]
fn rotation_of_accounts_on_the_way_of_an_event_loses_no_statement() {
    for component in ["lrs", "datalake"] {
        let secret = if component == "lrs" { "lrs-ralph" } else { "data-lake-user-lrs" };
        let before = value(secret, "password");
        let began = Cell::new(None);
        // the Secrets have new passwords, and the LRS still has the old ones
        let learners_click = || {
            if began.get().is_none() {
                began.set(Some(views("lastack-S", 20)));
                emit();
            }
        };
        let rotate = format!("creds rotate {component} --yes");
        when_it_says(&rotate, "lrs.release", learners_click).good().shows("Rotated in");
        assert_ne!(value(secret, "password"), before, "{component}");
        emit();
        let status = stack().lastack("status");
        // events that were sent while the command ended
        if status.stdout.contains("not delivered") {
            stack().lastack("replay --yes").good();
        }
        stack().lastack("status").good().shows("events, 0 waiting");
        assert_each_once("lastack-S", began.get().expect("events during the rotation"), 20);
        stack().lastack("install").good().shows("nothing to change");
    }
}

#[test]
fn rotation_of_all_passwords_leaves_every_old_one_rejected() {
    if Need::LoadBalancer.is_missing() {
        return;
    }
    known_statements();
    const KEYS: [(&str, &str); 11] = [
        ("lms-moodle", "moodle-password"),
        ("lms-moodle", "learner-password"),
        ("lms-postgresql", "password"),
        ("lrs-ralph", "password"),
        ("lrs-ralph", "moodle-password"),
        ("data-lake-user-lrs", "password"),
        ("data-lake-user-dashboards", "password"),
        ("data-lake-user-lastack", "password"),
        ("dataviz-superset", "admin-password"),
        ("dataviz-superset", "teacher-password"),
        ("dataviz-postgresql", "password"),
    ];
    let all = || KEYS.map(|(secret, key)| value(secret, key));
    let before = all();
    let encryption = value("dataviz-superset", "secret-key");
    let rotated = stack().lastack("creds rotate --yes").good();
    let after = all();
    for ((old, new), (secret, key)) in before.iter().zip(&after).zip(KEYS) {
        assert_ne!(old, new, "{key} of {secret} should be replaced");
        for text in [&rotated.stdout, &rotated.stderr] {
            assert!(
                !text.contains(old) && !text.contains(new),
                "no password should be shown: {text}"
            );
        }
    }
    assert_eq!(value("dataviz-superset", "secret-key"), encryption);

    assert!(is_administrators(&after[0]) && !is_administrators(&before[0]));
    let learner = "$DB->get_record('user', ['username' => 'tool_generator_000001'])";
    let is_learners = |password: &str| {
        php(&format!(
            "echo validate_internal_user_password({learner}, '{password}') ? 'yes' : 'no';"
        ))
    };
    assert_eq!((is_learners(&before[1]), is_learners(&after[1])), ("no".into(), "yes".into()));
    for (pod, user, old, new) in [
        ("lms-postgresql-0", "moodle", &before[2], &after[2]),
        ("dataviz-postgresql-0", "superset", &before[10], &after[10]),
    ] {
        // by the address of the pod, where PostgreSQL requires a password
        let script = format!(
            "read -r PGPASSWORD; export PGPASSWORD; psql --host=$(hostname -i) --username={user} --command='SELECT 1'"
        );
        let login = |password: &str| {
            let exec = ["-n", "e2e", "exec", "-i", pod, "--", "sh", "-c", &script];
            stack().run("kubectl", &exec, &format!("{password}\n"))
        };
        login(new).good();
        login(old).exits(2).shows("password authentication failed");
    }
    superset(stack(), "admin", &password_of(stack(), "admin"), "get me/").good();
    assert!(!superset(stack(), "admin", &before[8], "get me/").status.success());
    lms::trace("").good();
    assert_one_chart_passes();
    stack().lastack("install").good().shows("nothing to change");
}

#[test]
fn administrator_password_changed_in_moodle_survives_a_restart() {
    const CHOSEN: &str = "Chosen-in-the-browser-01";
    let ours = value("lms-moodle", "moodle-password");
    // a start with this password in the Secret has been recorded
    assert!(is_administrators(&ours), "the administrator should have the password of the Secret");
    php(&format!("update_internal_user_password(get_admin(), '{CHOSEN}');"));
    stack().lastack("status").good().shows("the administrator's password was changed");
    for _ in 0..2 {
        stack().kubectl(
            "delete pod -l app.kubernetes.io/instance=lms,app.kubernetes.io/component=web",
        );
        let status = status_after_the_restart_of_moodle();
        assert!(status.contains("the administrator's password was changed"), "{status}");
        assert!(is_administrators(CHOSEN) && !is_administrators(&ours));
    }
    stack().lastack("install").good().shows("nothing to change");
    stack().lastack("creds rotate lms --yes").good();
    assert!(!is_administrators(CHOSEN), "a rotation should replace the changed password");
    assert!(is_administrators(&value("lms-moodle", "moodle-password")));
    let status = stack().lastack("status").good();
    assert!(!status.stdout.contains("password was changed"), "{}", status.stdout);
}
