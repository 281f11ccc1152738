//! API paths: the object or the collection of a request.

/// The parts of a path such as `/apis/apps/v1/namespaces/alice/deployments/lrs-ralph`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResourcePath {
    /// `v1` or `apps/v1`.
    pub api_version: String,
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl ResourcePath {
    pub fn parse(path: &str) -> Option<Self> {
        let mut words = path.trim_start_matches('/').split('/').map(str::to_owned);
        let api_version = match words.next()?.as_str() {
            "api" => words.next()?,
            "apis" => format!("{}/{}", words.next()?, words.next()?),
            _ => return None,
        };
        let rest: Vec<String> = words.collect();
        let (namespace, rest) = match rest.as_slice() {
            [word, namespace, rest @ ..] if word == "namespaces" && !rest.is_empty() => {
                (Some(namespace.clone()), rest)
            }
            rest => (None, rest),
        };
        let mut rest = rest.iter().cloned();
        Some(Self {
            api_version,
            namespace,
            resource: rest.next()?,
            name: rest.next(),
            subresource: rest.next(),
        })
    }

    /// Whether this object belongs to the collection.
    pub fn is_in(&self, collection: &Self) -> bool {
        self.api_version == collection.api_version
            && self.resource == collection.resource
            && (collection.namespace.is_none() || collection.namespace == self.namespace)
    }
}

/// A decoded query parameter, or an empty text.
pub fn parameter(query: &str, name: &str) -> String {
    parameters(query, name).into_iter().next().unwrap_or_default()
}

/// All query parameters with this name.
pub fn parameters(query: &str, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}
