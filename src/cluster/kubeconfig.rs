//! What the Kubernetes flags mean: which cluster, as whom, which namespace. Resolved once, for our own
//! client and for the helm child alike.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{
    AuthInfo, Cluster, Config, Context, KubeConfigOptions, Kubeconfig, KubeconfigError,
    NamedAuthInfo, NamedCluster, NamedContext,
};
use tempfile::NamedTempFile;

use crate::error::{Failure, Kind};

use super::flags::KubeFlags;

/// How long a request may take when `--request-timeout` does not say: a cluster that hangs must not hang the command.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// The context's name inside a pod, which has none.
const IN_CLUSTER: &str = "in-cluster";
/// The same of a question that a script answers in a pod.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// What makes a helm child talk to the same cluster as the same user.
#[derive(Default)]
pub struct HelmAccess {
    pub context: Option<String>,
    pub kubeconfig: Option<PathBuf>,
    /// Holds the derived kubeconfig (mode 0600) as long as a child may read it.
    _derived: Option<NamedTempFile>,
}

/// Whether the cluster of a context names a proxy of its own, which is used whatever the environment says.
fn has_proxy(kubeconfig: &Kubeconfig, context: &str) -> bool {
    let context = kubeconfig
        .contexts
        .iter()
        .find(|named| named.name == context)
        .and_then(|named| named.context.as_ref());
    let cluster = kubeconfig
        .clusters
        .iter()
        .find(|named| context.is_some_and(|context| context.cluster == named.name));
    cluster
        .and_then(|named| named.cluster.as_ref()?.proxy_url.as_ref())
        .is_some_and(|proxy| !proxy.is_empty())
}

