//! What helm is told, and what becomes of what it says.

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
fn helm_is_told_the_context_the_namespace_and_the_chart() {
    let lab = MockedStack::installed();
    let calls = lab.helm.calls();
    let line = upgrade_of(&calls, OF_LRS).line();
    assert!(line.starts_with("--kube-context lab upgrade --install lrs "), "{line}");
    assert!(line.contains("/ralph -n alice ") && line.contains(" -f -"), "{line}");
    assert!(
        !line.contains("--create-namespace"),
        "who owns a namespace may not make one, and it is there: {line}"
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
fn helm_4_is_told_to_take_back_what_a_person_set_and_helm_3_does_not_know_how() {
    for (version, told) in [("v4.2.4", true), ("v3.21.4", false)] {
        let mut lab = MockedStack::empty();
        lab.helm = lab.helm.version(version);
        lab.machine.run("install --only lrs").exits(0);
        let calls = lab.helm.calls();
        let line = upgrade_of(&calls, OF_LRS).line();
        assert_eq!(
            line.contains("--server-side=true --force-conflicts"),
            told,
            "helm {version}: {line}"
        );
    }
}

#[test]
fn no_folder_of_the_user_is_taken_for_a_chart() {
    let lab = MockedStack::empty();
    lab.machine.write("eck-operator/Chart.yaml", "name: something-else\n");
    lab.machine.run("install").exits(0);
    let elsewhere = format!("PWD={}", lab.machine.path("tmp").display());
    for call in lab.helm.calls() {
        assert!(
            call.environment.lines().any(|line| line == elsewhere),
            "helm should run where no chart's folder can be: {call:?}"
        );
    }
}

#[test]
fn values_go_over_standard_input_and_name_secrets_only() {
    let lab = MockedStack::installed();
    let calls = lab.helm.calls();
    let values = upgrade_of(&calls, OF_LRS).values();
    assert_eq!(values["existingSecret"], "lrs-ralph");
    assert_eq!(values["elasticsearch"]["existingSecret"], "data-lake-user-lrs");
    assert_eq!(values["image"], json!({"repository": "fundocker/ralph", "tag": "5.0.1"}));
}

#[test]
fn helm_never_gets_a_secret() {
    let lab = MockedStack::installed();
    let secrets: Vec<String> = passwords(&lab).into_iter().chain([TOKEN.to_owned()]).collect();
    for call in lab.helm.calls() {
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
fn another_registry_and_values_of_the_user_reach_the_chart() {
    let lab = MockedStack::empty();
    lab.machine.write("values.yaml", "replicas: 2\nresources: {limits: {memory: 1Gi}}\n");
    let mut machine = node("8", "16Gi");
    machine["status"]["addresses"] = json!([{"type": "InternalIP", "address": "192.0.2.7"}]);
    let mut objects = lms_objects();
    let service =
        objects.iter_mut().find(|object| object["kind"] == "Service").expect("Moodle's Service");
    service["spec"]["type"] = json!("NodePort");
    service["spec"]["ports"][0]["nodePort"] = json!(30080);
    lab.kubernetes.put([machine]).put_once_there(lab.helm.trace_of("lms"), objects);
    lab.moodle.world().site = "http://192.0.2.7:30080".into();
    lab.machine.run("install --image-registry registry.example.org/mirror/ --values lrs=values.yaml --expose nodeport").exits(0);
    let calls = lab.helm.calls();
    let values = upgrade_of(&calls, OF_LRS).values();
    assert_eq!(values["image"]["repository"], "registry.example.org/mirror/fundocker/ralph");
    assert_eq!(values["service"]["type"], "NodePort");
    assert_eq!(values["replicas"], 2);
    assert_eq!(values["resources"]["limits"]["memory"], "1Gi");
    assert_eq!(
        values["resources"]["requests"]["memory"], "384Mi",
        "what the user does not name stays"
    );
    let values = upgrade_of(&calls, "elastic-operator").values();
    assert_eq!(values["image"]["repository"], "registry.example.org/mirror/eck/eck-operator");
    let last =
        calls.iter().rfind(|call| call.is("upgrade") && call.is("lms")).expect("an upgrade of lms");
    assert_eq!(
        last.values()["siteUrl"],
        "http://192.0.2.7:30080",
        "Moodle knows the address that its Service has got"
    );
}

#[test]
fn an_ingress_gives_each_part_a_name_under_the_domain_and_moodle_knows_its_own() {
    let lab = MockedStack::empty();
    lab.machine
        .run("install --expose ingress")
        .exits(2)
        .says("requires `--domain`")
        .says("--domain example.org");
    lab.machine.run("install --domain la.example.org").exits(2).says("require `--expose ingress`");
    lab.kubernetes.put([json!({"apiVersion": "networking.k8s.io/v1", "kind": "IngressClass", "metadata": {"name": "nginx"}})]);
    lab.moodle.world().site = "https://lms.la.example.org".into();
    lab.machine.run("install --expose ingress --domain la.example.org --ingress-class nginx --tls-secret wild").exits(0);
    let calls = lab.helm.calls();
    let values = upgrade_of(&calls, OF_LRS).values();
    assert_eq!(values["service"]["type"], "ClusterIP");
    assert_eq!(
        values["ingress"],
        json!({"enabled": true, "host": "lrs.la.example.org", "className": "nginx", "tlsSecret": "wild"})
    );
    assert_eq!(upgrade_of(&calls, "lms").values()["siteUrl"], "https://lms.la.example.org");
    assert_eq!(upgrade_of(&calls, "dataviz").values()["ingress"]["host"], "dataviz.la.example.org");
    lab.kubernetes.put([json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "lrs-ralph", "namespace": "alice"},
        "spec": {"tls": [{"hosts": ["lrs.la.example.org"]}], "rules": [{"host": "lrs.la.example.org"}]}})]);
    lab.machine.run("open lrs --print").exits(0).prints("https://lrs.la.example.org/__heartbeat__");
    lab.machine.run("open lms --print").exits(0).prints("https://lms.la.example.org/");
    lab.machine.run("install").exits(0).says("nothing to change");
}

#[test]
fn a_kubeconfig_of_ones_own_is_passed_on() {
    let lab = MockedStack::empty();
    std::fs::rename(lab.machine.path("home/.kube/config"), lab.machine.path("my-config")).unwrap();
    lab.machine.run("install --kubeconfig my-config").exits(0);
    for call in lab.helm.calls() {
        let path = format!("KUBECONFIG={}", lab.machine.path("my-config").display());
        assert!(call.environment.lines().any(|line| line == path), "{call:?}");
    }
}

#[test]
fn flags_that_no_kubeconfig_holds_reach_helm_in_a_file_that_is_gone_afterwards() {
    let lab = MockedStack::empty();
    lab.machine.run("install --token typed-token --as bob").exits(0).never_shows("typed-token");
    for call in lab.helm.calls() {
        assert!(
            !call.line().contains("typed-token") && !call.environment.contains("typed-token"),
            "{}",
            call.line()
        );
        assert!(
            call.kubeconfig.contains("typed-token") && call.kubeconfig.contains("bob"),
            "helm should act as the same user"
        );
        assert!(!call.kubeconfig.contains(TOKEN), "the token of the kubeconfig is replaced");
        let path = call
            .environment
            .lines()
            .find_map(|line| line.strip_prefix("KUBECONFIG="))
            .expect("a kubeconfig");
        assert!(!Path::new(path).exists(), "{path} should be gone");
    }
}

/// Variables that make helm another user, somewhere else, or talkative.
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
fn does_not_lead_helm_elsewhere(call: &Call) {
    for (name, _) in ELSEWHERE {
        assert!(
            !call.environment.contains(&format!("{name}=")),
            "helm should not be given {name}: {call:?}"
        );
    }
}

#[test]
fn a_variable_of_somebody_does_not_lead_helm_to_another_cluster_or_user() {
    let mut lab = MockedStack::empty();
    for (name, value) in ELSEWHERE {
        lab.machine = lab.machine.env(name, value);
    }
    lab.machine
        .run("install --only lrs")
        .exits(0)
        .says("Installing into namespace alice of context lab");
    let calls = lab.helm.calls();
    calls.iter().for_each(does_not_lead_helm_elsewhere);
    assert!(calls.iter().all(|call| call.line().starts_with("--kube-context lab ")), "{calls:?}");
}

#[test]
fn under_helm_what_is_typed_goes_over_helms_variables_for_the_child_too() {
    let mut lab = MockedStack::empty();
    let url = lab.kubernetes.url();
    for (name, value) in ELSEWHERE.into_iter().chain([("HELM_PLUGIN_NAME", "lastack")]) {
        lab.machine = lab.machine.env(name, value);
    }
    let typed = "-n alice --context lab --token typed-token --as bob --as-group teachers --insecure-skip-tls-verify";
    lab.machine.run(&format!("install --only lrs {typed} --server {url}")).exits(0);
    for call in lab.helm.calls() {
        does_not_lead_helm_elsewhere(&call);
        for word in ["typed-token", "bob", "teachers", &url] {
            assert!(
                call.kubeconfig.contains(word),
                "helm should be led by what was typed: {word}\n{call:?}"
            );
        }
        for word in ["token-of-helm", "carol", "staff"] {
            assert!(
                !call.kubeconfig.contains(word),
                "helm should not be led by its variables: {word}\n{call:?}"
            );
        }
    }
}

#[test]
fn helms_debug_shows_the_commands_of_helm_that_are_run() {
    let line = "\nhelm --kube-context lab status lrs -n alice -o json\n";
    let mut lab = MockedStack::installed();
    lab.machine = lab.machine.env("HELM_DEBUG", "true");
    lab.machine.run("install").exits(0).never_shows(line);
    lab.machine = lab.machine.env("HELM_PLUGIN_NAME", "lastack").env("HELM_NAMESPACE", "alice");
    lab.machine.run("install").exits(0).says(line);
}

#[test]
fn under_helm_the_child_is_who_helm_is() {
    let mut lab = MockedStack::empty();
    for (name, value) in [
        ("HELM_PLUGIN_NAME", "lastack"),
        ("HELM_NAMESPACE", "alice"),
        ("HELM_KUBEASUSER", "carol"),
        ("HELM_KUBEASGROUPS", "staff"),
    ] {
        lab.machine = lab.machine.env(name, value);
    }
    lab.machine.run("install --only lrs").exits(0);
    for call in lab.helm.calls() {
        does_not_lead_helm_elsewhere(&call);
        assert!(call.kubeconfig.contains("carol") && call.kubeconfig.contains("staff"), "{call:?}");
    }
}

#[test]
fn flags_without_a_kubeconfig_reach_helm_too() {
    let lab = MockedStack::empty();
    std::fs::remove_file(lab.machine.path("home/.kube/config")).unwrap();
    let url = lab.kubernetes.url();
    lab.machine
        .run(&format!("install --only lrs -n alice --token typed-token --server {url}"))
        .exits(0);
    for call in lab.helm.calls() {
        assert!(
            call.kubeconfig.contains(&url) && call.kubeconfig.contains("typed-token"),
            "{call:?}"
        );
    }
}

#[test]
fn an_authority_is_found_by_helm_which_runs_elsewhere() {
    let lab = MockedStack::empty();
    let path = lab.machine.write("authority.crt", &lab.elasticsearch.authority);
    lab.machine.run("install --only lrs --certificate-authority authority.crt").exits(0);
    let path = path.to_string_lossy();
    assert!(
        lab.helm.calls().iter().all(|call| call.kubeconfig.contains(&*path)),
        "{:?}",
        lab.helm.calls()
    );
}

#[test]
fn no_helm_on_path_is_said_before_anything_is_changed() {
    let lab = MockedStack::empty();
    std::fs::remove_file(lab.machine.path("bin/helm")).unwrap();
    lab.machine
        .run("install")
        .exits(1)
        .says("preflight.helm: `helm` is not on PATH")
        .says("hint: install helm 3 or 4");
    assert_eq!(lab.kubernetes.changes(), Vec::<String>::new());
}

#[test]
fn a_helm_that_is_too_old_or_too_new_is_refused() {
    for version in ["v3.13.9", "v2.17.0", "v5.0.0"] {
        let mut lab = MockedStack::empty();
        lab.helm = lab.helm.version(version);
        lab.machine.run("install").exits(1).says(&format!(
            "`helm` on PATH is version {}; the stack requires 3.14.0 or newer, below 5.0.0",
            &version[1..]
        ));
        assert_eq!(lab.kubernetes.changes(), Vec::<String>::new(), "with helm {version}");
    }
}

#[test]
fn helm_3_and_4_are_taken() {
    for version in ["v3.14.0", "v3.21.4", "v4.2.4", "v4.2.4+g9a1b2c3"] {
        let mut lab = MockedStack::empty();
        lab.helm = lab.helm.version(version);
        lab.machine.run("install --dry-run").exits(0).prints(&version[1..]);
    }
}

#[test]
fn a_helm_that_answers_nonsense_is_quoted() {
    let mut lab = MockedStack::empty();
    lab.helm = lab.helm.version("I am no helm");
    lab.machine
        .run("install")
        .exits(1)
        .says("preflight.helm: `helm version` printed `I am no helm`");
}

#[test]
fn lines_that_helm_prints_before_a_document_are_passed_over() {
    let lab = MockedStack::installed();
    lab.helm.chatters("Pulled: registry.example.org/charts/ralph:0.1.0\nDigest: sha256:0123\n");
    lab.machine.run("install").exits(0).says("nothing to change");
    lab.machine.run("status").exits(0).prints("chart 0.1.0");
}

#[test]
fn what_helm_says_went_wrong_is_the_error() {
    let lab = MockedStack::empty();
    lab.kubernetes.put(crate::support::stack::operator());
    lab.helm.fails("upgrade", "WARNING: Kubernetes configuration file is group-readable.\nError: INSTALLATION FAILED: quota exceeded: pods\n");
    lab.machine
        .run("install --only lrs")
        .exits(1)
        .says("lrs.release: release lrs: `helm upgrade` failed: INSTALLATION FAILED: quota exceeded: pods\n")
        .never_shows("WARNING");
}

/// The verbs that changed a release, in order.
fn changes_of(lab: &MockedStack, release: &str) -> Vec<String> {
    let verbs = ["upgrade", "rollback", "uninstall"];
    let calls = lab.helm.calls();
    let of_release = calls.iter().filter(|call| call.is(release));
    of_release
        .filter_map(|call| verbs.iter().find(|verb| call.is(verb)))
        .map(|verb| verb.to_string())
        .collect()
}

#[test]
fn an_install_that_was_killed_is_taken_away_and_done_again() {
    let lab = MockedStack::empty();
    lab.helm.has_release_of_ours(OF_LRS, "pending-install", "Initial install underway");
    lab.kubernetes.put(crate::support::stack::lrs_objects());
    lab.machine.run("install").exits(0);
    assert_eq!(changes_of(&lab, OF_LRS), ["uninstall", "upgrade"]);
}

#[test]
fn an_upgrade_that_was_killed_is_rolled_back_and_done_again() {
    let lab = MockedStack::installed();
    lab.helm.has_release_of_ours(OF_LRS, "pending-upgrade", "Preparing upgrade");
    lab.machine.run("install").exits(0);
    assert_eq!(
        changes_of(&lab, OF_LRS),
        ["upgrade", "rollback", "upgrade"],
        "installed, then repaired"
    );
}

#[test]
fn an_uninstall_that_was_cut_off_is_finished_before_the_release_is_made_again() {
    let lab = MockedStack::installed();
    lab.helm.has_release_of_ours(
        OF_LRS,
        "uninstalling",
        "Deletion in progress (or silently failed)",
    );
    lab.machine.run("install").exits(0);
    assert_eq!(
        changes_of(&lab, OF_LRS),
        ["upgrade", "uninstall", "upgrade"],
        "installed, then repaired"
    );
}

#[test]
fn an_upgrade_that_helm_refuses_changes_nothing_and_nothing_is_rolled_back() {
    let lab = MockedStack::installed();
    lab.machine.write("values.yaml", "replicas: 2\n");
    lab.helm.fails(
        "upgrade",
        "Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress\n",
    );
    lab.machine
        .run("install --values lrs=values.yaml")
        .exits(1)
        .says("another operation")
        .never_shows("rolled back");
    assert_eq!(changes_of(&lab, OF_LRS), ["upgrade", "upgrade"], "installed, then refused");
}

#[test]
fn a_bigger_profile_leaves_the_volumes_as_large_as_they_were_made() {
    let lab = MockedStack::installed();
    for name in ["lms-postgresql", "dataviz-postgresql"] {
        let path = format!("/apis/apps/v1/namespaces/alice/statefulsets/{name}");
        let mut set = lab.kubernetes.object(&path).expect("the database");
        let claim = json!({"metadata": {"name": "data"}, "spec": {"resources": {"requests": {"storage": "1Gi"}}}});
        set["spec"]["volumeClaimTemplates"] = json!([claim]);
        lab.kubernetes.put([set]);
    }
    let claim = json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": "lms-moodle", "namespace": "alice"},
        "spec": {"resources": {"requests": {"storage": "1Gi"}}}});
    lab.kubernetes.put([claim]);
    lab.machine.run("install --profile classroom --no-wait").exits(0);
    let node = &lab.kubernetes.object(DATA_LAKE).expect("the data lake")["spec"]["nodeSets"][0];
    assert_eq!(
        node["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"], "2Gi",
        "the operator refuses another size"
    );
    assert_eq!(
        node["podTemplate"]["spec"]["containers"][0]["resources"]["requests"]["memory"], "4Gi",
        "what can grow does"
    );
    let calls = lab.helm.calls();
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
            "{release}: Kubernetes refuses another size"
        );
    }
}

