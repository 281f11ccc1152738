//! The plugin that sends Moodle's events: downloads and verifies a release, and packs the required files for the cluster.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::{Context, Result};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use flate2::{Compression, GzBuilder};
use sha2::{Digest, Sha256};

use crate::archive::{self, Limits};
use crate::cluster::download;
use crate::error::Failure;
use crate::stack::versions::PluginSource;

/// The plugin's name in Moodle.
pub const LOGSTORE: &str = "logstore_xapi";
/// The limits of the zip archive. A release with its tests has a thousand files and 2 MB.
const LIMITS: Limits = Limits { files: 10_000, file: 4 << 20, total: 64 << 20 };
const MAX_ZIP_BYTES: u64 = 32 << 20;
/// A ConfigMap holds 1 MiB together with its metadata.
const MAX_PACKED_BYTES: usize = 900 << 10;
/// Folders and files of a release that Moodle never loads.
const UNUSED: [&str; 8] = [
    "tests",
    "docs",
    "scripts",
    "node_modules",
    "composer.json",
    "composer.lock",
    "README.md",
    "SECURITY.md",
];

/// A plugin, packed for the cluster.
#[derive(Debug)]
pub struct Package {
    pub version: PluginVersion,
    /// SHA-256 of the names and contents of the files, independent of the archive format.
    pub digest: String,
    /// A tar archive, compressed with gzip, with the folder `xapi`.
    pub archive: Vec<u8>,
}

/// The version of the plugin, from its version.php.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginVersion {
    pub release: String,
    /// The number by which Moodle decides whether a plugin is newer. None when it is unknown.
    pub number: Option<u64>,
    /// The first and last supported branch of Moodle: 403 is 4.3, 501 is 5.1. None when version.php has no range.
    pub supported: Option<(u32, u32)>,
}

impl Package {
    /// From a local file or a URL.
    ///
    /// # Errors
    /// When the source cannot be read or contains no plugin.
    pub async fn from(source: &str, say: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        let zip = if source.starts_with("http://") || source.starts_with("https://") {
            download::get(source, MAX_ZIP_BYTES, say).await.map_err(|error| {
                match error.downcast_ref::<Failure>() {
                    Some(_) => error,
                    None => error.context(
                        Failure::failed("cannot download the plugin that sends Moodle's events")
                            .hint(
                                "download it on another machine and pass the file: `--plugin FILE`",
                            ),
                    ),
                }
            })?
        } else {
            let size = std::fs::metadata(source)
                .map_err(|error| Failure::usage(format!("cannot read {source}: {error}")))?
                .len();
            if size > MAX_ZIP_BYTES {
                return Err(Failure::usage(format!(
                    "{source} is larger than {} MB, the limit for a release of {LOGSTORE}",
                    MAX_ZIP_BYTES >> 20
                ))
                .into());
            }
            Bytes::from(
                std::fs::read(source)
                    .map_err(|error| Failure::usage(format!("cannot read {source}: {error}")))?,
            )
        };
        Self::from_zip(zip, &download::without_credentials(source))
    }

    /// The release in the versions file, verified by its checksum.
    ///
    /// # Errors
    /// When the download fails or has another checksum.
    pub async fn released(source: &PluginSource, say: &(dyn Fn(&str) + Sync)) -> Result<Self> {
        Self::from(&source.url, say).await?.verified(source)
    }

    fn verified(self, source: &PluginSource) -> Result<Self> {
        if self.digest != source.sha256 {
            let why = format!(
                "{} is not the released {LOGSTORE} {}: its checksum is {}, expected {}",
                source.url, source.version, self.digest, source.sha256
            );
            return Err(Failure::failed(why)
                .hint("do not use this file; pass a copy that you trust: `--plugin FILE`")
                .into());
        }
        Ok(self)
    }

