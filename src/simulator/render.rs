//! Renders events as statements.

use uuid::{Builder, Uuid};

use super::event::{Details, Event, View};
use super::learner::{COHORTS, DEVICES, Identity, Profile};
use super::random::scramble;
use super::shapes::{PASSED, SITE, Shapes, quoted};
use super::shift::Shift;
use super::template::{Slot, insert};
use super::term::{DAY, DAYS, HOUR, MINUTE, SECOND, START, Time};

/// The range of numbers for each group, larger than a term needs. The first range is reserved for objects of teachers.
const NUMBERS_PER_GROUP: u64 = 100_000;

pub struct Renderer {
    /// The seed of ids and sessions.
    seed: u64,
    shapes: Shapes,
    /// Prefixes of timestamps, such as `2026-02-23T`, for each day of the term.
    dates: Vec<String>,
    /// The learners of the current group.
    learners: Vec<RenderedLearner>,
    group: Option<u32>,
}

/// The JSON values of a learner in statements.
struct RenderedLearner {
    actor: String,
    cohort: &'static str,
    player: String,
}

impl Renderer {
    pub fn new(seed: u64, shift: Shift) -> Self {
        let dates = (0..DAYS as Time).map(|day| format!("{}T", shift.date(day))).collect();
        Self {
            seed: shift.seed_of_ids(seed),
            shapes: Shapes::new(),
            dates,
            learners: Vec::new(),
            group: None,
        }
    }

    /// The id of a statement, unique among the statements of a seed.
    pub fn id(&self, index: u64) -> Uuid {
        let key = scramble(self.seed);
        uuid(scramble(key ^ index), key.wrapping_add(index))
    }

    /// Sets the group whose events follow.
    pub fn set_group<'a>(&mut self, group: u32, learners: impl Iterator<Item = &'a Profile>) {
        if self.group != Some(group) {
            self.group = Some(group);
            self.learners.clear();
            self.learners.extend(learners.map(RenderedLearner::new));
        }
    }

    pub fn write(&self, body: &mut Vec<u8>, id: Uuid, event: &Event, segments: &[(u32, u32)]) {
        let template = self.shapes.get(event.course, event.action);
        for (text, slot) in &template.parts {
            body.extend_from_slice(text.as_bytes());
            self.fill(body, *slot, id, event, segments);
        }
        body.extend_from_slice(template.rest.as_bytes());
    }

    fn fill(
        &self,
        body: &mut Vec<u8>,
        slot: Slot,
        id: Uuid,
        event: &Event,
        segments: &[(u32, u32)],
    ) {
        let learner = &self.learners[usize::from(event.learner)];
        match (slot, &event.details) {
            (Slot::Id, _) => write_uuid(body, id),
            (Slot::Timestamp, _) => self.write_timestamp(body, event.time),
            (Slot::Actor, _) => body.extend_from_slice(learner.actor.as_bytes()),
            (Slot::Cohort, _) => body.extend_from_slice(learner.cohort.as_bytes()),
            (Slot::Player, _) => body.extend_from_slice(learner.player.as_bytes()),
            (Slot::Registration, _) => {
                write_uuid(body, self.session_id(event.group, event.session, 1))
            }
            (Slot::PlayerSession, Details::View(view)) => {
                write_uuid(body, self.session_id(event.group, view.number, 2))
            }
            (Slot::Number, Details::Number(number) | Details::Score { attempt: number, .. }) => {
                write_number(body, global_number(event, *number));
            }
            (Slot::Points, Details::Score { half_points, .. }) => {
                write_thousandths(body, half_points * 500)
            }
            (Slot::Scaled, Details::Score { half_points, .. }) => {
                write_thousandths(body, half_points * 50)
            }
            (Slot::Success, Details::Score { half_points, .. }) => {
                body.extend_from_slice(if *half_points >= PASSED { b"true" } else { b"false" });
            }
            (
                Slot::Duration,
                Details::Score { seconds, .. } | Details::View(View { played_for: seconds, .. }),
            ) => {
                write_number(body, *seconds);
            }
            (Slot::Position, Details::View(view)) => write_thousandths(body, view.position),
            (Slot::Minute, Details::View(view)) => write_number(body, view.position / 60_000),
            (Slot::Target, Details::View(view)) => write_thousandths(body, view.target),
            (Slot::Progress, Details::View(view)) => write_thousandths(body, view.progress),
            (Slot::Segments, Details::View(view)) => {
                write_segments(
                    body,
                    &segments[view.segments.start as usize..view.segments.end as usize],
                );
            }
            (slot, details) => unreachable!("no {slot:?} in {details:?}"),
        }
    }

    /// The id of a session of a learner (kind 1) or of a player (kind 2).
    fn session_id(&self, group: u32, number: u32, kind: u64) -> Uuid {
        let key = scramble(self.seed ^ kind << 62);
        let number = u64::from(group) << 32 | u64::from(number);
        uuid(scramble(key ^ number), key.wrapping_add(number))
    }

    fn write_timestamp(&self, body: &mut Vec<u8>, time: Time) {
        let since = time - START;
        let part = |unit: Time, size: Time| (since / unit % size) as u32;
        let (hour, minute, second) = (part(HOUR, 24), part(MINUTE, 60), part(SECOND, 60));
        let millis = part(1, 1000);
        let digit = |number: u32| b'0' + (number % 10) as u8;
        body.extend_from_slice(self.dates[(since / DAY) as usize].as_bytes());
        body.extend_from_slice(&[
            digit(hour / 10),
            digit(hour),
            b':',
            digit(minute / 10),
            digit(minute),
            b':',
            digit(second / 10),
            digit(second),
            b'.',
            digit(millis / 100),
            digit(millis / 10),
            digit(millis),
            b'Z',
        ]);
    }
}

