//! A terminal with a person before it: what the program draws, and what the person types.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

const ROWS: NonZero<u16> = NonZero::new(40).unwrap();
const COLUMNS: NonZero<u16> = NonZero::new(140).unwrap();
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Terminal {
    person: File,
    child: Child,
    screen: vt100::Parser,
    /// Everything that was drawn, with what a terminal makes of it.
    pub drawn: String,
}

impl Terminal {
    /// Starts the command with all three streams on the terminal.
    pub fn start(mut command: Command) -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&person).and_then(|()| unlockpt(&person)).expect("a terminal");
        let name = ptsname(&person, Vec::new())
            .expect("the terminal's name")
            .into_string()
            .expect("a path");
        let program = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .expect("the terminal's other side");
        tcsetwinsize(
            &program,
            Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 },
        )
        .expect("a size");
        let stream = || program.try_clone().expect("the terminal once more");
        let child = command
            .env_remove("COLUMNS")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("the program runs");
        Self {
            person: person.into(),
            child,
            screen: vt100::Parser::new(ROWS, COLUMNS, 0),
            drawn: String::new(),
        }
    }

    /// What a person sees now.
    pub fn screen(&self) -> String {
        let rows = self.screen.screen().rows(0, COLUMNS.get());
        rows.map(|row| format!("{}\n", row.trim_end())).collect::<String>().trim_end().to_string()
    }

    pub fn has_colour(&self) -> bool {
        let cells =
            (0..ROWS.get()).flat_map(|row| (0..COLUMNS.get()).map(move |column| (row, column)));
        cells
            .filter_map(|(row, column)| self.screen.screen().cell(row, column))
            .any(|cell| cell.fgcolor() != vt100::Color::Default)
    }

    /// What Ctrl-C comes to.
    pub fn interrupts(&self) {
        let child = Pid::from_child(&self.child);
        kill_process(child, Signal::INT).expect("the program runs");
    }

    pub fn types(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).expect("the terminal takes keys");
    }

    /// Reads until the person sees this, and not for ever.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> &mut Self {
        let begun = Instant::now();
        while !self.screen().contains(text) {
            let goes_on = self.draw(PATIENCE.saturating_sub(begun.elapsed()));
            assert!(
                goes_on || self.screen().contains(text),
                "the terminal should show {text:?}:\n{}",
                self.screen()
            );
        }
        self
    }

    /// Reads to the end.
    pub fn ends(&mut self) -> ExitStatus {
        while self.draw(PATIENCE) {}
        self.child.wait().expect("the program ends")
    }

    /// False when nobody draws any more.
    fn draw(&mut self, patience: Duration) -> bool {
        let wait =
            Timespec { tv_sec: patience.as_secs().try_into().expect("a minute"), tv_nsec: 0 };
        let mut waiting = [PollFd::new(&self.person, PollFlags::IN)];
        if poll(&mut waiting, Some(&wait)).expect("the terminal") == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        // the end of a terminal is an error
        let Ok(read @ 1..) = self.person.read(&mut bytes) else { return false };
        self.screen.process(&bytes[..read]);
        self.drawn.push_str(&String::from_utf8_lossy(&bytes[..read]));
        true
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
