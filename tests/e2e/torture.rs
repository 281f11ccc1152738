//! Kills at random moments: the repeated command must finish, and no statement may be lost or stored twice.
//!
//! `make torture` runs many of them. LASTACK_TORTURE_SEED repeats the moments of an earlier run, which prints its seed.

use std::time::{SystemTime, UNIX_EPOCH};

use rand::RngExt;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use crate::lrs::{lrs, stored};

/// One kill of each kind of command.
const KILLS: u32 = 3;

/// The number in an environment variable.
fn number<T: std::str::FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} should be a number, not {text}")))
}

fn statements() -> u64 {
    stored().as_u64().expect("a number of statements")
}

#[test]
fn killed_commands_lose_and_double_nothing_when_repeated() {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let seed = number("LASTACK_TORTURE_SEED").unwrap_or_else(|| now().as_secs());
    println!("LASTACK_TORTURE_SEED={seed}");
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let lrs = lrs();
    lrs.lastack("install --only lrs").good();
    let mut expected = statements();
    for kill in 0..number("LASTACK_TORTURE_KILLS").unwrap_or(KILLS) {
        let (line, longest) = match kill % 3 {
            0 => (format!("seed --count 2000 --seed {}", seed + u64::from(kill)), 3.0),
            1 => {
                let values = lrs.file(
                    "torture.yaml",
                    &format!("podAnnotations: {{lastack/kill: \"{kill}\"}}\n"),
                );
                (format!("install --only lrs --values lrs={}", values.display()), 20.0)
            }
            _ => ("uninstall --keep-data --yes".to_string(), 10.0),
        };
        let seconds = format!("{:.2}", random.random_range(0.01..longest));
        let mut killed = vec!["--signal=KILL", &seconds, env!("CARGO_BIN_EXE_kubectl-lastack")];
        killed.extend(line.split_whitespace().chain(["-n", lrs.namespace]));
        // a command that is faster has ended well
        lrs.run("timeout", &killed, "");
        let repeated = lrs.lastack(&line);
        match kill % 3 {
            0 => {
                repeated.good().shows("2,000 of 2,000 statements stored");
                expected += 2000;
            }
            1 => _ = repeated.good(),
            _ => {
                repeated.good();
                lrs.lastack("install --only lrs").good();
            }
        }
        assert_eq!(statements(), expected, "after kill {kill} of `{line}`");
    }
    let none = lrs.file("none.yaml", "{}\n");
    lrs.lastack(&format!("install --only lrs --values lrs={}", none.display())).good();
}
