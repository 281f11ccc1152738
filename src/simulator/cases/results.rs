//! The known results of the cases, counted from their plan.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use uuid::Uuid;

use crate::simulator::learner::{COHORTS, Identity, PLANTED, Profile};
use crate::simulator::shift::Shift;
use crate::simulator::term::{DAYS, HOUR, START, Time};

use super::plan::{Delivery, LearnerIndex, Plan, Planted};
use super::script::{SPIKE, Script};

/// The definition in the expected results.
pub const DEFINITION: &str = "planted cases, which follow the term: statements of the cohort `planted` with known properties; charts \
     names the charts that show a case, in whose expected results its statements are included; sent counts repetitions, \
     and stored does not";

/// Dropouts have no statement in this number of days at the end of the term.
const QUIET_DAYS: usize = 14;

/// All cases. Keys are in alphabetical order.
#[derive(Debug, Serialize)]
pub struct PlantedResults {
    actors_by_mail: Case<ByMail>,
    cohort: &'static str,
    dropouts: Case<Dropouts>,
    duplicates: Case<Duplicates>,
    late_arrivals: Case<LateArrivals>,
    sent: usize,
    spike: Case<Spike>,
    stored: usize,
}

#[derive(Debug, Serialize)]
struct Case<Expected> {
    charts: &'static [&'static str],
    description: &'static str,
    expected: Expected,
    name: &'static str,
}

#[derive(Debug, Serialize)]
struct ByMail {
    learners: Vec<MailedLearner>,
    statements: usize,
}

#[derive(Debug, Serialize)]
struct MailedLearner {
    account: Option<String>,
    mbox: &'static str,
    name: String,
    statements_by_account: usize,
    statements_by_mail: usize,
}

#[derive(Debug, Serialize)]
struct Dropouts {
    learners: Vec<SeenLearner>,
    /// No dropout has a statement on this day or later. All other learners have.
    quiet_since: String,
}

#[derive(Debug, Serialize)]
struct SeenLearner {
    account: String,
    first_seen: String,
    last_seen: String,
    name: String,
    statements: usize,
}

#[derive(Debug, Serialize)]
struct Duplicates {
    account: String,
    /// Pairs of ids whose statements have the same content.
    copies: Vec<[Uuid; 2]>,
    /// The ids that are sent twice.
    repeated: Vec<Uuid>,
    sent: usize,
    stored: usize,
    stored_without_copies: usize,
}

