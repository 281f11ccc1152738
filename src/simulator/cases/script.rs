//! What the learners of each case do. Times are those of the unshifted term.

use std::ops::Range;

use crate::simulator::catalogue::Activity;
use crate::simulator::event::Action;
use crate::simulator::learner::Identity;
use crate::simulator::names::{FAMILY, GIVEN};
use crate::simulator::term::{DAY, HOUR, MINUTE, SECOND, START, Time};

use super::plan::{Delivery, LearnerIndex, Plan};

/// The addresses of the learners who are identified by mail.
pub const MAILBOXES: [&str; 2] =
    ["mailto:amara.costa@students.example.org", "mailto:nikos.bauer@students.example.org"];

/// The last week in which each dropout works.
const LAST_WEEKS: [Time; 5] = [3, 5, 8, 10, 12];
/// The number of learners who cause the spike.
const CROWD: usize = 24;
/// The start of the hour of the spike: the evening before a deadline.
pub const SPIKE: Time = at(15, WEDNESDAY, 22);
/// The unit whose assignment is due then.
const DUE: usize = 4;

/// The week in which learners without a connection work.
const OFFLINE_WEEK: Time = 9;

const TUESDAY: Time = 1;
const WEDNESDAY: Time = 2;
const THURSDAY: Time = 3;

/// The plan, with the parts of the learners.
pub struct Script {
    pub plan: Plan,
    pub dropouts: Range<LearnerIndex>,
    /// The learner whose statements are duplicated.
    pub duplicated: LearnerIndex,
    /// Numbers of statements that are sent twice.
    pub repeated: Vec<u64>,
    /// Numbers of statements with equal content.
    pub copies: Vec<[u64; 2]>,
    pub offline: Range<LearnerIndex>,
    pub by_mail: Range<LearnerIndex>,
}

/// The hour of a day in a week. Weeks count from 1, and days from Monday, which is 0.
const fn at(week: Time, day: Time, hour: Time) -> Time {
    START + (7 * (week - 1) + day) * DAY + hour * HOUR
}

/// A session that reads the page of a unit.
fn reading(unit: usize) -> [Action; 3] {
    [Action::LoggedIn, Action::CourseViewed, Action::Viewed(Activity::Page(unit))]
}

fn name(number: usize) -> String {
    format!("{} {}", GIVEN[7 * number % GIVEN.len()], FAMILY[11 * number % FAMILY.len()])
}

impl Script {
    pub fn new() -> Self {
        let mut plan = Plan::default();
        let dropouts = dropouts(&mut plan);
        crowd(&mut plan);
        let (duplicated, repeated, copies) = duplicates(&mut plan);
        let offline = offline(&mut plan);
        let by_mail = by_mail(&mut plan);
        plan.sort();
        Self { plan, dropouts, duplicated, repeated, copies, offline, by_mail }
    }
}

/// Adds learners with consecutive account numbers.
fn accounts(plan: &mut Plan, first: u32, count: usize) -> Range<LearnerIndex> {
    let begin = plan.learners.len() as LearnerIndex;
    for account in (first..).take(count) {
        plan.add_learner(name(account as usize), Identity::Account(account));
    }
    begin..plan.learners.len() as LearnerIndex
}

/// Learners who work once a week, until a known week.
fn dropouts(plan: &mut Plan) -> Range<LearnerIndex> {
    let learners = accounts(plan, 901, LAST_WEEKS.len());
    for (number, (learner, last)) in (0..).zip(learners.clone().zip(LAST_WEEKS)) {
        for week in 1..=last {
            let begin = at(week, TUESDAY, 10) + number * 10 * MINUTE;
            let unit = (week - 1) as usize / 3;
            plan.add_session(learner, begin, Delivery::InOrder, &reading(unit));
        }
    }
    learners
}

/// Learners who hand in an assignment within the same hour.
fn crowd(plan: &mut Plan) {
    let learners = accounts(plan, 911, CROWD);
    let assignment = Action::Viewed(Activity::Assignment(DUE));
    let handing_in = [
        Action::LoggedIn,
        Action::CourseViewed,
        assignment,
        Action::Submitted(DUE),
        Action::LoggedOut,
    ];
    for (number, learner) in (0..).zip(learners) {
        let begin = at(14, TUESDAY, 9) + number * 10 * MINUTE;
        plan.add_session(learner, begin, Delivery::InOrder, &reading(DUE));
        // no two statements at the same time, so that the newest are unambiguous
        let begin = SPIKE + number * (2 * MINUTE + SECOND);
        plan.add_session(learner, begin, Delivery::InOrder, &handing_in);
    }
}

/// A learner whose statements are sent twice: some with the same id, and some with another.
fn duplicates(plan: &mut Plan) -> (LearnerIndex, Vec<u64>, Vec<[u64; 2]>) {
    let learner = plan.add_learner(name(941), Identity::Account(941));
    let reading_twice = [
        Action::LoggedIn,
        Action::CourseViewed,
        Action::Viewed(Activity::Page(3)),
        Action::Viewed(Activity::Page(4)),
        Action::LoggedOut,
    ];
    plan.add_session(learner, at(14, TUESDAY, 13), Delivery::InOrder, &reading(3));
    let session = plan.add_session(learner, at(15, TUESDAY, 13), Delivery::InOrder, &reading_twice);
    let copies = session.clone().skip(2).take(2).map(|index| plan.add_copy(index)).collect();
    let repeated = session.take(3).map(|index| plan.repeat(index)).collect();
    (learner, repeated, copies)
}

/// Learners who work without a connection. Their statements are sent weeks later.
fn offline(plan: &mut Plan) -> Range<LearnerIndex> {
    let learners = accounts(plan, 951, 2);
    for (number, learner) in (0..).zip(learners.clone()) {
        let delay = number * 20 * MINUTE;
        let online = at(15, TUESDAY, 11) + delay;
        plan.add_session(learner, online, Delivery::InOrder, &reading(4));
        for (day, unit) in [(TUESDAY, 1), (THURSDAY, 2)] {
            let begin = at(OFFLINE_WEEK, day, 17) + delay;
            plan.add_session(learner, begin, Delivery::Late, &reading(unit));
        }
    }
    learners
}

/// A learner with a mail address instead of an account, and a learner with both.
fn by_mail(plan: &mut Plan) -> Range<LearnerIndex> {
    let [only, also] = MAILBOXES.map(Identity::Mail);
    let begin = plan.add_learner("Amara Costa".to_owned(), only);
    let account = plan.add_learner("Nikos Bauer".to_owned(), Identity::Account(961));
    let mail = plan.add_learner("Nikos Bauer".to_owned(), also);
    for (learner, week, hour) in
        [(begin, 14, 14), (begin, 15, 14), (account, 14, 15), (mail, 15, 15)]
    {
        plan.add_session(learner, at(week, TUESDAY, hour), Delivery::InOrder, &reading(4));
    }
    begin..mail + 1
}
