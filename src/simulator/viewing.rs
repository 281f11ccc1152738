//! Watching a video: playing, pausing, seeking, and completing or leaving it.

use super::catalogue::Video;
use super::event::{Action, Details, VideoVerb, View};
use super::session::Session;
use super::term::Time;

/// The share of a video that completes it, in thousandths.
pub const COMPLETION_THRESHOLD: u32 = 900;
/// The number of clicks after which a viewer watches to the end.
const MOST_CLICKS: usize = 9;

/// The minimum time between two clicks, in milliseconds of the video.
const SHORTEST: u32 = 2_000;

/// An action of a viewer.
enum Click {
    Leave,
    Pause,
    SeekTo(u32),
}

struct Viewing {
    unit: usize,
    video: Video,
    number: u32,
    /// In milliseconds, as are all positions and times in this module.
    position: u32,
    played_for: u32,
    first_segment: usize,
}

impl Session<'_> {
    /// Watches the video of a unit from the last position. Advances to the next unit when the video is complete.
    pub(super) fn watch(&mut self, unit: usize) {
        let of_the_unit = unit == self.study().unit;
        let resume_at = if of_the_unit { self.study().resume_at } else { 0 };
        let mut viewing = Viewing {
            unit,
            video: self.unit(unit).video,
            number: self.log.next_view(),
            position: resume_at,
            played_for: 0,
            first_segment: self.log.segments.len(),
        };
        if resume_at > 0 {
            self.log.segments.push((0, resume_at));
        }
        let completed = self.play(&mut viewing);
        if !of_the_unit {
            return;
        }
        // some viewers do not return to a video
        if completed || self.random.percent(30) {
            let study = self.study();
            study.unit += 1;
            study.resume_at = 0;
            study.page_read = false;
        } else {
            let is_at_end = viewing.position == viewing.video.length * 1000;
            self.study().resume_at = if is_at_end { 0 } else { viewing.position };
        }
    }

    /// Plays until the end or until the viewer leaves. True when the video is completed.
    fn play(&mut self, viewing: &mut Viewing) -> bool {
        let length = viewing.video.length * 1000;
        self.wait(1, 6);
        self.video(viewing, VideoVerb::Initialized, 0);
        self.wait_a_moment();
        for clicks in 0.. {
            self.video(viewing, VideoVerb::Played, 0);
            let stop = if clicks == MOST_CLICKS { length } else { self.next_stop(viewing) };
            self.play_to(viewing, stop);
            if viewing.position == length {
                break;
            }
            match self.click(viewing) {
                Click::Leave => {
                    self.terminate(viewing);
                    return false;
                }
                Click::Pause => {
                    self.video(viewing, VideoVerb::Paused, 0);
                    let longest = if self.random.percent(15) { 900 } else { 90 };
                    self.wait(3, longest);
                }
                Click::SeekTo(target) => {
                    self.video(viewing, VideoVerb::Seeked, target);
                    viewing.position = target;
                    self.wait_a_moment();
                }
            }
        }
        let completed = self.progress(viewing) >= COMPLETION_THRESHOLD;
        if completed {
            self.video(viewing, VideoVerb::Completed, 0);
            self.wait_a_moment();
        }
        self.terminate(viewing);
        completed
    }

    /// Ends the player. A browser does not always report this.
    fn terminate(&mut self, viewing: &Viewing) {
        if self.random.percent(80) {
            self.wait_a_moment();
            self.video(viewing, VideoVerb::Terminated, 0);
        }
        self.wait(1, 10);
    }

    /// The position of the next click: often near the hard part, otherwise anywhere, or at the end.
    fn next_stop(&mut self, viewing: &Viewing) -> u32 {
        let Video { length, hard_part, difficulty } = viewing.video;
        let before_hard_part = viewing.position + 20_000 < hard_part * 1000;
        if viewing.position == 0 && self.random.percent(8) {
            return self.random.between(4_000, 45_000);
        }
        let stop = if before_hard_part && self.random.percent(18 + 14 * difficulty) {
            hard_part * 1000 + self.random.around(0, 40_000) - 15_000
        } else {
            viewing.position + self.random.between(15_000, length * 800)
        };
        let stop = stop.max(viewing.position + SHORTEST);
        if stop + SHORTEST < length * 1000 { stop } else { length * 1000 }
    }

    fn play_to(&mut self, viewing: &mut Viewing, stop: u32) {
        let duration = (stop - viewing.position) * 4 / self.learner.profile.speed;
        self.log.segments.push((viewing.position, stop));
        self.time += Time::from(duration);
        viewing.played_for += duration;
        viewing.position = stop;
    }

    fn click(&mut self, viewing: &Viewing) -> Click {
        let Video { length, hard_part, difficulty } = viewing.video;
        let at_hard_part = viewing.position.abs_diff(hard_part * 1000) < 30_000;
        let early = viewing.position < 60_000;
        let stay = if at_hard_part {
            self.learner.persistence.saturating_sub(12 * difficulty)
        } else if early {
            self.learner.persistence.saturating_sub(25)
        } else {
            self.learner.persistence + 6
        };
        if !self.random.percent(stay) {
            return Click::Leave;
        }
        match self.random.weighted(if at_hard_part { &[45, 50, 5] } else { &[60, 22, 18] }) {
            0 => Click::Pause,
            1 => Click::SeekTo(viewing.position.saturating_sub(self.random.between(8_000, 60_000))),
            _ => {
                let end = length * 1000 - 5_000;
                let target = viewing.position + self.random.between(10_000, length * 300);
                if target < end { Click::SeekTo(target) } else { Click::Pause }
            }
        }
    }

    /// The watched share of the video in thousandths. Repetitions count once.
    fn progress(&self, viewing: &Viewing) -> u32 {
        let mut seen = self.log.segments[viewing.first_segment..].to_vec();
        seen.sort_unstable();
        let (mut total, mut reached) = (0, 0);
        for (from, to) in seen {
            total += to.max(reached) - from.max(reached);
            reached = to.max(reached);
        }
        total / viewing.video.length
    }

    fn wait_a_moment(&mut self) {
        self.time += Time::from(self.random.between(300, 2500));
    }

    fn video(&mut self, viewing: &Viewing, verb: VideoVerb, target: u32) {
        let view = View {
            number: viewing.number,
            position: viewing.position,
            target,
            progress: self.progress(viewing),
            segments: viewing.first_segment as u32..self.log.segments.len() as u32,
            played_for: viewing.played_for / 1000,
        };
        self.push(Action::Video(viewing.unit, verb), Details::View(view));
    }
}
