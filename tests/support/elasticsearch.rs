//! An Elasticsearch stand-in that keeps its indices and finds the statements of an LRS.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use base64::Engine as _;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::lrs::{HALF_PAIR, Store};
use super::server::{Reply, Request, Server};

const STATEMENTS: &str = "statements";

pub struct Elasticsearch {
    pub server: Server,
    /// The certificate authority for clients, as PEM.
    pub authority: String,
    indices: Arc<Mutex<Indices>>,
    faults: Faults,
    measured: Arc<Mutex<Option<[Reply; 2]>>>,
}

/// The body that created each index, by the name of the index.
pub type Indices = BTreeMap<String, Value>;

/// Responses to the next requests for a path, which replace the usual ones.
type Faults = Arc<Mutex<BTreeMap<String, VecDeque<Reply>>>>;

impl Elasticsearch {
    /// Starts a TLS server with the name of the Service in this namespace.
    pub fn start(namespace: &str, store: Store) -> Self {
        let (authority, tls) = shared_certificates(&format!("data-lake-es-http.{namespace}.svc"));
        let indices = Arc::<Mutex<Indices>>::default();
        let faults = Faults::default();
        let measured = Arc::<Mutex<Option<[Reply; 2]>>>::default();
        let server = {
            let (indices, faults) = (Arc::clone(&indices), Arc::clone(&faults));
            let measured = Arc::clone(&measured);
            Server::start_tls(tls, move |request| {
                let fault = faults
                    .lock()
                    .expect("the faults")
                    .get_mut(&request.path)
                    .and_then(VecDeque::pop_front);
                let sizes = measured.lock().expect("the measurements").clone();
                let size = sizes.filter(|_| request.path == "/data-lake-size/_search").map(
                    |[first, last]| match request.json()["sort"][0]["timestamp"]["order"] == "asc" {
                        true => first,
                        false => last,
                    },
                );
                fault.or(size).unwrap_or_else(|| {
                    reply(request, &mut indices.lock().expect("the indices"), &store)
                })
            })
        };
        Self { server, authority, indices, faults, measured }
    }

    /// Sends these responses to the next requests for this path.
    pub fn next(&self, path: &str, replies: impl IntoIterator<Item = Reply>) -> &Self {
        self.faults.lock().expect("the faults").entry(path.into()).or_default().extend(replies);
        self
    }

    /// Sends these responses to the searches for the first (`asc`) and the last (`desc`) measurement of the size.
    pub fn has_measured(&self, first: Reply, last: Reply) -> &Self {
        *self.measured.lock().expect("the measurements") = Some([first, last]);
        self
    }

    /// Replaces all indices.
    pub fn has_indices(&self, indices: Indices) {
        *self.indices() = indices;
    }

    pub fn indices(&self) -> MutexGuard<'_, Indices> {
        self.indices.lock().expect("the indices")
    }

    /// Replaces the index of statements.
    pub fn has_index(&self, index: Value) {
        self.indices().insert(STATEMENTS.into(), index);
    }

    /// The body that created the index of statements.
    pub fn index(&self) -> Option<Value> {
        self.indices().get(STATEMENTS).cloned()
    }
}

/// All tests of a program share these certificates, because they share the installed stack.
fn shared_certificates(name: &str) -> (String, TlsAcceptor) {
    static CREATED: Mutex<BTreeMap<String, (String, TlsAcceptor)>> = Mutex::new(BTreeMap::new());
    CREATED
        .lock()
        .expect("the certificates")
        .entry(name.into())
        .or_insert_with(|| certificates(name))
        .clone()
}

fn certificates(name: &str) -> (String, TlsAcceptor) {
    let mut parameters = CertificateParams::default();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = parameters.self_signed(&key).expect("a certificate authority").pem();
    let issuer = Issuer::new(parameters, key);
    let key = KeyPair::generate().expect("a key");
    let certificate = CertificateParams::new([name.to_owned()])
        .and_then(|parameters| parameters.signed_by(&key, &issuer))
        .expect("a certificate");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a certificate and its key");
    (authority, TlsAcceptor::from(Arc::new(config)))
}

/// The response to a request that creates documents.
fn created(request: &Request, store: &mut BTreeMap<String, Value>) -> Value {
    let lines: Vec<Value> = request
        .body
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).expect("lines of JSON"))
        .collect();
    let create = |pair: &[Value]| {
        let id = pair[0]["create"]["_id"].as_str().expect("an id").to_string();
        match store.contains_key(&id) {
            true => {
                json!({"create": {"status": 409, "error": {"reason": "document already exists"}}})
            }
            false => {
                store.insert(id, pair[1].clone());
                json!({"create": {"status": 201}})
            }
        }
    };
    let items: Vec<Value> = lines.chunks(2).map(create).collect();
    json!({"errors": items.iter().any(|item| item["create"]["status"] == 409), "items": items})
}

