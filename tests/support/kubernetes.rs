//! A Kubernetes API server without a cluster: objects are data, faults are put over them.

mod kinds;
mod place;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use http::Method;
use http::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::server::{Answer, Request, Server};
use super::streams::{Ended, Exec, Stream};
use place::Place;

pub struct Kubernetes {
    pub server: Server,
    world: Arc<Mutex<World>>,
}

/// What the API server knows, and how it was told to behave.
#[derive(Default)]
pub struct World {
    objects: Vec<Value>,
    rules: Vec<Rule>,
    /// Objects that are there as soon as a file is: what a release of helm brings.
    to_come: Vec<(PathBuf, Vec<Value>)>,
    /// `VERB RESOURCE` that the user may not.
    denied: Vec<String>,
    /// Where the ports of a pod lead, and what its last container wrote.
    pods: Vec<(String, SocketAddr)>,
    commands: Vec<(String, Commands)>,
    logs: Vec<(String, String)>,
    version: Option<String>,
}

type Commands = Arc<dyn Fn(&[String], &[u8]) -> Ended + Send + Sync>;
type Reaction = Box<dyn FnMut(&mut World, &Request) -> Option<Answer> + Send>;

/// What happens to a request before the API server looks at it.
struct Rule {
    method: Method,
    path: String,
    react: Reaction,
}

impl Kubernetes {
    /// An API server that knows these objects.
    pub fn with(objects: impl IntoIterator<Item = Value>) -> Self {
        let world = Arc::new(Mutex::new(World {
            objects: objects.into_iter().collect(),
            ..World::default()
        }));
        let server = {
            let world = Arc::clone(&world);
            Server::start(move |request| world.lock().expect("the world").answer(request))
        };
        Self { server, world }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("the world")
    }

    /// Answers these requests so, whatever is there.
    pub fn answers(&self, method: Method, path: &str, answer: Answer) -> &Self {
        self.reacts(method, path, move |_, _| Some(answer.clone()))
    }

    /// Lets something happen when such a request comes; without an answer the request goes on as usual.
    pub fn reacts(
        &self,
        method: Method,
        path: &str,
        react: impl FnMut(&mut World, &Request) -> Option<Answer> + Send + 'static,
    ) -> &Self {
        self.world().rules.push(Rule { method, path: path.into(), react: Box::new(react) });
        self
    }

    /// Answers everything below a path so.
    pub fn answers_all(&self, answer: Answer) -> &Self {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            self.answers(method, "*", answer.clone());
        }
        self
    }

    /// Refuses the user these requests, as RBAC does.
    pub fn forbids(&self, method: Method, path: &str, sentence: &str) -> &Self {
        self.answers(method, path, failure(403, "Forbidden", sentence))
    }

    /// Says no when asked whether the user may do this, such as `create secrets`.
    pub fn denies(&self, what: &str) -> &Self {
        self.world().denied.push(what.into());
        self
    }

    pub fn put(&self, objects: impl IntoIterator<Item = Value>) -> &Self {
        objects.into_iter().for_each(|object| self.world().put(object));
        self
    }

    pub fn objects(&self) -> Vec<Value> {
        self.world().objects.clone()
    }

    /// A cluster in which all this has come already.
    pub fn has_come_to(&self, objects: Vec<Value>) {
        let mut world = self.world();
        world.objects = objects;
        world.to_come.clear();
    }

    /// Takes an object away, by its path below `/api` or `/apis`.
    pub fn remove(&self, path: &str) -> &Self {
        self.world().remove(path);
        self
    }

    pub fn put_once_there(&self, file: PathBuf, objects: Vec<Value>) -> &Self {
        self.world().to_come.push((file, objects));
        self
    }

    pub fn forwards(&self, pod: &str, to: SocketAddr) -> &Self {
        self.world().forward(pod, to);
        self
    }

    /// What runs when a command is executed in a pod: its words, its input.
    pub fn executes(
        &self,
        pod: &str,
        commands: impl Fn(&[String], &[u8]) -> Ended + Send + Sync + 'static,
    ) -> &Self {
        self.world().commands.push((pod.into(), Arc::new(commands)));
        self
    }

    pub fn logs(&self, pod: &str, text: &str) -> &Self {
        self.world().logs.push((pod.into(), text.into()));
        self
    }

    pub fn runs(&self, version: &str) -> &Self {
        self.world().version = Some(version.into());
        self
    }

    /// An object by its path below `/api` or `/apis`.
    pub fn object(&self, path: &str) -> Option<Value> {
        self.world().object(path)
    }

    /// Requests that changed something: neither a dry run nor the question what one may do.
    pub fn changes(&self) -> Vec<String> {
        let harmless = |request: &Request| {
            request.method == Method::GET
                || request.query.contains("dryRun=All")
                || request.path.ends_with("/selfsubjectaccessreviews")
        };
        self.server
            .requests()
            .iter()
            .filter(|request| !harmless(request))
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }
}

