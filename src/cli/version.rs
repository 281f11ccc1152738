use anyhow::Result;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::output::{printer, table::table};
use crate::stack::versions::Versions;

use super::Outcome;

/// Show the versions of this program and of the components it installs
///
/// Never contacts a cluster. The commit is known in releases only.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!(offline "  kubectl lastack version
  kubectl lastack version --images
  kubectl lastack version -o json"))]
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

pub fn run(args: &VersionArgs) -> Result<Outcome> {
    let versions = Versions::get();
    if let Some(Format::Json) = args.output {
        let components: serde_json::Map<_, _> = versions
            .components
            .iter()
            .map(|release| {
                (
                    release.name.to_string(),
                    json!({"version": release.version, "images": release.images}),
                )
            })
            .collect();
        printer::json(
            &json!({"apiVersion": "lastack/v1", "kind": "Version", "version": env!("CARGO_PKG_VERSION"), "commit": COMMIT, "target": TARGET, "components": components}),
        )?;
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
