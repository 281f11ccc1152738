//! Label and field selectors in every form that the API server reads, and its messages for invalid ones.
//! Source: `k8s.io/apimachinery/pkg/labels` and `pkg/fields`, and the recordings of `tests/fixtures/recordings/kubernetes`.

use serde_json::Value;

use super::kinds;

/// A label selector or a field selector: all of its terms must hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selector(Vec<Term>);

#[derive(Debug, PartialEq, Eq)]
enum Term {
    Is(String, String),
    IsNot(String, String),
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    IsAbsent(String),
}

impl Selector {
    /// `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a` and `!a`, joined by commas.
    ///
    /// # Errors
    /// The term that has none of these forms.
    pub fn of_labels(text: &str) -> Result<Self, String> {
        terms(text).into_iter().map(label_term).collect::<Result<_, _>>().map(Self)
    }

    /// `a=b`, `a==b` and `a!=b`, joined by commas, with fields that the kind has an index for.
    ///
    /// # Errors
    /// The field that is not supported, or the term that cannot be read.
    pub fn of_fields(text: &str, (api_version, kind): (&str, &str)) -> Result<Self, String> {
        let of_kind = supported(kind);
        let term = |text: &str| {
            let (key, is_equal, value) = comparison(text)
                .ok_or_else(|| format!("invalid selector: '{text}'; can't understand '{text}'"))?;
            if !GENERAL.contains(&key) && !of_kind.contains(&key) {
                return Err(match of_kind.is_empty() && !kinds::is_custom(api_version) {
                    true => format!(
                        "\"{key}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    ),
                    false => format!("field label not supported: {key}"),
                });
            }
            let (key, value) = (key.to_owned(), value.to_owned());
            Ok(if is_equal { Term::Is(key, value) } else { Term::IsNot(key, value) })
        };
        text.split(',')
            .filter(|term| !term.is_empty())
            .map(term)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub fn selects_labels_of(&self, object: &Value) -> bool {
        let labels = &object["metadata"]["labels"];
        self.0.iter().all(|term| term.holds(|key| labels[key].as_str()))
    }

    /// A missing field counts as an empty text.
    pub fn selects_fields_of(&self, object: &Value) -> bool {
        let field = |key: &str| {
            let value = object.pointer(&format!("/{}", key.replace('.', "/")));
            value.and_then(Value::as_str).or(Some(""))
        };
        self.0.iter().all(|term| term.holds(field))
    }
}

impl Term {
    fn holds<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        let is_one_of = |key: &str, values: &[String]| {
            value_of(key).is_some_and(|value| values.iter().any(|other| other == value))
        };
        match self {
            Self::Is(key, value) => value_of(key) == Some(value),
            // this also selects objects without the label
            Self::IsNot(key, value) => value_of(key) != Some(value),
            Self::In(key, values) => is_one_of(key, values),
            Self::NotIn(key, values) => !is_one_of(key, values),
            Self::Exists(key) => value_of(key).is_some(),
            Self::IsAbsent(key) => value_of(key).is_none(),
        }
    }
}

/// The fields of every kind.
const GENERAL: [&str; 2] = ["metadata.name", "metadata.namespace"];

/// The additional fields of a kind for selectors.
fn supported(kind: &str) -> &'static [&'static str] {
    match kind {
        "Pod" => &[
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "status.phase",
            "status.podIP",
        ],
        "Event" => &[
            "involvedObject.kind",
            "involvedObject.namespace",
            "involvedObject.name",
            "involvedObject.uid",
            "involvedObject.apiVersion",
            "involvedObject.fieldPath",
            "reason",
            "reportingComponent",
            "source",
            "type",
        ],
        "Namespace" => &["status.phase"],
        "Secret" => &["type"],
        "Service" => &["spec.clusterIP", "spec.type"],
        "Job" => &["status.successful"],
        "Node" => &["spec.unschedulable"],
        _ => &[],
    }
}

/// The terms of a label selector. A comma between parentheses separates values.
fn terms(text: &str) -> Vec<&str> {
    let mut depth = 0;
    text.split(|c| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn label_term(text: &str) -> Result<Term, String> {
    let is_key = |key: &str| {
        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c))
    };
    let unreadable = || format!("unable to parse requirement: {text}");
    if let Some(key) = text.strip_prefix('!').map(str::trim) {
        return if is_key(key) { Ok(Term::IsAbsent(key.into())) } else { Err(unreadable()) };
    }
    if let Some((key, set)) = text.split_once(char::is_whitespace).filter(|(key, _)| is_key(key)) {
        let set = set.trim_start();
        let negated = set.strip_prefix("notin");
        let values = negated.or_else(|| set.strip_prefix("in")).map(str::trim);
        if let Some(values) = values.and_then(|v| v.strip_prefix('(')?.strip_suffix(')')) {
            let values = values.split(',').map(|value| value.trim().to_owned()).collect();
            let key = key.to_owned();
            return Ok(if negated.is_some() {
                Term::NotIn(key, values)
            } else {
                Term::In(key, values)
            });
        }
    }
    if let Some((key, is_equal, value)) = comparison(text) {
        let (key, value) = (key.trim(), value.trim());
        if !is_key(key) || !(value.is_empty() || is_key(value)) {
            return Err(unreadable());
        }
        let (key, value) = (key.to_owned(), value.to_owned());
        return Ok(if is_equal { Term::Is(key, value) } else { Term::IsNot(key, value) });
    }
    if is_key(text) { Ok(Term::Exists(text.into())) } else { Err(unreadable()) }
}

/// The parts of `a=b`, `a==b` or `a!=b`; true for equality.
fn comparison(text: &str) -> Option<(&str, bool, &str)> {
    let at = text.find(['=', '!'])?;
    let (key, rest) = text.split_at(at);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((key, false, value));
    }
    let value = rest.strip_prefix('=')?;
    Some((key, true, value.strip_prefix('=').unwrap_or(value)))
}
