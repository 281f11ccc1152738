//! The calls of helm, and how the program handles their output.

use std::path::Path;

use http::Method;
use serde_json::{Value, json};

use crate::support::helm::Call;
use crate::support::machine::TOKEN;
use crate::support::stack::{DATA_LAKE, MockedStack, lms_objects, node};

use super::install::passwords;

const OF_LRS: &str = "lrs";

fn upgrade_of<'a>(calls: &'a [Call], release: &str) -> &'a Call {
    calls
        .iter()
        .find(|call| call.is("upgrade") && call.is(release))
        .unwrap_or_else(|| panic!("helm should install {release}: {calls:?}"))
}

#[test]
fn install_passes_context_namespace_and_chart_to_helm() {
    let stack = MockedStack::installed();
    let calls = stack.helm.calls();
    let line = upgrade_of(&calls, OF_LRS).line();
    assert!(line.starts_with("--kube-context lab upgrade --install lrs "), "{line}");
    assert!(line.contains("/ralph -n alice ") && line.contains(" -f -"), "{line}");
    assert!(
        !line.contains("--create-namespace"),
        "the namespace exists, and its owner may lack permission to create one: {line}"
    );
    let line = upgrade_of(&calls, "elastic-operator").line();
    assert!(
        line.contains(
            " eck-operator --repo https://helm.elastic.co --version 3.5.0 -n elastic-system "
        ),
        "{line}"
    );
    assert!(line.contains(" --create-namespace"), "{line}");
}

#[test]
fn install_forces_conflicts_with_helm_4_and_not_with_helm_3() {
    for (version, forces) in [("v4.2.4", true), ("v3.21.4", false)] {
        let mut stack = MockedStack::empty();
        stack.helm = stack.helm.version(version);
        stack.machine.run("install --only lrs").exits(0);
        let calls = stack.helm.calls();
        let line = upgrade_of(&calls, OF_LRS).line();
        assert_eq!(
            line.contains("--server-side=true --force-conflicts"),
            forces,
            "helm {version}: {line}"
        );
    }
}

#[test]
fn install_ignores_local_folders_with_the_name_of_a_chart() {
    let stack = MockedStack::empty();
    stack.machine.write("eck-operator/Chart.yaml", "name: something-else\n");
    stack.machine.run("install").exits(0);
    let elsewhere = format!("PWD={}", stack.machine.path("tmp").display());
    for call in stack.helm.calls() {
        assert!(
            call.environment.lines().any(|line| line == elsewhere),
            "helm should run in a folder without local charts: {call:?}"
        );
    }
}

#[test]
fn install_passes_values_through_stdin_with_secret_names_only() {
    let stack = MockedStack::installed();
    let calls = stack.helm.calls();
    let values = upgrade_of(&calls, OF_LRS).values();
    assert_eq!(values["existingSecret"], "lrs-ralph");
    assert_eq!(values["elasticsearch"]["existingSecret"], "data-lake-user-lrs");
    assert_eq!(values["image"], json!({"repository": "fundocker/ralph", "tag": "5.0.1"}));
}

#[test]
fn install_passes_no_secret_to_helm() {
    let stack = MockedStack::installed();
    let secrets: Vec<String> = passwords(&stack).into_iter().chain([TOKEN.to_owned()]).collect();
    for call in stack.helm.calls() {
        for secret in &secrets {
            let places = [
                ("arguments", call.line()),
                ("environment", call.environment.clone()),
                ("values", call.stdin.clone()),
            ];
            for (place, text) in places {
                assert!(
                    !text.contains(secret.as_str()),
                    "a password is in the {place} of `helm {}`",
                    call.line()
                );
            }
        }
    }
}

