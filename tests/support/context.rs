//! Which cluster the end-to-end tests may use: the sandbox, or a context that was named. Never the current context.

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
/// The variable is there and names no context.
pub fn chosen(variable: Option<&str>) -> Result<&str, String> {
    match variable.map(str::trim) {
        None => Ok(SANDBOX),
        Some("" | "current") => Err(format!(
            "{VARIABLE} names no context: these tests install and delete, so they never use the current one"
        )),
        Some(name) => Ok(name),
    }
}

/// A kubeconfig that has nothing but this context, as its current one.
///
/// # Errors
/// None of the files has the context, or what it refers to.
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
        found.context.as_ref().ok_or_else(|| format!("context `{name}` leads nowhere"))?;
    let cluster = files
        .iter()
        .flat_map(|file| &file.clusters)
        .find(|cluster| cluster.name == context.cluster)
        .ok_or_else(|| {
            format!("context `{name}` names cluster `{}`, which is not there", context.cluster)
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
