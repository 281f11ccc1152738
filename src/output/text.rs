//! What others said, made fit for a line of ours.

/// On one line, whatever white space it has.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The beginning of it, on one line.
pub fn excerpt(text: &str, characters: usize) -> String {
    one_line(text).chars().take(characters).collect()
}
