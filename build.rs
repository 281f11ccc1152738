//! Gives the program its target, and the commit of a release, which `scripts/dist` knows.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LASTACK_COMMIT");
    let target = std::env::var("TARGET").expect("cargo sets TARGET");
    println!("cargo::rustc-env=LASTACK_TARGET={target}");
    if let Ok(commit) = std::env::var("LASTACK_COMMIT") {
        println!("cargo::rustc-env=LASTACK_COMMIT={commit}");
    }
}
