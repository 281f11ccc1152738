//! The message in a log that says why a program ended.

const MARK: &str = "!!!";
/// The longest returned message, in characters.
const LONGEST: usize = 300;

/// The message between exclamation marks, which may be on several lines, as Moodle prints it. Otherwise the last line that
/// begins with `ERROR: `, or the last line that is no summary of a start script (`*** ...`).
pub fn cause(log: &str) -> Option<String> {
    let lines = || log.lines().map(str::trim).filter(|line| !line.is_empty()).rev();
    let marked = marked(log);
    let message = marked
        .as_deref()
        .or_else(|| lines().find(|line| line.starts_with("ERROR: ")))
        .or_else(|| lines().find(|line| !line.starts_with("*** ")))
        .or_else(|| lines().next())?;
    Some(message.chars().take(LONGEST).collect())
}

/// The last text between two marks, on one line and without paragraph tags.
fn marked(log: &str) -> Option<String> {
    let parts: Vec<&str> = log.split(MARK).collect();
    // a text before the first mark and one after the last are outside
    let inside = parts.iter().skip(1).step_by(2).take((parts.len() - 1) / 2);
    let text = inside.rev().find(|text| !text.trim().is_empty())?;
    let text = text.replace("<p>", " ").replace("</p>", " ");
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cause_is_the_message_between_marks_before_the_summary_of_a_script() {
        let log = "Installing database...\n!!! Error reading from database !!!\n*** Failed with return value: 0\n";
        assert_eq!(cause(log).as_deref(), Some("Error reading from database"));
        let lines = "!!!\n<p>Error: Database connection failed</p>\n\n<p>It is possible that the database is overloaded.</p> !!!\nERROR: no\n";
        let message =
            "Error: Database connection failed It is possible that the database is overloaded.";
        assert_eq!(cause(lines).as_deref(), Some(message));
    }

    #[test]
    fn cause_without_marks_is_the_line_with_error_or_the_last_line() {
        let log = "a\nERROR: could not determine whether Moodle is installed\n       (x)\n*** Failed with return value: 0\n";
        assert_eq!(
            cause(log).as_deref(),
            Some("ERROR: could not determine whether Moodle is installed")
        );
        assert_eq!(cause("PHP Fatal error: a\nthrown in b\n\n").as_deref(), Some("thrown in b"));
        assert_eq!(
            cause("*** Failed with return value: 1").as_deref(),
            Some("*** Failed with return value: 1")
        );
        assert_eq!(cause("one !!! mark").as_deref(), Some("one !!! mark"));
        assert_eq!(cause("\n"), None);
    }
}
