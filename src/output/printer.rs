//! Output: data to stdout, everything else to stderr, colour only where the terminal and the environment allow it.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU8, Ordering};

use anstream::ColorChoice;
use anstyle::{AnsiColor, Style};

use super::document::{Content, Document};
use super::text;

pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BUSY: Style = AnsiColor::Cyan.on_default();
pub const WARN: Style = AnsiColor::Yellow.on_default();
pub const BAD: Style = AnsiColor::Red.on_default().bold();
pub const FAINT: Style = Style::new().dimmed();

/// How much the program prints beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Warnings and errors.
    Quiet,
    /// Progress and notes, too.
    Normal,
    /// What the program runs and asks, too.
    Traced,
}

static DETAIL: AtomicU8 = AtomicU8::new(Detail::Normal as u8);

pub fn set_detail(detail: Detail) {
    DETAIL.store(detail as u8, Ordering::Relaxed);
}

fn has_detail(detail: Detail) -> bool {
    DETAIL.load(Ordering::Relaxed) >= detail as u8
}

/// Replaces the decision by the terminal and the environment.
pub fn set_colour(choice: ColorChoice) {
    choice.write_global();
    let is_forced = match choice {
        ColorChoice::Always | ColorChoice::AlwaysAnsi => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => return,
    };
    console::set_colors_enabled(is_forced);
    console::set_colors_enabled_stderr(is_forced);
}

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
pub fn json(content: &impl Content) -> anyhow::Result<()> {
    let mut text = serde_json::to_string_pretty(&Document::from(content))?;
    text.push('\n');
    document(&text).map(drop)?;
    Ok(())
}

/// Writes a JSON document in one line. Returns `Break` when the pipe is closed.
pub fn json_line(content: &impl Content) -> anyhow::Result<ControlFlow<()>> {
    let mut text = serde_json::to_string(&Document::from(content))?;
    text.push('\n');
    Ok(document(&text)?)
}

/// Writes JSON to stdout byte for byte. On a terminal, control characters become equivalent JSON escapes. Returns `Break`
/// when the pipe is closed.
pub fn document(json: &str) -> io::Result<ControlFlow<()>> {
    let mut stdout = io::stdout().lock();
    let shown = match stdout.is_terminal() {
        true => escape(json),
        false => Cow::Borrowed(json),
    };
    match stdout.write_all(shown.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ControlFlow::Break(())),
        Err(error) => Err(error),
    }
}

fn escape(json: &str) -> Cow<'_, str> {
    let is_plain = |c: char| matches!(c, '\n' | '\r' | '\t') || text::is_harmless(c);
    if json.chars().all(is_plain) {
        return Cow::Borrowed(json);
    }
    let mut escaped = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        match is_plain(c) {
            true => escaped.push(c),
            false => escaped.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    Cow::Owned(escaped)
}

/// Writes text to stderr, with a line feed at its end, unless the user wants it quiet.
pub fn note(text: &str) {
    styled(&text::clean(text));
}

/// The same for text with styles, in which the caller has cleaned what is foreign.
pub fn styled(text: &str) {
    if has_detail(Detail::Normal) {
        to_stderr(text);
    }
}

/// Writes text to stderr that the user must read, such as the subject of a question.
pub fn important(text: &str) {
    to_stderr(&text::clean(text));
}

pub fn error(text: &str) {
    to_stderr(&labelled(BAD, "error", text));
}

pub fn warning(text: &str) {
    to_stderr(&labelled(WARN, "warning", text));
}

/// A closed stderr is not an error.
fn to_stderr(text: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{text}");
}

/// Foreign text after a word with a style and a colon.
pub fn labelled(style: Style, word: &str, foreign: &str) -> String {
    format!("{}: {}", paint(style, word), text::clean(foreign))
}

/// Adds a style to a text. `anstream` removes it where colour is not allowed.
pub fn paint(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// Whether rows on stderr can be redrawn: on a terminal, without other lines in between.
pub fn is_live() -> bool {
    let is_normal = has_detail(Detail::Normal) && !has_detail(Detail::Traced);
    io::stderr().is_terminal() && can_redraw() && is_normal
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
    let answer = ask(&format!("{question} [y/N]")).await?;
    Some(matches!(answer.as_str(), "y" | "Y" | "yes"))
}

/// Asks for a line. None when stdin or stderr is not a terminal.
pub async fn ask(question: &str) -> Option<String> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    let _ = write!(anstream::stderr().lock(), "{} ", text::clean(question));
    // on a separate thread, which Ctrl-C abandons
    let reading = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    let answer = reading.await.ok()?.ok()?;
    Some(answer.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_on_a_terminal_escapes_what_controls_it() {
        assert_eq!(
            escape("{\"a\":\"x\u{7f}\u{9b}\u{202e}é\"}\n"),
            "{\"a\":\"x\\u007f\\u009b\\u202eé\"}\n"
        );
        assert!(matches!(escape("{}\n"), Cow::Borrowed(_)));
    }
}