#[test]
fn install_passes_image_registry_and_user_values_to_the_chart() {
    let stack = MockedStack::empty();
    stack.machine.write("values.yaml", "replicas: 2\nresources: {limits: {memory: 1Gi}}\n");
    let mut machine = node("8", "16Gi");
    machine["status"]["addresses"] = json!([{"type": "InternalIP", "address": "192.0.2.7"}]);
    let mut objects = lms_objects();
    let service =
        objects.iter_mut().find(|object| object["kind"] == "Service").expect("Moodle's Service");
    service["spec"]["type"] = json!("NodePort");
    service["spec"]["ports"][0]["nodePort"] = json!(30080);
    stack.kubernetes.put([machine]).put_after_file(stack.helm.state_file("lms"), objects);
    stack.moodle.world().site = "http://192.0.2.7:30080".into();
    stack.machine.run("install --image-registry registry.example.org/mirror/ --values lrs=values.yaml --expose nodeport").exits(0);
    let calls = stack.helm.calls();
    let values = upgrade_of(&calls, OF_LRS).values();
    assert_eq!(values["image"]["repository"], "registry.example.org/mirror/fundocker/ralph");
    assert_eq!(values["service"]["type"], "NodePort");
    assert_eq!(values["replicas"], 2);
    assert_eq!(values["resources"]["limits"]["memory"], "1Gi");
    assert_eq!(
        values["resources"]["requests"]["memory"], "384Mi",
        "values that the user does not set should stay"
    );
    let values = upgrade_of(&calls, "elastic-operator").values();
    assert_eq!(values["image"]["repository"], "registry.example.org/mirror/eck/eck-operator");
    let last =
        calls.iter().rfind(|call| call.is("upgrade") && call.is("lms")).expect("an upgrade of lms");
    assert_eq!(
        last.values()["siteUrl"],
        "http://192.0.2.7:30080",
        "Moodle should use the address of its Service"
    );
}

#[test]
fn install_with_an_ingress_names_each_component_under_the_domain() {
    let stack = MockedStack::empty();
    stack
        .machine
        .run("install --expose ingress")
        .exits(2)
        .says("requires `--domain`")
        .says("--domain example.org");
    stack
        .machine
        .run("install --domain la.example.org")
        .exits(2)
        .says("require `--expose ingress`");
    stack.kubernetes.put([json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}})]);
    stack.moodle.world().site = "https://lms.la.example.org".into();
    stack.machine.run("install --expose ingress --domain la.example.org --ingress-class nginx --tls-secret wild").exits(0);
    let calls = stack.helm.calls();
    let values = upgrade_of(&calls, OF_LRS).values();
    assert_eq!(values["service"]["type"], "ClusterIP");
    assert_eq!(
        values["ingress"],
        json!({"enabled": true, "host": "lrs.la.example.org", "className": "nginx", "tlsSecret": "wild"})
    );
    assert_eq!(upgrade_of(&calls, "lms").values()["siteUrl"], "https://lms.la.example.org");
    assert_eq!(upgrade_of(&calls, "dataviz").values()["ingress"]["host"], "dataviz.la.example.org");
    assert_eq!(upgrade_of(&calls, "dataviz").values()["config"]["secureCookies"], true);
    stack.kubernetes.put([json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "lrs-ralph", "namespace": "alice"},
        "spec": {"tls": [{"hosts": ["lrs.la.example.org"]}], "rules": [{"host": "lrs.la.example.org"}]}})]);
    stack
        .machine
        .run("open lrs --print")
        .exits(0)
        .prints("https://lrs.la.example.org/__heartbeat__");
    stack.machine.run("open lms --print").exits(0).prints("https://lms.la.example.org/");
    stack.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn install_passes_the_kubeconfig_flag_to_helm() {
    let stack = MockedStack::empty();
    std::fs::rename(stack.machine.path("home/.kube/config"), stack.machine.path("my-config"))
        .unwrap();
    stack.machine.run("install --kubeconfig my-config").exits(0);
    for call in stack.helm.calls() {
        let path = format!("KUBECONFIG={}", stack.machine.path("my-config").display());
        assert!(call.environment.lines().any(|line| line == path), "{call:?}");
    }
}

