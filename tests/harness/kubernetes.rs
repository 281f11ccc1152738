//! The stand-in of the API server against recordings of a real one.

use http::{HeaderMap, Method};
use serde_json::{Value, json};

use crate::recording::Recording;
use crate::support::kubernetes::Kubernetes;
use crate::support::server::{Reply, Request};

fn replays(name: &str) {
    let namespace =
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "recordings"}});
    let kind = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                      "metadata": {"name": "elasticsearches.elasticsearch.k8s.elastic.co"}});
    // the recording of `apply` creates the namespace
    let objects = if name == "apply" { vec![kind] } else { vec![namespace, kind] };
    let kubernetes = Kubernetes::with(objects);
    Recording::load(&format!("kubernetes/{name}"))
        .replay("Bearer token", |request| kubernetes.server.ask(request));
}

#[test]
fn kubernetes_apply_respects_field_ownership() {
    replays("apply");
}

#[test]
fn kubernetes_writes_check_their_preconditions() {
    replays("writes");
}

#[test]
fn kubernetes_selectors_behave_as_in_the_recording() {
    replays("selectors");
}

#[test]
fn kubernetes_workloads_get_defaults_and_generations() {
    replays("workloads");
}

#[test]
fn kubernetes_custom_resource_loses_fields_that_are_no_longer_applied() {
    replays("resource");
}

/// The status and the names in the response to a list with this label selector.
fn list(kubernetes: &Kubernetes, selector: &str) -> (u16, Vec<String>) {
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("labelSelector", selector)
        .finish();
    let request = Request {
        method: Method::GET,
        path: "/api/v1/namespaces/recordings/configmaps".into(),
        query,
        headers: HeaderMap::new(),
        body: "".into(),
    };
    let Reply::Json(status, body) = kubernetes.server.ask(&request) else {
        panic!("a list is JSON")
    };
    let name = |item: &Value| item["metadata"]["name"].as_str().expect("a name").to_owned();
    (status, body["items"].as_array().into_iter().flatten().map(name).collect())
}

#[test]
fn kubernetes_label_selectors_select_matching_objects_in_each_form() {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "one", "namespace": "recordings", "labels": {"app": "lrs", "tier": "web"}}});
    let kubernetes = Kubernetes::with([object]);
    for selector in [
        "",
        "app=lrs",
        "app==lrs",
        "app!=lms",
        "app in (lms, lrs)",
        "app notin (lms,dataviz)",
        "app",
        "!absent",
        "absent!=x",
        "absent notin (x)",
        "app=lrs,tier in (web),!absent",
    ] {
        let selected = list(&kubernetes, selector);
        assert_eq!(selected, (200, vec!["one".to_owned()]), "`{selector}`");
    }
    for selector in [
        "app=lms",
        "app==",
        "app!=lrs",
        "app in (lms)",
        "app notin (lrs,lms)",
        "!app",
        "absent",
        "absent=x",
        "absent in (x)",
        "app=lrs,tier=worker",
    ] {
        assert_eq!(list(&kubernetes, selector), (200, vec![]), "`{selector}`");
    }
    for selector in ["=x", "app in lrs", "app~lrs", "!", "app=a b"] {
        assert_eq!(list(&kubernetes, selector).0, 400, "`{selector}`");
    }
}