/// The number of a discussion, reply or attempt, unique among all groups.
fn global_number(event: &Event, number: u32) -> u64 {
    (u64::from(event.group) + 1) * NUMBERS_PER_GROUP + u64::from(number)
}

/// Inserts the number of the event into a text of a template.
pub fn numbered(text: &str, event: &Event) -> String {
    match event.details {
        Details::Number(number) | Details::Score { attempt: number, .. } => {
            insert(text, &[("number", &global_number(event, number).to_string())])
        }
        Details::None | Details::View(_) => text.to_owned(),
    }
}

impl RenderedLearner {
    fn new(learner: &Profile) -> Self {
        let device = DEVICES[learner.device];
        let name = quoted(&learner.name);
        let identity = match learner.identity {
            Identity::Account(number) => {
                format!(r#""account":{{"homePage":"{SITE}","name":"{number}"}}"#)
            }
            Identity::Mail(address) => format!(r#""mbox":"{address}""#),
        };
        let video = "https://w3id.org/xapi/video/extensions";
        Self {
            actor: format!(r#"{{"name":{name},{identity}}}"#),
            cohort: COHORTS[learner.cohort].name,
            player: format!(
                concat!(
                    r#""{video}/screen-size":"{screen}","{video}/video-playback-size":"{playback}","#,
                    r#""{video}/speed":"{speed}x","{video}/full-screen":false,"{video}/user-agent":"{agent}""#
                ),
                video = video,
                screen = device.screen,
                playback = device.playback,
                speed = ["1", "1.25", "1.5", "1.75", "2"][learner.speed as usize - 4],
                agent = device.agent,
            ),
        }
    }
}

/// A UUID that looks random. Different values of `number` (62 bits) give different UUIDs.
fn uuid(random: u64, number: u64) -> Uuid {
    const LOW: u64 = (1 << 62) - 1;
    // each operation is a bijection of 62 bits, so different numbers stay different
    let mut low = number & LOW;
    low = low.wrapping_mul(0xbf58_476d_1ce4_e5b9) & LOW;
    low ^= low >> 31;
    low = low.wrapping_mul(0x94d0_49bb_1331_11eb) & LOW;
    low ^= low >> 31;
    Builder::from_random_bytes((u128::from(random) << 64 | u128::from(low)).to_be_bytes())
        .into_uuid()
}

fn write_uuid(body: &mut Vec<u8>, id: Uuid) {
    body.extend_from_slice(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()).as_bytes());
}

fn write_number(body: &mut Vec<u8>, number: impl itoa::Integer) {
    body.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes 12500 as 12.5.
fn write_thousandths(body: &mut Vec<u8>, number: u32) {
    write_number(body, number / 1000);
    let mut rest = number % 1000;
    if rest == 0 {
        return;
    }
    body.push(b'.');
    let mut unit = 100;
    while rest > 0 {
        body.push(b'0' + (rest / unit) as u8);
        rest %= unit;
        unit /= 10;
    }
}

/// Writes segments of a video in the format of the xAPI video profile: `0[.]12.5[,]20[.]31`.
fn write_segments(body: &mut Vec<u8>, segments: &[(u32, u32)]) {
    for (index, &(from, to)) in segments.iter().enumerate() {
        if index > 0 {
            body.extend_from_slice(b"[,]");
        }
        write_thousandths(body, from);
        body.extend_from_slice(b"[.]");
        write_thousandths(body, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut body = Vec::new();
        write(&mut body);
        String::from_utf8(body).unwrap()
    }

    #[test]
    fn thousandths_have_no_trailing_zeros() {
        for (number, text) in
            [(0, "0"), (1000, "1"), (12_500, "12.5"), (7_045, "7.045"), (1, "0.001"), (100, "0.1")]
        {
            assert_eq!(written(|body| write_thousandths(body, number)), text);
        }
    }

    #[test]
    fn segments_have_format_of_video_profile() {
        assert_eq!(
            written(|body| write_segments(body, &[(0, 12_500), (20_000, 31_000)])),
            "0[.]12.5[,]20[.]31"
        );
    }

    #[test]
    fn timestamp_has_milliseconds_and_zone() {
        let time = START + 36 * DAY + 9 * HOUR + 5 * MINUTE + 7 * SECOND + 40;
        assert_eq!(
            written(|body| Renderer::new(1, Shift::NONE).write_timestamp(body, time)),
            "2026-03-31T09:05:07.040Z"
        );
    }

    #[test]
    fn id_has_form_of_random_uuid() {
        let id = Renderer::new(1, Shift::NONE).id(0);
        assert_eq!((id.get_version_num(), id.get_variant()), (4, uuid::Variant::RFC4122));
    }
}
