//! Writes what a release contains besides the program: `cargo run --example release-texts -- DIR`.
//!
//! DIR then has `completions` with a script for each shell, and `man` with a page for each verb.

use std::error::Error;
use std::fs;
use std::path::PathBuf;

use clap::ValueEnum;
use clap_complete::Shell;

const NAME: &str = "kubectl-lastack";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(std::env::args_os().nth(1).ok_or("usage: release-texts DIR")?);
    let (completions, man) = (folder.join("completions"), folder.join("man"));
    for folder in [&completions, &man] {
        fs::create_dir_all(folder)?;
    }
    let command = lastack::command().name(NAME).bin_name(NAME);
    for shell in Shell::value_variants() {
        clap_complete::generate_to(*shell, &mut command.clone(), NAME, &completions)?;
    }
    clap_mangen::generate_to(command, &man)?;
    Ok(())
}
