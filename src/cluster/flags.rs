//! kubectl's connection flags: from the command line, from helm's environment, and for hints.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::output::units::duration;

/// kubectl's own flags, accepted at any position and passed on to helm.
#[derive(Debug, Default, Clone, Args)]
#[command(next_help_heading = "Kubernetes flags")]
pub struct KubeFlags {
    /// Namespace of the stack
    #[arg(short, long, global = true, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Context of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Path of the kubeconfig file
    #[arg(long, global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Cluster of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub cluster: Option<String>,
    /// User of the kubeconfig to use
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub user: Option<String>,
    /// Address of the API server
    #[arg(short, long, global = true, value_name = "URL", hide_short_help = true)]
    pub server: Option<String>,
    /// Bearer token for the API server
    #[arg(long, global = true, value_name = "TOKEN", hide_short_help = true)]
    pub token: Option<String>,
    /// User to impersonate
    #[arg(long = "as", global = true, value_name = "USER", hide_short_help = true)]
    pub impersonate: Option<String>,
    /// Group to impersonate (repeatable)
    #[arg(long = "as-group", global = true, value_name = "GROUP", hide_short_help = true)]
    pub impersonate_groups: Vec<String>,
    /// UID to impersonate
    #[arg(long = "as-uid", global = true, value_name = "UID", hide_short_help = true)]
    pub impersonate_uid: Option<String>,
    /// File with the certificate authority of the API server
    #[arg(long, global = true, value_name = "FILE", hide_short_help = true)]
    pub certificate_authority: Option<PathBuf>,
    /// Name to verify the API server's certificate against
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Do not verify the API server's certificate
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,
    /// Timeout of one request to the API server, such as 30s (0: no timeout)
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub request_timeout: Option<Duration>,
}

impl KubeFlags {
    /// Completes the flags from the environment that helm gives a plugin. Outside helm, an exported `HELM_NAMESPACE` must
    /// not change the namespace.
    pub fn with_helm_environment(mut self, var: impl Fn(&str) -> Option<String>) -> Self {
        if var("HELM_PLUGIN_NAME").is_none() {
            return self;
        }
        let var = |name: &str| var(name).filter(|value| !value.is_empty());
        self.namespace = self.namespace.or_else(|| var("HELM_NAMESPACE"));
        self.context = self.context.or_else(|| var("HELM_KUBECONTEXT"));
        self.server = self.server.or_else(|| var("HELM_KUBEAPISERVER"));
        self.token = self.token.or_else(|| var("HELM_KUBETOKEN"));
        self.impersonate = self.impersonate.or_else(|| var("HELM_KUBEASUSER"));
        if self.impersonate_groups.is_empty() {
            self.impersonate_groups = var("HELM_KUBEASGROUPS")
                .map(|groups| groups.split(',').map(Into::into).collect())
                .unwrap_or_default();
        }
        self.certificate_authority =
            self.certificate_authority.or_else(|| var("HELM_KUBECAFILE").map(Into::into));
        self.tls_server_name = self.tls_server_name.or_else(|| var("HELM_KUBETLS_SERVER_NAME"));
        self.insecure_skip_tls_verify |=
            var("HELM_KUBEINSECURE_SKIP_TLS_VERIFY").is_some_and(|value| value == "true");
        self
    }

    /// Whether the user chose the namespace or the context. helm always passes a namespace to its plugins, so that under
    /// helm only the context shows it.
    pub fn name_the_stack(&self, var: impl Fn(&str) -> Option<String>) -> bool {
        let is_given = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
        let is_under_helm = var("HELM_PLUGIN_NAME").is_some();
        is_given(&self.context) || is_given(&self.namespace) && !is_under_helm
    }

    /// An empty value is an absent one, as in kubectl. An empty namespace stays, and is rejected: a script that lost its
    /// variable must not reach the default namespace.
    pub fn without_empty(mut self) -> Self {
        let texts = [
            &mut self.context,
            &mut self.cluster,
            &mut self.user,
            &mut self.server,
            &mut self.token,
            &mut self.impersonate,
            &mut self.impersonate_uid,
            &mut self.tls_server_name,
        ];
        for text in texts {
            text.take_if(|text| text.is_empty());
        }
        self.impersonate_groups.retain(|group| !group.is_empty());
        self
    }

