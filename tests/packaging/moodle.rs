//! The chart of Moodle: its address, its volume, its plugin, and the scripts in its pod.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use super::rendered::{containers, object, objects, rejection};
use super::root;

fn moodle(values: &Value) -> Vec<Value> {
    objects("moodle", values)
}

fn deployment(objects: &[Value]) -> &Value {
    &object(objects, "Deployment", "lms-moodle")["spec"]
}

fn container<'a>(objects: &'a [Value], name: &str) -> &'a Value {
    containers(&deployment(objects)["template"]["spec"])
        .find(|container| container["name"] == name)
        .unwrap_or_else(|| panic!("container {name}"))
}

fn environment(container: &Value) -> BTreeMap<&str, &Value> {
    let variables = container["env"].as_array().expect("variables");
    variables
        .iter()
        .map(|variable| {
            (
                variable["name"].as_str().expect("a name"),
                variable.get("value").unwrap_or(&variable["valueFrom"]),
            )
        })
        .collect()
}

#[test]
fn moodle_chart_keeps_the_names_of_the_tutorial() {
    let objects = moodle(&json!({}));
    let service = object(&objects, "Service", "lms-moodle");
    assert_eq!(
        service["spec"]["ports"],
        json!([{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}])
    );
    assert_eq!(service["spec"]["selector"], deployment(&objects)["selector"]["matchLabels"]);
    let moodle = container(&objects, "moodle");
    assert_eq!(moodle["ports"][0]["containerPort"], 8080);
    let environment = environment(moodle);
    assert_eq!(environment["MOODLE_USERNAME"], "user");
    assert_eq!(
        environment["MOODLE_PASSWORD"]["secretKeyRef"],
        json!({"name": "lms-moodle", "key": "moodle-password"})
    );
    assert_eq!(
        environment["DB_PASS"]["secretKeyRef"],
        json!({"name": "lms-postgresql", "key": "password"})
    );
    object(&objects, "StatefulSet", "lms-postgresql");
}

#[test]
fn moodle_chart_needs_a_shared_volume_for_several_pods() {
    for values in [json!({"autoscaling": {"enabled": true}}), json!({"replicas": 2})] {
        assert!(
            rejection("moodle", &values).contains("ReadWriteMany in persistence.accessModes"),
            "{values}"
        );
    }
    let alone = moodle(&json!({}));
    assert_eq!(
        deployment(&alone)["strategy"]["type"],
        "Recreate",
        "two pods cannot share the volume"
    );
    assert_eq!(deployment(&alone)["replicas"], 1);

    let shared = moodle(
        &json!({"autoscaling": {"enabled": true, "min": 2}, "persistence": {"accessModes": ["ReadWriteMany"]}}),
    );
    assert!(
        deployment(&shared)["strategy"].is_null(),
        "the new pod should start beside the old one"
    );
    assert!(
        deployment(&shared)["replicas"].is_null(),
        "the autoscaler should set the number of pods"
    );
    assert_eq!(object(&shared, "HorizontalPodAutoscaler", "lms-moodle")["spec"]["minReplicas"], 2);
    object(&shared, "PodDisruptionBudget", "lms-moodle");
}

#[test]
fn moodle_chart_keeps_its_volume_and_uses_an_existing_one() {
    let kept = |values: &Value| {
        object(&moodle(values), "PersistentVolumeClaim", "lms-moodle")["metadata"]["annotations"]["helm.sh/resource-policy"].clone()
    };
    assert_eq!(kept(&json!({})), "keep");
    assert_eq!(kept(&json!({"persistence": {"retain": false}})), Value::Null);

    let objects = moodle(&json!({"persistence": {"existingClaim": "mine"}}));
    assert!(objects.iter().all(|object| object["kind"] != "PersistentVolumeClaim"));
    assert!(
        deployment(&objects)["template"]["spec"]["volumes"]
            .as_array()
            .unwrap()
            .contains(&json!({"name": "data", "persistentVolumeClaim": {"claimName": "mine"}}))
    );
}