/// The API server's way to say no.
pub fn failure(code: u16, reason: &str, message: &str) -> Answer {
    Answer::Json(
        code,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code, "message": message}),
    )
}

impl World {
    /// Lets the ports of a pod lead there from now on.
    pub fn forward(&mut self, pod: &str, to: SocketAddr) {
        self.pods.retain(|(name, _)| name != pod);
        self.pods.push((pod.into(), to));
    }

    /// Adds an object, or puts it in the place of the one of its name.
    pub fn put(&mut self, object: Value) {
        let place = kinds::place_of(&object);
        self.objects.retain(|other| kinds::place_of(other) != place);
        self.objects.push(object);
    }

    pub fn object(&self, path: &str) -> Option<Value> {
        self.find(&Place::parse(path)?).cloned()
    }

    pub fn remove(&mut self, path: &str) -> bool {
        let place = Place::parse(path).expect("a path of the API");
        let before = self.objects.len();
        self.objects.retain(|object| kinds::place_of(object) != place);
        self.objects.len() < before
    }

    fn find(&self, place: &Place) -> Option<&Value> {
        self.objects.iter().find(|object| kinds::place_of(object) == *place)
    }

    fn answer(&mut self, request: &Request) -> Answer {
        self.let_come();
        // rules see and change the world they are part of
        let mut rules = std::mem::take(&mut self.rules);
        let mut matching = rules.iter_mut().rev().filter(|rule| {
            rule.method == request.method && (rule.path == request.path || rule.path == "*")
        });
        let answer = matching.find_map(|rule| (rule.react)(self, request));
        self.rules.splice(0..0, rules);
        answer.unwrap_or_else(|| self.usual(request))
    }

    fn let_come(&mut self) {
        let (come, waiting) =
            std::mem::take(&mut self.to_come).into_iter().partition(|(file, _)| file.exists());
        self.to_come = waiting;
        let come: Vec<(PathBuf, Vec<Value>)> = come;
        come.into_iter().flat_map(|(_, objects)| objects).for_each(|object| self.put(object));
    }

    /// The answer of an API server that is well.
    fn usual(&mut self, request: &Request) -> Answer {
        let path = request.path.as_str();
        if path == "/version" {
            let version = self.version.as_deref().unwrap_or("v1.34.4");
            let minor = version.split('.').nth(1).expect("a version");
            return Answer::ok(
                json!({"major": "1", "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "", "buildDate": "",
                                     "goVersion": "", "compiler": "", "platform": "linux/amd64"}),
            );
        }
        if let Some(list) = kinds::discovery(path, &self.objects) {
            return Answer::ok(list);
        }
        match Place::parse(path).filter(|place| kinds::is_served(place, &self.objects)) {
            Some(place) => self.of_objects(request, &place),
            None => Answer::text(404, "404 page not found\n"),
        }
    }

