use anyhow::Result;
use clap::Args;

use crate::cli::KubeFlags;

use super::Outcome;

/// Send statements to the LRS and prove that all are stored
#[derive(Debug, Args)]
pub struct SeedArgs {}

pub async fn run(_: &KubeFlags, _: SeedArgs) -> Result<Outcome> {
    Ok(Outcome::Good)
}