#[test]
fn connection_flags_reach_helm_in_a_temporary_kubeconfig() {
    let stack = MockedStack::empty();
    stack.machine.run("install --token typed-token --as bob").exits(0).never_shows("typed-token");
    for call in stack.helm.calls() {
        assert!(
            !call.line().contains("typed-token") && !call.environment.contains("typed-token"),
            "{}",
            call.line()
        );
        assert!(
            call.kubeconfig.contains("typed-token") && call.kubeconfig.contains("bob"),
            "helm should act as the same user"
        );
        assert!(
            !call.kubeconfig.contains(TOKEN),
            "the flag should replace the token of the kubeconfig"
        );
        let path = call
            .environment
            .lines()
            .find_map(|line| line.strip_prefix("KUBECONFIG="))
            .expect("a kubeconfig");
        assert!(!Path::new(path).exists(), "{path} should be gone");
    }
}

/// Variables that change the user, the cluster or the verbosity of helm.
const ELSEWHERE: [(&str, &str); 11] = [
    ("HELM_KUBEAPISERVER", "http://127.0.0.1:9"),
    ("HELM_KUBETOKEN", "token-of-helm"),
    ("HELM_KUBEASUSER", "carol"),
    ("HELM_KUBEASGROUPS", "staff"),
    ("HELM_KUBECAFILE", "authority.crt"),
    ("HELM_KUBETLS_SERVER_NAME", "elsewhere"),
    ("HELM_KUBEINSECURE_SKIP_TLS_VERIFY", "false"),
    ("HELM_KUBECONTEXT", "other"),
    ("HELM_NAMESPACE", "elsewhere"),
    ("HELM_DEBUG", "true"),
    ("LASTACK_PLUGIN", "https://alice:password@example.org/plugin.zip"),
];

#[track_caller]
fn has_no_helm_variables(call: &Call) {
    for (name, _) in ELSEWHERE {
        assert!(
            !call.environment.contains(&format!("{name}=")),
            "helm should not receive {name}: {call:?}"
        );
    }
}

#[test]
fn helm_variables_of_the_environment_do_not_redirect_helm() {
    let mut stack = MockedStack::empty();
    for (name, value) in ELSEWHERE {
        stack.machine = stack.machine.env(name, value);
    }
    stack
        .machine
        .run("install --only lrs")
        .exits(0)
        .says("Installing into namespace alice of context lab");
    let calls = stack.helm.calls();
    calls.iter().for_each(has_no_helm_variables);
    assert!(calls.iter().all(|call| call.line().starts_with("--kube-context lab ")), "{calls:?}");
}

#[test]
fn connection_flags_override_helm_variables_under_helm() {
    let mut stack = MockedStack::empty();
    let url = stack.kubernetes.url();
    for (name, value) in ELSEWHERE.into_iter().chain([("HELM_PLUGIN_NAME", "lastack")]) {
        stack.machine = stack.machine.env(name, value);
    }
    let typed = "-n alice --context lab --token typed-token --as bob --as-group teachers --insecure-skip-tls-verify";
    stack.machine.run(&format!("install --only lrs {typed} --server {url}")).exits(0);
    for call in stack.helm.calls() {
        has_no_helm_variables(&call);
        for word in ["typed-token", "bob", "teachers", &url] {
            assert!(
                call.kubeconfig.contains(word),
                "the flags should decide the connection of helm: {word}\n{call:?}"
            );
        }
        for word in ["token-of-helm", "carol", "staff"] {
            assert!(
                !call.kubeconfig.contains(word),
                "the variables should not decide the connection of helm: {word}\n{call:?}"
            );
        }
    }
}

#[test]
fn helm_debug_prints_helm_commands_under_helm_only() {
    let line = " INFO helm --kube-context lab status lrs -n alice -o json\n";
    let mut stack = MockedStack::installed();
    stack.machine = stack.machine.env("HELM_DEBUG", "true");
    stack.machine.run("install").exits(0).never_shows(line);
    stack.machine = stack.machine.env("HELM_PLUGIN_NAME", "lastack").env("HELM_NAMESPACE", "alice");
    stack.machine.run("install").exits(0).says(line);
}

