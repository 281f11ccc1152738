//! The command line as it is typed. What it means is decided in `target` (which cluster, which
//! namespace) and in `stack::settings` (which stack).

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::commands;

#[derive(Debug, Parser)]
#[command(
    name = "kubectl-lastack",
    bin_name = "kubectl lastack",
    version,
    about = "A complete, wired and proven Learning Analytics stack on Kubernetes",
    disable_help_subcommand = true,
    max_term_width = 120
)]
pub struct Cli {
    #[command(flatten)]
    pub kube: KubeFlags,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Install(commands::install::InstallArgs),
    Status(commands::status::StatusArgs),
    Creds(commands::creds::CredsArgs),
    Open(commands::open::OpenArgs),
    Seed(commands::seed::SeedArgs),
    Statements(commands::statements::StatementsArgs),
    Trace(commands::trace::TraceArgs),
    Replay(commands::replay::ReplayArgs),
    Configure(commands::configure::ConfigureArgs),
    Dashboards(commands::dashboards::DashboardsArgs),
    Uninstall(commands::uninstall::UninstallArgs),
    Version(commands::version::VersionArgs),
    Completion(commands::completion::CompletionArgs),
}

/// kubectl's own flags, taken at any position and passed on to helm.
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
    /// Name to check the API server's certificate against
    #[arg(long, global = true, value_name = "NAME", hide_short_help = true)]
    pub tls_server_name: Option<String>,
    /// Do not check the API server's certificate
    #[arg(long, global = true, hide_short_help = true)]
    pub insecure_skip_tls_verify: bool,
    /// How long one request to the API server may take, such as 30s (0: no limit)
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration, hide_short_help = true)]
    pub request_timeout: Option<Duration>,
}

impl KubeFlags {
    /// The flags that lead to the same namespace of the same cluster as the same user, a space before each. Not the token,
    /// which belongs on no screen.
    pub fn repeated(&self, namespace: &str) -> String {
        let path =
            |path: &Option<PathBuf>| path.as_ref().map(|path| path.to_string_lossy().into_owned());
        let is_the_usual = self.namespace.is_none() && namespace == "default";
        let named = [
            ("-n", (!is_the_usual).then(|| namespace.to_string())),
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

/// A word as a shell reads it.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        word.into()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Nobody waits longer, and no clock can be asked for the end of all that can be typed.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// `90s`, `10m`, `1h30m`; a bare number counts seconds, as kubectl reads it. What is longer than a year is a year.
pub fn duration(text: &str) -> Result<Duration, String> {
    let typed = match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|typed| Duration::try_from(typed).ok()),
    };
    typed
        .map(|typed| typed.min(LONGEST))
        .ok_or_else(|| "expected a duration such as 90s, 10m or 1h30m".to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_tree_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn kubectl_flags_are_taken_before_and_after_the_verb() {
        for line in [
            "lastack -n a --context c status",
            "lastack status --context c -n a",
            "lastack --context c status -n a",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.kube.namespace.as_deref(), Some("a"), "{line}");
            assert_eq!(cli.kube.context.as_deref(), Some("c"), "{line}");
        }
    }

    #[test]
    fn what_is_to_be_typed_next_leads_to_the_same_place_and_shows_no_token() {
        let typed = |line: &str| Cli::try_parse_from(line.split(' ')).unwrap().kube;
        assert_eq!(KubeFlags::default().repeated("default"), "");
        assert_eq!(KubeFlags::default().repeated("alice"), " -n alice");
        let line = "lastack -n default --context it's --as bob --as-group a --as-group b --token secret --insecure-skip-tls-verify";
        let repeated = r" -n default --context 'it'\''s' --as bob --as-group a --as-group b --insecure-skip-tls-verify";
        assert_eq!(typed(line).repeated("default"), repeated);
        let line = "lastack --kubeconfig ~/lab --cluster c --user u --server https://a:6443 --as-uid 1 --certificate-authority ca.crt --tls-server-name a";
        let repeated = " --kubeconfig '~/lab' --cluster c --user u --server https://a:6443 --as-uid 1 --certificate-authority ca.crt --tls-server-name a";
        assert_eq!(typed(line).repeated("default"), repeated);
    }

    #[test]
    fn durations_read_as_kubectl_reads_them() {
        let seconds = |text| duration(text).map(|d| d.as_secs());
        assert_eq!(seconds("90s"), Ok(90));
        assert_eq!(seconds("1h30m"), Ok(5400));
        assert_eq!(seconds("0"), Ok(0));
        assert_eq!(seconds("18446744073709551615"), Ok(LONGEST.as_secs()));
        assert_eq!(seconds("9223372036854775807s"), Ok(LONGEST.as_secs()));
        assert!(seconds("soon").is_err());
        assert!(seconds("-5s").is_err());
    }
}
