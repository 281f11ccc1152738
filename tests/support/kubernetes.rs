//! A stand-in of the Kubernetes API server: objects are data, and rules replace its responses.

mod defaults;
mod fields;
mod kinds;
mod metadata;
mod ownership;
mod rejections;
mod requests;
mod resource_path;
mod roles;
mod selectors;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use http::Method;
use serde_json::{Value, json};

use super::server::{Reply, Request, Server};
use super::streams::{Exec, Exited, Stream};
use metadata::Numbers;
use resource_path::ResourcePath;

pub struct Kubernetes {
    pub server: Server,
    world: Arc<Mutex<World>>,
}

/// The state of the API server, and the faults that a test sets.
#[derive(Default)]
pub struct World {
    objects: Vec<Value>,
    numbers: Numbers,
    rules: Vec<Rule>,
    /// The controllers, which run after a request.
    controllers: Vec<Rule<Controller>>,
    /// Objects of a helm release, which appear once the state file of the release exists.
    pending: Vec<(PathBuf, Vec<Value>)>,
    /// Denied permissions, as `VERB RESOURCE`.
    denied: Vec<String>,
    /// The only Role of the user. None: the user may do everything.
    role: Option<Value>,
    /// The rejections for requests that the Role does not allow.
    rejections: Vec<String>,
    /// The target of port-forwards into each pod.
    pods: Vec<(String, SocketAddr)>,
    commands: Vec<(String, Commands)>,
    logs: Vec<(String, String)>,
    version: Option<String>,
}

type Commands = Arc<dyn Fn(&[String], &[u8]) -> Exited + Send + Sync>;
type Reaction = Box<dyn FnMut(&mut World, &Request) -> Option<Reply> + Send>;
type Controller = Box<dyn FnMut(&mut World) + Send>;

/// A reaction to a request, which replaces or precedes the usual response.
struct Rule<T = Reaction> {
    method: Method,
    path: String,
    react: T,
}

impl Kubernetes {
    /// An API server with these objects.
    pub fn with(objects: impl IntoIterator<Item = Value>) -> Self {
        let mut world = World::default();
        objects.into_iter().for_each(|object| world.put(object));
        let world = Arc::new(Mutex::new(world));
        let server = {
            let world = Arc::clone(&world);
            Server::start(move |request| world.lock().expect("the world").reply(request))
        };
        Self { server, world }
    }

    pub fn url(&self) -> String {
        self.server.url()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("the world")
    }

    /// Sends this response to these requests.
    pub fn replies(&self, method: Method, path: &str, reply: Reply) -> &Self {
        self.reacts(method, path, move |_, _| Some(reply.clone()))
    }

    /// Runs a function at each of these requests. Its response replaces the usual one.
    pub fn reacts(
        &self,
        method: Method,
        path: &str,
        react: impl FnMut(&mut World, &Request) -> Option<Reply> + Send + 'static,
    ) -> &Self {
        self.world().rules.push(Rule { method, path: path.into(), react: Box::new(react) });
        self
    }

    /// Runs a controller after each of these requests, if it succeeds. The controller replaces an earlier one.
    pub fn then(
        &self,
        method: Method,
        path: &str,
        react: impl FnMut(&mut World) + Send + 'static,
    ) -> &Self {
        let rule = Rule { method, path: path.into(), react: Box::new(react) as Controller };
        let controllers = &mut self.world().controllers;
        controllers.retain(|other| (&other.method, &other.path) != (&rule.method, &rule.path));
        controllers.push(rule);
        self
    }

    /// Sends this response to all requests.
    pub fn replies_to_all(&self, reply: Reply) -> &Self {
        for method in [Method::GET, Method::POST, Method::PATCH, Method::DELETE] {
            self.replies(method, "*", reply.clone());
        }
        self
    }

    /// Rejects these requests, as RBAC does.
    pub fn forbids(&self, method: Method, path: &str, sentence: &str) -> &Self {
        self.replies(method, path, failure(403, "Forbidden", sentence))
    }

    /// Denies the user a permission, such as `create secrets`.
    pub fn denies(&self, what: &str) -> &Self {
        self.world().denied.push(what.into());
        self
    }

    /// Allows the user only what this Role contains.
    pub fn restricts_to(&self, role: Value) -> &Self {
        self.world().role = Some(role);
        self
    }

