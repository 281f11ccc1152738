//! The permissions that verbs need in the namespace of a stack. Each component declares its own.

use crate::cluster::access::{Rule, Rules};

/// The permissions that verbs need for one component.
pub struct Access {
    /// To install it, in addition to [`INSTALL`].
    pub install: &'static [Rules],
    /// To reconcile the settings inside it.
    pub configure: &'static [Rules],
    /// To observe its health.
    pub health: &'static [Rules],
    /// To read its accounts.
    pub credentials: &'static [Rules],
    /// To find the page that `open` shows.
    pub page: &'static [Rules],
}

/// No permissions.
pub const NONE: Access =
    Access { install: &[], configure: &[], health: &[], credentials: &[], page: &[] };

/// What helm and this program do with the objects of a chart.
pub const MANAGE: &[&str] = &["create", "delete", "get", "list", "patch", "update", "watch"];
/// The verbs in [`MANAGE`] that not every version of helm uses.
pub const OF_SOME_HELMS: &[&str] = &["update", "watch"];

const IN_CHARTS: &str = "objects of the charts";

/// The permissions to install any component.
pub const INSTALL: Rules = &[
    Rule::new("", "secrets", MANAGE, "accounts, and the releases of helm"),
    Rule::new("", "configmaps", MANAGE, "the settings, and objects of the charts"),
    Rule::new("", "services", MANAGE, IN_CHARTS),
    Rule::new("", "serviceaccounts", MANAGE, IN_CHARTS),
    Rule::new("apps", "deployments", MANAGE, IN_CHARTS),
    Rule::new("", "pods", &["delete", "list"], "Pods that must start again"),
    Rule::new("networking.k8s.io", "networkpolicies", MANAGE, "the limits of connections"),
    Rule::new("", "persistentvolumeclaims", &["list"], "whether the volumes exist"),
];
/// In addition, with `--expose ingress`.
pub const INGRESSES: Rules =
    &[Rule::new("networking.k8s.io", "ingresses", MANAGE, "`--expose ingress`")];
/// In addition, with several replicas.
pub const DISRUPTION_BUDGETS: Rules =
    &[Rule::new("policy", "poddisruptionbudgets", MANAGE, "several replicas of a component")];
/// In addition, with chart values for autoscaling.
pub const AUTOSCALERS: Rules =
    &[Rule::new("autoscaling", "horizontalpodautoscalers", MANAGE, "chart values for autoscaling")];

/// helm 4 watches until deleted objects are gone.
const DELETE: &[&str] = &["delete", "get", "list", "watch"];
const CREATED: &str = "objects that `install` created";

/// The permissions to delete a stack, apart from the data lake.
pub const UNINSTALL: Rules = &[
    Rule::new(
        "",
        "secrets",
        &["delete", "get", "list", "update", "watch"],
        "accounts, and the releases of helm",
    ),
    Rule::new("", "configmaps", DELETE, CREATED),
    Rule::new("", "services", DELETE, CREATED),
    Rule::new("", "serviceaccounts", DELETE, CREATED),
    Rule::new("", "persistentvolumeclaims", DELETE, CREATED),
    Rule::new("", "pods", &["delete", "list"], CREATED),
    Rule::new("apps", "deployments", DELETE, CREATED),
    Rule::new("apps", "statefulsets", DELETE, CREATED),
    Rule::new("autoscaling", "horizontalpodautoscalers", DELETE, CREATED),
    Rule::new("batch", "cronjobs", DELETE, CREATED),
    Rule::new("batch", "jobs", DELETE, CREATED),
    Rule::new("networking.k8s.io", "ingresses", DELETE, CREATED),
    Rule::new("networking.k8s.io", "networkpolicies", DELETE, CREATED),
    Rule::new("policy", "poddisruptionbudgets", DELETE, CREATED),
    Rule::new("apps", "daemonsets", &["list"], "whether the namespace contains foreign objects"),
];
