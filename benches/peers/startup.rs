//! The CPU of commands that need no cluster, and the size of the program.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::measure::{self, Usage};
use super::table::{Samples, Table};
use super::{Args, say};

/// Runs of one measurement.
const TIMES: u32 = 20;

pub fn measure(args: &Args, table: &mut Table) -> Result<()> {
    let (kubectl, helm) = (resolve("kubectl", &args.kubectl), resolve("helm", &args.helm));
    let kubectl = kubectl.as_deref();
    let helm = helm.as_deref();
    for (ours, peer, theirs) in [
        (&["version"][..], kubectl, &["version", "--client"][..]),
        (&["version"], helm, &["version"]),
        (&["--help"], kubectl, &["--help"]),
        (&["--help"], helm, &["--help"]),
        (&["completion", "bash"], kubectl, &["completion", "bash"]),
        (&["completion", "bash"], helm, &["completion", "bash"]),
    ] {
        let Some(peer) = peer else { continue };
        let [ours_runs, peer_runs] =
            measure::in_turns(args.rounds, || start(args.program(), ours), || start(peer, theirs))?;
        let name = format!(
            "{} {}",
            peer.file_name().unwrap_or_default().to_string_lossy(),
            theirs.join(" ")
        );
        let what = format!("`{}`, CPU", ours.join(" "));
        table.compare(
            &what,
            "ms",
            &cpu(&ours_runs),
            (&format!("`{name}`"), &cpu(&peer_runs)),
            "below 1, below 10 ms",
        );
    }
    if let Some(helm) = helm {
        let (ours, theirs) =
            (Samples::new([megabytes(args.program())?]), Samples::new([megabytes(helm)?]));
        table.compare(
            "size of the program",
            "MB",
            &ours,
            ("helm", &theirs),
            "at most 0.25, below 15 MB",
        );
    }
    Ok(())
}

/// The path of a program, or a message when it is missing. Links are not resolved, because a program may depend on its
/// name.
fn resolve(name: &str, program: &Path) -> Option<PathBuf> {
    let found = which::which(program).ok();
    if found.is_none() {
        say(&format!(
            "left out: start-up against {name}, because {} is missing",
            program.display()
        ));
    }
    found
}

fn start(program: &Path, arguments: &[&str]) -> Result<Usage> {
    measure::run_many(TIMES, || {
        let mut command = Command::new(program);
        command.args(arguments);
        command
    })
}

fn cpu(runs: &[Usage]) -> Samples {
    Samples::new(runs.iter().map(|usage| usage.cpu.as_secs_f64() * 1e3))
}

fn megabytes(program: &Path) -> Result<f64> {
    Ok(program.metadata()?.len() as f64 / 1e6)
}
