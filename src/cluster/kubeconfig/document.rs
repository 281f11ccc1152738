//! One kubeconfig document, read as client-go reads it: an empty value is an absent one, an unknown field is ignored, and
//! a fault in one entry names its path. No message quotes a value, because it may be a password.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::{
    AuthInfo, AuthProviderConfig, Cluster, Context, ExecConfig, ExecInteractiveMode, Kubeconfig,
    NamedAuthInfo, NamedCluster, NamedContext, NamedExtension,
};
use secrecy::SecretString;
use serde_json::Value;

/// The one extension that client-go reads: what a cluster tells an exec plugin.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// What is wrong with a document, by the path of the field.
type Fault = String;
type Read<T> = Result<T, Fault>;

/// The kubeconfig that a document holds. Nothing is a kubeconfig with nothing in it.
///
/// # Errors
///
/// A field has another type than client-go expects, or the document is of another kind.
pub fn kubeconfig(document: &Value) -> Read<Kubeconfig> {
    let root = Node { value: document, path: String::new() };
    for (key, expected) in [("kind", "Config"), ("apiVersion", "v1")] {
        if root.text(key)?.is_some_and(|found| found != expected) {
            return Err(format!("`{key}` is not `{expected}`"));
        }
    }
    let mut kubeconfig = Kubeconfig {
        kind: Some("Config".into()),
        api_version: Some("v1".into()),
        current_context: root.text("current-context")?,
        ..Default::default()
    };
    for (name, entry) in root.named("clusters", "cluster")? {
        let cluster = Some(cluster(&entry)?);
        kubeconfig.clusters.push(NamedCluster { name, cluster, ..Default::default() });
    }
    for (name, entry) in root.named("users", "user")? {
        let auth_info = Some(user(&entry)?);
        kubeconfig.auth_infos.push(NamedAuthInfo { name, auth_info, ..Default::default() });
    }
    for (name, entry) in root.named("contexts", "context")? {
        let context = Some(Context {
            cluster: entry.text("cluster")?.unwrap_or_default(),
            user: entry.text("user")?,
            namespace: entry.text("namespace")?,
            ..Default::default()
        });
        kubeconfig.contexts.push(NamedContext { name, context, ..Default::default() });
    }
    Ok(kubeconfig)
}

fn cluster(node: &Node) -> Read<Cluster> {
    let mut extensions = Vec::new();
    for (name, extension) in node.named("extensions", "extension")? {
        if name == EXEC_EXTENSION {
            extensions.push(NamedExtension { name, extension: extension.value.clone() });
        }
    }
    Ok(Cluster {
        server: node.text("server")?,
        insecure_skip_tls_verify: node.flag("insecure-skip-tls-verify")?,
        certificate_authority: node.text("certificate-authority")?,
        certificate_authority_data: node.data("certificate-authority-data")?,
        proxy_url: node.text("proxy-url")?,
        disable_compression: node.flag("disable-compression")?,
        tls_server_name: node.text("tls-server-name")?,
        extensions: (!extensions.is_empty()).then_some(extensions),
        ..Default::default()
    })
}

fn user(node: &Node) -> Read<AuthInfo> {
    let username = node.text("username")?;
    // client-go authenticates with a name alone, and not with a password alone
    let password = node.text("password")?.unwrap_or_default();
    let password = username.is_some().then(|| SecretString::from(password));
    let extra = node.child("as-user-extra")?;
    let mut impersonate_user_extra = HashMap::new();
    for key in extra.keys() {
        impersonate_user_extra.insert(key.clone(), extra.texts(&key)?.unwrap_or_default());
    }
    Ok(AuthInfo {
        username,
        password,
        token: node.text("token")?.map(SecretString::from),
        token_file: node.text("tokenFile")?,
        client_certificate: node.text("client-certificate")?,
        client_certificate_data: node.data("client-certificate-data")?,
        client_key: node.text("client-key")?,
        client_key_data: node.data("client-key-data")?.map(SecretString::from),
        impersonate: node.text("as")?,
        impersonate_uid: node.text("as-uid")?,
        impersonate_groups: node.texts("as-groups")?,
        impersonate_user_extra: (!impersonate_user_extra.is_empty())
            .then_some(impersonate_user_extra),
        auth_provider: node.present("auth-provider")?.map(|node| provider(&node)).transpose()?,
        exec: node.present("exec")?.map(|node| exec(&node)).transpose()?,
        ..Default::default()
    })
}

fn provider(node: &Node) -> Read<AuthProviderConfig> {
    let settings = node.child("config")?;
    let mut config = HashMap::new();
    for key in settings.keys() {
        config.insert(key.clone(), settings.text(&key)?.unwrap_or_default());
    }
    let name = node.text("name")?.unwrap_or_default();
    Ok(AuthProviderConfig { name, config, ..Default::default() })
}

