//! What the Kubernetes flags mean: which cluster, as which user, which namespace. Resolved once, for our own client and for
//! the helm child alike.

mod bearer;
mod client;
mod derive;
mod document;
mod folder;
mod plugin;
mod read;
mod server;
mod tls;

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper_util::client::proxy::matcher::Matcher;
use kube::config::{Config, KubeConfigOptions, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};
use tempfile::NamedTempFile;

use crate::error::{Failure, Kind};

use self::bearer::{Bearer, Renewable};
use self::derive::{IN_CLUSTER, Target, unusable};
use self::folder::Folder;
use super::flags::KubeFlags;

/// The timeout of a request without `--request-timeout`: a cluster that hangs must not block the command.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The same for a script that runs in a Pod.
const SCRIPT_TIMEOUT: Duration = Duration::from_secs(60);

/// The connection of a helm child to the same cluster, as the same user.
#[derive(Default)]
pub struct HelmAccess {
    pub context: Option<String>,
    pub kubeconfig: Option<PathBuf>,
    /// Holds the derived kubeconfig (mode 0600) as long as a child may read it.
    _derived: Option<Folder>,
    /// Renews the token as long as the command runs.
    _bearer: Option<Bearer>,
}

/// A configuration of kube's client without the bearer token, which is added to each request.
struct Access {
    config: Config,
    context: String,
    bearer: Option<Bearer>,
    helm: HelmAccess,
}

impl KubeFlags {
    pub async fn resolve(&self) -> Result<super::Cluster> {
        let flags = self.clone().without_empty();
        let kubeconfig = flags.read_kubeconfig()?;
        let access = flags.access(kubeconfig, Config::incluster().ok()).await?;
        let config = flags.limit(access.config.clone());
        let namespace = flags.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        check_namespace(&namespace)?;
        let tls = tls::client_config(&config).map_err(|fault| unusable(&access.context, &fault))?;
        let mut streams = config.clone();
        streams.read_timeout = None;
        let script_timeout = match flags.request_timeout {
            None => SCRIPT_TIMEOUT,
            Some(Duration::ZERO) => Duration::MAX,
            Some(timeout) => timeout,
        };
        Ok(super::Cluster {
            client: client::client(&config, &tls, access.bearer.as_ref())?,
            streams: client::client(&streams, &tls, access.bearer.as_ref())?,
            script_timeout,
            flags: flags.repeated(&namespace),
            namespace,
            context: access.context,
            helm: HelmAccess { _bearer: access.bearer, ..access.helm },
        })
    }

    /// None where there is no kubeconfig at all, which is how a pod looks.
    fn read_kubeconfig(&self) -> Result<Option<Kubeconfig>> {
        let read = match (&self.kubeconfig, listed_kubeconfigs()) {
            (Some(path), _) => read::file(path).map(Some),
            (None, Some(list)) => read::files(&list),
            (None, None) => match env::home_dir().map(|home| home.join(".kube/config")) {
                Some(path) if path.exists() => read::file(&path).map(Some),
                _ => Ok(None),
            },
        };
        read.map_err(|fault| {
            Failure::new(Kind::Unreachable, format!("no usable kubeconfig: {fault}"))
                .hint("name one with `--kubeconfig FILE`")
                .into()
        })
    }

    /// As client-go: a kubeconfig that chooses no cluster leaves the choice to the pod that the command may run in.
    async fn access(&self, kubeconfig: Option<Kubeconfig>, pod: Option<Config>) -> Result<Access> {
        let chooses = |kubeconfig: &Kubeconfig| {
            self.context.is_some() || self.names_cluster() || kubeconfig.current_context.is_some()
        };
        match (kubeconfig, pod) {
            (Some(kubeconfig), None) => self.connect(self.target(&kubeconfig)?).await,
            (Some(kubeconfig), Some(_)) if chooses(&kubeconfig) => {
                self.connect(self.target(&kubeconfig)?).await
            }
            (_, pod) => self.access_without_kubeconfig(pod).await,
        }
    }

    /// The flags may say it all, as far as they do not name what only a kubeconfig has; else we are in a pod, maybe as
    /// another user. As with kubectl, another server gets nothing of the pod's own.
    async fn access_without_kubeconfig(&self, pod: Option<Config>) -> Result<Access> {
        for (kind, name) in
            [("context", &self.context), ("cluster", &self.cluster), ("user", &self.user)]
        {
            if let Some(name) = name {
                return Err(no_kubeconfig(&format!(" that could have the {kind} `{name}`")).into());
            }
        }
        match pod {
            _ if self.server.is_some() => self.connect(self.target(&Kubeconfig::default())?).await,
            Some(pod) if self.overrides_kubeconfig() => self.connect(self.target_of_pod(pod)).await,
            Some(mut config) => {
                let bearer = Bearer::take(&mut config.auth_info, None)?;
                let helm = HelmAccess::default();
                Ok(Access { config, context: IN_CLUSTER.into(), bearer, helm })
            }
            None => {
                let place = listed_kubeconfigs()
                    .map(|list| format!(" at {}", list.display()))
                    .unwrap_or_default();
                Err(no_kubeconfig(&format!("{place}, and this is not a pod of a cluster")).into())
            }
        }
    }

