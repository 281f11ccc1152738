//! Moodle: its installation and settings, its faults, and the verbs that inspect events.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Mutex;

use http::Method;
use serde_json::{Value, json};

use crate::support::helm::Helm;
use crate::support::moodle::{self, EVENT};
use crate::support::server::{Reply, Server};
use crate::support::stack::{MOODLE, MockedStack, stuck_pod};

use super::install::secret;

fn values(stack: &MockedStack) -> Value {
    stack
        .helm
        .calls_of("upgrade")
        .into_iter()
        .rfind(|call| call.line().contains(" lms "))
        .expect("the release of Moodle")
        .values()
}

/// The ConfigMaps with a plugin.
fn plugins(stack: &MockedStack) -> Vec<Value> {
    let mut objects = stack.kubernetes.objects();
    objects.retain(|object| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        object["kind"] == "ConfigMap" && name.starts_with("lms-plugin")
    });
    objects
}

/// The releases of the plugins in the cluster.
fn plugin_releases(stack: &MockedStack) -> Vec<String> {
    let release = |plugin: &Value| {
        let release = &plugin["metadata"]["annotations"]["lastack/plugin-release"];
        release.as_str().unwrap_or_default().to_string()
    };
    let mut releases: Vec<_> = plugins(stack).iter().map(release).collect();
    releases.sort();
    releases
}

/// The argument for a zip archive of a release of the plugin.
fn plugin_option(stack: &MockedStack, release: &str) -> String {
    let path = stack.machine.path(&format!("{release}.zip"));
    fs::write(&path, moodle::plugin(release, "[403, 501]")).expect("a plugin");
    format!("--plugin {}", path.display())
}

pub fn called(stack: &MockedStack, script: &str) -> Vec<Value> {
    stack
        .moodle
        .world()
        .called
        .iter()
        .filter(|(name, _)| name == script)
        .map(|(_, input)| input.clone())
        .collect()
}

#[test]
fn install_connects_moodle_to_the_lrs_and_shows_no_password() {
    let stack = MockedStack::empty();
    let ended = stack.machine.run("install");
    ended
        .exits(0)
        .says("at http://localhost:8080")
        .says("to http://lrs-ralph.alice.svc/xAPI")
        .says("lastack-S, learner tool_generator_000001");
    let world = stack.moodle.world();
    let password = secret(&stack, "lrs-ralph")["moodle-password"].clone();
    assert_eq!(
        (world.settings["username"].as_str(), &world.settings["password"]),
        ("moodle", &password)
    );
    assert_eq!(world.stores, ["logstore_standard", "logstore_xapi"]);
    for (name, value) in [
        ("backgroundmode", "1"),
        ("maxbatchsize", "1000"),
        ("send_name", "0"),
        ("mbox", "0"),
        ("send_username", "0"),
        ("logguests", "0"),
    ] {
        assert_eq!(world.settings[name], value, "{name}");
    }
    drop(world);
    ended.never_shows(&password);
    assert!(!values(&stack).to_string().contains(&password));
    let [plugin] = &plugins(&stack)[..] else { panic!("one plugin in the cluster") };
    assert_eq!(
        plugin["metadata"]["annotations"]["lastack/plugin-source"], "plugin.zip",
        "the annotation should not hold the local path"
    );
    assert_eq!(
        values(&stack)["plugin"]["checksum"],
        plugin["metadata"]["annotations"]["lastack/plugin-sha256"]
    );
}

