//! Ralph's validation errors, in the format of pydantic 2. The path of an error contains the branches of unions, such as
//! `body, list[LaxStatement], 0, actor, BaseXapiAgentWithAccount, account, extra`. Ralph lists the errors of all branches.
//! The branch with the fewest errors is the intended one.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::output::text;

/// The maximum number of characters of a value.
const VALUE: usize = 60;

#[derive(Deserialize)]
struct Error<'a> {
    loc: Vec<Segment>,
    #[serde(default)]
    msg: String,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
}

#[derive(Deserialize, Clone, PartialEq)]
#[serde(untagged)]
enum Segment {
    Index(usize),
    Name(String),
}

impl Segment {
    /// Whether it is a branch of a union, which is named after a class. No field of a statement is.
    fn is_branch(&self) -> bool {
        matches!(self, Self::Name(name) if name.starts_with("BaseXapi") || name.starts_with("Lax") || name.starts_with("list["))
    }

    fn text(&self) -> String {
        match self {
            Self::Index(index) => index.to_string(),
            Self::Name(name) => name.clone(),
        }
    }
}

/// The reason for each invalid statement of an array, by its index. `detail` is the JSON array of errors.
pub fn reasons(detail: &str) -> BTreeMap<usize, String> {
    let errors: Vec<Error<'_>> = serde_json::from_str(detail).unwrap_or_default();
    let mut by_index: BTreeMap<usize, Vec<&Error<'_>>> = BTreeMap::new();
    for error in &errors {
        if let [_, Segment::Name(branch), Segment::Index(index), ..] = error.loc.as_slice()
            && branch.starts_with("list[")
        {
            by_index.entry(*index).or_default().push(error);
        }
    }
    by_index.into_iter().map(|(index, errors)| (index, sentence(&errors, 3))).collect()
}

/// The reason for the request as a whole. None when there is no error.
pub fn whole(detail: &str) -> Option<String> {
    let errors: Vec<Error<'_>> = serde_json::from_str(detail).ok()?;
    let errors: Vec<&Error<'_>> = errors.iter().collect();
    (!errors.is_empty()).then(|| sentence(&errors, 1))
}

