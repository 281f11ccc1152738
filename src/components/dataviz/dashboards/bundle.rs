//! A set of assets: databases, datasets, charts and dashboards as YAML files, in a folder or a zip archive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Seek, Write};
use std::path::Path;

use anyhow::{Context, Result};
use include_dir::{Dir, include_dir};
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::archive::{self, Limits};
use crate::components::dataviz::client::Kind;
use crate::error::Failure;
use crate::stack::settings::yaml_fault;

use super::asset::{Asset, FORMAT, left_out, read_file};
use super::record::Origin;

/// Ours, which `install` brings into Superset.
static OURS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/dashboards");

/// The dashboard that a person is shown first.
pub const FIRST: &str = "is-the-course-alive";

const LIMITS: Limits = Limits { files: 2000, file: 2 << 20, total: 32 << 20 };

/// Assets in an order in which each comes after those it refers to.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    pub assets: Vec<Asset>,
    pub origin: Origin,
    /// The files of which nothing is made, and what they hold.
    pub left_out: Vec<String>,
}

impl Bundle {
    /// The dashboards of this program.
    pub fn ours() -> Result<Self> {
        let mut files = BTreeMap::new();
        collect_embedded(&OURS, &mut files);
        Ok(Self { origin: Origin::Program, ..Self::from_files(files)? })
    }

    /// A folder with any layout below it, a zip archive that Superset exported, or the file of one asset.
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
            Err(_) => Err(Failure::usage(format!("{shown} holds `{name}`, which is not text"))),
        };
        let files = archive::unzip(archive, shown, &LIMITS, is_yaml)?
            .into_iter()
            .map(text)
            .collect::<Result<_, _>>()?;
        Self::from_files(files)
    }

    /// Files by their names, which errors quote.
    fn from_files(files: BTreeMap<String, String>) -> Result<Self> {
        let mut assets: Vec<Asset> = Vec::new();
        let mut passed_over = Vec::new();
        for (file, text) in &files {
            if Path::new(file).file_name().is_some_and(|name| name == "metadata.yaml") {
                check_metadata(file, text)?;
                continue;
            }
            let content = read_file(file, text)?;
            if let Some(what) = left_out(&content) {
                passed_over.push(format!("{file}, which holds {what}"));
                continue;
            }
            let asset = Asset::of(file, content)?;
            if let Some(twin) = assets.iter().find(|other| other.uuid == asset.uuid) {
                return Err(Failure::usage(format!(
                    "{file} and {} have the same uuid {}",
                    twin.path(),
                    asset.uuid
                ))
                .into());
            }
            assets.push(asset);
        }
        if assets.is_empty() {
            return Err(
                Failure::usage("there is no dashboard, chart, dataset or database in it").into()
            );
        }
        assets.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
        Ok(Self { assets, origin: Origin::Person, left_out: passed_over })
    }

    pub fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &Asset> {
        self.assets.iter().filter(move |asset| asset.kind == kind)
    }

    pub fn find(&self, kind: Kind, wanted: impl Fn(&Asset) -> bool) -> Option<&Asset> {
        self.of_kind(kind).find(|asset| wanted(asset))
    }

    /// Only the assets that `wanted` names.
    pub fn only(mut self, wanted: impl Fn(&Asset) -> bool) -> Self {
        self.assets.retain(wanted);
        self
    }

    /// The archive that Superset imports. YAML contains JSON, so the files are written as that.
    pub fn to_zip(&self) -> Result<Vec<u8>> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default();
        let metadata = json!({"version": FORMAT, "type": "assets", "timestamp": jiff::Timestamp::now().to_string()});
        archive.start_file("bundle/metadata.yaml", options)?;
        archive.write_all(metadata.to_string().as_bytes())?;
        let mut taken = BTreeSet::new();
        for asset in &self.assets {
            let mut path = asset.path();
            // two folders may have files of one name; and Superset passes over those whose name begins like this
            if !taken.insert(path.clone()) || asset.name.starts_with(['.', '_']) {
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
                // an import leaves what its file does not name, and a query that somebody saved goes before `params`
                content.entry("query_context").or_insert(Value::Null);
            }
            archive.write_all(serde_json::to_string(&content)?.as_bytes())?;
        }
        Ok(archive.finish().context("the bundle cannot be packed")?.into_inner())
    }
}