impl KubeFlags {
    /// True when the flags say more than a kubeconfig and a context can.
    fn overrides_kubeconfig(&self) -> bool {
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

    pub async fn resolve(&self) -> Result<super::Cluster> {
        let (config, context, helm) = match self.read_kubeconfig()? {
            Some(kubeconfig) => self.through_kubeconfig(kubeconfig).await?,
            None => self.without_kubeconfig().await?,
        };
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        check_namespace(&namespace)?;
        let config = self.limit(config);
        let mut streams = config.clone();
        streams.read_timeout = None;
        let client =
            |config| kube::Client::try_from(config).context("no client for this kubeconfig");
        let script_timeout = match self.request_timeout {
            None => SCRIPT_TIMEOUT,
            Some(Duration::ZERO) => Duration::MAX,
            Some(timeout) => timeout,
        };
        let flags = self.repeated(&namespace);
        Ok(super::Cluster {
            client: client(config)?,
            streams: client(streams)?,
            script_timeout,
            namespace,
            context,
            flags,
            helm,
        })
    }

    /// None where there is no kubeconfig at all, which is how a pod looks.
    fn read_kubeconfig(&self) -> Result<Option<Kubeconfig>> {
        let read = match (&self.kubeconfig, listed_kubeconfigs()) {
            (Some(path), _) => Kubeconfig::read_from(path).map(Some),
            (None, Some(list)) => merged(&list),
            (None, None) => match env::home_dir().map(|home| home.join(".kube/config")) {
                Some(path) if path.exists() => Kubeconfig::read_from(path).map(Some),
                _ => Ok(None),
            },
        };
        read.map_err(|error| {
            Failure::new(Kind::Unreachable, format!("no usable kubeconfig: {error}"))
                .hint("name one with `--kubeconfig FILE`")
                .into()
        })
    }

    /// The flags may say it all, as far as they do not name what only a kubeconfig has; else we are in a pod, maybe as
    /// somebody else. As with kubectl, another server gets nothing of the pod's own.
    async fn without_kubeconfig(&self) -> Result<(Config, String, HelmAccess)> {
        for (kind, name) in
            [("context", &self.context), ("cluster", &self.cluster), ("user", &self.user)]
        {
            if let Some(name) = name {
                return Err(no_kubeconfig(&format!(" that could have the {kind} `{name}`")).into());
            }
        }
        match (&self.server, Config::incluster()) {
            (Some(server), _) => {
                self.through_kubeconfig(of_one_context(
                    server,
                    Cluster::default(),
                    AuthInfo::default(),
                    None,
                ))
                .await
            }
            (None, Ok(pod)) if self.overrides_kubeconfig() => {
                self.through_kubeconfig(of_pod(pod)).await
            }
            (None, Ok(pod)) => Ok((pod, IN_CLUSTER.into(), HelmAccess::default())),
            (None, Err(_)) => {
                let place = listed_kubeconfigs()
                    .map(|list| format!(" at {}", list.display()))
                    .unwrap_or_default();
                Err(no_kubeconfig(&format!("{place}, and this is not a pod of a cluster")).into())
            }
        }
    }

    async fn through_kubeconfig(
        &self,
        mut kubeconfig: Kubeconfig,
    ) -> Result<(Config, String, HelmAccess)> {
        let Some(name) = self.context.clone().or_else(|| kubeconfig.current_context.clone()) else {
            return Err(Failure::new(Kind::Unreachable, "the kubeconfig has no current context")
                .hint("choose one with `kubectl config use-context NAME` or `--context NAME`")
                .into());
        };
        if !kubeconfig.contexts.iter().any(|context| context.name == name) {
            let known: Vec<_> =
                kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
            return Err(Failure::new(
                Kind::Unreachable,
                format!("the kubeconfig has no context `{name}`"),
            )
            .hint(format!(
                "it has: {}",
                if known.is_empty() { "none".into() } else { known.join(", ") }
            ))
            .into());
        }
        let mut helm = HelmAccess {
            context: Some(name.clone()),
            kubeconfig: self.kubeconfig.clone(),
            _derived: None,
        };
        if self.overrides_kubeconfig() {
            kubeconfig = self.derive(kubeconfig, &name)?;
            let file = NamedTempFile::with_prefix("kubectl-lastack-")
                .context("cannot write a kubeconfig for helm")?;
            let text = serde_saphyr::to_string(&kubeconfig)
                .context("cannot write a kubeconfig for helm")?;
            std::fs::write(file.path(), text).context("cannot write a kubeconfig for helm")?;
            helm.kubeconfig = Some(file.path().to_path_buf());
            helm._derived = Some(file);
        }
        let options = KubeConfigOptions { context: Some(name.clone()), ..Default::default() };
        let has_proxy = has_proxy(&kubeconfig, &name);
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(|error| {
                Failure::new(
                    Kind::Unreachable,
                    format!("context `{name}` of the kubeconfig cannot be used: {error}"),
                )
            })?;
        // kube compares NO_PROXY with the address of the proxy, and not with that of the cluster
        if !has_proxy && Matcher::from_env().intercept(&config.cluster_url).is_none() {
            config.proxy_url = None;
        }
        Ok((config, name, helm))
    }

    /// The kubeconfig with one context of the given name that says what the flags say.
    fn derive(&self, kubeconfig: Kubeconfig, name: &str) -> Result<Kubeconfig> {
        let context = kubeconfig
            .contexts
            .iter()
            .find(|c| c.name == name)
            .and_then(|c| c.context.clone())
            .unwrap_or_default();
        let wanted_cluster = self.cluster.as_ref().unwrap_or(&context.cluster);
        let wanted_user = self.user.as_ref().or(context.user.as_ref());
        let cluster = kubeconfig
            .clusters
            .iter()
            .find(|c| &c.name == wanted_cluster)
            .and_then(|c| c.cluster.clone());
        let user = kubeconfig
            .auth_infos
            .iter()
            .find(|u| Some(&u.name) == wanted_user)
            .and_then(|u| u.auth_info.clone());
        if self.cluster.is_some() && cluster.is_none() {
            return Err(Failure::new(
                Kind::Unreachable,
                format!("the kubeconfig has no cluster `{wanted_cluster}`"),
            )
            .into());
        }
        if let (Some(user_name), None) = (&self.user, &user) {
            return Err(Failure::new(
                Kind::Unreachable,
                format!("the kubeconfig has no user `{user_name}`"),
            )
            .into());
        }
        let (cluster, user) = (
            self.override_cluster(cluster.unwrap_or_default()),
            self.override_user(user.unwrap_or_default()),
        );
        Ok(of_one_context(name, cluster, user, context.namespace))
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
            Some(token) => AuthInfo { token: Some(token.clone().into()), ..Default::default() },
            None => user,
        };
        user.impersonate = self.impersonate.clone().or(user.impersonate);
        user.impersonate_uid = self.impersonate_uid.clone().or(user.impersonate_uid);
        if !self.impersonate_groups.is_empty() {
            user.impersonate_groups = Some(self.impersonate_groups.clone());
        }
        user
    }

    fn limit(&self, mut config: Config) -> Config {
        let timeout = self.request_timeout.unwrap_or(REQUEST_TIMEOUT);
        config.read_timeout = (!timeout.is_zero()).then_some(timeout);
        config.connect_timeout = Some(if timeout.is_zero() {
            REQUEST_TIMEOUT
        } else {
            timeout.min(Duration::from_secs(10))
        });
        // kube's own retries back off for up to a thousand seconds; our waiter has a deadline instead
        config.default_retry = false;
        config
    }
}

/// The paths of KUBECONFIG, if it has any.
fn listed_kubeconfigs() -> Option<OsString> {
    env::var_os("KUBECONFIG").filter(|list| !list.is_empty())
}