#[test]
fn install_starts_moodle_after_its_load_balancer_address_is_known() {
    let stack = MockedStack::empty();
    stack.kubernetes.reacts(
        Method::GET,
        "/api/v1/namespaces/alice/services/lms-moodle",
        |world, _| {
            let mut service = world.object("/api/v1/namespaces/alice/services/lms-moodle")?;
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}});
            world.put(service);
            None
        },
    );
    stack.moodle.world().site = "http://192.0.2.9".into();
    stack
        .machine
        .run("install --expose loadbalancer")
        .exits(0)
        .says("at http://192.0.2.9")
        .says("warning: passwords and statements travel unencrypted over HTTP");
    let calls: Vec<Value> = stack
        .helm
        .calls_of("upgrade")
        .into_iter()
        .filter(|call| call.line().contains(" lms "))
        .map(|call| call.values())
        .collect();
    assert_eq!(
        (&calls[0]["replicas"], &calls[1]["replicas"], &calls[1]["siteUrl"]),
        (&json!(0), &json!(1), &json!("http://192.0.2.9"))
    );
    stack.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn status_with_a_changed_administrator_password_is_healthy_and_mentions_it() {
    let stack = MockedStack::installed();
    let said = "0 waiting, the administrator's password was changed";
    stack.machine.run("status").exits(0).never_shows(said);
    stack.moodle.world().admin_password_changed = true;
    stack.machine.run("status").exits(0).prints(said);
}

#[test]
fn changed_moodle_setting_is_named_by_status_and_restored_by_configure() {
    let stack = MockedStack::installed();
    stack.machine.run("status").exits(0).prints("312 events, 0 waiting");
    for (name, value, says) in [
        (
            "endpoint",
            "http://elsewhere/xAPI",
            "logstore_xapi/endpoint is http://elsewhere/xAPI, should be http://lrs-ralph.alice.svc/xAPI",
        ),
        (
            "password",
            "guessed",
            "logstore_xapi/password is different, should be that of the LRS account",
        ),
        ("routes", "", "logstore_xapi/routes is empty"),
        ("send_name", "1", "logstore_xapi/send_name is 1, should be 0"),
        ("maxbatchsize", "30", "logstore_xapi/maxbatchsize is 30, should be 1000"),
    ] {
        stack.moodle.world().settings.insert(name.into(), value.into());
        stack.machine.run("status").exits(3).prints(says);
        stack.machine.run("configure lms").exits(0).says("ok        lms.settings");
        stack.machine.run("configure lms").exits(0).says("Nothing to change");
    }
    stack.moodle.world().stores = vec!["logstore_legacy".into(), "logstore_xapi".into()];
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("tool_log/enabled_stores is logstore_legacy,logstore_xapi");
    stack.machine.run("configure moodle").exits(0);
    assert_eq!(
        stack.moodle.world().stores,
        ["logstore_standard", "logstore_legacy", "logstore_xapi"],
        "the other log store should stay enabled"
    );
}

#[test]
fn configure_with_a_setting_forced_by_config_php_fails() {
    let stack = MockedStack::installed();
    stack.moodle.world().settings.insert("endpoint".into(), "http://elsewhere".into());
    stack.moodle.world().forced = vec!["endpoint".into()];
    stack.machine.run("configure lms").exits(1).says("config.php of this Moodle forces its value");
}

#[test]
fn configure_stores_its_options_for_later_runs() {
    let stack = MockedStack::installed();
    stack
        .machine
        .run("configure moodle --course M --immediate --send-names")
        .exits(0)
        .says("lastack-M");
    let world = |name: &str| stack.moodle.world().settings[name].clone();
    assert_eq!((world("backgroundmode").as_str(), world("send_name").as_str()), ("0", "1"));
    stack.machine.run("install").exits(0).says("nothing to change");
    stack.machine.run("configure --send-names=false").exits(0);
    assert_eq!((world("backgroundmode").as_str(), world("send_name").as_str()), ("0", "0"));
    let password = secret(&stack, "lms-moodle")["learner-password"].clone();
    assert!(
        called(&stack, "course").iter().any(|input| input["password"] == password),
        "the learner should have the password of the Secret"
    );
}