#[test]
fn impersonation_of_helm_reaches_the_helm_child_under_helm() {
    let mut stack = MockedStack::empty();
    for (name, value) in [
        ("HELM_PLUGIN_NAME", "lastack"),
        ("HELM_NAMESPACE", "alice"),
        ("HELM_KUBEASUSER", "carol"),
        ("HELM_KUBEASGROUPS", "staff"),
    ] {
        stack.machine = stack.machine.env(name, value);
    }
    stack.machine.run("install --only lrs").exits(0);
    for call in stack.helm.calls() {
        has_no_helm_variables(&call);
        assert!(call.kubeconfig.contains("carol") && call.kubeconfig.contains("staff"), "{call:?}");
    }
}

#[test]
fn connection_flags_without_a_kubeconfig_reach_helm() {
    let stack = MockedStack::empty();
    std::fs::remove_file(stack.machine.path("home/.kube/config")).unwrap();
    let url = stack.kubernetes.url();
    stack
        .machine
        .run(&format!("install --only lrs -n alice --token typed-token --server {url}"))
        .exits(0);
    for call in stack.helm.calls() {
        assert!(
            call.kubeconfig.contains(&url) && call.kubeconfig.contains("typed-token"),
            "{call:?}"
        );
    }
}

#[test]
fn certificate_authority_flag_reaches_helm_as_an_absolute_path() {
    let stack = MockedStack::empty();
    let path = stack.machine.write("authority.crt", &stack.elasticsearch.authority);
    stack.machine.run("install --only lrs --certificate-authority authority.crt").exits(0);
    let path = path.to_string_lossy();
    assert!(
        stack.helm.calls().iter().all(|call| call.kubeconfig.contains(&*path)),
        "{:?}",
        stack.helm.calls()
    );
}

#[test]
fn install_without_helm_on_path_fails_before_any_change() {
    let stack = MockedStack::empty();
    std::fs::remove_file(stack.machine.path("bin/helm")).unwrap();
    stack
        .machine
        .run("install")
        .exits(1)
        .says("preflight.helm: `helm` is not on PATH")
        .says("hint: install helm 3 or 4");
    assert_eq!(stack.kubernetes.changes(), Vec::<String>::new());
}

#[test]
fn install_with_an_unsupported_helm_version_fails_before_any_change() {
    for version in ["v3.13.9", "v2.17.0", "v5.0.0"] {
        let mut stack = MockedStack::empty();
        stack.helm = stack.helm.version(version);
        stack.machine.run("install").exits(1).says(&format!(
            "`helm` on PATH is version {}; the stack requires 3.14.0 or newer, below 5.0.0",
            &version[1..]
        ));
        assert_eq!(stack.kubernetes.changes(), Vec::<String>::new(), "with helm {version}");
    }
}

#[test]
fn install_accepts_helm_3_and_helm_4() {
    for version in ["v3.14.0", "v3.21.4", "v4.2.4", "v4.2.4+g9a1b2c3"] {
        let mut stack = MockedStack::empty();
        stack.helm = stack.helm.version(version);
        stack.machine.run("install --dry-run").exits(3).prints(&version[1..]);
    }
}

#[test]
fn install_with_unreadable_helm_version_quotes_the_output() {
    let mut stack = MockedStack::empty();
    stack.helm = stack.helm.version("I am no helm");
    stack
        .machine
        .run("install")
        .exits(1)
        .says("preflight.helm: `helm version` printed `I am no helm`");
}

#[test]
fn helm_output_before_a_document_is_ignored() {
    let stack = MockedStack::installed();
    stack.helm.chatters("Pulled: registry.example.org/charts/ralph:0.1.0\nDigest: sha256:0123\n");
    stack.machine.run("install").exits(0).says("nothing to change");
    stack.machine.run("status").exits(0).prints("chart 0.1.0");
}

#[test]
fn install_reports_the_error_of_helm() {
    let stack = MockedStack::empty();
    stack.kubernetes.put(crate::support::stack::operator());
    stack.helm.fails("upgrade", "WARNING: Kubernetes configuration file is group-readable.\nError: INSTALLATION FAILED: quota exceeded: pods\n");
    stack.machine
        .run("install --only lrs")
        .exits(1)
        .says("lrs.release: release lrs: `helm upgrade` failed: INSTALLATION FAILED: quota exceeded: pods\n")
        .never_shows("WARNING");
}

