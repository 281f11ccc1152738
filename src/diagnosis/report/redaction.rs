//! Removes passwords and personal data from the texts of a report.

use std::borrow::Cow;
use std::net::Ipv4Addr;

use regex::{Captures, Regex, Replacer};

/// A shorter value of a Secret, such as a user name, occurs in other words.
const SHORTEST_SECRET: usize = 8;

pub struct Redactor {
    /// The longest first, because one can contain another.
    secrets: Vec<String>,
    patterns: Vec<(Regex, Replacement)>,
}

enum Replacement {
    Text(&'static str),
    /// Keeps the addresses of the cluster and replaces others, which are those of browsers.
    PublicAddress,
}

impl Redactor {
    /// `secrets` are the values of all Secrets.
    pub fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut secrets: Vec<String> =
            secrets.into_iter().filter(|value| value.trim().len() >= SHORTEST_SECRET).collect();
        secrets.sort_by_key(|value| std::cmp::Reverse(value.len()));
        let text = |pattern: &str, replacement| (compiled(pattern), Replacement::Text(replacement));
        let patterns = vec![
            // an account in an address
            text(r"://[^/\s:@]+:[^/\s@]+@", "://[hidden]@"),
            // both also inside a text that quotes JSON
            text(
                r#"(?i)\b(password|passwd|pwd|secret|token|authorization|cookie)\b(\\?["']?\s*[:=]\s*)(?:\\?"[^"]*"|'[^']*'|(?:(?:basic|bearer)\s+)?[^\s,;&]+)"#,
                "$1$2[hidden]",
            ),
            // an actor of a statement, and a user of Moodle
            text(
                r#"(\\?"(?:name|mbox|mbox_sha1sum|openid|fullname|firstname|lastname|username|email)\\?"\s*:\s*)\\?"[^"\\]*\\?""#,
                r#"$1"[person]""#,
            ),
            text(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+", "[mail]"),
            (compiled(r"\b\d{1,3}(?:\.\d{1,3}){3}\b"), Replacement::PublicAddress),
        ];
        Self { secrets, patterns }
    }

    pub fn redact(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if text.contains(secret) {
                text = text.replace(secret, "[secret]");
            }
        }
        for (pattern, replacement) in &self.patterns {
            let replaced = match replacement {
                Replacement::Text(replacement) => pattern.replace_all(&text, *replacement),
                Replacement::PublicAddress => pattern.replace_all(&text, PublicAddress),
            };
            if let Cow::Owned(replaced) = replaced {
                text = replaced;
            }
        }
        text
    }
}

fn compiled(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern that a test compiles")
}

struct PublicAddress;

impl Replacer for PublicAddress {
    fn replace_append(&mut self, captures: &Captures<'_>, to: &mut String) {
        let is_public = |address: Ipv4Addr| {
            !address.is_private() && !address.is_loopback() && !address.is_unspecified()
        };
        let address = &captures[0];
        match address.parse() {
            Ok(parsed) if is_public(parsed) => to.push_str("[address]"),
            // a version such as 8.19.21.0 is no address, or one of the cluster
            _ => to.push_str(address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_names_no_password_and_no_person() {
        let redactor =
            Redactor::new(["s3cr3t-value".into(), "s3cr3t-value-longer".into(), "admin".into()]);
        for (text, expected) in [
            ("login with s3cr3t-value-longer and s3cr3t-value", "login with [secret] and [secret]"),
            ("user admin", "user admin"),
            ("PASSWORD=abc token: 'x y', next", "PASSWORD=[hidden] token: [hidden], next"),
            (r#"{"password": "a b", "port": 80}"#, r#"{"password": [hidden], "port": 80}"#),
            ("Authorization: Basic YTpi", "Authorization: [hidden]"),
            ("postgresql://moodle:pw@db:5432/x", "postgresql://[hidden]@db:5432/x"),
            (r#"{"actor": {"name": "Ada Lovelace"}}"#, r#"{"actor": {"name": "[person]"}}"#),
            (r#""{\"name\": \"Ada\"}""#, r#""{\"name\": "[person]"}""#),
            ("mailto:ada@example.org failed", "mailto:[mail] failed"),
            ("10.244.0.1 and 203.0.113.7 GET /", "10.244.0.1 and [address] GET /"),
            ("secretName: lrs-ralph", "secretName: lrs-ralph"),
        ] {
            assert_eq!(redactor.redact(text), expected);
        }
    }
}
