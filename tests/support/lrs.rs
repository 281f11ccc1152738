//! An LRS stand-in that responds as Ralph does, and fails on demand.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use http::Method;
use http::header::AUTHORIZATION;
use serde_json::{Value, json};

use super::server::{Reply, Request, Server};

pub const USER: &str = "teacher";
pub const PASSWORD: &str = "password-of-the-lrs";

/// The stored statements, by id. The data lake of a stack shares them.
pub type Store = Arc<Mutex<BTreeMap<String, Value>>>;

pub struct Lrs {
    pub server: Server,
    store: Store,
    faults: Arc<Mutex<Faults>>,
}

#[derive(Default)]
struct Faults {
    /// Responses to the next requests, which replace the usual ones.
    next: VecDeque<Reply>,
    /// The response to every later request.
    always: Option<Reply>,
    /// Ids of statements that do not validate.
    invalid: HashSet<String>,
    /// Ids of statements that crash the LRS.
    crashes: HashSet<String>,
    /// Bodies longer than this are rejected.
    limit: Option<usize>,
}

impl Lrs {
    /// An LRS that knows one account.
    pub fn start() -> Self {
        Self::with_accounts(|request| {
            request
                .headers
                .get(AUTHORIZATION)
                .is_some_and(|header| header.as_bytes() == authorization().as_bytes())
        })
    }

    /// An LRS that accepts every account.
    pub fn open() -> Self {
        Self::with_accounts(|_| true)
    }

    fn with_accounts(knows: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Self {
        let (store, faults) = (Store::default(), Arc::<Mutex<Faults>>::default());
        let server = {
            let (store, faults) = (Arc::clone(&store), Arc::clone(&faults));
            Server::start(move |request| {
                let faults = &mut *faults.lock().expect("the faults");
                let next = match request.path.as_str() {
                    "/__heartbeat__" => None,
                    _ => faults.next.pop_front(),
                };
                match next.or_else(|| faults.always.clone()) {
                    Some(fault) => fault,
                    None if request.path != "/__heartbeat__" && !knows(request) => {
                        Reply::Json(401, json!({"detail": "Invalid authentication credentials"}))
                    }
                    None => reply(request, &store, faults),
                }
            })
        };
        Self { server, store, faults }
    }

    /// The value for `--endpoint`.
    pub fn endpoint(&self) -> String {
        format!("{}/xAPI", self.server.url())
    }

    /// Sends these responses to the next requests, except heartbeats.
    pub fn next(&self, replies: impl IntoIterator<Item = Reply>) -> &Self {
        self.faults().next.extend(replies);
        self
    }

    /// Sends this response to every request after those of `next`.
    pub fn always(&self, reply: Reply) -> &Self {
        self.faults().always = Some(reply);
        self
    }

    pub fn finds_invalid(&self, id: &str) -> &Self {
        self.faults().invalid.insert(id.into());
        self
    }

    /// Replies 500 to every batch with this statement, and stays healthy.
    pub fn crashes_at(&self, id: &str) -> &Self {
        self.faults().crashes.insert(id.into());
        self
    }

    pub fn accepts_at_most(&self, bytes: usize) -> &Self {
        self.faults().limit = Some(bytes);
        self
    }

    pub fn stored(&self) -> BTreeMap<String, Value> {
        self.store.lock().expect("the store").clone()
    }

    pub fn store(&self) -> Store {
        Arc::clone(&self.store)
    }

    /// Stores these statements without a request.
    pub fn has(&self, statements: &[Value]) -> &Self {
        let by_id =
            statements.iter().map(|statement| (id(statement).to_owned(), statement.clone()));
        self.store.lock().expect("the store").extend(by_id);
        self
    }

    /// The ids in each received batch, in the order of arrival.
    pub fn batches(&self) -> Vec<Vec<String>> {
        let posts =
            self.server.requests().into_iter().filter(|request| request.method == Method::POST);
        posts
            .map(|request| {
                request
                    .json()
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|statement| id(statement).to_owned())
                    .collect()
            })
            .collect()
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().expect("the faults")
    }
}

/// The header that signs in the account of [`Lrs::start`].
pub fn authorization() -> String {
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"))
    )
}

fn id(statement: &Value) -> &str {
    statement["id"].as_str().unwrap_or_default()
}

fn reply(request: &Request, store: &Store, faults: &Faults) -> Reply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/whoami") => {
            Reply::ok(json!({"agent": {"mbox": "mailto:admin@lrs.example.org"}, "scopes": ["all"]}))
        }
        ("GET", "/__heartbeat__") => Reply::ok(json!({"database": "ok"})),
        ("POST", "/xAPI/statements")
            if faults.limit.is_some_and(|limit| request.body.len() > limit) =>
        {
            Reply::text(413, "Request Entity Too Large")
        }
        ("POST", "/xAPI/statements") => {
            store_batch(&request.json(), &mut store.lock().expect("the store"), faults)
        }
        ("GET", "/xAPI/statements") => page(&request.query, &store.lock().expect("the store")),
        _ => Reply::Json(404, json!({"detail": "Not Found"})),
    }
}