#[test]
fn status_with_a_broken_hop_fails_with_its_cause() {
    let stack = MockedStack::installed();
    let row = |code: u32, events: u64, alone: bool| json!({"errortype": code, "alone": alone, "events": events, "oldest": EVENT, "response": "no"});
    stack.moodle.world().cron = Some(900);
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("Moodle's cron last sent events 15m ago, and is due every minute");
    stack.moodle.world().cron = None;
    stack.machine.run("status").exits(3).prints("Moodle's cron has never run");
    stack.moodle.world().cron = Some(20);
    (stack.moodle.world().waiting, stack.moodle.world().waiting_since) = (40, 1200);
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("312 events, 40 waiting; the oldest event has waited for 20m");
    stack.moodle.world().waiting = 0;
    stack.moodle.world().failed = vec![row(401, 12, false), row(10_000, 5, false)];
    stack
        .machine
        .run("status")
        .exits(3)
        .prints("12 not delivered: the LRS responded with 401: it rejects the account");
    let status = stack.machine.run("status -o json").exits(3).json();
    let failed = status["components"][0]["figures"]["failed"].clone();
    assert_eq!(
        (&failed[0]["events"], &failed[0]["sentAgain"]),
        (&json!(12), &json!(true)),
        "each cause should have its own count: {failed}"
    );
    assert_eq!(
        (&failed[1]["events"], &failed[1]["sentAgain"]),
        (&json!(5), &json!(false)),
        "{failed}"
    );
    stack.moodle.world().failed = vec![row(404, 3, false), row(422, 2, true)];
    stack.machine.run("status").exits(3).prints(
        "2 rejected by the LRS; 3 not delivered: the LRS responded with 404: the endpoint is wrong",
    );
    stack.moodle.world().failed = vec![row(10_000, 5, false), row(422, 2, true)];
    stack.machine.run("status").exits(0).prints("312 events, 0 waiting, 2 rejected by the LRS");
    stack.moodle.world().free_bytes = 1 << 20;
    stack.machine.run("status").exits(3).prints("the volume with Moodle's files is full");
    stack.moodle.world().free_bytes = 1 << 30;
    stack.moodle.world().installed = false;
    stack.machine.run("status").exits(3).prints("the plugin that sends events is not installed");
    stack
        .machine
        .run("configure lms")
        .exits(1)
        .says("run `kubectl lastack install` to install it and restart Moodle");
}

#[test]
fn status_of_moodle_with_an_error_page_quotes_the_page() {
    let stack = MockedStack::installed();
    stack.moodle.world().login = 500;
    stack.moodle.world().complains = ("<p>Error: Database connection failed</p>".into(), u32::MAX);
    stack.machine
        .run("status")
        .exits(3)
        .prints("Moodle responded with 500 to a request for its login page: Error: Database connection failed");
    stack.machine.run("trace").exits(3).prints(
        "stopped: moodle.event: script event.php of Moodle failed: Error: Database connection failed",
    );
    stack.kubernetes.remove("/api/v1/namespaces/alice/pods/lms-moodle-0");
    let ended = stack.machine.run("trace");
    ended
        .exits(3)
        .prints("stopped: moodle.event: no pod of Moodle runs in namespace alice")
        .prints("datalake.document");
}

#[test]
fn moodle_behind_a_proxy_is_checked_at_its_service_name() {
    let stack = MockedStack::empty();
    stack.machine.write("values.yaml", "siteUrl: https://moodle.example.org\nreverseProxy: true\n");
    stack.moodle.world().site = "http://lms-moodle".into();
    stack.machine.run("install --only lms --values lms=values.yaml").exits(0).says("login page");
}

#[test]
fn install_waits_for_moodle_without_a_database_and_does_not_restart_it() {
    let stack = MockedStack::installed();
    // each of the five nodes that query Moodle checks at the start of the run; the first one checks again
    stack.moodle.world().complains = ("Error: Database connection failed".into(), 6);
    let ended = stack.machine.run("install");
    ended
        .exits(0)
        .says("script state.php of Moodle failed: Error: Database connection failed")
        .says("ok        lms.installed");
    assert!(!ended.stderr.contains("restarting Moodle"), "{}", ended.stderr);
    stack.moodle.world().complains.1 = u32::MAX;
    stack
        .machine
        .run("install --timeout 1s")
        .exits(124)
        .says("deployment lms-moodle is not ready after");
}