    async fn connect(&self, mut target: Target) -> Result<Access> {
        server::complete(&mut target.cluster).map_err(|fault| unusable(&target.name, &fault))?;
        let plugin = run_plugin(&mut target).await?;
        let mut helm = HelmAccess {
            context: Some(target.name.clone()),
            kubeconfig: self.kubeconfig.clone(),
            ..Default::default()
        };
        let mut renewable = None;
        if target.is_derived {
            let folder = Folder::create().context("cannot write a kubeconfig for helm")?;
            let mut for_helm = target.clone();
            if let (Some((exec, Some(expires))), Some(token)) = (plugin, &target.user.token) {
                let file = folder.path().join("token");
                write_private(&file, token.expose_secret())?;
                for_helm.user.token_file = Some(file.to_string_lossy().into_owned());
                renewable =
                    Some(Renewable { exec, cluster: target.cluster.clone(), expires, file });
            }
            let path = folder.path().join("config");
            let text = serde_saphyr::to_string(&for_helm.kubeconfig())
                .context("cannot write a kubeconfig for helm")?;
            write_private(&path, &text)?;
            helm.kubeconfig = Some(path);
            helm._derived = Some(folder);
        }
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(target.kubeconfig(), &options)
            .await
            .map_err(|error| unusable(&target.name, &error.to_string()))?;
        // kube compares NO_PROXY with the address of the proxy, and not with that of the cluster
        let has_proxy = target.cluster.proxy_url.is_some();
        if !has_proxy && Matcher::from_env().intercept(&config.cluster_url).is_none() {
            config.proxy_url = None;
        }
        let bearer = Bearer::take(&mut config.auth_info, renewable)?;
        Ok(Access { config, context: target.name, bearer, helm })
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

/// Runs the credential plugin of a user who has no other credential, and puts what it gives in the plugin's place.
async fn run_plugin(
    target: &mut Target,
) -> Result<Option<(kube::config::ExecConfig, Option<jiff::Timestamp>)>> {
    let user = &mut target.user;
    let Some(exec) = user.exec.take() else { return Ok(None) };
    if user.token.is_some() || user.token_file.is_some() || user.username.is_some() {
        return Ok(None);
    }
    let credential = plugin::run(&exec, &target.cluster).await?;
    user.token = credential.token;
    if let Some((certificate, key)) = credential.certificate {
        user.client_certificate_data = Some(STANDARD.encode(certificate));
        user.client_key_data = Some(SecretString::from(STANDARD.encode(key.expose_secret())));
    }
    // helm would run the plugin again
    target.is_derived = true;
    Ok(Some((exec, credential.expires)))
}

/// Writes or replaces a file that only this user can read.
fn write_private(path: &Path, text: &str) -> Result<()> {
    let write = || -> std::io::Result<()> {
        let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(text.as_bytes())?;
        file.persist(path)?;
        Ok(())
    };
    write().context("cannot write a kubeconfig for helm")
}

/// The paths of KUBECONFIG, if it has any.
fn listed_kubeconfigs() -> Option<OsString> {
    env::var_os("KUBECONFIG").filter(|list| !list.is_empty())
}

fn no_kubeconfig(rest: &str) -> Failure {
    Failure::new(Kind::Unreachable, format!("there is no kubeconfig{rest}"))
        .hint("name a kubeconfig with `--kubeconfig FILE` or the KUBECONFIG variable")
}

/// Whether Kubernetes accepts the name for a namespace.
///
/// # Errors
/// When it does not.
pub fn check_namespace(name: &str) -> Result<()> {
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

    fn pod() -> Option<Config> {
        let mut pod = Config::new("https://10.0.0.1:443".parse().unwrap());
        pod.default_namespace = "of-the-pod".into();
        Some(pod)
    }

    #[tokio::test]
    async fn kubeconfig_without_a_context_leaves_the_choice_to_the_pod() {
        let flags = KubeFlags::default();
        let empty = Some(Kubeconfig::default());
        let access = flags.access(empty.clone(), pod()).await.unwrap();
        assert_eq!(access.context, IN_CLUSTER);
        assert_eq!(access.config.default_namespace, "of-the-pod");
        let server = KubeFlags { server: Some("https://a".into()), ..Default::default() };
        let access = server.access(empty.clone(), pod()).await.unwrap();
        assert_eq!(access.config.cluster_url, "https://a/");
        let outside = flags.access(empty, None).await.err().unwrap();
        assert_eq!(outside.to_string(), "the kubeconfig has no current context");
    }

    #[tokio::test]
    async fn kubeconfig_with_a_context_wins_over_the_pod() {
        let kubeconfig = Kubeconfig::from_yaml(
            "{current-context: c, contexts: [{name: c, context: {cluster: k}}],
              clusters: [{name: k, cluster: {server: 'https://a'}}]}",
        )
        .unwrap();
        let access = KubeFlags::default().access(Some(kubeconfig), pod()).await.unwrap();
        assert_eq!((access.context.as_str(), access.config.cluster_url.host()), ("c", Some("a")));
    }

    #[cfg(unix)]
    #[test]
    fn file_for_helm_is_readable_by_its_user_only() {
        use std::fs;
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config");
        for text in ["one", "two"] {
            write_private(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn namespace_that_kubernetes_rejects_is_rejected_before_anything_is_sent() {
        for bad in ["", "Upper", "a_b", "-a", "a-", &"x".repeat(64)] {
            assert!(check_namespace(bad).is_err(), "{bad}");
        }
        assert!(check_namespace("alice-4711").is_ok());
    }
}
