//! Paths of the API: which object, or which objects, a request is about.

/// `/apis/apps/v1/namespaces/alice/deployments/lrs-ralph`, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `v1` or `apps/v1`.
    pub api_version: String,
    pub namespace: Option<String>,
    pub resource: String,
    pub name: Option<String>,
    pub subresource: Option<String>,
}

impl Place {
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

    /// True for an object of this collection.
    pub fn is_in(&self, collection: &Self) -> bool {
        self.api_version == collection.api_version
            && self.resource == collection.resource
            && (collection.namespace.is_none() || collection.namespace == self.namespace)
    }
}

/// A parameter of a query, decoded; empty when it is not there.
pub fn parameter(query: &str, name: &str) -> String {
    parameters(query, name).into_iter().next().unwrap_or_default()
}

/// All parameters of a name.
pub fn parameters(query: &str, name: &str) -> Vec<String> {
    form_urlencoded::parse(query.as_bytes())
        .filter(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}