#[test]
fn install_rejects_a_plugin_for_another_moodle_version_before_any_change() {
    let stack = MockedStack::empty();
    let old = stack.machine.path("old.zip");
    fs::write(&old, moodle::plugin("4.4.0", "[39, 404]")).unwrap();
    stack
        .machine
        .run(&format!("install --plugin {}", old.display()))
        .exits(1)
        .says("logstore_xapi 4.4.0 supports Moodle 3.9 to 4.4, and this stack has Moodle 4.5.12")
        .says("hint: pass a release that supports it");
    assert!(stack.helm.calls_of("upgrade").iter().all(|call| !call.line().contains(" lms ")));
    let other = stack.machine.path("other.zip");
    fs::write(
        &other,
        moodle::plugin("5.0.1", "[403, 501]").iter().rev().copied().collect::<Vec<u8>>(),
    )
    .unwrap();
    stack
        .machine
        .run(&format!("install --plugin {}", other.display()))
        .exits(2)
        .says("not a readable zip archive");
    stack.machine.run("install --plugin /nowhere.zip").exits(2).says("cannot read /nowhere.zip");
    // without `--plugin` the check covers the released plugin, without a download, and then the stored plugin
    stack.machine.write("newer.yaml", "image: {tag: v5.2.0}\n");
    let misfit = "logstore_xapi 5.0.1 supports Moodle 4.3 to 5.1, and this stack has Moodle v5.2.0";
    stack.machine.run("install --plugin= --values lms=newer.yaml").exits(1).says(misfit);
    let stack = MockedStack::installed();
    stack.machine.write("newer.yaml", "image: {tag: v5.2.0}\n");
    stack.machine.run("install --plugin= --values lms=newer.yaml").exits(1).says(misfit);
}

#[test]
fn plugin_download_follows_redirects_and_retries_transient_errors_only() {
    let stack = MockedStack::empty();
    let responses = Mutex::new(vec![
        Reply::Bytes(moodle::plugin("5.0.3", "[403, 501]").into()),
        Reply::Cut,
        Reply::text(503, ""),
    ]);
    let server =
        Server::start(move |request| match request.path.split('?').next().unwrap_or_default() {
            "/latest" => Reply::Redirect("/x.zip".into()),
            "/private" if request.headers.contains_key("authorization") => {
                Reply::text(200, "<html>Sign in</html>")
            }
            "/large" => Reply::Bytes(vec![0; 33 << 20].into()),
            "/x.zip" => responses.lock().unwrap().pop().expect("no further retry"),
            _ => Reply::text(404, ""),
        });
    let install = |path: &str| {
        stack.machine.run(&format!("install --only lms --plugin {}{path}", server.url()))
    };
    install("/nowhere").exits(1).says("responded with 404");
    install("/large").exits(1).says("larger than 32 MB");
    let plugin = || plugins(&stack).pop();
    assert!(plugin().is_none());
    let place = server.url().replace("//", "//user:pass%40word@");
    let private =
        stack.machine.run(&format!("install --only lms --plugin {place}/private?token=hidden"));
    private
        .exits(2)
        .says("/private: not a readable zip archive")
        .never_shows("hidden")
        .never_shows("pass%40word");
    let asked = server
        .requests()
        .into_iter()
        .rfind(|request| request.path.starts_with("/private"))
        .expect("a request with the account");
    assert_eq!(asked.headers["authorization"], "Basic dXNlcjpwYXNzQHdvcmQ=");
    install("/nowhere?token=hidden").exits(1).says("responded with 404").never_shows("hidden");
    install("/latest?token=hidden").exits(0).says("logstore_xapi 5.0.3");
    let saved = plugin().unwrap();
    assert_eq!(saved["metadata"]["annotations"]["lastack/plugin-release"], "5.0.3");
    assert!(
        !saved.to_string().contains("hidden"),
        "the object should not hold the query of the address: {}",
        saved["metadata"]
    );
    stack.machine.run("install --only lms --plugin=").exits(0);
    assert_eq!(plugin().unwrap(), saved, "the plugin should stay until the user names another one");
}