#[derive(Debug, Serialize)]
struct LateArrivals {
    accounts: Vec<String>,
    newest_before: String,
    statements: usize,
    statements_per_day: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Spike {
    hour: String,
    learners: usize,
    statements: usize,
    /// The highest number of statements of the cohort in any other hour.
    statements_in_other_hours: usize,
}

impl PlantedResults {
    /// The results of a script. `id` returns the id of a statement's number.
    pub fn of(script: &Script, shift: Shift, id: impl Fn(u64) -> Uuid) -> Self {
        let plan = &script.plan;
        Self {
            actors_by_mail: Case {
                charts: &["events-by-source", "odd-statements"],
                description: "One learner has a mail address (mbox) instead of an account, and another learner has \
                              both. Charts count learners by account: they do not count the first learner, and they \
                              count the statements by mail as odd",
                expected: by_mail(script),
                name: "Actors by mail",
            },
            cohort: COHORTS[PLANTED].name,
            dropouts: Case {
                charts: &["returning-learners"],
                description: "Learners who work once a week and stop after a known week. They are at risk: of this \
                              cohort, only they have no statement since the day in quiet_since",
                expected: dropouts(script, shift),
                name: "Dropouts",
            },
            duplicates: Case {
                charts: &["events", "returning-learners"],
                description: "Statements that are sent twice. Those in repeated have the same id, and an LRS stores \
                              them once. The pairs in copies have the same content and two ids, and charts count \
                              both",
                expected: duplicates(script, id),
                name: "Duplicates",
            },
            late_arrivals: Case {
                charts: &["learners-per-day", "delay-of-arrivals"],
                description: "Learners who work without a connection. Their statements are sent weeks later, after \
                              a statement with the time newest_before. They count on the day of their timestamp",
                expected: late_arrivals(script, shift),
                name: "Late arrivals",
            },
            sent: plan.statements.len(),
            spike: Case {
                charts: &["hours-of-the-week", "learners-per-day"],
                description: "Many learners hand in an assignment within the hour that begins at this time",
                expected: spike(script, shift),
                name: "Spike",
            },
            stored: plan.stored().count(),
        }
    }
}

/// The stored statements of a learner.
fn stored(plan: &Plan, learner: LearnerIndex) -> impl Iterator<Item = &Planted> {
    plan.stored().filter(move |planted| planted.event.learner == learner)
}

fn profile(plan: &Plan, learner: LearnerIndex) -> &Profile {
    &plan.learners[usize::from(learner)]
}

fn account(plan: &Plan, learner: LearnerIndex) -> Option<String> {
    profile(plan, learner).account().map(|number| number.to_string())
}

fn dropouts(script: &Script, shift: Shift) -> Dropouts {
    let plan = &script.plan;
    let day = |time: Option<Time>| time.map_or(String::new(), |time| shift.day(time).to_string());
    let seen = |learner| {
        let times = || stored(plan, learner).map(|planted| planted.event.time);
        Some(SeenLearner {
            account: account(plan, learner)?,
            first_seen: day(times().min()),
            last_seen: day(times().max()),
            name: profile(plan, learner).name.clone(),
            statements: times().count(),
        })
    };
    Dropouts {
        learners: script.dropouts.clone().filter_map(seen).collect(),
        quiet_since: shift.date((DAYS - QUIET_DAYS) as i64).to_string(),
    }
}

fn spike(script: &Script, shift: Shift) -> Spike {
    let mut hours: BTreeMap<Time, Vec<LearnerIndex>> = BTreeMap::new();
    for planted in script.plan.stored() {
        let hour = (planted.event.time - START) / HOUR;
        hours.entry(hour).or_default().push(planted.event.learner);
    }
    let learners = hours.remove(&((SPIKE - START) / HOUR)).unwrap_or_default();
    Spike {
        hour: shift.text(SPIKE),
        learners: learners.iter().collect::<BTreeSet<_>>().len(),
        statements: learners.len(),
        statements_in_other_hours: hours.values().map(Vec::len).max().unwrap_or_default(),
    }
}

fn duplicates(script: &Script, id: impl Fn(u64) -> Uuid) -> Duplicates {
    let Script { plan, duplicated, repeated, copies, .. } = script;
    let stored = stored(plan, *duplicated).count();
    Duplicates {
        account: account(plan, *duplicated).unwrap_or_default(),
        copies: copies.iter().map(|numbers| numbers.map(&id)).collect(),
        repeated: repeated.iter().map(|&number| id(number)).collect(),
        sent: stored + repeated.len(),
        stored,
        stored_without_copies: stored - copies.len(),
    }
}

fn late_arrivals(script: &Script, shift: Shift) -> LateArrivals {
    let plan = &script.plan;
    let times = |delivery: Delivery| {
        let chosen = plan.statements.iter().filter(move |planted| planted.delivery == delivery);
        chosen.map(|planted| planted.event.time)
    };
    let mut statements_per_day = BTreeMap::new();
    for time in times(Delivery::Late) {
        *statements_per_day.entry(shift.day(time).to_string()).or_default() += 1;
    }
    LateArrivals {
        accounts: script.offline.clone().filter_map(|learner| account(plan, learner)).collect(),
        newest_before: shift.text(times(Delivery::InOrder).max().unwrap_or(START)),
        statements: times(Delivery::Late).count(),
        statements_per_day,
    }
}

fn by_mail(script: &Script) -> ByMail {
    let plan = &script.plan;
    let mailed = |learner| match profile(plan, learner) {
        Profile { identity: Identity::Mail(mbox), name, .. } => {
            let same = |other: &LearnerIndex| {
                profile(plan, *other).name == *name && account(plan, *other).is_some()
            };
            let with_account = script.by_mail.clone().find(same);
            Some(MailedLearner {
                account: with_account.and_then(|other| account(plan, other)),
                mbox,
                name: name.clone(),
                statements_by_account: with_account.map_or(0, |other| stored(plan, other).count()),
                statements_by_mail: stored(plan, learner).count(),
            })
        }
        _ => None,
    };
    let learners: Vec<MailedLearner> = script.by_mail.clone().filter_map(mailed).collect();
    let statements = learners.iter().map(|learner| learner.statements_by_mail).sum();
    ByMail { learners, statements }
}