    /// The flags that select the same namespace, cluster and user, each after a space. The token is secret and omitted.
    pub fn repeated(&self, namespace: &str) -> String {
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let is_default = self.namespace.is_none() && namespace == "default";
        let named = [
            ("-n", (!is_default).then(|| namespace.to_string())),
            ("--context", self.context.clone()),
            ("--kubeconfig", path(&self.kubeconfig)),
            ("--cluster", self.cluster.clone()),
            ("--user", self.user.clone()),
            ("--server", self.server.clone()),
            ("--as", self.impersonate.clone()),
            ("--as-uid", self.impersonate_uid.clone()),
            ("--certificate-authority", path(&self.certificate_authority)),
            ("--tls-server-name", self.tls_server_name.clone()),
        ];
        let groups =
            self.impersonate_groups.iter().map(|group| ("--as-group", Some(group.clone())));
        let mut flags: String = named
            .into_iter()
            .chain(groups)
            .filter_map(|(flag, value)| Some(format!(" {flag} {}", quoted(&value?))))
            .collect();
        if self.insecure_skip_tls_verify {
            flags.push_str(" --insecure-skip-tls-verify");
        }
        flags
    }
}

/// A word, quoted for a shell if necessary.
pub fn quoted(word: &str) -> String {
    // no word of a command line contains the NUL that cannot be quoted
    shlex::try_quote(word).map_or_else(|_| word.into(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Typed {
        #[command(flatten)]
        kube: KubeFlags,
    }

    fn helm(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| value.to_string())
    }

    #[test]
    fn helm_variables_apply_only_under_helm_and_yield_to_flags() {
        let typed = KubeFlags { namespace: Some("typed".into()), ..Default::default() };
        let stray =
            KubeFlags::default().with_helm_environment(helm(&[("HELM_NAMESPACE", "stray")]));
        assert_eq!(stray.namespace, None);
        let environment = [
            ("HELM_PLUGIN_NAME", "lastack"),
            ("HELM_NAMESPACE", "given"),
            ("HELM_KUBECONTEXT", ""),
        ];
        let environment: &'static _ = Box::leak(Box::new(environment));
        assert_eq!(
            KubeFlags::default().with_helm_environment(helm(environment)).namespace.as_deref(),
            Some("given")
        );
        let flags = typed.with_helm_environment(helm(environment));
        assert_eq!((flags.namespace.as_deref(), flags.context), (Some("typed"), None));
    }

    #[test]
    fn stack_is_named_by_namespace_or_context_and_under_helm_by_context() {
        let flags = |line: &str| Typed::try_parse_from(line.split_whitespace()).unwrap().kube;
        let outside = |line: &str| flags(line).name_the_stack(helm(&[]));
        assert!(outside("lastack -n alice") && outside("lastack --context lab"));
        assert!(
            !outside("lastack") && !outside("lastack --context=") && !outside("lastack --user u")
        );
        let environment: &'static _ =
            Box::leak(Box::new([("HELM_PLUGIN_NAME", "lastack"), ("HELM_NAMESPACE", "default")]));
        let inside = |line: &str| {
            flags(line).with_helm_environment(helm(environment)).name_the_stack(helm(environment))
        };
        assert!(!inside("lastack") && inside("lastack --context lab"));
    }

    #[test]
    fn empty_flag_is_an_absent_one_except_for_the_namespace() {
        let line = "lastack -n= --context= --cluster= --user= --server= --token= --as= --as-group= --as-uid= --tls-server-name=";
        let flags = Typed::try_parse_from(line.split(' ')).unwrap().kube.without_empty();
        let expected = KubeFlags { namespace: Some(String::new()), ..Default::default() };
        assert_eq!(format!("{flags:?}"), format!("{expected:?}"));
    }

    #[test]
    fn repeated_flags_select_same_cluster_and_contain_no_token() {
        let typed = |line: &str| Typed::try_parse_from(line.split(' ')).unwrap().kube;
        assert_eq!(KubeFlags::default().repeated("default"), "");
        assert_eq!(KubeFlags::default().repeated("alice"), " -n alice");
        let line = "lastack -n default --context it's --as bob --as-group a --as-group b --token secret --insecure-skip-tls-verify";
        let repeated = r#" -n default --context "it's" --as bob --as-group a --as-group b --insecure-skip-tls-verify"#;
        assert_eq!(typed(line).repeated("default"), repeated);
        let line = "lastack --kubeconfig ~/lab --cluster c --user u --server https://a:6443 --as-uid 1 --certificate-authority ca.crt --tls-server-name a";
        let repeated = " --kubeconfig '~/lab' --cluster c --user u --server https://a:6443 --as-uid 1 --certificate-authority ca.crt --tls-server-name a";
        assert_eq!(typed(line).repeated("default"), repeated);
    }
}