/// Path, message and value of the intended error, without the first `from` segments of the path.
fn sentence(errors: &[&Error<'_>], from: usize) -> String {
    let intended = intended(errors, from);
    let Some(first) = intended.first() else { return "invalid".into() };
    // an agent without an identifier has one error in every branch
    let missing: Vec<&str> = match first.loc.last() {
        Some(Segment::Name(_)) if first.kind == "missing" => alternatives(errors, from, first),
        _ => Vec::new(),
    };
    if missing.len() > 1 {
        let above = path(&first.loc[from..first.loc.len() - 1]);
        return format!("{above}: one of {} required", missing.join(", "));
    }
    let field = path(&first.loc[from.min(first.loc.len())..]);
    let message = text::one_line(&first.msg);
    let message = message.strip_prefix("Value error, ").unwrap_or(&message);
    let message = match field.is_empty() {
        true => message.to_string(),
        false => format!("{field}: {message}"),
    };
    match first.input.map(RawValue::get).filter(|value| !value.starts_with(['{', '['])) {
        // the message contains the value
        Some(value) if message.contains(&format!("'{}'", value.trim_matches('"'))) => message,
        Some(value) => format!("{message}: {}", text::excerpt(value, VALUE)),
        None => message,
    }
}

fn path(segments: &[Segment]) -> String {
    let fields = segments.iter().filter(|segment| !segment.is_branch());
    fields.map(Segment::text).collect::<Vec<_>>().join(".")
}

/// The errors outside unions, and the errors of the intended branch of each union.
fn intended<'e, 'a>(errors: &[&'e Error<'a>], from: usize) -> Vec<&'e Error<'a>> {
    let mut plain = Vec::new();
    let mut unions: BTreeMap<String, Vec<(&Segment, Vec<&'e Error<'a>>)>> = BTreeMap::new();
    for error in errors {
        let segments = error.loc.get(from..).unwrap_or_default();
        let Some(at) = segments.iter().position(Segment::is_branch) else {
            plain.push(*error);
            continue;
        };
        let branches = unions.entry(path(&segments[..at])).or_default();
        match branches.iter_mut().find(|(branch, _)| **branch == segments[at]) {
            Some((_, errors)) => errors.push(error),
            None => branches.push((&segments[at], vec![error])),
        }
    }
    for branches in unions.into_values() {
        let best = branches
            .iter()
            .map(|(branch, errors)| {
                let at = errors[0].loc.iter().skip(from).position(|segment| segment == *branch);
                intended(errors, from + at.unwrap_or_default() + 1)
            })
            .min_by_key(Vec::len);
        plain.extend(best.unwrap_or_default());
    }
    plain
}

/// The missing fields of the branches whose only error is that field. Any one of them would make the statement valid.
fn alternatives<'e>(errors: &[&'e Error<'_>], from: usize, first: &Error<'_>) -> Vec<&'e str> {
    let depth = first.loc.len();
    let Some(at) = first.loc.iter().skip(from).position(Segment::is_branch) else {
        return Vec::new();
    };
    let at = from + at;
    let branch_of = |error: &Error<'_>| error.loc.get(at).cloned();
    errors
        .iter()
        .filter(|error| {
            error.kind == "missing"
                && error.loc.len() == depth
                && errors.iter().filter(|other| branch_of(other) == branch_of(error)).count() == 1
        })
        .filter_map(|error| match error.loc.last() {
            Some(Segment::Name(name)) => Some(name.as_str()),
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reason in a response of Ralph 5.0.1 to a statement with one fault.
    fn reason(response: &str) -> String {
        let body: serde_json::Value = serde_json::from_str(response).expect("JSON");
        reasons(&body["detail"].to_string()).into_values().next().expect("a reason")
    }

    #[test]
    fn rejection_names_field_and_value_of_intended_branch() {
        let cases = [
            (
                include_str!("../../../tests/fixtures/ralph/account-extra.json"),
                "actor.account.extra: Extra inputs are not permitted: 1",
            ),
            (
                include_str!("../../../tests/fixtures/ralph/account-toplevel-extra.json"),
                r#"actor.email: Extra inputs are not permitted: "x""#,
            ),
            (include_str!("../../../tests/fixtures/ralph/no-verb.json"), "verb: Field required"),
            (
                include_str!("../../../tests/fixtures/ralph/object-noid.json"),
                "object.id: Field required",
            ),
            (
                include_str!("../../../tests/fixtures/ralph/bad-homepage.json"),
                "actor.account.homePage: 'not an iri' is not a valid 'IRI'.",
            ),
            (
                include_str!("../../../tests/fixtures/ralph/num-name.json"),
                "actor.account.name: Input should be a valid string: 1",
            ),
            (
                include_str!("../../../tests/fixtures/ralph/verb-string.json"),
                r#"verb: Input should be a valid dictionary or object to extract fields from: "x""#,
            ),
            (
                include_str!("../../../tests/fixtures/ralph/bad-mail.json"),
                r#"actor.mbox: value is not a valid email address: An email address must have an @-sign.: "mailto:nobody""#,
            ),
            (
                include_str!("../../../tests/fixtures/ralph/group.json"),
                r#"actor.member.0.mbox: value is not a valid email address: An email address must have an @-sign.: "mailto:x""#,
            ),
            (
                include_str!("../../../tests/fixtures/ralph/actor-two.json"),
                r#"actor.openid: Extra inputs are not permitted: "http://x.org""#,
            ),
            (
                include_str!("../../../tests/fixtures/ralph/actor-empty.json"),
                "actor: one of mbox, mbox_sha1sum, openid, account required",
            ),
        ];
        for (response, expected) in cases {
            assert_eq!(reason(response), expected);
        }
    }

    #[test]
    fn rejection_of_several_statements_names_each() {
        let detail = r#"[{"type":"model","loc":["body","LaxStatement"],"msg":"no","input":[]},
            {"type":"missing","loc":["body","list[LaxStatement]",1,"verb"],"msg":"Field required","input":{}},
            {"type":"missing","loc":["body","list[LaxStatement]",7,"object"],"msg":"Field required","input":{}}]"#;
        let expected =
            [(1, "verb: Field required".to_string()), (7, "object: Field required".into())];
        assert_eq!(reasons(detail), BTreeMap::from(expected));
    }
}