#[test]
fn helm_that_cannot_reach_the_cluster_is_a_failed_connection() {
    let stack = MockedStack::installed();
    stack.helm.fails("status", "Error: kubernetes cluster unreachable: Get \"https://10.0.0.1/version\": dial tcp 10.0.0.1:443: connect: connection refused\n");
    stack
        .machine
        .run("uninstall --yes -n alice")
        .exits(4)
        .says("`helm status` failed: kubernetes cluster unreachable: ")
        .says("hint: check `kubectl cluster-info`, or choose another cluster with `--context`");
}

/// The helm verbs that changed a release, in order.
fn changes_of(stack: &MockedStack, release: &str) -> Vec<String> {
    let verbs = ["upgrade", "rollback", "uninstall"];
    let calls = stack.helm.calls();
    let of_release = calls.iter().filter(|call| call.is(release));
    of_release
        .filter_map(|call| verbs.iter().find(|verb| call.is(verb)))
        .map(|verb| verb.to_string())
        .collect()
}

#[test]
fn interrupted_helm_install_is_uninstalled_and_installed_again() {
    let stack = MockedStack::empty();
    stack.helm.has_release_of_ours(OF_LRS, "pending-install", "Initial install underway");
    stack.kubernetes.put(crate::support::stack::lrs_objects());
    stack.machine.run("install").exits(0);
    assert_eq!(changes_of(&stack, OF_LRS), ["uninstall", "upgrade"]);
}

#[test]
fn interrupted_helm_upgrade_is_rolled_back_and_upgraded_again() {
    let stack = MockedStack::installed();
    stack.helm.has_release_of_ours(OF_LRS, "pending-upgrade", "Preparing upgrade");
    stack.machine.run("install").exits(0);
    assert_eq!(
        changes_of(&stack, OF_LRS),
        ["upgrade", "rollback", "upgrade"],
        "the install, then the repair"
    );
}

#[test]
fn interrupted_helm_uninstall_is_completed_before_the_next_install() {
    let stack = MockedStack::installed();
    stack.helm.has_release_of_ours(
        OF_LRS,
        "uninstalling",
        "Deletion in progress (or silently failed)",
    );
    stack.machine.run("install").exits(0);
    assert_eq!(
        changes_of(&stack, OF_LRS),
        ["upgrade", "uninstall", "upgrade"],
        "the install, then the repair"
    );
}

#[test]
fn upgrade_that_helm_rejects_is_not_rolled_back() {
    let stack = MockedStack::installed();
    stack.machine.write("values.yaml", "replicas: 2\n");
    stack.helm.fails(
        "upgrade",
        "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n",
    );
    stack
        .machine
        .run("install --values lrs=values.yaml")
        .exits(1)
        .says("another operation")
        .never_shows("rolled back");
    assert_eq!(
        changes_of(&stack, OF_LRS),
        ["upgrade", "upgrade"],
        "the install, then the rejected upgrade"
    );
}

#[test]
fn install_with_a_larger_profile_keeps_the_volume_sizes() {
    let stack = MockedStack::installed();
    for name in ["lms-postgresql", "dataviz-postgresql"] {
        let path = format!("/apis/apps/v1/namespaces/alice/statefulsets/{name}");
        let mut set = stack.kubernetes.object(&path).expect("the database");
        let claim = json!({"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}});
        set["spec"]["volumeClaimTemplates"] = json!([claim]);
        stack.kubernetes.put([set]);
    }
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "lms-moodle", "namespace": "alice"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}}});
    stack.kubernetes.put([claim]);
    stack.machine.run("install --profile classroom --no-wait").exits(0);
    let node = &stack.kubernetes.object(DATA_LAKE).expect("the data lake")["spec"]["nodeSets"][0];
    assert_eq!(
        node["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "2Gi",
        "the operator rejects another size"
    );
    assert_eq!(
        node["podTemplate"]["spec"]["containers"][0]["resources"]["requests"]["memory"], "4Gi",
        "the memory request should grow"
    );
    let calls = stack.helm.calls();
    for (release, size) in [
        ("lms", "/persistence/size"),
        ("lms", "/postgresql/storage"),
        ("dataviz", "/postgresql/storage"),
    ] {
        let upgrade =
            calls.iter().rfind(|call| call.is("upgrade") && call.is(release)).expect("an upgrade");
        assert_eq!(
            upgrade.values().pointer(size),
            Some(&json!("1Gi")),
            "{release}: Kubernetes rejects another size"
        );
    }
}

