//! The checks of versions that go out of date: that of this program, and those of the components.

use anyhow::Result;
use jiff::civil::Date;
use jiff::{ToSpan, Zoned};

use crate::components::model::Components;
use crate::engine::Observation;
use crate::stack::Stack;
use crate::stack::versions::Release;

/// The time before the end of a component's support in which `check` warns.
const NOTICE_DAYS: i64 = 90;

/// Whether a newer version of this program changed the stack.
pub async fn program(stack: &Stack, components: Components) -> Result<Observation> {
    let this: semver::Version = env!("CARGO_PKG_VERSION").parse()?;
    let mut newest = None;
    for component in components {
        if !stack.settings.has(component.declaration().name) {
            continue;
        }
        let Some(install) = component.release(stack).await? else { continue };
        let release = stack.release(install.release, &install.namespace).await?;
        let program = release.as_ref().as_ref().and_then(|release| release.program.clone());
        newest = newest.max(program);
    }
    Ok(match newest {
        Some(newer) if newer > this => Observation::blocked(
            format!("kubectl-lastack {newer} changed this stack; this is version {this}"),
            "use the newer version, because this one returns the stack to its own versions",
        ),
        _ => Observation::Equal(format!("kubectl-lastack {this}")),
    })
}

/// Whether the components whose projects announce an end of their fixes still get them.
pub async fn support(stack: &Stack) -> Result<Observation> {
    let today = Zoned::now().date();
    let components = stack.versions.components.iter();
    let used = components.filter(|release| stack.settings.has(release.name));
    let ends = used.filter_map(|release| Some((release.fixes_until?, release)));
    let Some((end, release)) = ends.min_by_key(|(end, _)| *end) else {
        return Ok(Observation::Equal("no component announces the end of its fixes".into()));
    };
    Ok(judge(today, end, release))
}

fn judge(today: Date, end: Date, release: &Release) -> Observation {
    let Release { program, version, .. } = release;
    let hint = "use a newer release of kubectl-lastack, and run `kubectl lastack install` with it";
    if today > end {
        let cause = format!("{program} {version} gets no fixes for security holes since {end}");
        Observation::blocked(cause, hint)
    } else if today + NOTICE_DAYS.days() > end {
        let cause = format!("{program} {version} gets fixes for security holes until {end} only");
        Observation::blocked(cause, hint)
    } else {
        Observation::Equal(format!("no announced end of fixes before {end}"))
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;

    use super::*;
    use crate::stack::versions::Versions;

    #[test]
    fn end_of_fixes_is_reported_months_before_it() {
        let release = &Versions::get().components[0];
        let text = |today| judge(today, date(2027, 7, 15), release);
        assert!(text(date(2027, 4, 15)).is_equal());
        assert!(text(date(2027, 5, 1)).text().contains("until 2027-07-15 only"));
        assert!(text(date(2027, 7, 15)).text().contains("until 2027-07-15 only"));
        assert!(text(date(2027, 7, 16)).text().contains("no fixes for security holes since"));
    }
}
