//! A bundle of assets: databases, datasets, charts and dashboards as YAML files in a directory or a zip archive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result};
use include_dir::{Dir, include_dir};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::archive::{self, Limits};
use crate::components::dataviz::client::{Kind, Listed};
use crate::error::Failure;
use crate::stack::settings::yaml_message;

use super::asset::{Asset, FORMAT, left_out, read_file};
use super::record::Origin;

/// The assets of this program, which `install` imports into Superset.
static OURS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/dashboards");

/// The dashboard that `open dataviz` shows.
pub const FIRST: &str = "is-the-course-alive";

const LIMITS: Limits = Limits { files: 2000, file: 2 << 20, total: 32 << 20 };

/// Assets in dependency order.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    pub assets: Vec<Asset>,
    pub origin: Origin,
    /// The skipped files, with their content in words.
    pub left_out: Vec<String>,
}

impl Bundle {
    /// The dashboards of this program.
    pub fn ours() -> Result<Self> {
        let mut files = BTreeMap::new();
        collect_embedded(&OURS, &mut files);
        Ok(Self { origin: Origin::Program, ..Self::from_files(files)? })
    }

    /// Reads a directory tree, a zip archive exported by Superset, or the file of one asset.
    ///
    /// # Errors
    /// When a file cannot be read, is not an asset, or exceeds a limit.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let unreadable =
            |error: std::io::Error| Failure::usage(format!("cannot read {shown}: {error}"));
        if path.is_dir() {
            let mut files = BTreeMap::new();
            collect_folder(path, path, &mut files)?;
            return Self::from_files(files);
        }
        let mut file = std::fs::File::open(path).map_err(unreadable)?;
        let mut start = [0; 2];
        let read = file.read(&mut start).map_err(unreadable)?;
        file.rewind().map_err(unreadable)?;
        if &start[..read] == b"PK" {
            return Self::from_zip(file, &shown.to_string());
        }
        let mut text = String::new();
        file.take(LIMITS.file + 1).read_to_string(&mut text).map_err(unreadable)?;
        LIMITS.check_file(&shown.to_string(), text.len() as u64)?;
        Self::from_files(BTreeMap::from([(shown.to_string(), text)]))
    }

    pub fn from_zip(archive: impl Read + Seek, shown: &str) -> Result<Self> {
        let text = |(name, bytes): (String, Vec<u8>)| match String::from_utf8(bytes) {
            Ok(text) => Ok((name, text)),
            Err(_) => Err(Failure::usage(format!("{shown}: `{name}` is not text"))),
        };
        let files = archive::unzip(archive, shown, &LIMITS, is_yaml)?
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()?;
        Self::from_files(files)
    }

    /// The assets in files, keyed by the names that errors quote.
    fn from_files(files: BTreeMap<String, String>) -> Result<Self> {
        let mut assets: Vec<Asset> = Vec::new();
        let mut skipped = Vec::new();
        for (file, text) in &files {
            if Path::new(file).file_name().is_some_and(|name| name == "metadata.yaml") {
                check_metadata(file, text)?;
                continue;
            }
            let content = read_file(file, text)?;
            if let Some(what) = left_out(&content) {
                skipped.push(format!("{file}: {what}"));
                continue;
            }
            let asset = Asset::of(file, content)?;
            if let Some(twin) = assets.iter().find(|other| other.uuid == asset.uuid) {
                return Err(Failure::usage(format!(
                    "{file}: same uuid as {}: {}",
                    twin.path(),
                    asset.uuid
                ))
                .into());
            }
            assets.push(asset);
        }
        if assets.is_empty() {
            return Err(Failure::usage(
                "the files contain no dashboard, chart, dataset or database",
            )
            .into());
        }
        assets.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(Self { assets, origin: Origin::User, left_out: skipped })
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Asset> {
        self.assets.iter().filter(move |asset| asset.kind == kind)
    }

    pub fn find(&self, kind: Kind, wanted: impl Fn(&Asset) -> bool) -> Option<&Asset> {
        self.of_kind(kind).find(|asset| wanted(asset))
    }

    /// Whether a listed asset is one of these.
    pub fn contains(&self, listed: &Listed) -> bool {
        self.find(listed.kind, |asset| asset.uuid == listed.uuid).is_some()
    }

    /// Keeps the assets that `wanted` selects.
    pub fn only(mut self, wanted: impl Fn(&Asset) -> bool) -> Self {
        self.assets.retain(wanted);
        self
    }

    /// The archive that Superset imports. Its files are JSON, which is valid YAML.
    pub fn to_zip(&self) -> Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        let metadata = json!({"version": FORMAT, "type": "assets", "timestamp": jiff::Timestamp::now().to_string()});
        archive.start_file("bundle/metadata.yaml", options)?;
        archive.write_all(metadata.to_string().as_bytes())?;
        let mut used = BTreeSet::new();
        for asset in &self.assets {
            let mut path = asset.path();
            // two directories may have files with the same name, and Superset skips names with these prefixes
            if !used.insert(path.clone()) || asset.name.starts_with(['.', '_']) {
                path = format!(
                    "{}/{}-{}.yaml",
                    asset.kind.folder(),
                    asset.name.trim_start_matches(['.', '_']),
                    asset.uuid
                );
            }
            archive.start_file(format!("bundle/{path}"), options)?;
            let mut content = asset.content.clone();
            if asset.kind == Kind::Chart {
                // an import keeps fields that its file omits, and a saved query context takes precedence over `params`
                content.entry("query_context").or_insert(Value::Null);
            }
            archive.write_all(serde_json::to_string(&content)?.as_bytes())?;
        }
        Ok(archive.finish().context("cannot pack the bundle")?.into_inner())
    }
}