#[test]
fn install_restarts_moodle_for_a_new_plugin_release_only() {
    let stack = MockedStack::installed();
    let upgrades = |stack: &MockedStack| {
        stack.helm.calls_of("upgrade").iter().filter(|call| call.line().contains(" lms ")).count()
    };
    let before = upgrades(&stack);
    let install = format!("install {}", plugin_option(&stack, "5.0.2"));
    stack.machine.run(&install).exits(0).says("logstore_xapi 5.0.2");
    assert_eq!(upgrades(&stack), before + 1);
    stack.machine.run(&install).exits(0).says("nothing to change");
    assert_eq!(plugin_releases(&stack), ["5.0.1", "5.0.2"], "a rollback needs the earlier plugin");
    stack
        .machine
        .run(&format!("install {}", plugin_option(&stack, "5.0.3")))
        .exits(0)
        .says("logstore_xapi 5.0.3");
    assert_eq!(plugin_releases(&stack), ["5.0.2", "5.0.3"], "old plugins should not pile up");
}

#[test]
fn install_rejects_an_older_plugin_than_moodle_has() {
    let stack = MockedStack::empty();
    let install = |release: &str| {
        stack.machine.run(&format!("install --only lms {}", plugin_option(&stack, release)))
    };
    install("5.0.1").exits(0);
    let upgrades = stack.helm.calls_of("upgrade").len();
    install("5.0.0")
        .exits(1)
        .says("logstore_xapi 5.0.0 is older than 5.0.1, which this Moodle has; Moodle cannot downgrade a plugin")
        .says("hint: pass the same or a newer release with `--plugin FILE`");
    assert_eq!(stack.helm.calls_of("upgrade").len(), upgrades, "Moodle should stay unchanged");
    install("5.0.2").exits(0).says("logstore_xapi 5.0.2");
    install("5.0.1").exits(1).says("5.0.1 is older than 5.0.2");
}

#[test]
fn failed_change_of_the_plugin_leaves_the_earlier_one() {
    let stack = MockedStack::installed();
    let waiting = json!({"reason": "CrashLoopBackOff", "message": "back-off 10s"});
    let labels = json!({"app.kubernetes.io/name": "moodle", "app.kubernetes.io/instance": "lms", "app.kubernetes.io/component": "web",
                        "app.kubernetes.io/part-of": "lastack"});
    let is_upgraded = |helm: &Helm| {
        helm.current_values("lms").map(|values| values["plugin"]["configMap"].clone())
    };
    let (helm, before) = (stack.helm.clone(), is_upgraded(&stack.helm));
    stack.kubernetes.reacts(Method::GET, "/api/v1/namespaces/alice/pods", move |world, _| {
        if is_upgraded(&helm) != before {
            let image = "registry.example.org/moodle:4.5.12";
            world.put(stuck_pod(
                "lms-moodle-1",
                "alice",
                labels.clone(),
                image,
                waiting.clone(),
                3,
            ));
            let mut moodle = world.object(MOODLE).expect("the Deployment of Moodle");
            moodle["status"]["availableReplicas"] = json!(0);
            world.put(moodle);
        }
        None
    });
    stack
        .machine
        .run(&format!("install {}", plugin_option(&stack, "5.0.2")))
        .exits(1)
        .says("pod lms-moodle-1 keeps crashing")
        .says("release lms was rolled back to revision 1");
    assert_eq!(plugin_releases(&stack), ["5.0.1"]);
}

#[test]
fn uninstall_with_keep_data_keeps_only_the_plugin_that_moodle_has() {
    let stack = MockedStack::installed();
    let install = format!("install {}", plugin_option(&stack, "5.0.2"));
    stack.machine.run(&install).exits(0);
    stack.machine.run("uninstall --yes --keep-data -n alice").exits(0);
    assert_eq!(plugin_releases(&stack), ["5.0.2"]);
    stack.machine.run("uninstall --yes -n alice").exits(0);
    assert!(plugins(&stack).is_empty());
}

#[test]
fn install_rejects_a_foreign_moodle_release() {
    let stack = MockedStack::empty();
    stack.helm.has_release("lms", "deployed", "Upgrade complete");
    stack
        .machine
        .run("install")
        .exits(1)
        .says("release lms in namespace alice was not created by this tool");
}