    fn from_zip(zip: Bytes, source: &str) -> Result<Self> {
        let files = archive::unzip(Cursor::new(zip), source, &LIMITS, |_| true)?;
        let Some((root, version)) = find_root(&files) else {
            return Err(Failure::usage(format!("{source} contains no plugin {LOGSTORE}"))
                .hint("download the zip of a release from https://github.com/xAPI-vle/moodle-logstore_xapi")
                .into());
        };
        let files = required(&files, &root);
        let archive = pack(&files)?;
        if archive.len() > MAX_PACKED_BYTES {
            return Err(Failure::usage(format!(
                "{source} is too large for a ConfigMap: {} kB packed, at most {}",
                archive.len() >> 10,
                MAX_PACKED_BYTES >> 10
            ))
            .into());
        }
        Ok(Self { version, digest: digest(&files), archive })
    }
}

impl PluginVersion {
    /// Parses lines such as `$plugin->release = '5.0.1';`. None when the file is not that of the plugin.
    fn parse(text: &str) -> Option<Self> {
        let value = |name: &str| {
            let assigned = text.lines().find_map(|line| {
                line.trim()
                    .strip_prefix("$plugin->")?
                    .strip_prefix(name)?
                    .trim_start()
                    .strip_prefix('=')
            })?;
            Some(assigned.split(';').next()?.trim().to_string())
        };
        let unquoted = |text: String| text.trim_matches(['\'', '"']).to_string();
        if unquoted(value("component")?) != LOGSTORE {
            return None;
        }
        let supported = value("supported").and_then(|list| {
            let (first, last) = list.trim_matches(['[', ']']).split_once(',')?;
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        });
        let number = value("version").and_then(|number| number.split('.').next()?.parse().ok());
        Some(Self { release: unquoted(value("release")?), number, supported })
    }

    /// Whether it supports a branch of Moodle.
    pub fn supports(&self, branch: u32) -> bool {
        self.supported.is_none_or(|(first, last)| (first..=last).contains(&branch))
    }

    /// The supported versions, such as `Moodle 4.3 to 5.1`.
    pub fn supported_text(&self) -> String {
        // 39 is 3.9; since 4.0, 400 is 4.0
        let name = |branch: u32| {
            if branch < 100 {
                format!("{}.{}", branch / 10, branch % 10)
            } else {
                format!("{}.{}", branch / 100, branch % 100)
            }
        };
        self.supported.map_or_else(
            || "any Moodle".into(),
            |(first, last)| format!("Moodle {} to {}", name(first), name(last)),
        )
    }
}

/// The branch of a Moodle by its version: `4.5.12` is 405.
pub fn branch(version: &str) -> Option<u32> {
    let mut numbers = version.trim_start_matches('v').split('.').map(str::parse::<u32>);
    Some(numbers.next()?.ok()? * 100 + numbers.next()?.ok()?)
}

/// The folder of the plugin's version.php. Archives contain it in a folder with any name.
fn find_root(files: &BTreeMap<String, Vec<u8>>) -> Option<(String, PluginVersion)> {
    let mut candidates: Vec<_> = files
        .iter()
        .filter(|(name, _)| *name == "version.php" || name.ends_with("/version.php"))
        .collect();
    candidates.sort_by_key(|(name, _)| name.matches('/').count());
    candidates.into_iter().find_map(|(name, bytes)| {
        let version = PluginVersion::parse(&String::from_utf8_lossy(bytes))?;
        Some((name.trim_end_matches("version.php").to_string(), version))
    })
}

/// The files that Moodle loads, by their names in the plugin's folder.
fn required<'a>(files: &'a BTreeMap<String, Vec<u8>>, root: &str) -> BTreeMap<&'a str, &'a [u8]> {
    let below =
        files.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(root)?, bytes.as_slice())));
    below
        .filter(|(name, _)| {
            let first = name.split('/').next().unwrap_or_default();
            !UNUSED.contains(&first) && !first.starts_with('.')
        })
        .collect()
}

fn digest(files: &BTreeMap<&str, &[u8]>) -> String {
    let mut hash = Sha256::new();
    for (name, bytes) in files {
        hash.update(name);
        hash.update([0]);
        hash.update(Sha256::digest(bytes));
    }
    HEXLOWER.encode(&hash.finalize())
}

