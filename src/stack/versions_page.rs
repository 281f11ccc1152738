//! `docs/reference/versions.md` shows what `manifests/versions.yaml` and `sandbox/versions.env` contain.
//!
//! `SNAPSHOTS=overwrite cargo test --lib versions_page` rewrites the tables of the page.

use std::fmt::Write as _;

use snapbox::{assert_data_eq, file};

use super::versions::Versions;

const PAGE: &str = "docs/reference/versions.md";
const BEGIN: &str = "<!-- generated -->\n";
const END: &str = "<!-- end of the generated part -->\n";

fn read(file: &str) -> String {
    std::fs::read_to_string(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// A version of the sandbox, in which the end-to-end tests run.
fn tested(name: &str) -> String {
    let file = read("sandbox/versions.env");
    let value = file.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    value
        .unwrap_or_else(|| panic!("{name} is missing"))
        .split_whitespace()
        .next()
        .unwrap()
        .to_owned()
}

/// A branch of Moodle as its code writes it: 403 is 4.3.
fn branch(number: u32) -> String {
    format!("{}.{}", number / 100, number % 100)
}

fn tables() -> String {
    let versions = Versions::get();
    let mut text =
        String::from("| component | version, tested and supported | images |\n|---|---|---|\n");
    for release in &versions.components {
        let images = release.images.values().map(|image| format!("`{image}`"));
        let images: Vec<_> = images.collect();
        writeln!(
            text,
            "| {} (`{}`) | {} | {} |",
            release.program,
            release.name,
            release.version,
            images.join(", ")
        )
        .unwrap();
    }
    let mut supported = String::new();
    for release in &versions.components {
        let Some(plugin) = &release.plugin else { continue };
        writeln!(
            text,
            "| Moodle's plugin logstore_xapi | {} | downloaded by the machine that runs `install`, verified by SHA-256 |",
            plugin.version
        )
        .unwrap();
        let (first, last) = plugin.supported;
        let (first, last) = (branch(first), branch(last));
        supported = format!(
            "| Moodle with the plugin | {} | {first} to {last} |\n",
            tested("MOODLE_VERSION")
        );
    }
    write!(
        text,
        "\n| requirement | tested | supported |\n|---|---|---|\n\
         | Kubernetes | {} | {} to {} |\n\
         | helm | {}, {} | {} or later, below {} |\n\
         {supported}",
        tested("KUBERNETES_VERSION"),
        versions.kubernetes.minimum,
        versions.kubernetes.newest,
        tested("HELM3_VERSION"),
        tested("HELM4_VERSION"),
        versions.helm.minimum,
        versions.helm.below,
    )
    .unwrap();
    text
}

#[test]
fn versions_page_shows_the_versions_of_the_files() {
    let page = read(PAGE);
    let (before, rest) = page.split_once(BEGIN).expect("the beginning of the generated part");
    let (_, after) = rest.split_once(END).expect("the end of the generated part");
    let page = format!("{before}{BEGIN}\n{}\n{END}{after}", tables());
    assert_data_eq!(page, file!["../../docs/reference/versions.md"].raw());
}
