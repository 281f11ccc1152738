//! Failures: a kind for scripts, which decides the exit code, and a message with hints for users.

use std::fmt;

/// The kind of a failure. Only `main` maps it to the exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The command failed.
    Failed,
    /// The command line, or a file it names, is invalid.
    Usage,
    /// The command succeeded and found a problem.
    Fault,
    /// The cluster cannot be reached, or it denies the user a permission.
    Unreachable,
    TimedOut,
    Interrupted,
}

impl Kind {
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Fault => 3,
            Self::Unreachable => 4,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

/// The cause of a problem, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The affected object, as kubectl names it. None when the cause names it.
    pub object: Option<String>,
    pub cause: String,
    /// The next action, in the imperative.
    pub hint: String,
    /// The section of the documentation that covers the problem.
    pub anchor: Option<&'static str>,
}

impl Diagnosis {
    pub fn new(cause: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { object: None, cause: cause.into(), hint: hint.into(), anchor: None }
    }

    pub fn of(mut self, object: impl Into<String>) -> Self {
        self.object = Some(object.into());
        self
    }

    /// Appends a deeper cause.
    pub fn because(mut self, more: Option<String>) -> Self {
        if let Some(more) = more {
            self.cause = format!("{}: {more}", self.cause);
        }
        self
    }

    pub fn into_failure(self, kind: Kind) -> Failure {
        Failure::new(kind, self.to_string()).hint(self.hint)
    }

    /// Cause and hint in one line.
    pub fn sentence(&self) -> String {
        format!("{self}; {}", self.hint)
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.object {
            Some(object) => write!(f, "{object}: {}", self.cause),
            None => f.write_str(&self.cause),
        }
    }
}

/// A permission that the API server denied: exit code 4.
pub fn not_permitted(sentence: impl Into<String>) -> Failure {
    Failure::new(Kind::Unreachable, sentence)
        .hint("ask your cluster administrator for this permission")
}

/// An error with a known kind or known hints. Travels in an `anyhow` chain.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hints: Vec<String>,
    cause: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hints: Vec::new(), cause: None }
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Kind::Failed, message)
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// Adds a hint. Hints follow the message, one per line.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Attaches a typed cause for code to match on. The message must be complete without it.
    pub fn because(mut self, cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        self.cause = Some(Box::new(cause));
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.cause.as_deref()?)
    }
}

/// The kind of the outermost cause that has one.
pub fn kind(error: &anyhow::Error) -> Kind {
    for cause in error.chain() {
        if let Some(failure) = cause.downcast_ref::<Failure>() {
            return failure.kind;
        }
        if let Some(error) = cause.downcast_ref::<kube::Error>() {
            return kube_kind(error);
        }
    }
    Kind::Failed
}

/// The message for the user: the causes in one line, then one line per hint.
pub fn render(error: &anyhow::Error) -> String {
    let mut text = one_line(error);
    for hint in hints(error) {
        text.push_str("\n  hint: ");
        text.push_str(&hint);
    }
    text
}

/// The causes joined by colons. A cause that its wrapper already quotes is omitted: many libraries repeat their source.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let (message, last) = match cause.downcast_ref::<kube::Error>() {
            Some(error) => (kube_message(error), true),
            None => (cause.to_string(), false),
        };
        let message = message.trim().trim_end_matches('.');
        // hyper's name for its own layer carries no information
        let noise = message.starts_with("client error (");
        if !message.is_empty() && !noise && !text.contains(message) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(message);
        }
        if last {
            break;
        }
    }
    text
}

const UNREACHABLE_HINT: &str =
    "check `kubectl cluster-info`, or choose another cluster with `--context`";

/// The error of a program that cannot reach the cluster.
pub fn unreachable(message: impl Into<String>) -> Failure {
    Failure::new(Kind::Unreachable, message).hint(UNREACHABLE_HINT)
}

/// What to do about the error, from all its causes.
pub fn hints(error: &anyhow::Error) -> Vec<String> {
    let mut hints: Vec<String> = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<Failure>())
        .flat_map(|f| f.hints.iter().cloned())
        .collect();
    let unreachable = error.chain().any(|cause| {
        cause.downcast_ref::<kube::Error>().is_some_and(|e| kube_kind(e) == Kind::Unreachable)
    });
    if unreachable && forbidden(error).is_none() && hints.is_empty() {
        hints.push(UNREACHABLE_HINT.into());
    }
    hints
}

fn kube_kind(error: &kube::Error) -> Kind {
    match error {
        kube::Error::Api(status) if matches!(status.code, 401 | 403) => Kind::Unreachable,
        kube::Error::Api(_) | kube::Error::SerdeError(_) | kube::Error::BuildRequest(_) => {
            Kind::Failed
        }
        _ => Kind::Unreachable,
    }
}

/// The error of the Kubernetes client in the chain, if any.
pub fn of_api_server(error: &anyhow::Error) -> Option<&kube::Error> {
    error.chain().find_map(|cause| cause.downcast_ref())
}

/// The API server's message when it denied a permission. It names the user, the verb and the resource.
pub fn forbidden(error: &anyhow::Error) -> Option<&str> {
    error.chain().find_map(|cause| match cause.downcast_ref::<kube::Error>()? {
        kube::Error::Api(status) if status.code == 403 => Some(status.message.as_str()),
        _ => None,
    })
}

fn kube_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if status.code == 401 => {
            "the API server rejected the credentials of this kubeconfig user".into()
        }
        // a proxy in front of the API server responds with its own text
        kube::Error::Api(status) if status.code >= 500 && !status.message.is_empty() => {
            format!("the API server responded with {}: {}", status.code, status.message)
        }
        kube::Error::Api(status) if status.message.is_empty() => {
            format!("the API server responded with {}", status.code)
        }
        kube::Error::Api(status) => status.message.clone(),
        kube::Error::InferConfig(_) | kube::Error::InferKubeconfig(_) => {
            format!("no usable kubeconfig: {}", root(error))
        }
        kube::Error::SerdeError(cause) => {
            format!("cannot parse a response of the API server: {cause}")
        }
        other => format!("cannot reach the API server: {}", root(other)),
    }
}

fn root(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn kind_survives_context_and_hints_follow_the_message() {
        let error = Err::<(), _>(Failure::new(Kind::TimedOut, "not ready").hint("wait longer"))
            .context("data-lake")
            .unwrap_err();
        assert_eq!(kind(&error), Kind::TimedOut);
        assert_eq!(render(&error), "data-lake: not ready\n  hint: wait longer");
    }

    #[test]
    fn cause_that_its_wrapper_quotes_appears_once() {
        let error = anyhow::anyhow!("refused").context("connect failed: refused");
        assert_eq!(one_line(&error), "connect failed: refused");
    }

    #[test]
    fn forbidden_response_keeps_the_servers_message_and_exits_with_4() {
        let status = kube::core::Status::failure(
            "secrets is forbidden: User \"bob\" cannot list resource",
            "Forbidden",
        )
        .with_code(403);
        let error = anyhow::Error::from(kube::Error::Api(Box::new(status)));
        assert_eq!(kind(&error).exit_code(), 4);
        assert_eq!(render(&error), "secrets is forbidden: User \"bob\" cannot list resource");
    }
}
