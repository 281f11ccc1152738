use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::output::document::Content;
use crate::output::{printer, table::table};
use crate::stack::versions::Versions;

use super::Outcome;

/// Show the versions of this program and of the components it installs
///
/// Never contacts a cluster. The commit is known in releases only.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack version
  kubectl lastack version --images
  kubectl lastack version -o json", json: "Version"))]
pub struct VersionArgs {
    /// List the container images of the stack, one per line, for mirroring
    #[arg(long)]
    images: bool,
    /// Output format
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
}

/// The commit from which a release was built.
const COMMIT: Option<&str> = option_env!("LASTACK_COMMIT");
/// The target of the compiler, such as `x86_64-unknown-linux-musl`.
const TARGET: &str = env!("LASTACK_TARGET");

/// The versions of this program and of the components it installs
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Version<'a> {
    /// Version of the program
    version: &'a str,
    /// Commit of a release; null for other builds
    commit: Option<&'a str>,
    /// Target of the compiler, such as `x86_64-unknown-linux-musl`
    target: &'a str,
    /// By name of the component
    components: BTreeMap<&'a str, ComponentVersion<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct ComponentVersion<'a> {
    /// Version of the component
    version: &'a str,
    /// Images by role
    images: &'a BTreeMap<String, String>,
}

impl Content for Version<'_> {
    const KIND: &'static str = "Version";
}

pub fn run(args: &VersionArgs) -> Result<Outcome> {
    let versions = Versions::get();
    if let Some(Format::Json) = args.output {
        let components = versions.components.iter().map(|release| {
            let (version, images) = (&release.version, &release.images);
            (release.name.as_str(), ComponentVersion { version, images })
        });
        printer::json(&Version {
            version: env!("CARGO_PKG_VERSION"),
            commit: COMMIT,
            target: TARGET,
            components: components.collect(),
        })?;
    } else if args.images {
        let images: String = versions
            .components
            .iter()
            .flat_map(|release| release.images.values())
            .map(|image| format!("{image}\n"))
            .collect();
        printer::data(&images)?;
    } else {
        let rows = versions
            .components
            .iter()
            .map(|release| [release.name.to_string(), release.version.clone()]);
        let commit = COMMIT.map(|commit| format!(", commit {commit}")).unwrap_or_default();
        printer::data(&format!(
            "kubectl-lastack {}\nbuilt for {TARGET}{commit}\n\n{}",
            env!("CARGO_PKG_VERSION"),
            table(["COMPONENT", "VERSION"], rows)
        ))?;
    }
    Ok(Outcome::Good)
}
