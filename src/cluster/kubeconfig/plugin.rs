//! A credential plugin of a kubeconfig user (`exec`), run as client-go runs it:
//! <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>.

use std::io::{ErrorKind, IsTerminal};
use std::process::Stdio;

use anyhow::Result;
use jiff::Timestamp;
use kube::config::{Cluster, ExecAuthCluster, ExecConfig, ExecInteractiveMode};
use secrecy::SecretString;
use serde::Deserialize;
use tokio::process::Command;

use crate::error::{Failure, Kind};
use crate::output::text;

/// The API version that client-go takes an absent one for.
const API_VERSION: &str = "client.authentication.k8s.io/v1";

/// What a plugin gave.
#[derive(Debug, Default)]
pub struct Credential {
    pub token: Option<SecretString>,
    /// Certificate and key in PEM.
    pub certificate: Option<(String, SecretString)>,
    pub expires: Option<Timestamp>,
}

#[derive(Deserialize)]
struct Response {
    status: Option<Status>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// Runs the plugin once. It reads stdin only if that is a terminal, and its stdout is never shown.
///
/// # Errors
///
/// The plugin is not installed, it fails, or it prints no credential.
pub async fn run(exec: &ExecConfig, cluster: &Cluster) -> Result<Credential> {
    let program = exec.command.as_deref().unwrap_or_default();
    let failure = |what: &str| {
        Failure::new(Kind::Unreachable, format!("the credential plugin `{program}` {what}"))
    };
    let has_terminal = std::io::stdin().is_terminal();
    let is_interactive = match exec.interactive_mode {
        Some(ExecInteractiveMode::Never) => false,
        Some(ExecInteractiveMode::Always) if !has_terminal => {
            return Err(failure("needs a terminal, and stdin is not one").into());
        }
        _ => has_terminal,
    };
    let mut command = Command::new(program);
    command
        .args(exec.args.iter().flatten())
        .envs(exec.env.iter().flatten().filter_map(|pair| {
            Some((pair.get("name").filter(|name| !name.is_empty())?, pair.get("value")?))
        }))
        .env("KUBERNETES_EXEC_INFO", request(exec, cluster, is_interactive)?)
        .stdin(if is_interactive { Stdio::inherit() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .kill_on_drop(true);
    let output = command.output().await.map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            let hint = exec.install_hint.as_deref().map(text::one_line);
            failure("is not installed").hint(
                hint.unwrap_or_else(|| format!("install `{program}`, or choose another user")),
            )
        }
        _ => failure(&format!("cannot be started: {error}")),
    })?;
    if !output.status.success() {
        return Err(failure(&format!("failed: {}", output.status))
            .hint(format!("run `{program}` by itself to see why"))
            .into());
    }
    credential(&output.stdout).map_err(|fault| failure(fault).into())
}

/// The `ExecCredential` that a plugin finds in its environment.
fn request(exec: &ExecConfig, cluster: &Cluster, is_interactive: bool) -> Result<String> {
    let mut spec = serde_json::json!({ "interactive": is_interactive });
    if exec.provide_cluster_info {
        spec["cluster"] = serde_json::to_value(ExecAuthCluster::try_from(cluster)?)?;
    }
    let request = serde_json::json!({
        "kind": "ExecCredential",
        "apiVersion": exec.api_version.as_deref().unwrap_or(API_VERSION),
        "spec": spec,
    });
    Ok(request.to_string())
}

/// Reads what a plugin printed. A message about it must not quote it.
fn credential(stdout: &[u8]) -> Result<Credential, &'static str> {
    let response: Response =
        serde_saphyr::from_slice(stdout).map_err(|_| "printed no ExecCredential")?;
    let status = response.status.ok_or("printed an ExecCredential without a status")?;
    let given = |value: Option<String>| value.filter(|value| !value.is_empty());
    let token = given(status.token).map(SecretString::from);
    let certificate = match (given(status.client_certificate_data), given(status.client_key_data)) {
        (Some(certificate), Some(key)) => Some((certificate, key.into())),
        (None, None) => None,
        _ => return Err("printed a certificate without its key, or a key without its certificate"),
    };
    if token.is_none() && certificate.is_none() {
        return Err("printed neither a token nor a certificate");
    }
    let expires = given(status.expiration_timestamp)
        .map(|time| time.parse().map_err(|_| "printed an `expirationTimestamp` that is no time"))
        .transpose()?;
    Ok(Credential { token, certificate, expires })
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn credential_in_json_or_yaml_is_read_and_empty_values_are_absent() {
        let json = br#"{"kind": "ExecCredential", "status": {"token": "t", "clientKeyData": "", "expirationTimestamp": "2030-01-02T03:04:05Z"}}"#;
        let read = credential(json).unwrap();
        assert_eq!(read.token.unwrap().expose_secret(), "t");
        assert_eq!(read.expires.unwrap().to_string(), "2030-01-02T03:04:05Z");
        let yaml = b"status:\n  clientCertificateData: c\n  clientKeyData: k\n  token: null\n";
        let read = credential(yaml).unwrap();
        assert!(read.token.is_none() && read.expires.is_none());
        assert_eq!(read.certificate.unwrap().0, "c");
    }

    #[test]
    fn output_without_a_credential_is_not_quoted() {
        for (stdout, fault) in [
            ("s3cret", "printed no ExecCredential"),
            ("{}", "printed an ExecCredential without a status"),
            ("{status: {}}", "printed neither a token nor a certificate"),
            (
                "{status: {clientKeyData: s3cret}}",
                "printed a certificate without its key, or a key without its certificate",
            ),
            (
                "{status: {token: t, expirationTimestamp: s3cret}}",
                "printed an `expirationTimestamp` that is no time",
            ),
        ] {
            assert_eq!(credential(stdout.as_bytes()).unwrap_err(), fault);
        }
    }

    #[test]
    fn request_names_the_cluster_only_when_the_user_asks_for_it() {
        let cluster = Cluster { server: Some("https://a".into()), ..Default::default() };
        let mut exec = ExecConfig::default();
        let plain: serde_json::Value =
            serde_json::from_str(&request(&exec, &cluster, false).unwrap()).unwrap();
        assert_eq!(plain["spec"], serde_json::json!({ "interactive": false }));
        assert_eq!(plain["apiVersion"], API_VERSION);
        exec.provide_cluster_info = true;
        exec.api_version = Some("client.authentication.k8s.io/v1beta1".into());
        let more: serde_json::Value =
            serde_json::from_str(&request(&exec, &cluster, true).unwrap()).unwrap();
        assert_eq!(more["spec"]["cluster"]["server"], "https://a");
        assert_eq!(more["apiVersion"], "client.authentication.k8s.io/v1beta1");
    }
}