#[test]
fn install_waits_for_a_release_that_another_helm_changes() {
    let stack = MockedStack::installed();
    stack.helm.works_on_release(OF_LRS, "pending-upgrade", "Preparing upgrade");
    stack
        .machine
        .run("install --timeout 1s")
        .exits(124)
        .says("release lrs is not ready after ")
        .says("another helm process is changing release lrs (pending-upgrade)");
    stack
        .machine
        .run("install --no-wait")
        .exits(1)
        .says("another helm process is changing release lrs (pending-upgrade)");
    assert_eq!(
        changes_of(&stack, OF_LRS),
        ["upgrade"],
        "the release should stay unchanged meanwhile"
    );
}

#[test]
fn failed_helm_install_is_installed_again() {
    let stack = MockedStack::empty();
    stack.helm.has_release_of_ours(
        OF_LRS,
        "failed",
        "Release \"lrs\" failed: quota exceeded: pods",
    );
    stack.kubernetes.put(crate::support::stack::lrs_objects());
    stack.machine.run("install").exits(0);
    assert_eq!(changes_of(&stack, OF_LRS), ["upgrade"]);
}

#[test]
fn release_that_was_rolled_back_manually_is_upgraded_again() {
    let stack = MockedStack::installed();
    stack.helm.has_release_of_ours(OF_LRS, "deployed", "Rollback to 1");
    stack.machine.run("install").exits(0).says("rolled back");
    assert_eq!(changes_of(&stack, OF_LRS), ["upgrade", "upgrade"]);
}

#[test]
fn install_runs_nodes_in_dependency_order() {
    let stack = MockedStack::installed();
    let calls = stack.helm.calls();
    let at = |release: &str| {
        calls.iter().position(|call| call.is("upgrade") && call.is(release)).unwrap()
    };
    assert!(calls[0].is("version"), "the version check should be the first call of helm");
    assert!(at("elastic-operator") < at(OF_LRS));
}

#[test]
fn null_value_of_the_user_reaches_helm() {
    let stack = MockedStack::empty();
    stack.machine.write("values.yaml", "resources: {limits: null}\n");
    stack.machine.run("install --only lrs --values lrs=values.yaml").exits(0);
    let values = stack
        .helm
        .calls_of("upgrade")
        .into_iter()
        .rfind(|call| call.is(OF_LRS))
        .expect("an upgrade")
        .values();
    assert_eq!(values["resources"].get("limits"), Some(&Value::Null), "{values}");
}

#[test]
fn preflight_renders_user_values_together_with_profile_values() {
    let stack = MockedStack::empty();
    stack.machine.write("values.yaml", "worker: {replicas: 4}\n");
    stack.machine.run("install --dry-run --profile production --skip preflight.room --values dataviz=values.yaml").exits(3);
    let tried = stack.helm.calls_of("template").pop().expect("a render of the chart").values();
    assert_eq!(
        (&tried["worker"]["replicas"], &tried["cache"]["enabled"]),
        (&json!(4), &json!(true)),
        "{tried}"
    );
}

#[test]
fn component_address_uses_the_port_of_its_service() {
    let stack = MockedStack::installed();
    stack.machine.write("values.yaml", "service: {port: 8081}\n");
    stack.kubernetes.reacts(
        Method::GET,
        "/api/v1/namespaces/alice/services/lrs-ralph",
        |world, _| {
            let mut service = world.object("/api/v1/namespaces/alice/services/lrs-ralph")?;
            service["spec"]["ports"][0]["port"] = json!(8081);
            service["status"] = json!({"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}});
            world.put(service);
            None
        },
    );
    stack
        .machine
        .run("install --values lrs=values.yaml")
        .exits(0)
        .says("to http://lrs-ralph.alice.svc:8081/xAPI");
    stack.machine.run("status").exits(0).prints("http://192.0.2.9:8081");
}
