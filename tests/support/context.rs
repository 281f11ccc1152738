//! The cluster of the end-to-end tests: the sandbox or a named context, never the current context.

use std::path::PathBuf;

use kube::config::Kubeconfig;
use serde_json::{Value, json};

/// The variable that names a context.
pub const VARIABLE: &str = "LASTACK_E2E_CONTEXT";
/// The context of the sandbox.
pub const SANDBOX: &str = "lastack-sandbox";

/// The context to use, from the value of [`VARIABLE`].
///
/// # Errors
/// The variable is set and names no context.
pub fn chosen(variable: Option<&str>) -> Result<&str, String> {
    match variable.map(str::trim) {
        None => Ok(SANDBOX),
        Some("" | "current") => Err(format!(
            "{VARIABLE} names no context: these tests install and delete, so they never use the current one"
        )),
        Some(name) => Ok(name),
    }
}

/// A kubeconfig with only this context, which is the current one.
///
/// # Errors
/// No file has the context or the cluster that it refers to.
pub fn only(name: &str, files: &[PathBuf]) -> Result<Value, String> {
    let read = |file: &PathBuf| {
        Kubeconfig::read_from(file).map_err(|error| format!("{}: {error}", file.display()))
    };
    let files: Vec<Kubeconfig> =
        files.iter().filter(|file| file.exists()).map(read).collect::<Result<_, _>>()?;
    let mut contexts = files.iter().flat_map(|file| &file.contexts);
    let Some(found) = contexts.clone().find(|context| context.name == name) else {
        let names: Vec<&str> = contexts.by_ref().map(|context| context.name.as_str()).collect();
        return Err(format!(
            "there is no context `{name}`; the kubeconfig has: {}",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        ));
    };
    let context =
        found.context.as_ref().ok_or_else(|| format!("context `{name}` has no content"))?;
    let cluster = files
        .iter()
        .flat_map(|file| &file.clusters)
        .find(|cluster| cluster.name == context.cluster)
        .ok_or_else(|| {
            format!("context `{name}` names cluster `{}`, which does not exist", context.cluster)
        })?;
    let user = files
        .iter()
        .flat_map(|file| &file.auth_infos)
        .find(|user| Some(&user.name) == context.user.as_ref());
    Ok(json!({
        "apiVersion": "v1", "kind": "Config", "current-context": name,
        "contexts": [found], "clusters": [cluster], "users": user.into_iter().collect::<Vec<_>>(),
    }))
}