    /// The rejections since the user is restricted to a Role.
    pub fn rejections(&self) -> Vec<String> {
        self.world().rejections.clone()
    }

    pub fn put(&self, objects: impl IntoIterator<Item = Value>) -> &Self {
        objects.into_iter().for_each(|object| self.world().put(object));
        self
    }

    pub fn objects(&self) -> Vec<Value> {
        self.world().objects.clone()
    }

    /// Replaces all objects.
    pub fn restore(&self, objects: Vec<Value>) {
        let mut world = self.world();
        world.numbers = Numbers::after(&objects);
        world.objects = objects;
        world.pending.clear();
    }

    /// Deletes an object, by its path below `/api` or `/apis`.
    pub fn remove(&self, path: &str) -> &Self {
        self.world().remove(path);
        self
    }

    pub fn put_after_file(&self, file: PathBuf, objects: Vec<Value>) -> &Self {
        self.world().pending.push((file, objects));
        self
    }

    pub fn forwards(&self, pod: &str, to: SocketAddr) -> &Self {
        self.world().forward(pod, to);
        self
    }

    /// Sets the function that runs commands in a pod, with their words and their input.
    pub fn executes(
        &self,
        pod: &str,
        commands: impl Fn(&[String], &[u8]) -> Exited + Send + Sync + 'static,
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

    /// Requests that change objects: no dry runs, no access reviews, and not the lock of a verb.
    pub fn changes(&self) -> Vec<String> {
        let harmless = |request: &Request| {
            request.method == Method::GET
                || request.query.contains("dryRun=All")
                || request.path.contains("/selfsubject")
                || request.path.contains("/leases")
        };
        self.server
            .requests()
            .iter()
            .filter(|request| !harmless(request))
            .map(|request| format!("{} {}", request.method, request.path))
            .collect()
    }
}

/// A rejection in the form of the API server.
pub fn failure(code: u16, reason: &str, message: &str) -> Reply {
    Reply::Json(
        code,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "reason": reason, "code": code, "message": message}),
    )
}

impl World {
    /// Sets the target of port-forwards into a pod.
    pub fn forward(&mut self, pod: &str, to: SocketAddr) {
        self.pods.retain(|(name, _)| name != pod);
        self.pods.push((pod.into(), to));
    }

    /// Adds or replaces an object, with an old creation time.
    pub fn put(&mut self, mut object: Value) {
        let target = kinds::path_of(&object);
        defaults::complete(&mut object);
        if let Some(before) = self.find(&target).cloned() {
            metadata::keep_identity(&mut object, &before);
            ownership::update(&mut object, &before, "another-manager");
        }
        metadata::first_generation(&mut object);
        self.numbers.stamp(&mut object, metadata::LONG_AGO);
        self.objects.retain(|other| kinds::path_of(other) != target);
        self.objects.push(object);
    }

    pub fn object(&self, path: &str) -> Option<Value> {
        self.find(&ResourcePath::parse(path)?).cloned()
    }

    /// All objects of a kind.
    pub fn of_kind(&self, kind: &str) -> Vec<Value> {
        self.objects.iter().filter(|object| object["kind"] == kind).cloned().collect()
    }

    pub fn remove(&mut self, path: &str) -> bool {
        let target = ResourcePath::parse(path).expect("a path of the API");
        let before = self.objects.len();
        self.objects.retain(|object| kinds::path_of(object) != target);
        self.objects.len() < before
    }

    fn find(&self, target: &ResourcePath) -> Option<&Value> {
        self.objects.iter().find(|object| kinds::path_of(object) == *target)
    }

    fn reply(&mut self, request: &Request) -> Reply {
        self.add_pending();
        if let Some(role) = &self.role {
            let target = ResourcePath::parse(&request.path);
            let exists = target.is_some_and(|target| self.find(&target).is_some());
            if let Some(rejection) = roles::rejection(role, request, exists) {
                self.rejections.push(rejection.clone());
                return failure(403, "Forbidden", &rejection);
            }
        }
        // a rule can read and change the state that it belongs to
        let mut rules = std::mem::take(&mut self.rules);
        let mut matching = rules.iter_mut().rev().filter(|rule| {
            rule.method == request.method && (rule.path == request.path || rule.path == "*")
        });
        let reply = matching.find_map(|rule| (rule.react)(self, request));
        self.rules.splice(0..0, rules);
        let reply = reply.unwrap_or_else(|| self.usual(request));
        if matches!(reply, Reply::Json(..300, _)) && !request.query.contains("dryRun=All") {
            let mut controllers = std::mem::take(&mut self.controllers);
            controllers
                .iter_mut()
                .filter(|rule| rule.method == request.method && rule.path == request.path)
                .for_each(|rule| (rule.react)(self));
            self.controllers.splice(0..0, controllers);
        }
        reply
    }

