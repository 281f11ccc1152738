//! What an upgrade changes, and whether it is possible. Depends on nothing but the two sets of versions.

use semver::Version;
use serde::Serialize;

use crate::error::Failure;
use crate::stack::component::ComponentName;
use crate::stack::versions::{PluginSource, Release};

/// The role of an image whose data directory only the same major version reads.
const POSTGRESQL: &str = "postgresql";

/// A component that an upgrade or a rollback changes.
#[derive(Debug, Clone)]
pub struct Step {
    pub component: ComponentName,
    pub from: Release,
    pub to: Release,
    pub parts: Vec<Part>,
}

/// A program that is part of a component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Part {
    /// Name of the program, or its role in the component
    pub name: String,
    /// Version now
    pub from: String,
    /// Version after the upgrade
    pub to: String,
}

impl Step {
    /// The data that no older version reads afterwards. None: the step can be rolled back.
    pub fn migrates(&self) -> Option<&str> {
        self.to.upgrades.migrates.as_deref().filter(|_| self.from.version != self.to.version)
    }
}

/// The steps from one set of versions to another, in the order of `from`.
pub fn steps(from: &[Release], to: &[Release]) -> Vec<Step> {
    let step = |from: &Release| {
        let to = to.iter().find(|to| to.name == from.name)?;
        let parts = parts(from, to);
        let (component, from, to) = (from.name, from.clone(), to.clone());
        (!parts.is_empty()).then_some(Step { component, from, to, parts })
    };
    from.iter().filter_map(step).collect()
}

/// The parts that differ.
fn parts(from: &Release, to: &Release) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut compare = |name: &str, from: &str, to: &str| {
        if from != to {
            parts.push(Part { name: name.into(), from: from.into(), to: to.into() });
        }
    };
    compare(&from.program, &from.version, &to.version);
    let chart = |release: &Release| release.chart.as_ref()?.version.clone();
    if let (Some(old), Some(new)) = (chart(from), chart(to)) {
        compare("chart", &old, &new);
    }
    for (role, image) in &to.images {
        // the image of the program itself has its version
        if image == to.program_image() {
            continue;
        }
        let old = from.images.get(role).map_or("none", |old| tag(old));
        compare(role, old, tag(image));
    }
    let plugin = |plugin: &Option<PluginSource>| plugin.as_ref().map(|one| one.version.clone());
    if let (Some(old), Some(new)) = (plugin(&from.plugin), plugin(&to.plugin)) {
        compare("plugin", &old, &new);
    }
    parts
}

fn tag(image: &str) -> &str {
    image.rsplit_once(':').map_or(image, |(_, tag)| tag)
}

/// Why the steps cannot be taken. None: they can.
pub fn refusal(steps: &[Step]) -> Option<Failure> {
    steps.iter().find_map(|step| {
        let Step { from, to, .. } = step;
        let (old, new) = (Version::parse(&from.version).ok()?, Version::parse(&to.version).ok()?);
        if new < old {
            return Some(
                Failure::failed(format!(
                    "{} {old} is newer than {new}, the version of this program; a downgrade is not possible",
                    from.program
                ))
                .hint("use the newest release of kubectl-lastack"),
            );
        }
        if let Some(oldest) = to.upgrades.from.as_ref().filter(|oldest| old < **oldest) {
            return Some(
                Failure::failed(format!(
                    "{} {old} cannot be upgraded to {new}: the oldest version for this is {oldest}",
                    from.program
                ))
                .hint("upgrade with an older release of kubectl-lastack first"),
            );
        }
        let major = |text: &str| text.split('.').next().unwrap_or_default().to_string();
        let is_jump =
            |part: &&Part| part.name == POSTGRESQL && major(&part.from) != major(&part.to);
        let part = step.parts.iter().find(is_jump)?;
        let (old, new) = (major(&part.from), major(&part.to));
        Some(
            Failure::failed(format!(
                "{}'s PostgreSQL {} cannot be upgraded to {}: PostgreSQL {new} does not read the data of PostgreSQL {old}",
                from.program, part.from, part.to
            ))
            .hint(format!("use a release of kubectl-lastack with PostgreSQL {old}")),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::versions::Versions;

    fn changed(component: &str, change: impl Fn(&mut Release)) -> Vec<Release> {
        let mut releases = Versions::get().components.clone();
        let found = releases.iter_mut().find(|one| one.name.as_str() == component).unwrap();
        change(found);
        releases
    }

    fn version(release: &mut Release, version: &str) {
        let old = std::mem::replace(&mut release.version, version.into());
        for image in release.images.values_mut() {
            *image = image.replace(&old, version);
        }
    }

    #[test]
    fn steps_are_components_with_changed_parts_in_their_order() {
        let now = &Versions::get().components;
        assert!(steps(now, now).is_empty());
        let mut old = changed("lms", |lms| {
            version(lms, "4.5.0");
            lms.images.insert("postgresql".into(), "postgres:17.1".into());
            lms.plugin.as_mut().unwrap().version = "4.9.0".into();
        });
        version(&mut old[2], "5.0.0");
        let steps = steps(&old, now);
        let names: Vec<_> = steps.iter().map(|step| step.component.as_str()).collect();
        assert_eq!(names, ["lrs", "lms"]);
        let parts: Vec<_> = steps[1].parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(parts, ["Moodle", "postgresql", "plugin"]);
        assert_eq!((steps[0].migrates(), steps[1].migrates()), (None, Some("its database")));
    }

    #[test]
    fn downgrades_and_unsupported_jumps_are_refused() {
        let now = &Versions::get().components;
        let refused = |old: &[Release]| {
            refusal(&steps(old, now)).map(|failure| anyhow::Error::from(failure).to_string())
        };
        assert_eq!(refused(&changed("lms", |lms| version(lms, "4.1.2"))), None);
        let text = refused(&changed("lms", |lms| version(lms, "4.1.1"))).unwrap();
        assert!(text.contains("the oldest version for this is 4.1.2"), "{text}");
        let text = refused(&changed("lms", |lms| version(lms, "5.1.3"))).unwrap();
        assert!(text.contains("a downgrade is not possible"), "{text}");
        let old = changed("dataviz", |one| {
            one.images.insert(POSTGRESQL.into(), "postgres:16.9".into());
        });
        let text = refused(&old).unwrap();
        assert!(text.starts_with("Superset's PostgreSQL 16.9 cannot be upgraded to"), "{text}");
    }
}