/// Moodle redirects requests for another host. With `reverseProxy`, it rejects requests for its own host. It compares a
/// port in its address with that of nginx.
#[test]
fn moodle_probes_use_the_host_of_the_site() {
    for (values, url, reverse_proxy, ssl_proxy, host) in [
        (json!({}), "http://lms-moodle", "false", "false", "lms-moodle"),
        (
            json!({"service": {"port": 8081}}),
            "http://lms-moodle:8081",
            "true",
            "false",
            "lms-moodle:8081",
        ),
        (
            json!({"siteUrl": "http://localhost:8080"}),
            "http://localhost:8080",
            "false",
            "false",
            "localhost:8080",
        ),
        (
            json!({"siteUrl": "https://lms.example.org"}),
            "https://lms.example.org",
            "false",
            "true",
            "lms.example.org",
        ),
        (
            json!({"siteUrl": "https://lms.example.org", "reverseProxy": true}),
            "https://lms.example.org",
            "true",
            "true",
            "lms-moodle",
        ),
        (
            json!({"siteUrl": "https://lms.example.org:8443"}),
            "https://lms.example.org:8443",
            "true",
            "true",
            "lms.example.org:8443",
        ),
        (
            json!({"ingress": {"enabled": true, "host": "a.example.org"}}),
            "http://a.example.org",
            "false",
            "false",
            "a.example.org",
        ),
        (
            json!({"ingress": {"enabled": true, "host": "a.example.org", "tlsSecret": "tls"}}),
            "https://a.example.org",
            "false",
            "true",
            "a.example.org",
        ),
    ] {
        let objects = moodle(&values);
        let moodle = container(&objects, "moodle");
        let environment = environment(moodle);
        let set = ["SITE_URL", "REVERSEPROXY", "SSLPROXY"]
            .map(|name| environment[name].as_str().expect("a value"));
        assert_eq!(set, [url, reverse_proxy, ssl_proxy], "{values}");
        for probe in ["startupProbe", "readinessProbe"] {
            let asked = json!({"path": "/login/index.php", "port": "http", "httpHeaders": [{"name": "Host", "value": host}]});
            assert_eq!(moodle[probe]["httpGet"], asked, "{probe} with {values}");
        }
        let test = object(&objects, "Pod", "lms-moodle-test");
        let tested = test["spec"]["containers"][0]["env"].as_array().unwrap();
        assert!(
            tested.contains(&json!({"name": "MOODLE_HOST", "value": host})),
            "the test with {values}"
        );
    }
}

#[test]
fn moodle_probes_allow_a_slow_start_and_a_missing_database() {
    let objects = moodle(&json!({}));
    let moodle = container(&objects, "moodle");
    let [period, failures] = ["periodSeconds", "failureThreshold"]
        .map(|name| moodle["startupProbe"][name].as_u64().expect("a number"));
    assert_eq!(period * failures, 1800);
    assert!(
        deployment(&objects)["progressDeadlineSeconds"].as_u64() > Some(1800),
        "the deadline of the Deployment should exceed that of the probe"
    );
    assert_eq!(
        moodle["livenessProbe"]["tcpSocket"],
        json!({"port": "http"}),
        "the probe should not request a page, because pages need the database"
    );
}

#[test]
fn moodle_chart_rejects_invalid_values() {
    for (values, said) in [
        (json!({"siteUrl": "http://lms.example.org/"}), "siteUrl"),
        (json!({"siteUrl": "http://lms.example.org/moodle"}), "siteUrl"),
        (json!({"siteUrl": "http://LMS.example.org"}), "siteUrl"),
        (json!({"sslProxy": true}), "sslProxy needs a siteUrl with https"),
        (json!({"siteName": "two\nlines"}), "siteName"),
        (json!({"admin": {"password": "secret"}}), "admin"),
        (json!({"externalDatabase": {"user": "a'b"}}), "user"),
        (json!({"extraEnv": [{"name": "A", "value": "two\nlines"}]}), "extraEnv"),
        (json!({"postgresql": {"enabled": false}}), "externalDatabase.host is required"),
        (json!({"ingress": {"enabled": true}}), "ingress.host is required"),
    ] {
        let rejection = rejection("moodle", &values);
        assert!(
            rejection.contains(said),
            "the chart should reject {values} and name {said}: {rejection}"
        );
    }
}