fn reply(request: &Request, indices: &mut Indices, store: &Store) -> Reply {
    let mut store = store.lock().expect("the store");
    let acknowledged = || Reply::ok(json!({"acknowledged": true}));
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_cluster/health") => Reply::ok(json!({"status": "green", "number_of_nodes": 1})),
        ("GET", "/_nodes/stats/fs") => Reply::ok(json!({"nodes": {"n": disk(50 << 30)}})),
        ("GET", "/_ssl/certificates") => Reply::ok(json!([{"expiry": "2126-11-29T15:52:53.000Z"}])),
        ("GET", "/_security/user/_privileges") => Reply::ok(privileges(request)),
        ("PUT", path) if is_index(path) => {
            indices.insert(path[1..].into(), request.json());
            acknowledged()
        }
        (_, path)
            if !path.starts_with("/_")
                && !indices.contains_key(index_of(path))
                && !request.query.contains("ignore_unavailable=true") =>
        {
            Reply::Json(
                404,
                json!({"error": {"reason": format!("no such index [{}]", index_of(path))}, "status": 404}),
            )
        }
        ("GET", path) if is_index(path) => {
            Reply::ok(json!({index_of(path): indices[index_of(path)]}))
        }
        ("DELETE", path) if is_index(path) => {
            indices.remove(index_of(path));
            acknowledged()
        }
        ("POST", "/statements/_refresh") => {
            Reply::ok(json!({"_shards": {"total": 1, "successful": 1, "failed": 0}}))
        }
        ("POST", "/statements/_bulk") => Reply::ok(created(request, &mut store)),
        ("POST" | "GET", "/statements/_count") => {
            let count = if request.body.is_empty() || request.json()["query"]["bool"].is_object() {
                store.len()
            } else {
                asked(request).filter(|id| store.contains_key(id)).count()
            };
            Reply::ok(json!({"count": count}))
        }
        ("POST", "/statements/_search") if request.json()["query"]["ids"].is_object() => {
            let has_source = request.json()["_source"] != false;
            let hit = |id: String| match has_source {
                true => json!({"_id": id, "_source": store[&id]}),
                false => json!({"_id": id}),
            };
            let hits: Vec<Value> =
                asked(request).filter(|id| store.contains_key(id)).map(hit).collect();
            Reply::ok(json!({"hits": {"total": {"value": hits.len()}, "hits": hits}}))
        }
        ("POST", "/statements/_search") if request.json()["sort"].is_array() => {
            let hits: Vec<Value> =
                store.iter().map(|(id, source)| json!({"_id": id, "_source": source})).collect();
            let text = json!({"hits": {"hits": hits}}).to_string();
            Reply::text(200, text.replace(HALF_PAIR, "\\ud83d"))
        }
        ("POST", "/statements/_search")
            if request.json()["query"]["function_score"].is_object() =>
        {
            Reply::ok(of_the_last_hour(&request.json()["query"]["function_score"]["query"], &store))
        }
        // nothing was measured yet
        ("POST", "/data-lake-size/_search") => Reply::ok(json!({"hits": {"hits": []}})),
        ("POST", "/statements/_search") if request.json()["aggs"]["real"].is_object() => {
            Reply::ok(by_origin(&request.json()["aggs"]["real"], &store))
        }
        // no statement was made of an event of Moodle
        ("POST", "/statements/_search")
            if ["groups", "events", "authorities"]
                .iter()
                .any(|of| request.json()["aggs"][of].is_object()) =>
        {
            let none = json!({"buckets": []});
            Reply::ok(
                json!({"aggregations": {"groups": none, "events": none, "authorities": none}}),
            )
        }
        ("POST", "/statements/_search") => Reply::ok(
            json!({"hits": {"total": {"value": store.len()}, "hits": []}, "aggregations": {"newest": {"value": null}}}),
        ),
        ("DELETE", path) if path.starts_with("/statements/_doc/") => {
            let id = path.trim_start_matches("/statements/_doc/");
            match store.remove(id) {
                Some(_) => Reply::ok(json!({"_id": id, "result": "deleted"})),
                None => Reply::Json(404, json!({"_id": id, "result": "not_found"})),
            }
        }
        ("GET", "/statements/_stats/store") => {
            Reply::ok(json!({"_all": {"total": {"store": {"size_in_bytes": 31_200_000}}}}))
        }
        _ => Reply::Json(
            400,
            json!({"error": {"reason": format!("no handler found for {} {}", request.method, request.path)}}),
        ),
    }
}