#[test]
fn trace_names_the_hop_at_which_the_event_stopped() {
    let stack = MockedStack::installed();
    let trace = |fate: &str| {
        stack.moodle.world().fate = fate.into();
        stack.machine.run("trace --timeout 1s")
    };
    trace("401")
        .exits(3)
        .prints("moodle.queue")
        .prints("stopped: moodle.sent: the LRS responded with 401: it rejects the account: {\"detail\":\"no\"}")
        .prints("kubectl lastack configure lms");
    trace("0").exits(3).prints("the LRS could not be reached");
    stack.moodle.world().cron = Some(900);
    trace("waiting").exits(3).prints("Moodle's cron last sent events 15m ago");
    stack.moodle.world().cron = Some(20);
    stack.moodle.world().settings.insert("routes".into(), String::new());
    trace("lost").exits(3).prints("stopped: moodle.queue: logstore_xapi/routes is empty");
    trace("sent")
        .exits(3)
        .prints("stopped: lrs.statement")
        .prints("the LRS does not return it yet")
        .says("not deleted: the statement of tool_generator_000001 about http://localhost:8080/course/view.php?id=2 at 2026-03-01T00:00:00Z");
    trace("401").exits(3).never_shows("left behind");
}

#[test]
fn trace_follows_the_event_to_the_data_lake_and_deletes_it() {
    let stack = MockedStack::installed();
    stack.lrs.has(&[moodle::statement_of_the_event()]);
    stack.superset.gives_rows(json!({"data": [{"events": 1}]}));
    let junit = stack.machine.path("junit.xml");
    let ended = stack.machine.run(&format!("trace --keep -o json --junit {}", junit.display()));
    ended.exits(0);
    assert_eq!(
        (&ended.json()["arrived"], &ended.json()["hops"][5]["result"]),
        (&json!(true), &json!("passed"))
    );
    assert!(fs::read_to_string(&junit).unwrap().contains("dataviz.chart"));
    let events = called(&stack, "event");
    assert!(events.iter().any(|input| input["do"] == "follow"), "{events:?}");
    assert!(events.iter().all(|input| input["do"] != "forget"), "{events:?}");
    stack.machine.run("trace").exits(0).prints("found by its id");
    assert!(called(&stack, "event").iter().any(|input| input["do"] == "forget"));
    stack.machine.run("statements").exits(0).says("The LRS has no matching statement");
}

#[test]
fn trace_that_no_chart_counts_names_the_cause() {
    let stack = MockedStack::installed();
    stack.lrs.has(&[moodle::statement_of_the_event()]);
    stack.superset.gives_rows(json!({"data": [{"events": 0}]}));
    stack
        .machine
        .run("trace --keep --timeout 1s")
        .exits(3)
        .prints("stopped: dataviz.chart: ")
        .prints("the query of chart `Events` does not count it yet");
    stack.superset.gives_rows(json!({"error": "Unknown column [id]"}));
    stack
        .machine
        .run("trace --keep")
        .exits(3)
        .prints("stopped: dataviz.chart: chart `Events`: Unknown column [id]")
        .prints("hint: run `kubectl lastack dashboards explain 'events'");
    let queries = stack.superset.server.requests();
    let last = queries.iter().rfind(|request| request.path == "/api/v1/chart/data").unwrap();
    let filters = last.json()["queries"][0]["filters"].as_array().unwrap().clone();
    let id = &moodle::statement_of_the_event()["id"];
    assert!(filters.contains(&json!({"col": "id", "op": "==", "val": id})), "{filters:?}");
    for title in stack.superset.titles("charts") {
        stack.superset.user_deletes(&title);
    }
    stack
        .machine
        .run("trace --keep")
        .exits(3)
        .prints("stopped: dataviz.chart: Superset has no chart that counts statements");
}

