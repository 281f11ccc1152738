//! A report for continuous integration, in the XML of JUnit.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Success,
    /// The result is wrong.
    Failure,
    /// There is no result.
    Error,
    Skipped,
}

pub struct Case {
    pub name: String,
    pub status: Status,
    /// Why it did not succeed.
    pub message: Option<String>,
    pub took: Duration,
}

/// Writes the report of a command with one suite.
///
/// # Errors
/// When the file cannot be written.
pub fn write(file: &Path, command: &str, suite: &str, cases: &[Case]) -> Result<()> {
    std::fs::write(file, report(command, suite, cases))
        .with_context(|| format!("file {}", file.display()))
}

/// The report of a command with one suite.
pub fn report(command: &str, suite: &str, cases: &[Case]) -> String {
    let of = |status| cases.iter().filter(|case| case.status == status).count();
    let counts = format!(
        "tests=\"{}\" failures=\"{}\" errors=\"{}\"",
        cases.len(),
        of(Status::Failure),
        of(Status::Error)
    );
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"{}\" {counts}>\n    \
         <testsuite name=\"{}\" {counts} skipped=\"{}\">\n",
        escaped(command),
        escaped(suite),
        of(Status::Skipped)
    );
    for case in cases {
        let (name, seconds) = (escaped(&case.name), case.took.as_secs_f64());
        let _ = write!(text, "        <testcase name=\"{name}\" time=\"{seconds:.3}\"");
        let element = match case.status {
            Status::Success => {
                text.push_str("/>\n");
                continue;
            }
            Status::Failure => "failure",
            Status::Error => "error",
            Status::Skipped => "skipped",
        };
        let message = escaped(case.message.as_deref().unwrap_or_default());
        let _ = write!(
            text,
            ">\n            <{element} message=\"{message}\"/>\n        </testcase>\n"
        );
    }
    text.push_str("    </testsuite>\n</testsuites>\n");
    text
}

/// The text in an attribute. Control characters, which XML 1.0 excludes, become U+FFFD.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push_str("&#10;"),
            '\t' => escaped.push_str("&#9;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            control if control.is_control() => escaped.push('\u{fffd}'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_counts_and_escapes_its_cases() {
        let case = |name: &str, status, message: Option<&str>| Case {
            name: name.into(),
            status,
            message: message.map(Into::into),
            took: Duration::from_millis(1234),
        };
        let cases = [
            case("a & b", Status::Success, None),
            case("c", Status::Failure, Some("is \"1\" <2>\u{1b}[31m\nand")),
            case("d", Status::Skipped, None),
        ];
        assert_eq!(
            report("kubectl lastack trace", "trace", &cases),
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="kubectl lastack trace" tests="3" failures="1" errors="0">
    <testsuite name="trace" tests="3" failures="1" errors="0" skipped="1">
        <testcase name="a &amp; b" time="1.234"/>
        <testcase name="c" time="1.234">
            <failure message="is &quot;1&quot; &lt;2&gt;�[31m&#10;and"/>
        </testcase>
        <testcase name="d" time="1.234">
            <skipped message=""/>
        </testcase>
    </testsuite>
</testsuites>
"#
        );
    }
}
