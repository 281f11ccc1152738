//! A terminal: the output that the program draws, and the keys that a user types.

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
const TIMEOUT: Duration = Duration::from_secs(60);

pub struct Terminal {
    user: File,
    child: Child,
    screen: vt100::Parser,
    /// All output so far, with its escape sequences.
    pub drawn: String,
}

impl Terminal {
    /// Starts the command with all three streams on the terminal.
    pub fn start(mut command: Command) -> Self {
        let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&user).and_then(|()| unlockpt(&user)).expect("a terminal");
        let name =
            ptsname(&user, Vec::new()).expect("the terminal's name").into_string().expect("a path");
        let program = OpenOptions::new()
            .read(true)
            .write(true)
            .open(name)
            .expect("the program's side of the terminal");
        tcsetwinsize(
            &program,
            Winsize { ws_row: ROWS.get(), ws_col: COLUMNS.get(), ws_xpixel: 0, ws_ypixel: 0 },
        )
        .expect("a size");
        let stream = || program.try_clone().expect("a copy of the terminal's descriptor");
        let child = command
            .env_remove("COLUMNS")
            .stdin(stream())
            .stdout(stream())
            .stderr(stream())
            .spawn()
            .expect("the program runs");
        Self {
            user: user.into(),
            child,
            screen: vt100::Parser::new(ROWS, COLUMNS, 0),
            drawn: String::new(),
        }
    }

    /// The current text of the screen.
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

    /// Sends the signal of Ctrl-C.
    pub fn interrupts(&self) {
        let child = Pid::from_child(&self.child);
        kill_process(child, Signal::INT).expect("the program runs");
    }

    pub fn types(&mut self, text: &str) {
        self.user.write_all(text.as_bytes()).expect("the terminal accepts keys");
    }

    /// Reads until the screen shows this text, or to the timeout.
    #[track_caller]
    pub fn until(&mut self, text: &str) -> &mut Self {
        let begun = Instant::now();
        while !self.screen().contains(text) {
            let has_more = self.draw(TIMEOUT.saturating_sub(begun.elapsed()));
            assert!(
                has_more || self.screen().contains(text),
                "the terminal should show {text:?}:\n{}",
                self.screen()
            );
        }
        self
    }

    /// Reads to the end of the output.
    pub fn ends(&mut self) -> ExitStatus {
        while self.draw(TIMEOUT) {}
        self.child.wait().expect("the program ends")
    }

    /// Reads more output. False at the end or at the timeout.
    fn draw(&mut self, timeout: Duration) -> bool {
        let wait = Timespec { tv_sec: timeout.as_secs().try_into().expect("a minute"), tv_nsec: 0 };
        let mut waiting = [PollFd::new(&self.user, PollFlags::IN)];
        if poll(&mut waiting, Some(&wait)).expect("the terminal") == 0 {
            return false;
        }
        let mut bytes = [0; 4096];
        // a read at the end of a terminal is an error
        let Ok(read @ 1..) = self.user.read(&mut bytes) else { return false };
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