fn check_metadata(file: &str, text: &str) -> Result<()> {
    let metadata: Value = serde_saphyr::from_str(text)
        .map_err(|error| Failure::usage(format!("{file}: not YAML: {}", yaml_message(&error))))?;
    let version = metadata["version"].as_str().unwrap_or("?");
    if version.split('.').next() != FORMAT.split('.').next() {
        return Err(Failure::usage(format!(
            "{file}: format {version} is not supported; expected {FORMAT}"
        ))
        .hint("export the assets again from Superset 4, 5 or 6")
        .into());
    }
    Ok(())
}

fn is_yaml(name: &str) -> bool {
    name.ends_with(".yaml") || name.ends_with(".yml")
}

fn collect_embedded(folder: &Dir<'_>, files: &mut BTreeMap<String, String>) {
    for file in folder.files() {
        let name = file.path().to_string_lossy();
        if let Some(text) = file.contents_utf8().filter(|_| is_yaml(&name)) {
            files.insert(name.into_owned(), text.to_string());
        }
    }
    folder.dirs().for_each(|folder| collect_embedded(folder, files));
}

fn collect_folder(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) -> Result<()> {
    let unreadable = |path: &Path, error: std::io::Error| {
        Failure::usage(format!("cannot read {}: {error}", path.display()))
    };
    for entry in std::fs::read_dir(folder).map_err(|error| unreadable(folder, error))? {
        let path = entry.map_err(|error| unreadable(folder, error))?.path();
        let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        if path.is_dir() {
            collect_folder(root, &path, files)?;
        } else if is_yaml(&name) {
            let length = path.metadata().map_err(|error| unreadable(&path, error))?.len();
            LIMITS.check_file(&name, length)?;
            if files.len() >= LIMITS.files {
                return Err(Failure::usage(format!(
                    "{}: more than {} files",
                    root.display(),
                    LIMITS.files
                ))
                .into());
            }
            files.insert(
                name,
                std::fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?,
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHART: &str = "slice_name: How many?\nviz_type: table\nuuid: 6f3a3b5e-0000-4000-8000-000000000001\nversion: 1.0.0\n";

    fn zip(entries: &[(&str, &[u8])]) -> Cursor<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap()
    }

    fn rejection(entries: &[(&str, &[u8])]) -> String {
        crate::error::render(&Bundle::from_zip(zip(entries), "b.zip").unwrap_err())
    }

    #[test]
    fn packed_bundle_reads_back_unchanged() {
        let bundle =
            Bundle::from_files(BTreeMap::from([("charts/how-many.yaml".into(), CHART.into())]))
                .unwrap();
        let mut again = Bundle::from_zip(Cursor::new(bundle.to_zip().unwrap()), "b.zip").unwrap();
        assert_eq!(
            again.assets[0].content.remove("query_context"),
            Some(Value::Null),
            "the import must delete a saved query context"
        );
        assert_eq!(bundle.assets, again.assets);
        assert_eq!(
            (again.assets[0].kind, again.assets[0].name.as_str(), again.assets[0].title()),
            (Kind::Chart, "how-many", "How many?")
        );
    }

    #[test]
    fn files_with_the_same_name_in_two_directories_are_both_packed() {
        let other = CHART.replace("000001", "000002").replace("many", "few");
        let hidden = CHART.replace("000001", "000003");
        let files = [("a/chart.yaml", CHART), ("b/chart.yaml", &other), ("c/_draft.yaml", &hidden)];
        let bundle =
            Bundle::from_files(files.map(|(name, text)| (name.into(), text.into())).into())
                .unwrap();
        let again = Bundle::from_zip(Cursor::new(bundle.to_zip().unwrap()), "b.zip").unwrap();
        let mut names: Vec<_> = again.assets.iter().map(|asset| asset.name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "chart",
                "chart-6f3a3b5e-0000-4000-8000-000000000002",
                "draft-6f3a3b5e-0000-4000-8000-000000000003"
            ]
        );
    }

    #[test]
    fn malicious_archive_is_rejected_with_the_reason() {
        assert!(
            rejection(&[("../../etc/cron.d/a.yaml", CHART.as_bytes())])
                .contains("is outside the archive")
        );
        assert!(rejection(&[("/etc/a.yaml", CHART.as_bytes())]).contains("is outside the archive"));
        let bomb = vec![b' '; 3 << 20];
        assert!(rejection(&[("b/charts/a.yaml", &bomb)]).contains("larger than 2 MB"));
        let many: Vec<(String, Vec<u8>)> = (0..20)
            .map(|i| (format!("b/{i}.yaml"), [CHART.as_bytes(), &vec![b'\n'; 2_000_000]].concat()))
            .collect();
        let many: Vec<(&str, &[u8])> =
            many.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        assert!(rejection(&many).contains("unpacks to more than 32 MB"));
        assert!(rejection(&[("b/charts/a.yaml", b"\xff\xfe")]).contains("not text"));
        assert!(
            Bundle::from_zip(Cursor::new(b"PK\x03\x04 broken".to_vec()), "b.zip")
                .unwrap_err()
                .to_string()
                .contains("zip archive")
        );
    }

    #[test]
    fn file_that_is_not_an_asset_is_rejected_with_its_name_and_the_reason() {
        let error = |file: &str, text: &str| {
            Bundle::from_files(BTreeMap::from([(file.into(), text.into())]))
                .unwrap_err()
                .to_string()
        };
        assert!(error("a.yaml", "slice_name: a\nversion: 1.0.0\n").contains("a.yaml: has no uuid"));
        assert!(error("a.yaml", &CHART.replace("1.0.0", "2.0.0")).contains("format 2.0.0"));
        assert!(error("x/metadata.yaml", "version: 0.9\n").contains("x/metadata.yaml: format"));
        assert!(error("a.yaml", "a: b: c").contains("not YAML"));
        assert!(
            error("a.yaml", "label: saved query")
                .contains("not a dashboard, chart, dataset or database")
        );
        let twice =
            BTreeMap::from([("a.yaml".into(), CHART.into()), ("b.yaml".into(), CHART.into())]);
        assert!(Bundle::from_files(twice).unwrap_err().to_string().contains("same uuid"));
    }

    #[test]
    fn unsupported_files_of_an_export_are_skipped_and_named() {
        let files = [
            (
                "export/themes/corporate.yaml",
                "theme_name: Corporate\njson_data: {}\nuuid: 6f3a3b5e-0000-4000-8000-000000000007\nversion: 1.0.0\n",
            ),
            ("export/tags.yaml", "tags:\n- {tag_name: x, description: null}\n"),
            (
                "export/queries/a/b.yaml",
                "label: b\nsql: SELECT 1\nuuid: 6f3a3b5e-0000-4000-8000-000000000008\nversion: 1.0.0\n",
            ),
            ("export/charts/a.yaml", CHART),
        ];
        let zip = zip(&files.map(|(name, text)| (name, text.as_bytes())));
        let bundle = Bundle::from_zip(zip, "b.zip").unwrap();
        assert_eq!(bundle.assets.len(), 1);
        let [query, tags, theme] = [
            "queries/a/b.yaml: a saved query",
            "tags.yaml: tags",
            "themes/corporate.yaml: a theme",
        ];
        assert_eq!(bundle.left_out, [query, tags, theme].map(|file| format!("export/{file}")));
    }

    #[test]
    fn references_include_charts_of_the_layout_and_datasets_of_filters() {
        let text = "dashboard_title: a\nuuid: 6f3a3b5e-0000-4000-8000-000000000002\nposition:\n  CHART-1: {type: CHART, meta: {uuid: 6f3a3b5e-0000-4000-8000-000000000001}}\n\
                    metadata:\n  native_filter_configuration:\n  - targets: [{datasetUuid: 6f3a3b5e-0000-4000-8000-000000000003}]\n";
        let mut references: Vec<_> = Asset::parse("d.yaml", text)
            .unwrap()
            .references()
            .iter()
            .map(|uuid| uuid.as_u128() & 0xf)
            .collect();
        references.sort_unstable();
        assert_eq!(references, [1, 3]);
    }

    #[test]
    fn embedded_dashboards_are_complete() {
        let bundle = Bundle::ours().unwrap();
        for asset in &bundle.assets {
            for uuid in asset.references() {
                assert!(
                    bundle.assets.iter().any(|other| other.uuid == uuid),
                    "{} refers to {uuid}, which is missing",
                    asset.path()
                );
            }
        }
        for chart in bundle.of_kind(Kind::Chart) {
            let shown = bundle
                .of_kind(Kind::Dashboard)
                .any(|dashboard| dashboard.references().contains(&chart.uuid));
            assert!(shown, "{} is on no dashboard", chart.path());
            assert!(
                chart
                    .content
                    .get("description")
                    .and_then(Value::as_str)
                    .is_some_and(|text| !text.is_empty()),
                "{} is not described",
                chart.path()
            );
        }
        assert_eq!(bundle.of_kind(Kind::Database).count(), 1);
        assert!(bundle.find(Kind::Dashboard, |asset| asset.name == FIRST).is_some());
    }
}