fn check_metadata(file: &str, text: &str) -> Result<()> {
    let metadata: Value = serde_saphyr::from_str(text)
        .map_err(|error| Failure::usage(format!("{file} is not YAML: {}", yaml_fault(&error))))?;
    let version = metadata["version"].as_str().unwrap_or("?");
    if version.split('.').next() != FORMAT.split('.').next() {
        return Err(Failure::usage(format!(
            "{file} says format {version}, and this program knows {FORMAT}"
        ))
        .hint("export it again from a Superset of version 4 to 6")
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
                    "{} holds more than {} files",
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

    fn refused(entries: &[(&str, &[u8])]) -> String {
        crate::error::render(&Bundle::from_zip(zip(entries), "b.zip").unwrap_err())
    }

    #[test]
    fn a_bundle_survives_being_packed_and_read() {
        let bundle =
            Bundle::from_files(BTreeMap::from([("charts/how-many.yaml".into(), CHART.into())]))
                .unwrap();
        let mut again = Bundle::from_zip(Cursor::new(bundle.to_zip().unwrap()), "b.zip").unwrap();
        assert_eq!(
            again.assets[0].content.remove("query_context"),
            Some(Value::Null),
            "a query that somebody saved is taken out of Superset"
        );
        assert_eq!(bundle.assets, again.assets);
        assert_eq!(
            (again.assets[0].kind, again.assets[0].name.as_str(), again.assets[0].title()),
            (Kind::Chart, "how-many", "How many?")
        );
    }

    #[test]
    fn files_of_one_name_in_two_folders_are_both_brought() {
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
    fn an_archive_that_means_no_good_is_refused_with_the_reason() {
        assert!(
            refused(&[("../../etc/cron.d/a.yaml", CHART.as_bytes())])
                .contains("points out of the archive")
        );
        assert!(
            refused(&[("/etc/a.yaml", CHART.as_bytes())]).contains("points out of the archive")
        );
        let bomb = vec![b' '; 3 << 20];
        assert!(refused(&[("b/charts/a.yaml", &bomb)]).contains("larger than 2 MB"));
        let many: Vec<(String, Vec<u8>)> = (0..20)
            .map(|i| (format!("b/{i}.yaml"), [CHART.as_bytes(), &vec![b'\n'; 2_000_000]].concat()))
            .collect();
        let many: Vec<(&str, &[u8])> =
            many.iter().map(|(name, content)| (name.as_str(), content.as_slice())).collect();
        assert!(refused(&many).contains("unpacks to more than 32 MB"));
        assert!(refused(&[("b/charts/a.yaml", b"\xff\xfe")]).contains("not text"));
        assert!(
            Bundle::from_zip(Cursor::new(b"PK\x03\x04 broken".to_vec()), "b.zip")
                .unwrap_err()
                .to_string()
                .contains("zip archive")
        );
    }

    #[test]
    fn a_file_that_is_no_asset_is_refused_with_its_name_and_the_reason() {
        let fault = |file: &str, text: &str| {
            Bundle::from_files(BTreeMap::from([(file.into(), text.into())]))
                .unwrap_err()
                .to_string()
        };
        assert!(fault("a.yaml", "slice_name: a\nversion: 1.0.0\n").contains("a.yaml has no uuid"));
        assert!(fault("a.yaml", &CHART.replace("1.0.0", "2.0.0")).contains("format 2.0.0"));
        assert!(fault("x/metadata.yaml", "version: 0.9\n").contains("x/metadata.yaml says format"));
        assert!(fault("a.yaml", "a: b: c").contains("is not YAML"));
        assert!(
            fault("a.yaml", "label: saved query")
                .contains("is no dashboard, chart, dataset or database")
        );
        let twice =
            BTreeMap::from([("a.yaml".into(), CHART.into()), ("b.yaml".into(), CHART.into())]);
        assert!(Bundle::from_files(twice).unwrap_err().to_string().contains("the same uuid"));
    }

    #[test]
    fn what_superset_exports_beside_dashboards_is_left_out_and_named() {
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
            "queries/a/b.yaml, which holds a saved query",
            "tags.yaml, which holds tags",
            "themes/corporate.yaml, which holds a theme",
        ];
        assert_eq!(bundle.left_out, [query, tags, theme].map(|file| format!("export/{file}")));
    }

    #[test]
    fn references_are_the_charts_of_a_layout_and_the_datasets_of_filters() {
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
    fn our_own_dashboards_are_whole() {
        let bundle = Bundle::ours().unwrap();
        for asset in &bundle.assets {
            for uuid in asset.references() {
                assert!(
                    bundle.assets.iter().any(|other| other.uuid == uuid),
                    "{} refers to {uuid}, which is not there",
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