#[test]
fn a_release_that_another_helm_works_on_is_waited_for() {
    let lab = MockedStack::installed();
    lab.helm.works_on_release(OF_LRS, "pending-upgrade", "Preparing upgrade");
    lab.machine
        .run("install --timeout 1s")
        .exits(124)
        .says("release lrs is not ready after ")
        .says("another helm process is changing release lrs (pending-upgrade)");
    lab.machine
        .run("install --no-wait")
        .exits(1)
        .says("another helm process is changing release lrs (pending-upgrade)");
    assert_eq!(changes_of(&lab, OF_LRS), ["upgrade"], "nothing should be done to it meanwhile");
}

#[test]
fn an_install_that_failed_is_done_again() {
    let lab = MockedStack::empty();
    lab.helm.has_release_of_ours(OF_LRS, "failed", "Release \"lrs\" failed: quota exceeded: pods");
    lab.kubernetes.put(crate::support::stack::lrs_objects());
    lab.machine.run("install").exits(0);
    assert_eq!(changes_of(&lab, OF_LRS), ["upgrade"]);
}

#[test]
fn a_release_that_was_rolled_back_by_hand_is_brought_to_what_was_asked_for() {
    let lab = MockedStack::installed();
    lab.helm.has_release_of_ours(OF_LRS, "deployed", "Rollback to 1");
    lab.machine.run("install").exits(0).says("rolled back");
    assert_eq!(changes_of(&lab, OF_LRS), ["upgrade", "upgrade"]);
}

