//! The one context that a command uses: the kubeconfig's, a pod's or the flags' own, with what the flags override.

use kube::config::{
    AuthInfo, Cluster, Config, Context, Kubeconfig, NamedAuthInfo, NamedCluster, NamedContext,
};

use crate::error::{Failure, Kind};

use super::super::flags::KubeFlags;

/// The context's name inside a pod, which has none.
pub const IN_CLUSTER: &str = "in-cluster";

/// Where a command goes and as which user.
#[derive(Debug, Clone, Default)]
pub struct Target {
    /// The context's name, for users.
    pub name: String,
    pub cluster: Cluster,
    pub user: AuthInfo,
    pub namespace: Option<String>,
    /// Whether the kubeconfig of the user does not say all of this, so that helm needs another one.
    pub is_derived: bool,
}

impl Target {
    /// A kubeconfig with just this context.
    pub fn kubeconfig(&self) -> Kubeconfig {
        let name = &self.name;
        let context = Context {
            cluster: name.clone(),
            user: Some(name.clone()),
            namespace: self.namespace.clone(),
            ..Default::default()
        };
        Kubeconfig {
            kind: Some("Config".into()),
            api_version: Some("v1".into()),
            clusters: vec![NamedCluster {
                name: name.clone(),
                cluster: Some(self.cluster.clone()),
                ..Default::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: name.clone(),
                auth_info: Some(self.user.clone()),
                ..Default::default()
            }],
            contexts: vec![NamedContext {
                name: name.clone(),
                context: Some(context),
                ..Default::default()
            }],
            current_context: Some(name.clone()),
            ..Default::default()
        }
    }
}

impl KubeFlags {
    /// True when the flags say more than a kubeconfig and a context can.
    pub(super) fn overrides_kubeconfig(&self) -> bool {
        self.cluster.is_some()
            || self.user.is_some()
            || self.server.is_some()
            || self.token.is_some()
            || self.impersonate.is_some()
            || self.impersonate_uid.is_some()
            || !self.impersonate_groups.is_empty()
            || self.certificate_authority.is_some()
            || self.tls_server_name.is_some()
            || self.insecure_skip_tls_verify
    }

    /// True when a flag names the cluster, so that no context has to.
    pub(super) fn names_cluster(&self) -> bool {
        self.server.is_some() || self.cluster.is_some()
    }

    /// The target that a kubeconfig and the flags describe together.
    pub(super) fn target(&self, kubeconfig: &Kubeconfig) -> Result<Target, Failure> {
        let chosen = self.context.as_ref().or(kubeconfig.current_context.as_ref());
        let (name, context) = match chosen {
            Some(name) => (name.clone(), context_of(kubeconfig, name)?),
            None => match self.server.as_ref().or(self.cluster.as_ref()) {
                Some(name) => (name.clone(), Context::default()),
                None => return Err(no_current_context()),
            },
        };
        let user_name = self.user.clone().or(context.user).unwrap_or_default();
        let cluster_name = self.cluster.as_ref().unwrap_or(&context.cluster);
        let cluster = kubeconfig.clusters.iter().find(|named| &named.name == cluster_name);
        let user = kubeconfig.auth_infos.iter().find(|named| named.name == user_name);
        let unknown = |kind: &str, name: &str| {
            Failure::new(Kind::Unreachable, format!("the kubeconfig has no {kind} `{name}`"))
        };
        if cluster.is_none() && self.cluster.is_some() {
            return Err(unknown("cluster", cluster_name));
        }
        if cluster.is_none() && self.server.is_none() {
            return Err(unusable(&name, &format!("it has no cluster `{cluster_name}`")));
        }
        if user.is_none() && self.user.is_some() {
            return Err(unknown("user", &user_name));
        }
        let cluster = cluster.and_then(|named| named.cluster.clone()).unwrap_or_default();
        let user = user.and_then(|named| named.auth_info.clone()).unwrap_or_default();
        Ok(Target {
            name,
            cluster: self.override_cluster(cluster),
            user: self.override_user(user),
            namespace: context.namespace,
            is_derived: self.overrides_kubeconfig(),
        })
    }

    /// The target of a pod, as another user or with other trust.
    pub(super) fn target_of_pod(&self, pod: Config) -> Target {
        let authority = pod.root_cert_file.map(|path| path.to_string_lossy().into_owned());
        let cluster = Cluster {
            server: Some(pod.cluster_url.to_string()),
            certificate_authority: authority,
            ..Default::default()
        };
        Target {
            name: IN_CLUSTER.into(),
            cluster: self.override_cluster(cluster),
            user: self.override_user(pod.auth_info),
            namespace: Some(pod.default_namespace),
            is_derived: true,
        }
    }

    fn override_cluster(&self, cluster: Cluster) -> Cluster {
        // helm, which runs elsewhere, reads it too
        let authority = self
            .certificate_authority
            .as_ref()
            .map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
        let authority = authority.map(|path| path.to_string_lossy().into_owned());
        let insecure = self.insecure_skip_tls_verify;
        Cluster {
            server: self.server.clone().or(cluster.server),
            tls_server_name: self.tls_server_name.clone().or(cluster.tls_server_name),
            insecure_skip_tls_verify: if insecure {
                Some(true)
            } else {
                cluster.insecure_skip_tls_verify
            },
            certificate_authority_data: if insecure || authority.is_some() {
                None
            } else {
                cluster.certificate_authority_data
            },
            certificate_authority: if insecure {
                None
            } else {
                authority.or(cluster.certificate_authority)
            },
            ..cluster
        }
    }