/// What these files say together. As with kubectl, one that is not there says nothing.
fn merged(list: &OsStr) -> Result<Option<Kubeconfig>, KubeconfigError> {
    let mut files = env::split_paths(list)
        .filter(|path| !path.as_os_str().is_empty() && path.try_exists().unwrap_or(true));
    files.try_fold(None, |before: Option<Kubeconfig>, path| {
        before.unwrap_or_default().merge(Kubeconfig::read_from(path)?).map(Some)
    })
}

/// What a pod of the cluster finds in itself.
fn of_pod(pod: Config) -> Kubeconfig {
    let authority = pod.root_cert_file.map(|path| path.to_string_lossy().into_owned());
    let cluster = Cluster {
        server: Some(pod.cluster_url.to_string()),
        certificate_authority: authority,
        ..Default::default()
    };
    of_one_context(IN_CLUSTER, cluster, pod.auth_info, Some(pod.default_namespace))
}

/// A kubeconfig in which everything has this name.
fn of_one_context(
    name: &str,
    cluster: Cluster,
    user: AuthInfo,
    namespace: Option<String>,
) -> Kubeconfig {
    let context =
        Context { cluster: name.into(), user: Some(name.into()), namespace, ..Default::default() };
    Kubeconfig {
        kind: Some("Config".into()),
        api_version: Some("v1".into()),
        clusters: vec![NamedCluster {
            name: name.into(),
            cluster: Some(cluster),
            ..Default::default()
        }],
        auth_infos: vec![NamedAuthInfo {
            name: name.into(),
            auth_info: Some(user),
            ..Default::default()
        }],
        contexts: vec![NamedContext {
            name: name.into(),
            context: Some(context),
            ..Default::default()
        }],
        current_context: Some(name.into()),
        ..Default::default()
    }
}

fn no_kubeconfig(rest: &str) -> Failure {
    Failure::new(Kind::Unreachable, format!("there is no kubeconfig{rest}"))
        .hint("name a kubeconfig with `--kubeconfig FILE` or the KUBECONFIG variable")
}

pub(super) fn check_namespace(name: &str) -> Result<()> {
    let valid = !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        && !name.starts_with('-')
        && !name.ends_with('-');
    if valid {
        return Ok(());
    }
    Err(Failure::usage(format!("`{name}` cannot be a namespace: lower case letters, digits and `-`, at most 63, no `-` at the ends")).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_replaces_every_other_credential_and_reaches_helm_in_a_file() {
        let kubeconfig = Kubeconfig::from_yaml(
            "{current-context: c, contexts: [{name: c, context: {cluster: k, user: u, namespace: n}}],
              clusters: [{name: k, cluster: {server: 'https://a', certificate-authority-data: Zm9v}}],
              users: [{name: u, user: {username: u, password: p}}]}",
        )
        .unwrap();
        let flags = KubeFlags {
            token: Some("t0k".into()),
            server: Some("https://b".into()),
            insecure_skip_tls_verify: true,
            ..Default::default()
        };
        let text = serde_saphyr::to_string(&flags.derive(kubeconfig, "c").unwrap()).unwrap();
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
    fn somebody_else_in_a_pod_has_what_the_pod_has_and_is_somebody_else() {
        let mut pod = Config::new("https://10.0.0.1:443".parse().unwrap());
        pod.default_namespace = "alice".into();
        pod.root_cert_file = Some("/pod/ca.crt".into());
        pod.auth_info.token_file = Some("/pod/token".into());
        let derived = KubeFlags { impersonate: Some("bob".into()), ..Default::default() }
            .derive(of_pod(pod), IN_CLUSTER)
            .unwrap();
        let cluster = derived.clusters[0].cluster.as_ref().unwrap();
        let user = derived.auth_infos[0].auth_info.as_ref().unwrap();
        assert_eq!(
            (cluster.server.as_deref(), cluster.certificate_authority.as_deref()),
            (Some("https://10.0.0.1:443/"), Some("/pod/ca.crt"))
        );
        assert_eq!(
            (user.token_file.as_deref(), user.impersonate.as_deref()),
            (Some("/pod/token"), Some("bob"))
        );
        assert_eq!(
            derived.contexts[0].context.as_ref().unwrap().namespace.as_deref(),
            Some("alice")
        );
    }

    #[test]
    fn a_namespace_that_kubernetes_would_refuse_is_refused_before_anything_is_sent() {
        for bad in ["", "Upper", "a_b", "-a", "a-", &"x".repeat(64)] {
            assert!(check_namespace(bad).is_err(), "{bad}");
        }
        assert!(check_namespace("alice-4711").is_ok());
    }
}
