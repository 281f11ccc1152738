//! The time, CPU and memory of a child process and its own children.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wait4::Wait4;

/// One run of a program.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub wall: Duration,
    /// User and system time of the program and of the children that it waited for.
    pub cpu: Duration,
    /// Largest resident set of a single process, in bytes.
    pub peak: u64,
}

impl Usage {
    /// Runs one after the other.
    pub fn sum(runs: &[Self]) -> Self {
        Self {
            wall: runs.iter().map(|run| run.wall).sum(),
            cpu: runs.iter().map(|run| run.cpu).sum(),
            peak: runs.iter().map(|run| run.peak).max().unwrap_or_default(),
        }
    }
}

/// Runs a program to its end. A failure is an error.
pub fn run(command: &mut Command) -> Result<Usage> {
    let mut errors = tempfile::tempfile()?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors.try_clone()?);
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start {}", name(command)))?;
    let ended = child.wait4()?;
    let wall = begun.elapsed();
    ensure!(
        ended.status.success(),
        "{} exited with {}: {}",
        name(command),
        ended.status,
        text(&mut errors)?
    );
    Ok(Usage { wall, cpu: ended.rusage.utime + ended.rusage.stime, peak: ended.rusage.maxrss })
}

/// Runs a program many times, because one run is too short to measure.
pub fn run_many(times: u32, mut command: impl FnMut() -> Command) -> Result<Usage> {
    let runs = (0..times).map(|_| run(&mut command())).collect::<Result<Vec<_>>>()?;
    let sum = Usage::sum(&runs);
    Ok(Usage { wall: sum.wall / times, cpu: sum.cpu / times, ..sum })
}

/// The output of a program.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("cannot start {}", name(command)))?;
    ensure!(
        output.status.success(),
        "{} exited with {}: {}",
        name(command),
        output.status,
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Runs two programs in turns, so that other load of the machine affects both. The first run of each does not count.
pub fn in_turns(
    rounds: u32,
    mut ours: impl FnMut() -> Result<Usage>,
    mut peer: impl FnMut() -> Result<Usage>,
) -> Result<[Vec<Usage>; 2]> {
    ours()?;
    peer()?;
    let mut runs = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        if round % 2 == 0 {
            runs[0].push(ours()?);
            runs[1].push(peer()?);
        } else {
            runs[1].push(peer()?);
            runs[0].push(ours()?);
        }
    }
    Ok(runs)
}

fn name(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn text(file: &mut std::fs::File) -> Result<String> {
    use std::io::{Read, Seek};
    let mut text = String::new();
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(text.trim().to_string())
}
