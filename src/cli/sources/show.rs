use anyhow::Result;
use clap::Args;
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::components::lrs;
use crate::components::lrs::sources::{self, Source, SourceKind};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::table;
use crate::stack::Stack;

use super::super::{Outcome, TableOrJson, next_steps, open};

/// Show the settings of a source, with its password
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack sources show campus
  kubectl lastack sources show campus -o json", json: "Source"))]
pub struct ShowArgs {
    /// Name of the source
    name: String,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: TableOrJson,
}

pub const NEEDS: &[Rules] = &[&[lrs::ACCOUNTS], lrs::ADDRESSES];

/// The account of a source
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SourceAccount<'a> {
    /// Name of the source
    name: &'a str,
    #[serde(rename = "type")]
    source: SourceKind,
    /// Whether the LRS accepts its account
    enabled: bool,
    /// xAPI endpoint
    endpoint: &'a str,
    /// User name
    user: &'a str,
    /// Password
    password: &'a str,
}

impl Content for SourceAccount<'_> {
    const KIND: &'static str = "Source";
}

pub async fn run(flags: &KubeFlags, args: &ShowArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let source = sources::find(&stack, &args.name).await?;
    let endpoint = endpoint(&stack).await?;
    let password = source.login.password.expose_secret();
    match args.output {
        TableOrJson::Json => printer::json(&SourceAccount {
            name: &source.name,
            source: source.kind,
            enabled: source.is_enabled,
            endpoint: &endpoint,
            user: &source.login.user,
            password,
        })?,
        TableOrJson::Table => printer::data(&shown(&source, &endpoint, password))?,
    }
    Ok(Outcome::Good)
}

/// The settings of a source, without the password, and the ways on.
///
/// # Errors
/// When the address of the LRS cannot be read.
pub async fn print(stack: &Stack, source: &Source) -> Result<()> {
    let endpoint = endpoint(stack).await?;
    let flags = &stack.cluster.flags;
    printer::data(&shown(source, &endpoint, "(hidden)"))?;
    let show = format!("sources show {}{flags}", source.name);
    next_steps(&[
        (show, "show the settings with the password"),
        (format!("sources list{flags}"), "show what has arrived"),
    ]);
    Ok(())
}

/// The xAPI endpoint, with a warning when a source elsewhere cannot use it safely.
async fn endpoint(stack: &Stack) -> Result<String> {
    let Some(outside) = lrs::endpoint_outside(stack).await? else {
        printer::warning(
            "only Pods of the cluster reach the LRS; `kubectl lastack install --expose ingress` exposes it with TLS",
        );
        return Ok(lrs::endpoint(stack));
    };
    if outside.starts_with("http://") {
        printer::warning(
            "the LRS is exposed without TLS, so others on the network can read passwords and statements",
        );
    }
    Ok(outside)
}

/// The settings by the names that each kind of source gives them.
fn shown(source: &Source, endpoint: &str, password: &str) -> String {
    let user = source.login.user.as_str();
    let rows: Vec<[&str; 2]> = match source.kind {
        SourceKind::Moodle => vec![
            ["logstore_xapi/endpoint", endpoint],
            ["logstore_xapi/username", user],
            ["logstore_xapi/password", password],
            ["logstore_xapi/backgroundmode", "1"],
            ["logstore_xapi/maxbatchsize", "1000"],
            ["tool_log/enabled_stores", "logstore_standard,logstore_xapi"],
        ],
        SourceKind::Openedx => vec![
            ["RouterConfiguration: backend_name", "xapi"],
            ["RouterConfiguration: route_url", endpoint],
            ["RouterConfiguration: auth_scheme", "BASIC"],
            ["RouterConfiguration: username", user],
            ["RouterConfiguration: password", password],
        ],
        SourceKind::H5p | SourceKind::Generic => vec![
            ["endpoint", endpoint],
            ["statements", "POST ENDPOINT/statements"],
            ["user", user],
            ["password", password],
            ["header", "X-Experience-API-Version: 1.0.3"],
        ],
    };
    table(["SETTING", "VALUE"], rows.into_iter().map(|row| row.map(String::from))).to_string()
}