/// Packs files reproducibly: the same files give the same bytes.
fn pack(files: &BTreeMap<&str, &[u8]>) -> Result<Vec<u8>> {
    let mut tar =
        tar::Builder::new(GzBuilder::new().mtime(0).write(Vec::new(), Compression::best()));
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, Path::new("xapi").join(name), *bytes)
            .with_context(|| format!("{name} cannot be packed"))?;
    }
    let mut gzip = tar.into_inner()?;
    gzip.flush()?;
    Ok(gzip.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    const VERSION: &str = "<?php\n$plugin->component = 'logstore_xapi';\n$plugin->version = 2026022300;\n\
                           $plugin->supported = [403, 501];\n$plugin->release = '5.0.1';\n";

    fn zip(entries: &[(&str, &str)]) -> Bytes {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in entries {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content.as_bytes()).unwrap();
        }
        archive.finish().unwrap().into_inner().into()
    }

    fn names(package: &Package) -> Vec<String> {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(package.archive.as_slice()));
        tar.entries()
            .unwrap()
            .map(|entry| entry.unwrap().path().unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn package_contains_only_required_files_of_any_folder() {
        let release = zip(&[
            ("moodle-logstore_xapi-5.0.1/version.php", VERSION),
            ("moodle-logstore_xapi-5.0.1/lib.php", "<?php"),
            ("moodle-logstore_xapi-5.0.1/tests/a.php", "x"),
            ("moodle-logstore_xapi-5.0.1/.github/b.yml", "x"),
            ("moodle-logstore_xapi-5.0.1/tests/version.php", VERSION),
        ]);
        let package = Package::from_zip(release, "p.zip").unwrap();
        assert_eq!(names(&package), ["xapi/lib.php", "xapi/version.php"]);
        assert_eq!(
            package.version,
            PluginVersion {
                release: "5.0.1".into(),
                number: Some(2026022300),
                supported: Some((403, 501))
            }
        );
        let plain = Package::from_zip(
            zip(&[("xapi/lib.php", "<?php"), ("xapi/version.php", VERSION)]),
            "p.zip",
        )
        .unwrap();
        assert_eq!(
            (plain.digest, plain.archive),
            (package.digest, package.archive),
            "the folder of the archive must not matter"
        );
    }

    #[test]
    fn release_with_other_checksum_is_rejected() {
        let package = || {
            Package::from_zip(
                zip(&[("xapi/lib.php", "<?php"), ("xapi/version.php", VERSION)]),
                "p.zip",
            )
            .unwrap()
        };
        let source = |sha256: String| PluginSource {
            version: "5.0.1".into(),
            supported: (403, 501),
            url: "https://example.org/p.zip".into(),
            sha256,
        };
        assert!(package().verified(&source(package().digest)).is_ok());
        let rejected = package().verified(&source("0".repeat(64))).unwrap_err().to_string();
        assert!(rejected.starts_with("https://example.org/p.zip is not the released logstore_xapi 5.0.1: its checksum is "), "{rejected}");
    }

    #[test]
    fn other_plugins_and_malicious_archives_are_rejected_by_name() {
        let other = Package::from_zip(
            zip(&[("mod/version.php", &VERSION.replace("logstore_xapi", "mod_quiz"))]),
            "q.zip",
        )
        .unwrap_err();
        assert_eq!(other.to_string(), "q.zip contains no plugin logstore_xapi");
        let slip = Package::from_zip(
            zip(&[("xapi/version.php", VERSION), ("../../etc/passwd", "x")]),
            "s.zip",
        )
        .unwrap_err();
        assert!(slip.to_string().contains("is outside the archive"), "{slip}");
    }

    #[test]
    fn plugin_version_names_supported_moodle_versions() {
        let version = PluginVersion::parse(VERSION).unwrap();
        assert!(
            version.supports(branch("4.5.12").unwrap())
                && version.supports(branch("v5.1.3").unwrap())
        );
        assert!(!version.supports(branch("4.2.1").unwrap()) && !version.supports(502));
        assert_eq!(version.supported_text(), "Moodle 4.3 to 5.1");
        assert_eq!(PluginVersion::parse("<?php $plugin->version = 3;"), None);
    }
}