/// Represents half a surrogate pair in stored statements, because no Rust string can hold one.
pub const HALF_PAIR: &str = "<half a pair>";

/// The parameters of a query. Ralph rejects all others.
const PARAMETERS: [&str; 12] = [
    "statementId",
    "agent",
    "verb",
    "activity",
    "since",
    "until",
    "limit",
    "ascending",
    "mine",
    "format",
    "pit_id",
    "search_after",
];

/// A page of the selected statements, at most a hundred, with a link to the rest. The last page is empty, as with Ralph.
fn page(query: &str, store: &BTreeMap<String, Value>) -> Reply {
    let parameters: BTreeMap<String, String> =
        form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    if let Some(unknown) = parameters.keys().find(|key| !PARAMETERS.contains(&key.as_str())) {
        let detail = format!("The following parameter is not allowed: `{unknown}`");
        return Reply::Json(400, json!({"detail": detail}));
    }
    let text = |statement: &Value, path: &str| {
        statement.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let time = |text: &str| text.parse::<jiff::Timestamp>().expect("a time");
    let selected = |statement: &&Value| {
        let at = time(&text(statement, "/timestamp"));
        parameters.get("statementId").is_none_or(|asked| id(statement) == asked)
            && parameters
                .get("activity")
                .is_none_or(|activity| text(statement, "/object/id") == *activity)
            && parameters.get("verb").is_none_or(|verb| text(statement, "/verb/id") == *verb)
            && parameters.get("since").is_none_or(|since| at > time(since))
            && parameters.get("until").is_none_or(|until| at <= time(until))
    };
    // a statement with half a surrogate pair breaks its page
    if store.values().filter(selected).any(|statement| statement.to_string().contains(HALF_PAIR)) {
        return Reply::text(500, "Internal Server Error");
    }
    let limit = parameters.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(100);
    let offset: usize =
        parameters.get("search_after").and_then(|offset| offset.parse().ok()).unwrap_or_default();
    let found: Vec<&Value> = store.values().filter(selected).skip(offset).take(limit).collect();
    let more = (found.len() == limit).then(|| {
        let next = (offset + limit).to_string();
        let rest = parameters.iter().filter(|(key, _)| *key != "search_after");
        format!(
            "/xAPI/statements?{}",
            form_urlencoded::Serializer::new(String::new())
                .extend_pairs(rest)
                .append_pair("search_after", &next)
                .finish()
        )
    });
    Reply::ok(match more {
        Some(more) => json!({"statements": found, "more": more}),
        None => json!({"statements": found}),
    })
}

/// The response of Ralph to a batch.
fn store_batch(batch: &Value, store: &mut BTreeMap<String, Value>, faults: &Faults) -> Reply {
    let statements = batch.as_array().expect("a batch is an array");
    if statements.iter().any(|statement| faults.crashes.contains(id(statement))) {
        return Reply::text(500, "Internal Server Error");
    }
    let invalid: Vec<Value> = statements
        .iter()
        .enumerate()
        .filter(|(_, statement)| faults.invalid.contains(id(statement)))
        .map(|(index, statement)| {
            json!({"type": "missing", "loc": ["body", "list[LaxStatement]", index, "verb"], "msg": "Field required", "input": statement})
        })
        .collect();
    if !invalid.is_empty() {
        // Ralph validates one statement first, then an array, reports both results, and returns the whole input
        let as_one = json!({"type": "model_attributes_type", "loc": ["body", "LaxStatement"], "input": batch,
                            "msg": "Input should be a valid dictionary or object to extract fields from"});
        let detail: Vec<Value> = [as_one].into_iter().chain(invalid).collect();
        return Reply::Json(422, json!({"detail": detail}));
    }
    let ids: HashSet<&str> = statements.iter().map(id).collect();
    if ids.len() < statements.len() {
        return Reply::Json(
            400,
            json!({"detail": "Duplicate statement IDs in the list of statements"}),
        );
    }
    let differs =
        |statement: &&Value| store.get(id(statement)).is_some_and(|known| known != *statement);
    if let Some(other) = statements.iter().find(differs) {
        let detail = format!("Differing statements already exist with the same ID: {}", id(other));
        return Reply::Json(409, json!({"detail": detail}));
    }
    let new: Vec<&Value> =
        statements.iter().filter(|statement| !store.contains_key(id(statement))).collect();
    if new.is_empty() {
        return Reply::text(204, "");
    }
    let reply = Reply::ok(new.iter().map(|statement| id(statement)).collect());
    store.extend(new.into_iter().map(|statement| (id(statement).to_owned(), statement.clone())));
    reply
}