    fn of_objects(&mut self, request: &Request, place: &Place) -> Answer {
        let name = place.name.as_deref();
        match (&request.method, name, place.subresource.as_deref()) {
            (&Method::POST, None, None) if place.resource == "selfsubjectaccessreviews" => {
                self.review(request)
            }
            (&Method::GET, None, None) => self.list(request, place),
            (&Method::POST, None, None) => self.create(request.json(), place),
            (&Method::GET, Some(_), None) => self
                .find(place)
                .map_or_else(|| not_found(place), |object| Answer::ok(object.clone())),
            (&Method::PATCH, Some(_), None) => self.patch(request, place),
            (&Method::DELETE, Some(_), None) => match self.find(place).cloned() {
                Some(object) => {
                    self.remove(&request.path);
                    if request.json()["propagationPolicy"] != "Orphan" {
                        self.collect_garbage(&object);
                    }
                    Answer::ok(
                        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
                    )
                }
                None => not_found(place),
            },
            (&Method::GET, Some(pod), Some("log")) => {
                let log = self.logs.iter().find(|(name, _)| name == pod);
                Answer::text(200, log.map(|(_, text)| text.clone()).unwrap_or_default())
            }
            (&Method::GET, Some(pod), Some("portforward")) => {
                match self.pods.iter().find(|(name, _)| name == pod) {
                    Some((_, to)) => Answer::Stream(Stream::Forward(
                        place::parameter(&request.query, "ports").parse().expect("a port"),
                        *to,
                    )),
                    None => failure(500, "InternalError", &format!("no port-forward to pod {pod}")),
                }
            }
            (&Method::GET, Some(pod), Some("exec")) => {
                match self.commands.iter().find(|(name, _)| name == pod) {
                    Some((_, commands)) => {
                        let (commands, words) =
                            (Arc::clone(commands), place::parameters(&request.query, "command"));
                        Answer::Stream(Stream::Exec(Exec(Arc::new(move |input| {
                            commands(&words, input)
                        }))))
                    }
                    None => failure(500, "InternalError", &format!("no exec in pod {pod}")),
                }
            }
            (&Method::DELETE, None, None) => {
                let selector = place::parameter(&request.query, "labelSelector");
                self.objects.retain(|object| {
                    !(kinds::place_of(object).is_in(place) && has_labels(object, &selector))
                });
                Answer::ok(
                    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}),
                )
            }
            _ => failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ),
        }
    }

    /// The pods of a workload go with it.
    fn collect_garbage(&mut self, owner: &Value) {
        let Some(labels) = owner["spec"]["selector"]["matchLabels"].as_object() else { return };
        let is_owned = |object: &Value| {
            object["kind"] == "Pod"
                && labels.iter().all(|(key, value)| object["metadata"]["labels"][key] == *value)
        };
        self.objects.retain(|object| !is_owned(object));
    }

    fn review(&self, request: &Request) -> Answer {
        let mut review = request.json();
        let asked = &review["spec"]["resourceAttributes"];
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        let subresource =
            asked["subresource"].as_str().map(|sub| format!("/{sub}")).unwrap_or_default();
        let what = format!("{} {}{subresource}", text("verb"), text("resource"));
        review["status"] = json!({"allowed": !self.denied.contains(&what)});
        Answer::Json(201, review)
    }

    fn list(&self, request: &Request, place: &Place) -> Answer {
        let selector = place::parameter(&request.query, "labelSelector");
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|object| kinds::place_of(object).is_in(place) && has_labels(object, &selector))
            .collect();
        Answer::ok(
            json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": items}),
        )
    }

    fn create(&mut self, mut object: Value, place: &Place) -> Answer {
        complete(&mut object, place);
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        if self.find(&kinds::place_of(&object)).is_some() {
            return failure(
                409,
                "AlreadyExists",
                &format!("{} \"{name}\" already exists", place.resource),
            );
        }
        self.objects.push(object.clone());
        Answer::Json(201, object)
    }

    fn patch(&mut self, request: &Request, place: &Place) -> Answer {
        let applies = request
            .headers
            .get(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/apply-patch"));
        let mut object = match self.find(place).cloned() {
            // only server-side apply makes what is not there
            None if !applies => return not_found(place),
            found => {
                found.unwrap_or_else(|| json!({"metadata": {"generation": 1, "uid": place.name}}))
            }
        };
        merge(&mut object, &request.json());
        complete(&mut object, place);
        if !request.query.contains("dryRun=All") {
            self.put(object.clone());
        }
        Answer::ok(object)
    }
}

/// What the API server knows of an object from its path.
fn complete(object: &mut Value, place: &Place) {
    let (api_version, kind) = kinds::of(place);
    object["apiVersion"] = json!(api_version);
    object["kind"] = json!(kind);
    if let Some(namespace) = &place.namespace {
        object["metadata"]["namespace"] = json!(namespace);
    }
}

fn not_found(place: &Place) -> Answer {
    let resource = place
        .api_version
        .split_once('/')
        .map_or_else(|| place.resource.clone(), |(group, _)| format!("{}.{group}", place.resource));
    failure(
        404,
        "NotFound",
        &format!("{resource} \"{}\" not found", place.name.as_deref().unwrap_or_default()),
    )
}

fn has_labels(object: &Value, selector: &str) -> bool {
    selector
        .split(',')
        .filter_map(|term| term.split_once('='))
        .all(|(key, value)| object["metadata"]["labels"][key] == value)
}

fn merge(object: &mut Value, patch: &Value) {
    match (object, patch) {
        (Value::Object(object), Value::Object(patch)) => {
            for (key, value) in patch {
                merge(object.entry(key).or_insert(Value::Null), value);
            }
        }
        (object, patch) => *object = patch.clone(),
    }
}
