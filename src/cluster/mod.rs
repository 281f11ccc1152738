//! Access to Kubernetes and helm. Knows nothing of learning analytics.

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
pub mod lease;
pub mod log;
pub mod logs;
pub mod object;
pub mod pod_problem;
pub mod pods;
pub mod psql;
pub mod retry;
pub mod role;
pub mod rollout;
mod runtime;
pub mod secrets;
pub mod steps;
pub mod tunnel;
pub mod wait;

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;

pub use kubeconfig::{HelmAccess, check_namespace};

/// One namespace of one cluster, as one user.
pub struct Cluster {
    pub client: kube::Client,
    /// A client without a request timeout, for port-forwards and commands in Pods.
    pub streams: kube::Client,
    /// Timeout of a script in a Pod that only reads.
    pub script_timeout: Duration,
    pub namespace: String,
    /// The name of the kubeconfig context, for users. `in-cluster` in a Pod; the server's address without a kubeconfig.
    pub context: String,
    /// The flags that select this cluster and namespace again, each after a space.
    pub flags: String,
    pub helm: HelmAccess,
}

impl Cluster {
    /// A namespace of a cluster that is never contacted.
    ///
    /// # Errors
    /// When the name is not valid for a namespace.
    pub fn offline(namespace: &str) -> Result<Self> {
        check_namespace(namespace)?;
        let config = || kube::Config::new(::http::Uri::from_static("http://cluster.invalid"));
        let client =
            || kube::Client::try_from(config()).context("cannot create a client without a cluster");
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

    /// An API for objects of one kind in the whole cluster.
    pub fn api_all<K>(&self) -> Api<K>
    where
        K: kube::Resource,
        K::DynamicType: Default,
    {
        Api::all(self.client.clone())
    }

    /// An API for Pods, over connections without a request timeout.
    pub fn pod_streams(&self) -> Api<Pod> {
        Api::namespaced(self.streams.clone(), &self.namespace)
    }
}