/// The statistics of a node with this many free bytes. It stores nothing with less than 5 GiB.
pub fn disk(available: u64) -> Value {
    json!({"name": "data-lake-es-default-0", "fs": {"data": [{
        "total_in_bytes": 100_u64 << 30, "available_in_bytes": available,
        "high_watermark_free_space_in_bytes": 10_u64 << 30, "flood_stage_free_space_in_bytes": 5_u64 << 30,
    }]}})
}

/// The privileges of the account that asks: those of its role.
fn privileges(request: &Request) -> Value {
    let account = request.headers["authorization"].to_str().expect("an account");
    let account = account.trim_start_matches("Basic ").as_bytes();
    let account = base64::engine::general_purpose::STANDARD.decode(account).expect("an account");
    let user = String::from_utf8(account).expect("an account");
    let roles: Value =
        serde_saphyr::from_str(include_str!("../../manifests/roles.yml")).expect("the roles");
    roles[user.split(':').next().expect("a user")].clone()
}

/// The value of a field of a statement.
fn value(source: &Value, field: &str) -> Option<Value> {
    source.pointer(&format!("/{}", field.replace('.', "/"))).cloned()
}

/// Whether a clause of the list, `term` or `terms`, selects the statement.
fn is_selected(source: &Value, clauses: &Value) -> bool {
    let clauses = clauses.as_array().expect("a list of clauses");
    clauses.iter().any(|clause| {
        let (kind, terms) = clause.as_object().and_then(|all| all.iter().next()).expect("a clause");
        let (field, wanted) = terms.as_object().and_then(|all| all.iter().next()).expect("a field");
        let found = value(source, field);
        match kind.as_str() {
            "term" => found.as_ref() == Some(wanted),
            "terms" => {
                wanted.as_array().expect("values").iter().any(|one| found.as_ref() == Some(one))
            }
            other => panic!("the clause {other} is not supported"),
        }
    })
}

/// The response to a search for statements that the filter does not exclude, with the numbers of different values.
fn by_origin(aggregation: &Value, store: &BTreeMap<String, Value>) -> Value {
    let excluded = &aggregation["filter"]["bool"]["must_not"];
    let selected: Vec<&Value> =
        store.values().filter(|source| !is_selected(source, excluded)).collect();
    let mut found = json!({"doc_count": selected.len()});
    for (name, inner) in aggregation["aggs"].as_object().expect("inner aggregations") {
        let field = inner["cardinality"]["field"].as_str().expect("a field");
        let values = selected.iter().filter_map(|source| value(source, field));
        let different: BTreeSet<String> = values.map(|value| value.to_string()).collect();
        found[name] = json!({"value": different.len()});
    }
    json!({"hits": {"total": {"value": store.len()}, "hits": []}, "aggregations": {"real": found}})
}

/// The response to a search for the statements of the last hour that the query does not exclude: all others of the store.
fn of_the_last_hour(query: &Value, store: &BTreeMap<String, Value>) -> Value {
    let time = |source: &Value, field: &str| -> Option<String> {
        let time: jiff::Timestamp = source[field].as_str()?.parse().ok()?;
        Some(time.as_millisecond().to_string())
    };
    let selected = store.values().filter(|source| !is_selected(source, &query["bool"]["must_not"]));
    let hits: Vec<Value> = selected
        .map(|source| {
            let [timestamp, stored] = ["timestamp", "stored"].map(|field| time(source, field));
            json!({"fields": {"timestamp": [timestamp], "stored": [stored]}})
        })
        .collect();
    json!({"hits": {"total": {"value": hits.len()}, "hits": hits}})
}

fn index_of(path: &str) -> &str {
    path[1..].split('/').next().unwrap_or_default()
}

fn is_index(path: &str) -> bool {
    &path[1..] == index_of(path) && !path.starts_with("/_")
}

/// The ids that a query names.
fn asked(request: &Request) -> impl Iterator<Item = String> {
    let ids = request.json()["query"]["ids"]["values"].as_array().cloned().unwrap_or_default();
    ids.into_iter().filter_map(|id| id.as_str().map(str::to_owned))
}
