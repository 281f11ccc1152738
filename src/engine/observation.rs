//! The state of a node as observed.

use std::fmt;

use anyhow::{Error, anyhow};

use crate::error::{self, Diagnosis, Kind};

/// The state of a node. Every verb that shows or changes a stack uses this type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observation {
    /// As desired. The text names the object.
    Equal(String),
    /// Absent. The text names the object to create.
    Missing(String),
    /// Present, with at least one difference from the desired state.
    Drifted(Vec<Difference>),
    /// Not ready, which may change without this tool. The text gives the reason.
    Unready(String),
    /// Not as desired, and this tool cannot or must not change it.
    Blocked(Diagnosis),
    /// Not as desired, and the user lacks the permission to change it.
    NotPermitted(Diagnosis),
    /// The user may not observe it. `permission` is the API server's message, which names the permission.
    Unknown { permission: String },
}

/// The observed or the desired state of something that does not exist, or must not.
pub const ABSENT: &str = "absent";

/// One property that differs from the desired state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The object and the path of the property.
    pub what: String,
    pub observed: String,
    pub desired: String,
}

impl Difference {
    pub fn new(
        what: impl Into<String>,
        observed: impl Into<String>,
        desired: impl Into<String>,
    ) -> Self {
        Self { what: what.into(), observed: observed.into(), desired: desired.into() }
    }
}

impl Observation {
    /// A drift in a single property.
    pub fn drifted(
        what: impl Into<String>,
        observed: impl Into<String>,
        desired: impl Into<String>,
    ) -> Self {
        Self::Drifted(vec![Difference::new(what, observed, desired)])
    }

    /// `Equal` with this text when there is no difference, else `Drifted`.
    pub fn compared(differences: Vec<Difference>, equal: impl FnOnce() -> String) -> Self {
        if differences.is_empty() { Self::Equal(equal()) } else { Self::Drifted(differences) }
    }

    pub fn blocked(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Blocked(Diagnosis::new(cause, hint))
    }

    pub fn not_permitted(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::NotPermitted(Diagnosis::new(cause, hint))
    }

    pub fn unknown(permission: impl Into<String>) -> Self {
        Self::Unknown { permission: permission.into() }
    }

    pub fn is_equal(&self) -> bool {
        matches!(self, Self::Equal(_))
    }

    /// Whether the observation is a problem. A missing permission to observe is not.
    pub fn is_fault(&self) -> bool {
        !matches!(self, Self::Equal(_) | Self::Unknown { .. })
    }

    /// The observation in one line.
    pub fn text(&self) -> String {
        match self {
            Self::Equal(text) | Self::Missing(text) | Self::Unready(text) => text.clone(),
            Self::Drifted(differences) => summary(differences),
            Self::Blocked(diagnosis) | Self::NotPermitted(diagnosis) => diagnosis.to_string(),
            Self::Unknown { permission } => permission.clone(),
        }
    }

    /// The error of a verb that cannot continue with this observation.
    pub fn into_error(self) -> Error {
        match self {
            Self::Blocked(diagnosis) => diagnosis.into_failure(Kind::Failed).into(),
            Self::NotPermitted(diagnosis) => diagnosis.into_failure(Kind::Unreachable).into(),
            Self::Unknown { permission } => error::not_permitted(permission).into(),
            Self::Equal(_) | Self::Missing(_) | Self::Unready(_) | Self::Drifted(_) => {
                anyhow!("{}", self.text())
            }
        }
    }
}

/// The first difference, and the number of others.
fn summary(differences: &[Difference]) -> String {
    match differences {
        [] => String::new(),
        [only] => only.to_string(),
        [first, more @ ..] => format!("{first}, and {} more", more.len()),
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, should be {}", self.what, self.observed, self.desired)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_text_names_the_first_difference_and_counts_the_others() {
        let difference = |what| Difference::new(what, "1", "2");
        let of = |differences| Observation::Drifted(differences).text();
        assert_eq!(of(vec![difference("a")]), "a is 1, should be 2");
        assert_eq!(
            of(vec![difference("a"), difference("b"), difference("c")]),
            "a is 1, should be 2, and 2 more"
        );
    }
}
