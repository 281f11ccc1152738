//! The checks of versions that go out of date: that of this program, and those of the components.

use anyhow::Result;
use jiff::civil::Date;
use jiff::{ToSpan, Zoned};

use crate::engine::Observation;
use crate::error::Diagnosis;
use crate::stack::versions::Release;
use crate::stack::{Stack, record};

/// The time before the end of a component's support in which `check` warns.
const NOTICE_DAYS: i64 = 90;

/// Whether a newer version of this program changed the stack.
pub async fn program(stack: &Stack) -> Result<Observation> {
    Ok(match newer_program(stack) {
        Some(diagnosis) => Observation::Blocked(diagnosis),
        None => Observation::Equal(format!("kubectl-lastack {}", record::this_program())),
    })
}

/// Why this program must not change the stack. None: no newer one changed it.
pub fn newer_program(stack: &Stack) -> Option<Diagnosis> {
    let this = record::this_program();
    let newer = stack.program.as_ref().filter(|newer| **newer > this)?;
    Some(Diagnosis::new(
        format!("kubectl-lastack {newer} changed this stack; this is version {this}"),
        format!(
            "use kubectl-lastack {newer} or later: this version would return the stack to its own charts"
        ),
    ))
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
    let hint = "use a newer release of kubectl-lastack, and run `kubectl lastack upgrade` with it";
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