fn exec(node: &Node) -> Read<ExecConfig> {
    let mut variables = Vec::new();
    for variable in node.list("env")? {
        let name = variable.text("name")?.unwrap_or_default();
        let value = variable.text("value")?.unwrap_or_default();
        variables.push(HashMap::from([("name".into(), name), ("value".into(), value)]));
    }
    let interactive_mode = match node.text("interactiveMode")?.as_deref() {
        None => None,
        Some("Never") => Some(ExecInteractiveMode::Never),
        Some("IfAvailable") => Some(ExecInteractiveMode::IfAvailable),
        Some("Always") => Some(ExecInteractiveMode::Always),
        Some(_) => {
            let path = node.path_of("interactiveMode");
            return Err(format!("`{path}` is not `Never`, `IfAvailable` or `Always`"));
        }
    };
    Ok(ExecConfig {
        api_version: node.text("apiVersion")?,
        command: node.text("command")?,
        args: node.texts("args")?,
        env: (!variables.is_empty()).then_some(variables),
        install_hint: node.text("installHint")?,
        interactive_mode,
        provide_cluster_info: node.flag("provideClusterInfo")?.unwrap_or_default(),
        ..Default::default()
    })
}

/// A value of the document and where it is.
struct Node<'a> {
    value: &'a Value,
    path: String,
}

impl<'a> Node<'a> {
    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key. A missing key is null, and so is a key of null.
    fn child(&self, key: &str) -> Read<Node<'a>> {
        let value = match self.value {
            Value::Null => &Value::Null,
            Value::Object(map) => map.get(key).unwrap_or(&Value::Null),
            _ if self.path.is_empty() => return Err("the document is not a mapping".into()),
            _ => return Err(format!("`{}` is not a mapping", self.path)),
        };
        Ok(Node { value, path: self.path_of(key) })
    }

    fn present(&self, key: &str) -> Read<Option<Node<'a>>> {
        let child = self.child(key)?;
        Ok((!child.value.is_null()).then_some(child))
    }

    fn keys(&self) -> Vec<String> {
        self.value.as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
    }

    fn text(&self, key: &str) -> Read<Option<String>> {
        self.child(key)?.as_text().map(|text| text.filter(|text| !text.is_empty()))
    }

    fn as_text(&self) -> Read<Option<String>> {
        match self.value {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            Value::Number(number) => Ok(Some(number.to_string())),
            Value::Bool(flag) => Ok(Some(flag.to_string())),
            _ => Err(format!("`{}` is not a string", self.path)),
        }
    }

    fn flag(&self, key: &str) -> Read<Option<bool>> {
        let child = self.child(key)?;
        match child.value {
            Value::Null => Ok(None),
            Value::Bool(flag) => Ok(Some(*flag)),
            _ => Err(format!("`{}` is not `true` or `false`", child.path)),
        }
    }

    /// Base64 without its white space. A value of the YAML type `!!binary` may hold the base64 of base64.
    fn data(&self, key: &str) -> Read<Option<String>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let decode = |text: &[u8]| {
            let text: Vec<u8> =
                text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
            STANDARD.decode(text).ok()
        };
        let Some(data) = decode(text.as_bytes()) else {
            return Err(format!("`{}` is not base64", self.path_of(key)));
        };
        let data = match decode(&data) {
            Some(inner) if inner.starts_with(b"-----BEGIN ") => inner,
            _ => data,
        };
        Ok((!data.is_empty()).then(|| STANDARD.encode(data)))
    }

    fn list(&self, key: &str) -> Read<Vec<Node<'a>>> {
        let child = self.child(key)?;
        match child.value {
            Value::Null => Ok(Vec::new()),
            Value::Array(values) => {
                let path = |index| format!("{}[{index}]", child.path);
                let nodes =
                    values.iter().enumerate().map(|(i, value)| Node { value, path: path(i) });
                Ok(nodes.collect())
            }
            _ => Err(format!("`{}` is not a list", child.path)),
        }
    }

    fn texts(&self, key: &str) -> Read<Option<Vec<String>>> {
        let nodes = self.list(key)?;
        let texts: Vec<String> = nodes
            .iter()
            .map(|node| node.as_text().map(Option::unwrap_or_default))
            .collect::<Read<_>>()?;
        Ok((!texts.is_empty()).then_some(texts))
    }

    /// The entries of a list of names, each with the value of its other key.
    fn named(&self, list: &str, key: &str) -> Read<Vec<(String, Node<'a>)>> {
        let entries = self.list(list)?;
        let entry =
            |node: &Node<'a>| Ok((node.text("name")?.unwrap_or_default(), node.child(key)?));
        entries.iter().map(entry).collect()
    }
}