#[test]
fn moodle_network_policy_allows_its_database_the_lrs_and_dns_only() {
    let egress = |values: &Value| -> Value {
        object(&moodle(values), "NetworkPolicy", "lms-moodle")["spec"]["egress"].clone()
    };
    let dns = json!({"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]});
    let to = |name: &str, component: &str, port: u16, instance: Option<&str>| {
        let mut labels =
            json!({"app.kubernetes.io/name": name, "app.kubernetes.io/component": component});
        if let Some(instance) = instance {
            labels["app.kubernetes.io/instance"] = json!(instance);
        }
        json!({"ports": [{"port": port, "protocol": "TCP"}], "to": [{"podSelector": {"matchLabels": labels}}]})
    };
    assert_eq!(
        egress(&json!({})),
        json!([
            dns,
            to("postgresql", "database", 5432, Some("lms")),
            to("ralph", "server", 8080, None)
        ])
    );

    let mail = json!({"ports": [{"port": 587}]});
    let outside = egress(
        &json!({"lrs": {"port": 443, "podLabels": null}, "networkPolicy": {"egress": [mail]}}),
    );
    assert_eq!(
        outside[2],
        json!({"ports": [{"port": 443, "protocol": "TCP"}]}),
        "the policy should allow the port of an external LRS"
    );
    assert_eq!(outside[3], mail);
}

#[test]
fn moodle_sends_no_mail_without_an_smtp_host() {
    let objects = moodle(&json!({}));
    assert_eq!(
        environment(container(&objects, "moodle"))["SMTP_HOST"],
        "localhost",
        "the chart should replace the default host of the image"
    );
    let objects =
        moodle(&json!({"extraEnv": [{"name": "SMTP_HOST", "value": "mail.example.org"}]}));
    let environment = environment(container(&objects, "moodle"));
    assert_eq!(environment["SMTP_HOST"], "mail.example.org");
    assert!(!environment.contains_key("SMTP_USER"));
}

/// The image reads each line of a variable as the name of a variable, and replaces that name in nginx.conf.
#[test]
fn moodle_chart_sets_variables_without_line_breaks() {
    let objects = moodle(&json!({"plugin": {"configMap": "lms-plugin"}}));
    let environment = environment(container(&objects, "moodle"));
    assert!(environment.contains_key("PRE_CONFIGURE_COMMANDS"), "{environment:?}");
    for (name, value) in environment {
        assert!(!value.as_str().unwrap_or_default().contains('\n'), "{name}");
    }
}

/// Runs the commands as the image does: in the shell that later passes the site name to Moodle without quotes.
#[test]
fn moodle_start_keeps_a_quoted_site_name_and_stops_when_a_script_fails() {
    let objects = moodle(&json!({}));
    let scratch = tempfile::tempdir().unwrap();
    let commands = environment(container(&objects, "moodle"))["PRE_CONFIGURE_COMMANDS"]
        .as_str()
        .unwrap()
        .replace("php /opt/lastack", "sh FILES")
        .replace("/opt/lastack", "FILES");
    let start = |put: &str| {
        write(&scratch.path().join("FILES/services.sh"), "");
        write(&scratch.path().join("FILES/put-plugins.sh"), put);
        write(&scratch.path().join("FILES/administrator.php"), "");
        let image =
            r#"set -e; eval "$COMMANDS"; set -- --fullname=$SITE --lang=en; printf '%s\n' "$@""#;
        let mut shell = Command::new("sh");
        shell
            .args(["-c", image])
            .env("COMMANDS", &commands)
            .env("SITE", "Cells & Life * 'Lyon'")
            .current_dir(scratch.path());
        shell.output().expect("sh")
    };
    assert_eq!(
        String::from_utf8_lossy(&start("").stdout),
        "--fullname=Cells & Life * 'Lyon'\n--lang=en\n"
    );
    assert_eq!(start("exit 7").status.code(), Some(7));
}

#[test]
fn moodle_chart_mounts_its_files_and_the_plugin() {
    let objects = moodle(
        &json!({"plugin": {"configMap": "lms-plugin", "key": "store.tgz", "checksum": "0b"}}),
    );
    let data = object(&objects, "ConfigMap", "lms-moodle")["data"].as_object().expect("data");
    for file in fs::read_dir(root().join("charts/moodle/files")).unwrap() {
        let file = file.unwrap();
        let content = fs::read_to_string(file.path()).unwrap();
        assert_eq!(data[file.file_name().to_str().unwrap()], content, "{:?}", file.file_name());
    }

    let pod = &deployment(&objects)["template"];
    assert_eq!(
        pod["metadata"]["annotations"]["lastack/plugin-checksum"], "0b",
        "a new plugin should start a new pod"
    );
    let volumes = pod["spec"]["volumes"].as_array().unwrap();
    assert!(volumes.contains(&json!({"name": "archive", "configMap": {"name": "lms-plugin"}})));
    assert!(volumes.contains(&json!({"name": "files", "configMap": {"name": "lms-moodle"}})));

    let (unpack, moodle) = (container(&objects, "plugin"), container(&objects, "moodle"));
    assert_eq!(unpack["image"], moodle["image"], "both containers should use one image");
    assert_eq!(environment(unpack)["LASTACK_ARCHIVE"], "/archive/store.tgz");
    let mount = |container: &Value, name: &str| {
        container["volumeMounts"]
            .as_array()
            .unwrap()
            .iter()
            .find(|mount| mount["name"] == name)
            .cloned()
    };
    assert_eq!(
        mount(unpack, "plugins").unwrap(),
        json!({"name": "plugins", "mountPath": "/plugins"})
    );
    assert_eq!(
        mount(moodle, "plugins").unwrap(),
        json!({"name": "plugins", "mountPath": "/plugins", "readOnly": true})
    );
    assert_eq!(
        mount(moodle, "files").unwrap(),
        json!({"name": "files", "mountPath": "/opt/lastack", "readOnly": true})
    );
    for service in ["replay", "drain"] {
        assert_eq!(
            mount(moodle, service).unwrap(),
            json!({"name": service, "mountPath": format!("/etc/service/{service}")}),
            "runit needs a writable mount"
        );
    }
    // the image sets the administrator's password between the two
    let commands = |when: &str| environment(moodle)[when].as_str().unwrap().to_string();
    assert!(
        commands("PRE_CONFIGURE_COMMANDS")
            .ends_with("sh /opt/lastack/put-plugins.sh; php /opt/lastack/administrator.php before")
    );
    assert_eq!(commands("POST_CONFIGURE_COMMANDS"), "php /opt/lastack/administrator.php after");
}

#[test]
fn moodle_services_for_the_queue_run_only_with_a_plugin() {
    let often = json!({"everySeconds": 10});
    let often =
        moodle(&json!({"plugin": {"configMap": "lms-plugin"}, "replay": often, "drain": often}));
    let environment = environment(container(&often, "moodle"));
    assert_eq!(environment["LASTACK_REPLAY_SECONDS"], "10");
    assert_eq!(environment["LASTACK_DRAIN_SECONDS"], "10");
    let disabled = json!({"enabled": false});
    for values in [
        json!({}),
        json!({"plugin": {"configMap": "lms-plugin"}, "replay": disabled, "drain": disabled}),
    ] {
        let objects = moodle(&values);
        let volumes = deployment(&objects)["template"]["spec"]["volumes"].as_array().unwrap();
        assert!(volumes.iter().any(|volume| volume["name"] == "data"), "{values}");
        let is_service = |volume: &Value| volume["name"] == "replay" || volume["name"] == "drain";
        assert!(!volumes.iter().any(is_service), "{values}");
    }
}

fn script(name: &str, variables: &[(&str, &Path)]) -> Output {
    Command::new("sh")
        .arg(root().join("charts/moodle/files").join(name))
        .envs(variables.iter().copied())
        .output()
        .expect("sh")
}

fn write(file: &Path, content: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, content).unwrap();
}

/// Packs `folder` in the format of the plugin's archive.
fn pack(folder: &Path, top: &str, archive: &Path) {
    assert!(
        Command::new("tar")
            .arg("-czf")
            .arg(archive)
            .arg("-C")
            .arg(folder)
            .arg(top)
            .status()
            .unwrap()
            .success()
    );
}

#[test]
fn unpack_script_replaces_the_plugin_and_names_a_faulty_archive() {
    let scratch = tempfile::tempdir().unwrap();
    let [archive, plugins, services, source] =
        ["xapi.tar.gz", "plugins", "services", "source"].map(|name| scratch.path().join(name));
    let replay = services.join("replay");
    fs::create_dir(&plugins).unwrap();
    fs::create_dir_all(&replay).unwrap();
    let files = root().join("charts/moodle/files");
    let unpack = || {
        let variables = [
            ("LASTACK_ARCHIVE", archive.as_path()),
            ("LASTACK_CONFIGMAP", Path::new("lms-plugin")),
        ];
        script(
            "unpack.sh",
            &[
                variables.as_slice(),
                &[
                    ("LASTACK_PLUGINS", &plugins),
                    ("LASTACK_SERVICES", &services),
                    ("LASTACK_FILES", &files),
                ],
            ]
            .concat(),
        )
    };
    let fails_with = |why: &str| {
        let output = unpack();
        assert!(!output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(
            said.lines().last(),
            Some(why),
            "the last line should hold the cause, because the pod status shows that line"
        );
    };

    fails_with("error: there is no xapi.tar.gz of ConfigMap lms-plugin");
    write(&archive, "no archive");
    fails_with("error: xapi.tar.gz of ConfigMap lms-plugin is not a whole tar.gz");
    write(&source.join("moodle-logstore_xapi/version.php"), "");
    pack(&source, "moodle-logstore_xapi", &archive);
    fails_with(
        "error: xapi.tar.gz of ConfigMap lms-plugin has no plugin: xapi/version.php is missing",
    );

    write(&source.join("xapi/version.php"), "5.0.1");
    pack(&source, "xapi", &archive);
    write(&plugins.join("xapi/old.php"), "");
    for _ in 0..2 {
        let output = unpack();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(fs::read_to_string(plugins.join("xapi/version.php")).unwrap(), "5.0.1");
    assert!(
        !plugins.join("xapi/old.php").exists(),
        "the script should delete files of an earlier run"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &fs::metadata(replay.join("run")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o755, "runit needs an executable file");
}

#[test]
fn plugin_script_copies_plugins_into_the_folder_of_the_moodle_version() {
    for (version, store) in [
        ("version.php", "admin/tool/log/store"),
        ("public/version.php", "public/admin/tool/log/store"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let [tree, plugins] = ["html", "plugins"].map(|name| scratch.path().join(name));
        write(&tree.join(version), "");
        write(&tree.join(store).join("xapi/removed.php"), "");
        write(&tree.join(store).join("database/version.php"), "");
        write(&plugins.join("xapi/version.php"), "");
        write(&plugins.join("xapi/db/events.php"), "");
        for _ in 0..2 {
            let output = script(
                "put-plugins.sh",
                &[
                    ("MOODLE_HTML_DIR", &tree),
                    ("LASTACK_PLUGINS", &plugins),
                    ("LASTACK_FILES", scratch.path()),
                ],
            );
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let xapi = tree.join(store).join("xapi");
        assert!(
            xapi.join("version.php").is_file() && xapi.join("db/events.php").is_file(),
            "{version}"
        );
        assert!(
            !xapi.join("removed.php").exists(),
            "{version}: the script should replace the plugin"
        );
        assert!(!xapi.join("xapi").exists(), "{version}: the script should not nest the plugin");
        assert!(
            tree.join(store).join("database/version.php").is_file(),
            "{version}: another log store should stay"
        );
        assert_eq!(
            tree.join("public").exists(),
            version.starts_with("public"),
            "{version}: the script should create no public/"
        );
    }
}

/// Covers an image without Moodle, and a failure to drop an unfinished database.
#[test]
fn plugin_script_fails_without_moodle_or_with_an_unfinished_database() {
    let scratch = tempfile::tempdir().unwrap();
    let put = |path: &str| {
        let mut command = Command::new("sh");
        command
            .arg(root().join("charts/moodle/files/put-plugins.sh"))
            .env("MOODLE_HTML_DIR", scratch.path().join("html"));
        command
            .env("LASTACK_FILES", scratch.path())
            .env("LASTACK_PLUGINS", scratch.path().join("none"))
            .env("PATH", path)
            .output()
            .expect("sh")
    };
    let path = std::env::var("PATH").unwrap();
    let output = put(&path);
    assert!(!output.status.success());
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: there is no Moodle in"));

    write(&scratch.path().join("html/version.php"), "");
    assert!(put(&path).status.success());
    write(&scratch.path().join("unfinished.php"), "");
    // a shell script with the name of PHP, copied so that no child of another test holds it open for writing
    write(&scratch.path().join("source"), "#!/bin/sh\nexit 7\n");
    fs::create_dir(scratch.path().join("bin")).unwrap();
    let copy =
        format!("cp {0}/source {0}/bin/php && chmod 755 {0}/bin/php", scratch.path().display());
    assert!(Command::new("sh").arg("-c").arg(copy).status().unwrap().success());
    assert_eq!(
        put(&format!("{}:{path}", scratch.path().join("bin").display())).status.code(),
        Some(7)
    );
}

#[test]
fn services_script_limits_php_workers_and_disables_cron() {
    let scratch = tempfile::tempdir().unwrap();
    let pool = scratch.path().join("php83/php-fpm.d/www.conf");
    write(&pool, "pm = ondemand\npm.max_children = 100\npm.max_requests = 1000\n");
    let down = scratch.path().join("service/cron/down");
    write(&down.with_file_name("run"), "");
    let services = |cron: &str| {
        script(
            "services.sh",
            &[
                ("LASTACK_ETC", scratch.path()),
                ("LASTACK_WORKERS", Path::new("10")),
                ("RUN_CRON_TASKS", Path::new(cron)),
            ],
        )
    };
    assert!(services("true").status.success());
    assert_eq!(
        fs::read_to_string(&pool).unwrap(),
        "pm = ondemand\npm.max_children = 10\npm.max_requests = 1000\n"
    );
    assert!(!down.exists());
    assert!(services("false").status.success());
    assert!(down.exists(), "runit should not start a service with this file");
}