    fn override_user(&self, user: AuthInfo) -> AuthInfo {
        let mut user = match &self.token {
            // as with kubectl, a certificate stays, and the API server prefers it to the token
            Some(token) => AuthInfo {
                token: Some(token.clone().into()),
                client_certificate: user.client_certificate,
                client_certificate_data: user.client_certificate_data,
                client_key: user.client_key,
                client_key_data: user.client_key_data,
                ..Default::default()
            },
            None => user,
        };
        user.impersonate = self.impersonate.clone().or(user.impersonate);
        user.impersonate_uid = self.impersonate_uid.clone().or(user.impersonate_uid);
        if !self.impersonate_groups.is_empty() {
            user.impersonate_groups = Some(self.impersonate_groups.clone());
        }
        user
    }
}

/// The failure of a context, with its cause.
pub fn unusable(name: &str, cause: &str) -> Failure {
    Failure::new(
        Kind::Unreachable,
        format!("context `{name}` of the kubeconfig cannot be used: {cause}"),
    )
}

fn context_of(kubeconfig: &Kubeconfig, name: &str) -> Result<Context, Failure> {
    let found = kubeconfig.contexts.iter().find(|named| named.name == name);
    if let Some(named) = found {
        return Ok(named.context.clone().unwrap_or_default());
    }
    let known: Vec<_> = kubeconfig.contexts.iter().map(|named| named.name.as_str()).collect();
    let known = if known.is_empty() { "none".into() } else { known.join(", ") };
    let message = format!("the kubeconfig has no context `{name}`");
    Err(Failure::new(Kind::Unreachable, message).hint(format!("it has: {known}")))
}

fn no_current_context() -> Failure {
    Failure::new(Kind::Unreachable, "the kubeconfig has no current context")
        .hint("choose one with `kubectl config use-context NAME` or `--context NAME`")
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn kubeconfig() -> Kubeconfig {
        Kubeconfig::from_yaml(
            "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u, namespace: n}}],
              clusters: [{name: k, cluster: {server: 'https://a', certificate-authority-data: Zm9v}}],
              users: [{name: u, user: {username: u, password: p}}]}",
        )
        .unwrap()
    }

    #[test]
    fn token_flag_replaces_every_other_secret_and_reaches_helm() {
        let flags = KubeFlags {
            token: Some("t0k".into()),
            server: Some("https://b".into()),
            insecure_skip_tls_verify: true,
            ..Default::default()
        };
        let target = flags.target(&kubeconfig()).unwrap();
        assert!(target.is_derived);
        let text = serde_saphyr::to_string(&target.kubeconfig()).unwrap();
        let derived = Kubeconfig::from_yaml(&text).unwrap();
        let cluster = derived.clusters[0].cluster.as_ref().unwrap();
        let user = derived.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(cluster.server.as_deref(), Some("https://b"));
        assert_eq!(cluster.certificate_authority_data, None);
        assert_eq!((user.username.as_deref(), user.password.is_none()), (None, true));
        assert!(text.contains("t0k"), "the derived kubeconfig must carry the token");
        assert_eq!(derived.contexts[0].context.as_ref().unwrap().namespace.as_deref(), Some("n"));
    }

    #[test]
    fn impersonated_user_in_a_pod_has_the_credentials_of_the_pod() {
        let mut pod = Config::new("https://10.0.0.1:443".parse().unwrap());
        pod.default_namespace = "alice".into();
        pod.root_cert_file = Some("/pod/ca.crt".into());
        pod.auth_info.token_file = Some("/pod/token".into());
        let flags = KubeFlags { impersonate: Some("bob".into()), ..Default::default() };
        let Target { cluster, user, namespace, .. } = flags.target_of_pod(pod);
        assert_eq!(
            (cluster.server.as_deref(), cluster.certificate_authority.as_deref()),
            (Some("https://10.0.0.1:443/"), Some("/pod/ca.crt"))
        );
        assert_eq!(
            (user.token_file.as_deref(), user.impersonate.as_deref()),
            (Some("/pod/token"), Some("bob"))
        );
        assert_eq!(namespace.as_deref(), Some("alice"));
    }

    #[test]
    fn server_and_token_without_a_context_are_a_target() {
        let flags = KubeFlags {
            token: Some("t0k".into()),
            server: Some("https://b".into()),
            ..Default::default()
        };
        let without = Kubeconfig { current_context: None, ..kubeconfig() };
        let target = flags.target(&without).unwrap();
        assert_eq!((target.name.as_str(), target.namespace), ("https://b", None));
        assert_eq!(target.user.token.unwrap().expose_secret(), "t0k");
        assert_eq!(target.cluster.certificate_authority_data, None);
        let none = KubeFlags::default().target(&without).unwrap_err();
        assert_eq!(none.to_string(), "the kubeconfig has no current context");
    }

    #[test]
    fn plain_context_is_not_derived() {
        assert!(!KubeFlags::default().target(&kubeconfig()).unwrap().is_derived);
    }
}