#[test]
fn steps_follow_each_other_in_the_order_of_their_needs() {
    let lab = MockedStack::installed();
    let calls = lab.helm.calls();
    let at = |release: &str| {
        calls.iter().position(|call| call.is("upgrade") && call.is(release)).unwrap()
    };
    assert!(calls[0].is("version"), "helm is looked at before it is used");
    assert!(at("elastic-operator") < at(OF_LRS));
}

#[test]
fn a_null_reaches_helm_which_takes_the_default_of_the_chart_away_for_it() {
    let lab = MockedStack::empty();
    lab.machine.write("values.yaml", "resources: {limits: null}\n");
    lab.machine.run("install --only lrs --values lrs=values.yaml").exits(0);
    let values = lab
        .helm
        .calls_of("upgrade")
        .into_iter()
        .rfind(|call| call.is(OF_LRS))
        .expect("an upgrade")
        .values();
    assert_eq!(values["resources"].get("limits"), Some(&Value::Null), "{values}");
}

#[test]
fn values_are_tried_together_with_those_of_the_profile() {
    let lab = MockedStack::empty();
    lab.machine.write("values.yaml", "worker: {replicas: 4}\n");
    lab.machine.run("install --dry-run --profile production --skip preflight.room --values dataviz=values.yaml").exits(0);
    let tried = lab.helm.calls_of("template").pop().expect("values are tried").values();
    assert_eq!(
        (&tried["worker"]["replicas"], &tried["cache"]["enabled"]),
        (&json!(4), &json!(true)),
        "{tried}"
    );
}

#[test]
fn a_part_is_reached_at_the_port_of_its_service() {
    let lab = MockedStack::installed();
    lab.machine.write("values.yaml", "service: {port: 8081}\n");
    lab.kubernetes.reacts(
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
    lab.machine
        .run("install --values lrs=values.yaml")
        .exits(0)
        .says("to http://lrs-ralph.alice.svc:8081/xAPI");
    lab.machine.run("status").exits(0).prints("http://192.0.2.9:8081");
}
