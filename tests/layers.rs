//! Imports point to lower layers: no module of `src/` uses a module of a higher layer, and imports have no cycles.
//!
//! `make check` runs this test. It reads the sources as text, so it covers every target and feature. Unit tests in
//! modules may use any module.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the bottom up. A module belongs to the longest of these paths that is a prefix of its own. It may use
/// the layers before its own.
const LAYERS: &[&str] = &[
    "error",
    "interrupt",
    "output",
    "archive",
    "cluster",
    "engine",
    "xapi",
    "simulator",
    "stack",
    "components::access",
    "components::secrets",
    "components::model",
    "components::healthy",
    "components::ownership",
    "components::remains",
    "components::release",
    "components::accounts",
    "components::postgresql",
    "components::external_database",
    "components::datalake",
    "components::lrs",
    "components::lms",
    "components::dataviz",
    "components::operator",
    "components::namespace",
    "components::preflight",
    "components::conditions",
    "components",
    "components::paused",
    "rendering",
    "seeding",
    "dashboards",
    "backup",
    "upgrade",
    "diagnosis",
    "cli",
    "",
];

/// Pairs of layers that must stay independent although their order allows an import.
const INDEPENDENT: &[(&str, &str)] = &[
    ("engine", "cluster"),
    ("engine", "output"),
    ("xapi", "cluster"),
    ("xapi", "engine"),
    ("simulator", "cluster"),
    ("simulator", "engine"),
    ("components::dataviz", "components::lms"),
    ("components::operator", "components::lms"),
];

type Module = Vec<String>;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        match path.extension().and_then(|extension| extension.to_str()) {
            _ if path.is_dir() => sources(&path, found),
            Some("rs") => found.push(path),
            _ => {}
        }
    }
}

/// The module in a file: `cluster::helm` for `cluster/helm/mod.rs`.
fn module_of(file: &Path) -> Module {
    let mut path: Module =
        file.with_extension("").iter().map(|p| p.to_str().unwrap().into()).collect();
    if path.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        path.pop();
    }
    path
}

/// The text without comments and without its tests, which are at the end.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Every path that begins with `crate` or `super`, with nested imports expanded.
fn paths(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            // `super::super::` counts once, at its first word
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            expand(&code[at..], Vec::new(), &mut found);
        }
    }
    found
}

/// Reads one path, or nested paths in braces, and returns the rest of the text.
fn expand<'a>(text: &'a str, mut path: Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let mut text = text.trim_start();
    if let Some(mut tree) = text.strip_prefix('{') {
        while !tree.trim_start().starts_with('}') {
            tree = expand(tree, path.clone(), found).trim_start().trim_start_matches(',');
        }
        return &tree.trim_start()[1..];
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    path.push(text[..end].to_string());
    text = &text[end..];
    match text.strip_prefix("::") {
        Some(rest) if rest.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '{') => {
            expand(rest, path, found)
        }
        _ => {
            found.push(path);
            // the name after `as` is not a path
            let renamed = text.trim_start().strip_prefix("as ");
            renamed.map_or(text, |rest| {
                let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                &rest[end.unwrap_or(rest.len())..]
            })
        }
    }
}

/// The path from the root of the crate.
fn absolute(path: &[String], module: &Module) -> Module {
    let mut base = module.clone();
    let mut rest = path;
    if path[0] == "crate" {
        return path[1..].to_vec();
    }
    while rest.first().is_some_and(|word| word == "super") {
        base.pop();
        rest = &rest[1..];
    }
    base.extend_from_slice(rest);
    base
}

fn layer_of(path: &[String]) -> usize {
    let begins = |layer: &&str| {
        let layer: Vec<&str> = layer.split("::").filter(|word| !word.is_empty()).collect();
        path.len() >= layer.len() && layer.iter().zip(path).all(|(a, b)| a == b)
    };
    let candidates = LAYERS.iter().enumerate().filter(|(_, layer)| begins(layer));
    let longest = candidates.max_by_key(|(_, layer)| layer.len());
    longest.expect("the last layer is the root").0
}

/// The paths that each module uses.
fn uses() -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 100, "the sources should be in {}", root.display());
    let mut uses = BTreeMap::new();
    for file in files {
        let relative = file.strip_prefix(&root).expect("a file below the root");
        let is_test =
            relative.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests"));
        if is_test {
            continue;
        }
        let module = module_of(relative);
        let text = code(&fs::read_to_string(&file).expect("a source"));
        let used = paths(&text).iter().map(|path| absolute(path, &module)).collect();
        uses.insert(module, used);
    }
    uses
}

#[test]
fn imports_point_to_lower_layers_only() {
    let mut wrong = Vec::new();
    for (module, used) in uses() {
        let own = layer_of(&module);
        for path in used {
            let other = layer_of(&path);
            let (from, to) = (LAYERS[own], LAYERS[other]);
            let are_independent = INDEPENDENT.contains(&(from, to));
            if other > own || are_independent {
                wrong.push(format!(
                    "{} ({from}) uses {} ({to})",
                    module.join("::"),
                    path.join("::")
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "imports of higher layers:\n  {}", wrong.join("\n  "));
}

/// The module of a path: its longest prefix that is a module.
fn target(path: &Module, modules: &BTreeMap<Module, BTreeSet<Module>>) -> Option<Module> {
    (1..=path.len()).rev().map(|n| path[..n].to_vec()).find(|part| modules.contains_key(part))
}

#[test]
fn modules_have_no_cyclic_imports() {
    let modules = uses();
    let needs = |from: &Module, to: &Module| {
        modules[from].iter().any(|path| target(path, &modules).as_ref() == Some(to))
    };
    // a folder and its modules count as one module
    let are_related = |a: &Module, b: &Module| a.starts_with(b) || b.starts_with(a);
    let mut cycles = Vec::new();
    for (module, used) in &modules {
        let targets: BTreeSet<Module> =
            used.iter().filter_map(|path| target(path, &modules)).collect();
        for other in targets {
            if *module < other && !are_related(module, &other) && needs(&other, module) {
                cycles.push(format!("{} and {}", module.join("::"), other.join("::")));
            }
        }
    }
    assert!(cycles.is_empty(), "modules that import each other:\n  {}", cycles.join("\n  "));
}

#[test]
fn paths_in_nested_imports_are_found() {
    let text = "use crate::cluster::{self, helm::{Helm, Status as S}, pods};\nlet x = super::super::error::kind(e);";
    let found: Vec<String> = paths(text).iter().map(|path| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "crate::cluster::self",
            "crate::cluster::helm::Helm",
            "crate::cluster::helm::Status",
            "crate::cluster::pods",
            "super::super::error::kind",
        ]
    );
    let module = ["stack".to_string(), "settings".to_string()].to_vec();
    assert_eq!(
        absolute(&paths("super::versions::Versions")[0], &module),
        ["stack", "versions", "Versions"]
    );
    assert_eq!(
        LAYERS[layer_of(&["components".into(), "lrs".into(), "client".into()])],
        "components::lrs"
    );
}
