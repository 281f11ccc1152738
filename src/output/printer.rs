//! Output: data to stdout, everything else to stderr, colour only where the terminal and the environment allow it.

use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;

use anstyle::{AnsiColor, Style};

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BUSY: Style = AnsiColor::Cyan.on_default();
pub const WARN: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const FAINT: Style = Style::new().dimmed();

/// Writes data to stdout. A closed pipe is not an error.
pub fn data(text: &str) -> io::Result<()> {
    more_data(text).map(drop)
}

/// Writes data of a longer output. Returns `Break` when the pipe is closed.
pub fn more_data(text: &str) -> io::Result<ControlFlow<()>> {
    let mut stdout = anstream::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error),
    }
}

/// Writes a JSON document to stdout, with a final newline.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(data(&text)?)
}

/// Writes a line to stderr. A closed stderr is not an error.
pub fn note(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Writes a line only under `helm --debug`, which helm passes to its plugins as `HELM_DEBUG`.
pub fn debug(text: &str) {
    if is_debugging() {
        note(text);
    }
}

fn is_debugging() -> bool {
    std::env::var_os("HELM_PLUGIN_NAME").is_some()
        && std::env::var_os("HELM_DEBUG").is_some_and(|value| value == "true")
}

pub fn error(text: &str) {
    note(&format!("{}: {text}", paint(BAD, "error")));
}

pub fn warning(text: &str) {
    note(&format!("{}: {text}", paint(WARN, "warning")));
}

/// Adds a style to a text. `anstream` removes it where colour is not allowed.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether rows on stderr can be redrawn: on a terminal, without debug lines in between.
pub fn is_live() -> bool {
    io::stderr().is_terminal() && can_redraw() && !is_debugging()
}

fn can_redraw() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

/// Clears stdout if it is a screen. Returns whether it did.
pub fn clear_screen() -> bool {
    io::stdout().is_terminal() && can_redraw() && console::Term::stdout().clear_screen().is_ok()
}

/// Asks a yes-or-no question. None when stdin or stderr is not a terminal.
pub async fn confirm(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    let _ = write!(anstream::stderr().lock(), "{question} [y/N] ");
    // on a separate thread, which Ctrl-C abandons
    let reading = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = reading.await.ok()?.ok()?;
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}