#[test]
fn replay_lists_failed_events_by_cause_and_resends_after_confirmation() {
    let stack = MockedStack::installed();
    let row = |code: u32, events: u64, alone: bool, response: &str| json!({"errortype": code, "alone": alone, "events": events, "oldest": EVENT, "response": response});
    stack.machine.run("replay").exits(0).says("No events to resend");
    stack.moodle.world().failed = vec![
        row(0, 40, false, ""),
        row(422, 1, true, "sent alone and rejected: bad verb"),
        row(10_000, 7, false, "{}"),
    ];
    stack
        .machine
        .run("replay --dry-run")
        .exits(0)
        .prints("the LRS could not be reached")
        .prints("never")
        .prints("with --rejected")
        .says("40 events would be resent");
    stack.machine.run("replay").exits(2).says("pass `--yes`");
    assert!(called(&stack, "replay").is_empty());
    stack.moodle.world().replayed =
        json!({"due": 40, "sent": 38, "already": 2, "rejected": 0, "never": 0, "stopped": null});
    stack.machine.run("replay --yes").exits(0).says("38 of 40 events resent, 2 already stored");
    stack.moodle.world().replayed = json!({"due": 41, "sent": 3, "already": 0, "rejected": 0, "never": 0, "stopped": "the LRS cannot be reached"});
    stack
        .machine
        .run("replay --yes --rejected")
        .exits(3)
        .says("stopped early: the LRS cannot be reached");
    assert_eq!(called(&stack, "replay").last().unwrap()["rejected"], true);
}

#[test]
fn statements_reads_all_pages_and_applies_filters() {
    let stack = MockedStack::installed();
    stack.machine.run("seed --count 250").exits(0);
    let lines = stack.machine.run("statements --all -o ndjson").exits(0).stdout.clone();
    assert_eq!(lines.lines().count(), 250, "the command should read every page");
    let newest = stack.machine.run("statements --limit 3 -o json").exits(0).json();
    assert_eq!(newest["items"].as_array().unwrap().len(), 3);
    stack.machine.run("statements --limit 2").exits(0).prints("TIME").prints("VERB");
    stack.machine.run("statements --agent somebody").exits(2).says("expected an e-mail address");
    let asked = stack
        .lrs
        .server
        .requests()
        .into_iter()
        .rfind(|request| request.method == Method::GET && request.path == "/xAPI/statements")
        .unwrap();
    assert!(
        asked.query.contains("limit=2") && !asked.query.contains("ascending"),
        "{asked}: Ralph reads ascending=false as true"
    );
    stack.machine.run("statements --agent 3,https://moodle.example.org --until 2026-03-01T08:00:00Z --ascending").exits(0);
    let asked = stack
        .lrs
        .server
        .requests()
        .into_iter()
        .rfind(|request| request.method == Method::GET && request.path == "/xAPI/statements")
        .unwrap();
    let query: BTreeMap<_, _> =
        form_urlencoded::parse(asked.query.as_bytes()).into_owned().collect();
    let agent: Value =
        serde_json::from_str(&query["agent"]).expect("an agent in the format of the LRS");
    assert_eq!(agent, json!({"account": {"name": "3", "homePage": "https://moodle.example.org"}}));
    assert_eq!(
        (query["until"].as_str(), query["ascending"].as_str()),
        ("2026-03-01T08:00:00Z", "true")
    );
}

#[test]
fn statements_stops_reading_when_the_output_is_closed() {
    let stack = MockedStack::installed();
    stack.machine.run("seed --count 250").exits(0);
    let asked = || {
        stack
            .lrs
            .server
            .requests()
            .iter()
            .filter(|request| request.method == Method::GET && request.path == "/xAPI/statements")
            .count()
    };
    let before = asked();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = stack
        .machine
        .command(&["statements", "--all", "-o", "ndjson"])
        .stdout(writer)
        .output()
        .unwrap();
    stack.machine.ended("statements --all -o ndjson", output).exits(0).says_nothing();
    assert_eq!(asked() - before, 1, "the command should request the first page only");
}

#[test]
fn open_of_moodle_rejects_another_port_and_prints_the_site_address() {
    let stack = MockedStack::installed();
    stack.machine.run("open lms --port 9999 --print").exits(2).says("http://localhost:8080");
    // behind the user's own proxy, the address is that of the proxy
    stack.machine.write("values.yaml", "siteUrl: https://moodle.example.org\n");
    stack.moodle.world().site = "https://moodle.example.org".into();
    stack.machine.run("install --values lms=values.yaml").exits(0);
    stack.machine.run("open lms --print").exits(0).prints("https://moodle.example.org/");
    stack.machine.run("status").prints("https://moodle.example.org");
}
