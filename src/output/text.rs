//! Sanitises text from other programs for a terminal, and shortens it for one line of output.

/// The text on one line, with single spaces and safe for a terminal.
pub fn one_line(text: &str) -> String {
    clean(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The first `characters` characters of the text, on one line. Three dots show that there is more.
pub fn excerpt(text: &str, characters: usize) -> String {
    let line = one_line(text);
    if line.chars().count() <= characters {
        return line;
    }
    line.chars().take(characters.saturating_sub(1)).chain(['…']).collect()
}

/// Sanitises foreign text for a terminal. White space except line feeds becomes a space. Control characters, line separators
/// and characters that change the direction of text become escapes.
pub fn clean(text: &str) -> String {
    if text.chars().all(|c| c == '\n' || is_harmless(c)) {
        return text.to_string();
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => clean.push(c),
            '\t' | '\r' => clean.push(' '),
            c if is_harmless(c) => clean.push(c),
            c => clean.extend(c.escape_unicode()),
        }
    }
    clean
}

/// Whether a terminal only shows the character.
pub fn is_harmless(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_with_escapes_is_shown_and_not_obeyed() {
        assert_eq!(clean("Eve\u{1b}[2J\u{7}"), "Eve\\u{1b}[2J\\u{7}");
        assert_eq!(clean("a\u{202e}b\u{9b}c\u{7f}"), "a\\u{202e}b\\u{9b}c\\u{7f}");
        assert_eq!(clean("Zoë 日本 😀\nnext\tcell\r"), "Zoë 日本 😀\nnext cell ");
        assert_eq!(one_line("Two\nlines\u{1b}\rand\ttabs"), "Two lines\\u{1b} and tabs");
        assert_eq!(excerpt(&"x".repeat(20_000), 80).chars().count(), 80);
    }
}
