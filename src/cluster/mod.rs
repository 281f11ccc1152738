//! Kubernetes and Helm: which cluster, as whom, and what to ask of it. Knows nothing of learning analytics.

pub mod access;
pub mod apply;
pub mod download;
pub mod endpoint;
pub mod exec;
pub mod flags;
mod forward;
pub mod helm;
pub mod http;
pub mod jobs;
mod kubeconfig;
pub mod object;
pub mod pod_problem;
pub mod pods;
pub mod rollout;
pub mod secrets;
pub mod steps;
pub mod tunnel;
pub mod wait;

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

pub use kubeconfig::HelmAccess;

/// One namespace of one cluster, seen as one user.
pub struct Cluster {
    pub client: kube::Client,
    /// For port-forwards, which may be silent longer than a request may take.
    pub streams: kube::Client,
    /// How long a script in a pod may take to answer a question.
    pub script_timeout: Duration,
    pub namespace: String,
    /// The kubeconfig context's name, for users; `in-cluster` inside a pod, the server's address without a kubeconfig.
    pub context: String,
    /// The flags that lead here again, a space before each.
    pub flags: String,
    pub helm: HelmAccess,
}

impl Cluster {
    /// A namespace of a cluster that is never contacted.
    ///
    /// # Errors
    /// When the name cannot be that of a namespace.
    pub fn offline(namespace: &str) -> Result<Self> {
        kubeconfig::check_namespace(namespace)?;
        let config = || kube::Config::new(::http::Uri::from_static("http://cluster.invalid"));
        let client = || kube::Client::try_from(config()).context("no client without a cluster");
        Ok(Self {
            client: client()?,
            streams: client()?,
            script_timeout: Duration::ZERO,
            namespace: namespace.into(),
            context: "none".into(),
            flags: format!(" -n {namespace}"),
            helm: HelmAccess::default(),
        })
    }

    /// An API for objects of one namespaced kind in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The same in another namespace.
    pub fn api_in<K>(&self, namespace: &str) -> Api<K>
    where
        K: kube::Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// An API for objects of one kind that belongs to no namespace, or for those of all namespaces.
    pub fn api_all<K>(&self) -> Api<K>
    where
        K: kube::Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// Pods, over connections that may stay open as long as a stream of theirs takes.
    pub fn pod_streams(&self) -> Api<Pod> {
        Api::namespaced(self.streams.clone(), &self.namespace)
    }
}