    fn add_pending(&mut self) {
        let (ready, waiting) =
            std::mem::take(&mut self.pending).into_iter().partition(|(file, _)| file.exists());
        self.pending = waiting;
        let ready: Vec<(PathBuf, Vec<Value>)> = ready;
        ready.into_iter().flat_map(|(_, objects)| objects).for_each(|object| self.put(object));
    }

    /// The response of a healthy API server.
    fn usual(&mut self, request: &Request) -> Reply {
        let path = request.path.as_str();
        if path == "/version" {
            let version = self.version.as_deref().unwrap_or("v1.34.4");
            let minor = version.split('.').nth(1).expect("a version");
            return Reply::ok(
                json!({"major": "1", "minor": minor, "gitVersion": version, "gitCommit": "", "gitTreeState": "", "buildDate": "",
                                     "goVersion": "", "compiler": "", "platform": "linux/amd64"}),
            );
        }
        if let Some(list) = kinds::discovery(path, &self.objects) {
            return Reply::ok(list);
        }
        match ResourcePath::parse(path).filter(|target| kinds::is_served(target, &self.objects)) {
            Some(target) => self.of_path(request, &target),
            None => Reply::text(404, "404 page not found\n"),
        }
    }

    fn of_path(&mut self, request: &Request, target: &ResourcePath) -> Reply {
        if target.resource == "selfsubjectaccessreviews" && request.method == Method::POST {
            return self.review(request);
        }
        if target.resource == "selfsubjectreviews" && request.method == Method::POST {
            let mut review = request.json();
            review["metadata"]["creationTimestamp"] = json!(jiff::Timestamp::now().to_string());
            review["status"] = json!({"userInfo": {"username": "alice"}});
            return Reply::Json(201, review);
        }
        if let Some(reply) = self.of_objects(request, target) {
            return reply;
        }
        let name = target.name.as_deref();
        match (&request.method, name, target.subresource.as_deref()) {
            (&Method::GET, Some(pod), Some("log")) => {
                let log = self.logs.iter().find(|(name, _)| name == pod);
                Reply::text(200, log.map(|(_, text)| text.clone()).unwrap_or_default())
            }
            (&Method::GET, Some(pod), Some("portforward")) => {
                match self.pods.iter().find(|(name, _)| name == pod) {
                    Some((_, to)) => Reply::Stream(Stream::Forward(
                        resource_path::parameter(&request.query, "ports").parse().expect("a port"),
                        *to,
                    )),
                    None => failure(500, "InternalError", &format!("no port-forward to pod {pod}")),
                }
            }
            (&Method::GET, Some(pod), Some("exec")) => {
                match self.commands.iter().find(|(name, _)| name == pod) {
                    Some((_, commands)) => {
                        let (commands, words) = (
                            Arc::clone(commands),
                            resource_path::parameters(&request.query, "command"),
                        );
                        Reply::Stream(Stream::Exec(Exec(Arc::new(move |input| {
                            commands(&words, input)
                        }))))
                    }
                    None => failure(500, "InternalError", &format!("no exec in pod {pod}")),
                }
            }
            _ => failure(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ),
        }
    }

    fn review(&self, request: &Request) -> Reply {
        let mut review = request.json();
        let asked = &review["spec"]["resourceAttributes"];
        let text = |key: &str| asked[key].as_str().unwrap_or_default();
        let subresource =
            asked["subresource"].as_str().map(|sub| format!("/{sub}")).unwrap_or_default();
        let what = format!("{} {}{subresource}", text("verb"), text("resource"));
        let resource = format!("{}{subresource}", text("resource"));
        let (verb, group, name) = (text("verb"), text("group"), asked["name"].as_str());
        let allows = |role| {
            asked["namespace"].is_string() && roles::allows(role, verb, group, &resource, name)
        };
        let is_allowed = self.role.as_ref().is_none_or(allows) && !self.denied.contains(&what);
        review["status"] = json!({"allowed": is_allowed});
        Reply::Json(201, review)
    }
}
