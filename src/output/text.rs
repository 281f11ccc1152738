//! Text from other programs, shortened for one line of output.

/// The text on one line, with single spaces.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first `characters` characters of the text, on one line.
pub fn excerpt(text: &str, characters: usize) -> String {
    one_line(text).chars().take(characters).collect()
}
