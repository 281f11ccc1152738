//! The packages: the helm plugin, the krew manifest and the charts, checked against the rules of the tools that read
//! them.

// the plugin and the charts contain shell scripts
#![cfg(unix)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

#[path = "packaging/moodle.rs"]
mod moodle;
#[path = "packaging/ralph.rs"]
mod ralph;
#[path = "packaging/rendered.rs"]
mod rendered;
#[path = "packaging/superset.rs"]
mod superset;

const VERSION: &str = env!("CARGO_PKG_VERSION");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn yaml(file: &str) -> Value {
    serde_saphyr::from_str(&read(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

mod plugin {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// The fields of helm 3.14, the oldest supported version. helm 3 rejects a file with any other field.
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Plugin {
        name: String,
        version: String,
        usage: String,
        #[serde(rename = "description")]
        _description: String,
        #[serde(rename = "ignoreFlags")]
        _ignore_flags: bool,
        platform_command: Vec<PlatformCommand>,
        hooks: BTreeMap<String, String>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct PlatformCommand {
        os: String,
        command: String,
    }

    fn plugin() -> Plugin {
        serde_saphyr::from_str(&read("plugin.yaml"))
            .expect("plugin.yaml has only fields of helm 3.14")
    }

    #[test]
    fn plugin_manifest_is_readable_by_the_oldest_helm() {
        let plugin = plugin();
        assert_eq!(plugin.name, "lastack");
        assert_eq!(plugin.version, VERSION, "plugin.yaml and Cargo.toml should have one version");
        assert!(!plugin.usage.contains('\n'));
        assert_eq!(plugin.hooks.keys().collect::<Vec<_>>(), ["install", "update"]);
    }

    #[test]
    fn plugin_has_an_existing_command_for_each_system() {
        let commands = plugin().platform_command;
        let systems: BTreeSet<_> = commands.iter().map(|command| command.os.as_str()).collect();
        assert_eq!(systems, BTreeSet::from(["darwin", "linux", "windows"]));
        for command in commands.iter().filter(|command| command.os != "windows") {
            let script =
                command.command.strip_prefix("$HELM_PLUGIN_DIR/").expect("a file of the plugin");
            assert!(root().join(script).is_file(), "{script}");
        }
    }

    /// Runs the script as helm does, in a separate plugin directory.
    fn run(plugin: &Path, path: &Path) -> Output {
        run_script("scripts/plugin-run", &["status", "-o", "json"], plugin, path)
    }

    fn run_script(script: &str, words: &[&str], plugin: &Path, path: &Path) -> Output {
        Command::new(root().join(script))
            .args(words)
            .env("HELM_PLUGIN_DIR", plugin)
            .env("PATH", path)
            .output()
            .unwrap()
    }

    /// Copies a program with another process. A file cannot run while a child of another test still holds it open for
    /// writing.
    fn program(source: &Path, file: &Path) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        assert!(Command::new("cp").arg("-p").args([source, file]).status().unwrap().success());
    }

    /// A program of a version, which otherwise prints its arguments and exits with 3.
    fn fake(folder: &Path, version: &str) -> PathBuf {
        let file = folder.join(format!("source-{version}"));
        let script = format!(
            "#!/bin/sh\nif [ \"$1\" = --version ]; then echo kubectl-lastack {version}; exit; fi\n\
             if [ \"$1\" = version ]; then exit; fi\necho \"$*\"\nexit 3\n"
        );
        fs::write(&file, script).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    #[test]
    fn plugin_hook_takes_only_a_program_of_its_version() {
        let scratch = tempfile::tempdir().unwrap();
        let [old, new] = ["0.0.1", VERSION].map(|version| fake(scratch.path(), version));
        let archive = scratch.path().join("archive.tar.gz");
        program(&new, &scratch.path().join("archive/kubectl-lastack"));
        let folder = scratch.path().join("archive");
        let mut pack = Command::new("tar");
        pack.arg("-czf").arg(&archive).arg("-C").arg(folder).arg("kubectl-lastack");
        assert!(pack.status().unwrap().success());
        let nowhere = scratch.path().join("nowhere");
        for (name, places, archive, is_installed) in [
            ("nothing", &[][..], &nowhere, false),
            ("an old build", &[("target/release", &old)], &nowhere, false),
            ("an old program on PATH", &[("path", &old)], &nowhere, false),
            ("a build", &[("path", &old), ("target/release", &new)], &nowhere, true),
            ("a program on PATH", &[("target/release", &old), ("path", &new)], &nowhere, true),
            ("the archive", &[("target/release", &old)], &archive, true),
        ] {
            let plugin = scratch.path().join(name);
            fs::create_dir_all(&plugin).unwrap();
            fs::copy(root().join("plugin.yaml"), plugin.join("plugin.yaml")).unwrap();
            for (place, source) in places {
                program(source, &plugin.join(place).join("kubectl-lastack"));
            }
            let path = [plugin.join("path"), "/usr/bin".into(), "/bin".into()];
            let hook = Command::new(root().join("scripts/plugin-install"))
                .env("HELM_PLUGIN_DIR", &plugin)
                .env("LASTACK_ARCHIVE", archive)
                .env("PATH", std::env::join_paths(path).unwrap())
                .output()
                .unwrap();
            let said = String::from_utf8_lossy(&hook.stderr);
            assert_eq!(hook.status.success(), is_installed, "{name}: {said}");
            if is_installed {
                let ran = run(&plugin, Path::new("/usr/bin"));
                assert_eq!(String::from_utf8_lossy(&ran.stdout), "status -o json\n", "{name}");
                assert_eq!(ran.status.code(), Some(3), "{name}: the code of the program");
            } else {
                assert!(said.contains("there is no archive") && said.contains("hint: "), "{said}");
            }
        }
    }

    #[test]
    fn plugin_completion_uses_the_program_and_is_silent_without_it() {
        let scratch = tempfile::tempdir().unwrap();
        let (plugin, tools) = (scratch.path().join("plugin"), Path::new("/usr/bin"));
        let complete =
            || run_script("plugin.complete", &["install", "--profile", "c"], &plugin, tools);
        let without = complete();
        assert_eq!((without.stdout.as_slice(), without.stderr.as_slice()), (&b""[..], &b""[..]));
        program(
            Path::new(env!("CARGO_BIN_EXE_kubectl-lastack")),
            &plugin.join("bin/kubectl-lastack"),
        );
        let offered = String::from_utf8(complete().stdout).unwrap();
        assert!(offered.starts_with("classroom") && offered.ends_with("\n:4\n"), "{offered}");
    }

    #[test]
    fn plugin_without_a_program_names_its_hook() {
        let scratch = tempfile::tempdir().unwrap();
        let output = run(scratch.path(), scratch.path());
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("/scripts/plugin-install"), "{said}");
    }
}

mod krew {
    use super::*;

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Manifest {
        api_version: String,
        kind: String,
        metadata: Metadata,
        spec: Spec,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Metadata {
        name: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Spec {
        version: String,
        homepage: String,
        short_description: String,
        description: String,
        caveats: String,
        platforms: Vec<Platform>,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Platform {
        selector: Selector,
        uri: String,
        sha256: String,
        files: Vec<FileOperation>,
        bin: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "camelCase")]
    struct Selector {
        match_labels: Labels,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Labels {
        os: String,
        arch: String,
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct FileOperation {
        from: String,
        to: String,
    }

    /// krew ignores unknown keys, so only this test detects a misspelt key.
    fn parse(text: &str) -> Manifest {
        serde_saphyr::from_str(text).expect("only the keys of a krew manifest")
    }

    /// Checks the rules of krew and those of its index.
    fn lint(manifest: &Manifest, version: &str) {
        assert_eq!(manifest.api_version, "krew.googlecontainertools.github.com/v1alpha2");
        assert_eq!(manifest.kind, "Plugin");
        assert_eq!(manifest.metadata.name, "lastack", "the name of the file");
        let spec = &manifest.spec;
        assert_eq!(spec.version, format!("v{version}"));
        semver::Version::parse(version).expect("a semantic version");
        assert!(spec.homepage.starts_with("https://"));

        let short = &spec.short_description;
        assert!(
            !short.is_empty() && short.len() <= 50,
            "{short:?} should have at most 50 characters"
        );
        assert!(!short.contains('\n') && !short.ends_with('.'));
        for word in ["kubernetes", "kubectl"] {
            assert!(
                !short.to_lowercase().contains(word),
                "{short:?} should not hold the redundant word {word}"
            );
        }
        assert!(!spec.description.is_empty(), "the manifest should describe the plugin");
        for line in spec.description.lines().chain(spec.caveats.lines()) {
            assert!(line.len() <= 80, "{line:?} should have at most 80 characters");
            assert!(
                !line.contains("kubectl lastack"),
                "{line:?} should not show usage, which belongs in --help"
            );
        }
        lint_platforms(&spec.platforms, version);
    }

    fn lint_platforms(platforms: &[Platform], version: &str) {
        let selected: Vec<_> = platforms
            .iter()
            .map(|platform| {
                (
                    platform.selector.match_labels.os.as_str(),
                    platform.selector.match_labels.arch.as_str(),
                )
            })
            .collect();
        let wanted =
            ["linux", "darwin", "windows"].map(|os| [(os, "amd64"), (os, "arm64")]).concat();
        assert_eq!(selected, wanted, "the manifest should list each platform once");

        for Platform { selector, uri, sha256, files, bin } in platforms {
            let Labels { os, arch } = &selector.match_labels;
            let (ending, program) = match os.as_str() {
                "windows" => ("zip", "kubectl-lastack.exe"),
                _ => ("tar.gz", "kubectl-lastack"),
            };
            let archive =
                format!("/download/v{version}/kubectl-lastack-v{version}-{os}-{arch}.{ending}");
            assert!(
                uri.starts_with("https://") && uri.ends_with(&archive),
                "{uri} should end with {archive}"
            );
            assert!(
                sha256.len() == 64
                    && sha256.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
                "{sha256}"
            );
            assert_eq!(bin, program);
            let taken: Vec<_> =
                files.iter().map(|file| (file.from.as_str(), file.to.as_str())).collect();
            assert_eq!(
                taken,
                [(program, "."), ("LICENSE", ".")],
                "krew should install the program and the licence"
            );
        }
    }

    #[test]
    fn krew_manifest_follows_the_rules_of_the_index() {
        lint(&parse(&read("krew/lastack.yaml")), VERSION);
    }

    /// Writes the manifest of these archives to the same folder.
    fn render(version: &str, archives: &Path) -> Output {
        let mut render = Command::new(root().join("krew/render"));
        render.arg(version).arg(archives).arg(archives.join("lastack.yaml"));
        render.output().unwrap()
    }

    #[test]
    fn krew_release_sets_the_version_and_each_checksum() {
        let archives = tempfile::tempdir().unwrap();
        for platform in parse(&read("krew/lastack.yaml")).spec.platforms {
            let name = platform.uri.rsplit('/').next().unwrap().replace(VERSION, "9.8.7");
            fs::write(archives.path().join(&name), &name).unwrap();
        }
        let output = render("9.8.7", archives.path());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

        let manifest = fs::read_to_string(archives.path().join("lastack.yaml")).unwrap();
        let manifest = parse(&manifest);
        lint(&manifest, "9.8.7");
        for platform in manifest.spec.platforms {
            let name = platform.uri.rsplit('/').next().unwrap();
            let sum: String =
                Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(platform.sha256, sum, "{name}");
        }
    }

    #[test]
    fn krew_release_without_an_archive_fails_and_names_it() {
        let archives = tempfile::tempdir().unwrap();
        let output = render("9.8.7", archives.path());
        assert!(!output.status.success());
        let left = fs::read_dir(archives.path()).unwrap().count();
        assert_eq!(left, 0, "a failure should leave no part of a manifest");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("kubectl-lastack-v9.8.7-linux-amd64.tar.gz"), "{said}");
    }
}

mod chart {
    use super::*;

    pub const OURS: [&str; 3] = ["moodle", "ralph", "superset"];

    /// Each chart and the component that it installs.
    const CHARTS: [(&str, &str); 3] =
        [("ralph", "lrs"), ("moodle", "lms"), ("superset", "dataviz")];

    fn schema(chart: &str) -> Value {
        serde_json::from_str(&read(&format!("charts/{chart}/values.schema.json")))
            .unwrap_or_else(|error| panic!("schema of {chart}: {error}"))
    }

    fn image(values: &Value, default_tag: &str) -> String {
        let tag = values["tag"].as_str().filter(|tag| !tag.is_empty()).unwrap_or(default_tag);
        format!("{}:{tag}", values["repository"].as_str().unwrap())
    }

    #[test]
    fn chart_versions_and_images_equal_those_of_the_stack() {
        for (name, component) in CHARTS {
            let (chart, component) = (
                yaml(&format!("charts/{name}/Chart.yaml")),
                &yaml("manifests/versions.yaml")["components"][component],
            );
            assert_eq!(chart["name"], component["chart"]["name"]);
            assert_eq!(chart["appVersion"], component["version"], "{name}");
            let values = yaml(&format!("charts/{name}/values.yaml"));
            // the tags of the Moodle image equal the tags of Moodle's releases
            let default = format!(
                "{}{}",
                if name == "moodle" { "v" } else { "" },
                chart["appVersion"].as_str().unwrap()
            );
            assert_eq!(component["images"][name], image(&values["image"], &default));
        }
    }

    #[test]
    fn superset_chart_uses_the_database_and_cache_images_of_the_stack() {
        let (values, images) = (
            yaml("charts/superset/values.yaml"),
            &yaml("manifests/versions.yaml")["components"]["dataviz"]["images"],
        );
        assert_eq!(images["postgresql"], image(&values["postgresql"]["image"], ""));
        assert_eq!(images["valkey"], image(&values["cache"]["image"], ""));
    }

    /// Follows a reference to one of the schema's definitions.
    fn resolved<'a>(schema: &'a Value, root: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(path) => root
                .pointer(path.trim_start_matches('#'))
                .unwrap_or_else(|| panic!("the schema should define {path}")),
            None => schema,
        }
    }

    /// Names of values, as far as the schema lists them.
    fn listed(
        values: &Value,
        schema: &Value,
        root: &Value,
        prefix: &str,
        out: &mut BTreeSet<(String, bool)>,
    ) {
        let Some(properties) = resolved(schema, root)["properties"].as_object() else { return };
        let keys: BTreeSet<_> =
            values.as_object().into_iter().flatten().map(|(key, _)| key).collect();
        for key in keys.iter().copied().chain(properties.keys()).collect::<BTreeSet<_>>() {
            out.insert((
                format!("{prefix}{key}"),
                keys.contains(key) && properties.contains_key(key),
            ));
            listed(
                &values[key],
                properties.get(key).unwrap_or(&Value::Null),
                root,
                &format!("{prefix}{key}."),
                out,
            );
        }
    }

    #[test]
    fn chart_values_equal_their_schema() {
        for chart in OURS {
            let schema = schema(chart);
            let mut values = BTreeSet::new();
            listed(
                &yaml(&format!("charts/{chart}/values.yaml")),
                &schema,
                &schema,
                "",
                &mut values,
            );
            let odd: Vec<_> = values
                .iter()
                .filter(|(name, both)| {
                    !both && name != "global" && !name.ends_with("resources.claims")
                })
                .map(|(name, _)| name.as_str())
                .collect();
            assert_eq!(
                odd, [""; 0],
                "{chart}: only values of helm and Kubernetes may be missing in one of the two files"
            );
        }
    }

    /// The pinned file lists every requirement with a version and a hash, for --no-deps and --require-hashes.
    #[test]
    fn superset_drivers_are_pinned_by_version_and_hash() {
        let name = |line: &str| line.split(['=', '>', '<', ' ']).next().unwrap().to_owned();
        let entries = |text: &str| -> Vec<String> {
            text.replace("\\\n", " ")
                .lines()
                .map(str::trim)
                .filter(|line| !line.is_empty() && !line.starts_with('#'))
                .map(str::to_owned)
                .collect()
        };
        let [wanted, pinned] = ["in", "txt"]
            .map(|kind| entries(&read(&format!("charts/superset/files/requirements.{kind}"))));
        assert_eq!(
            pinned.iter().map(|line| name(line)).collect::<BTreeSet<_>>(),
            wanted.iter().map(|line| name(line)).collect::<BTreeSet<_>>()
        );
        assert!(!pinned.is_empty(), "the file should list drivers");
        for line in &pinned {
            assert!(line.contains("==") && line.contains("--hash=sha256:"), "{line}");
        }
    }
}

#[test]
fn changelog_begins_with_the_version_of_the_program() {
    let changelog = read("CHANGELOG.md");
    let section = changelog.lines().find_map(|line| line.strip_prefix("## ")).expect("a section");
    assert_eq!(section.split(' ').next(), Some(VERSION));
}

#[test]
fn licence_is_apache_2_as_in_cargo() {
    assert_eq!(env!("CARGO_PKG_LICENSE"), "Apache-2.0");
    let text = read("LICENSE");
    assert!(text.contains("Apache License") && text.contains("Version 2.0, January 2004"));
}

#[test]
fn package_index_account_is_not_logged() {
    let home = tempfile::tempdir().unwrap();
    let ended = Command::new("python3")
        .arg(root().join("charts/superset/files/driver_server.py"))
        .envs([("UV_DEFAULT_INDEX", "https://user:hidden@index.example.org/simple")])
        .env("LASTACK_DRIVERS", home.path())
        // uv is not on this PATH, because its log uses the same stream
        .env("PATH", "/usr/bin:/bin")
        .output()
        .expect("python3 runs");
    let log = [ended.stdout, ended.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    assert!(log.contains("installing from https://index.example.org/simple"), "{log}");
    assert!(!log.contains("hidden"), "{log}");
}
