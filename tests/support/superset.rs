//! A Superset stand-in that keeps imported assets, and fails on demand.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};
use zip::write::SimpleFileOptions;
use zip::{ZipArchive, ZipWriter};

use super::server::{Reply, Request, Server};

const KINDS: [(&str, &str); 4] = [
    ("databases", "database_name"),
    ("datasets", "table_name"),
    ("charts", "slice_name"),
    ("dashboards", "dashboard_title"),
];

/// The full name of the tool's own account.
const US: &str = "kubectl lastack";

pub struct Superset {
    pub server: Server,
    world: Arc<Mutex<World>>,
}

#[derive(Default, Clone)]
pub struct World {
    /// By uuid.
    assets: BTreeMap<String, Asset>,
    clock: u32,
    /// Accounts whose login fails.
    rejected: BTreeSet<String>,
    /// A password whose login fails.
    wrong: Option<String>,
    /// True while its web server is not healthy.
    unhealthy: bool,
    /// True while its own database is down.
    lost: bool,
    /// The cause why the data lake is unreachable.
    unreachable: Option<String>,
    /// The responses to the next imports.
    imports: Vec<Reply>,
    /// The responses to the next chart queries.
    queries: Vec<Reply>,
    pub driver: bool,
    /// The ids of the permissions of teachers.
    pub teacher: Vec<usize>,
    /// The result of every chart query.
    rows: Value,
}

#[derive(Clone)]
struct Asset {
    id: usize,
    folder: &'static str,
    title: String,
    content: Value,
    changed_on: u32,
    changed_by: &'static str,
    /// The ids of the charts of a dashboard.
    charts: Vec<usize>,
}

impl Superset {
    pub fn start() -> Self {
        let world = Arc::new(Mutex::new(World {
            driver: true,
            rows: json!({"colnames": [], "data": []}),
            ..World::default()
        }));
        let shared = Arc::clone(&world);
        let server = Server::start(move |request| shared.lock().expect("Superset").reply(request));
        Self { server, world }
    }

    /// Rejects the login of an account, as after a password change in the browser.
    pub fn rejects_login(&self, user: &str) -> &Self {
        self.world().rejected.insert(user.into());
        self
    }

    /// Rejects a login with this password.
    pub fn rejects_password(&self, password: &str) -> &Self {
        self.world().wrong = Some(password.into());
        self
    }

    pub fn cannot_reach_the_data_lake(&self, why: &str) -> &Self {
        self.world().unreachable = Some(why.into());
        self
    }

    /// Stops or restarts its own database.
    pub fn loses_its_database(&self, lost: bool) -> &Self {
        self.world().lost = lost;
        self
    }

    pub fn is_unhealthy(&self) -> &Self {
        self.world().unhealthy = true;
        self
    }

    pub fn has_no_driver(&self) -> &Self {
        self.world().driver = false;
        self
    }

    /// Sends this response to the next import.
    pub fn fails_import(&self, reply: Reply) -> &Self {
        self.world().imports.push(reply);
        self
    }

    /// Sends this response to the next chart query.
    pub fn fails_query(&self, reply: Reply) -> &Self {
        self.world().queries.push(reply);
        self
    }

    pub fn gives_rows(&self, rows: Value) -> &Self {
        self.world().rows = rows;
        self
    }

    /// Renames an asset, as a user does in the browser.
    pub fn user_renames(&self, title: &str, to: &str) -> &Self {
        self.user_edits(title, |content| {
            let key = KINDS.into_iter().find(|(_, key)| content[key] == title).expect("a title").1;
            content[key] = json!(to);
        })
    }

    /// Changes the content of an asset, as a user does in the browser.
    pub fn user_edits(&self, title: &str, change: impl FnOnce(&mut Value)) -> &Self {
        self.edit(title, "Ada", change)
    }

    /// Changes the content of an asset, as another version of the program would have imported it.
    pub fn program_edits(&self, title: &str, change: impl FnOnce(&mut Value)) -> &Self {
        self.edit(title, US, change)
    }

    fn edit(&self, title: &str, by: &'static str, change: impl FnOnce(&mut Value)) -> &Self {
        let mut world = self.world();
        world.clock += 1;
        let now = world.clock;
        let asset = world
            .assets
            .values_mut()
            .find(|asset| asset.title == title)
            .unwrap_or_else(|| panic!("asset `{title}` should exist"));
        change(&mut asset.content);
        let key =
            KINDS.into_iter().find(|(folder, _)| *folder == asset.folder).expect("a folder").1;
        (asset.title, asset.changed_on, asset.changed_by) =
            (asset.content[key].as_str().expect("a title").into(), now, by);
        drop(world);
        self
    }

    /// Creates an asset, as a user does in the browser.
    pub fn user_creates(&self, folder: &'static str, content: Value) -> &Self {
        let mut world = self.world();
        world.clock += 1;
        let title = KINDS.into_iter().find(|(name, _)| *name == folder).expect("a folder").1;
        let uuid = content["uuid"].as_str().expect("a uuid").to_string();
        world.store(folder, title, content);
        world.assets.get_mut(&uuid).expect("the new asset").changed_by = "Ada";
        drop(world);
        self
    }

    pub fn user_deletes(&self, title: &str) -> &Self {
        self.world().assets.retain(|_, asset| asset.title != title);
        self
    }

    /// The titles of all assets of a folder.
    pub fn titles(&self, folder: &str) -> Vec<String> {
        self.world()
            .assets
            .values()
            .filter(|asset| asset.folder == folder)
            .map(|asset| asset.title.clone())
            .collect()
    }

    /// The titles of the charts that a dashboard shows.
    pub fn charts_of(&self, dashboard: &str) -> Vec<String> {
        let world = self.world();
        let dashboard =
            world.assets.values().find(|asset| asset.title == dashboard).expect("the dashboard");
        let shown = world
            .assets
            .values()
            .filter(|asset| asset.folder == "charts" && dashboard.charts.contains(&asset.id));
        shown.map(|asset| asset.title.clone()).collect()
    }

    /// The content of the asset with this title.
    pub fn content(&self, title: &str) -> Value {
        let world = self.world();
        world
            .assets
            .values()
            .find(|asset| asset.title == title)
            .unwrap_or_else(|| panic!("asset `{title}` should exist"))
            .content
            .clone()
    }

    /// The number of imports.
    pub fn imports(&self) -> usize {
        self.server
            .requests()
            .iter()
            .filter(|request| request.path == "/api/v1/assets/import/")
            .count()
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("Superset")
    }
}

impl World {
    fn reply(&mut self, request: &Request) -> Reply {
        let path: Vec<&str> = request.path.trim_matches('/').split('/').collect();
        match (request.method.as_str(), path.as_slice()) {
            ("GET", ["health"]) if self.unhealthy => Reply::text(503, "starting"),
            ("GET", ["health"]) => Reply::text(200, "OK"),
            (_, ["api", ..]) if self.lost => Reply::Json(500, json!({"message": "Fatal error"})),
            ("POST", ["api", "v1", "security", "login"]) => {
                let account = request.json();
                let text = |key: &str| account[key].as_str().unwrap_or_default().to_owned();
                let is_wrong = self.wrong.as_ref().is_some_and(|wrong| text("password") == *wrong);
                match self.rejected.contains(&text("username")) || is_wrong {
                    true => Reply::Json(401, json!({"message": "Not authorized"})),
                    false => Reply::ok(json!({"access_token": "token"})),
                }
            }
            ("GET", ["api", "v1", "security", "csrf_token"]) => {
                Reply::ok(json!({"result": "csrf"}))
            }
            ("GET", ["api", "v1", "me"]) => Reply::ok(json!({"result": user(US)})),
            ("POST", ["api", "v1", "assets", "import"]) if !self.imports.is_empty() => {
                self.imports.remove(0)
            }
            ("POST", ["api", "v1", "assets", "import"]) => self.import(&request.body),
            ("POST", ["api", "v1", "chart", "data"]) if !self.queries.is_empty() => {
                self.queries.remove(0)
            }
            ("POST", ["api", "v1", "chart", "data"]) => Reply::ok(json!({"result": [self.rows]})),
            ("GET", ["api", "v1", "database", "available"]) => {
                let engines =
                    if self.driver { json!([{"engine": "elasticsearch"}]) } else { json!([]) };
                Reply::ok(json!({"databases": engines}))
            }
            ("GET", ["api", "v1", "database", _, "tables"]) => match &self.unreachable {
                Some(why) => Reply::Json(422, json!({"message": why})),
                None => Reply::ok(json!({"result": []})),
            },
            ("GET", ["api", "v1", "database", id, "connection"]) => {
                let database = self
                    .assets
                    .values()
                    .find(|asset| asset.folder == "databases" && asset.id.to_string() == *id);
                Reply::ok(json!({"result": connection(&database.expect("the database").content)}))
            }
            ("GET", ["api", "v1", "security", "roles"]) => {
                Reply::ok(json!({"result": [{"id": 7, "name": "Teacher"}]}))
            }
            ("GET", ["api", "v1", "security", "roles", "7", "permissions"]) => {
                let permissions = self.permissions().into_iter();
                let of_teacher = permissions.filter(|(id, ..)| self.teacher.contains(id));
                let row = |(id, name, resource)| json!({"id": id, "permission_name": name, "view_menu_name": resource});
                Reply::ok(json!({"result": of_teacher.map(row).collect::<Vec<_>>()}))
            }
            ("POST", ["api", "v1", "security", "roles", "7", "permissions"]) => {
                self.teacher =
                    serde_json::from_value(request.json()["permission_view_menu_ids"].clone())
                        .expect("a list of ids");
                Reply::ok(json!({}))
            }
            ("GET", ["api", "v1", "security", "permissions-resources"]) => {
                let row = |(id, name, resource)| json!({"id": id, "permission": {"name": name}, "view_menu": {"name": resource}});
                Reply::ok(
                    json!({"result": self.permissions().into_iter().map(row).collect::<Vec<_>>()}),
                )
            }
            ("GET", ["api", "v1", "dashboard", "export"]) => Reply::Bytes(self.export().into()),
            ("GET", ["api", "v1", kind, rest @ ..]) => self.show(kind, rest.first().copied()),
            _ => no_such_page(),
        }
    }

    /// The permissions: their ids, names and resources.
    pub fn permissions(&self) -> Vec<(usize, &'static str, String)> {
        let of =
            |folder: &'static str| self.assets.values().filter(move |asset| asset.folder == folder);
        let databases = of("databases").map(|asset| {
            (1000 + asset.id, "database_access", format!("[{}].(id:{})", asset.title, asset.id))
        });
        let database = of("databases").next().map(|asset| asset.title.clone()).unwrap_or_default();
        let datasets = of("datasets").map(|asset| {
            let resource = format!("[{database}].[{}](id:{})", asset.title, asset.id);
            (1000 + asset.id, "datasource_access", resource)
        });
        let of_superset = (5_usize, "can_read", "Tag".to_string());
        databases.chain(datasets).chain([of_superset]).collect()
    }

    fn show(&self, kind: &str, id: Option<&str>) -> Reply {
        let Some((folder, title)) =
            KINDS.into_iter().find(|(folder, _)| folder.trim_end_matches('s') == kind)
        else {
            return no_such_page();
        };
        let of_kind = self.assets.iter().filter(|(_, asset)| asset.folder == folder);
        match id {
            None => {
                let rows = of_kind.map(|(uuid, asset)| {
                    let mut row = json!({"id": asset.id, "uuid": uuid, title: asset.title, "changed_by": user(asset.changed_by)});
                    // each list has different columns
                    let changed = if folder == "databases" { "changed_on" } else { "changed_on_utc" };
                    row[changed] = json!(asset.changed_on.to_string());
                    match folder {
                        "dashboards" => row["slug"] = asset.content["slug"].clone(),
                        "datasets" => {
                            for key in ["catalog", "schema"] {
                                row[key] = asset.content[key].clone();
                            }
                            row["database"] = json!({"uuid": asset.content["database_uuid"]});
                        }
                        _ => {}
                    }
                    row
                });
                Reply::ok(json!({"result": rows.collect::<Vec<_>>()}))
            }
            Some(id) => {
                match of_kind.map(|(_, asset)| asset).find(|asset| asset.id.to_string() == id) {
                    None => Reply::Json(404, json!({"message": "Not found"})),
                    Some(asset) if folder == "datasets" => {
                        let mut dataset = asset.content.clone();
                        let database = dataset["database_uuid"]
                            .as_str()
                            .and_then(|uuid| self.assets.get(uuid))
                            .map(|database| database.id);
                        dataset["database"] =
                            json!({"id": database, "uuid": dataset["database_uuid"]});
                        dataset.as_object_mut().expect("a data set").remove("database_uuid");
                        Reply::ok(json!({"result": dataset}))
                    }
                    Some(asset) => {
                        let mut params = asset.content["params"].clone();
                        let dataset = asset.content["dataset_uuid"]
                            .as_str()
                            .and_then(|uuid| self.assets.get(uuid))
                            .map_or(0, |dataset| dataset.id);
                        params["datasource"] = json!(format!("{dataset}__table"));
                        Reply::ok(
                            json!({"result": {"viz_type": asset.content["viz_type"], "params": params.to_string(), "query_context": asset.content["query_context"]}}),
                        )
                    }
                }
            }
        }
    }

    /// All assets, for every request, and a theme.
    fn export(&self) -> Vec<u8> {
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        let mut file = |name: &str, content: &Value| {
            archive
                .start_file(format!("dashboard_export/{name}.yaml"), SimpleFileOptions::default())
                .expect("an archive");
            archive.write_all(content.to_string().as_bytes()).expect("an archive");
        };
        file("metadata", &json!({"version": "1.0.0", "type": "Dashboard"}));
        file(
            "themes/Corporate",
            &json!({"theme_name": "Corporate", "json_data": {}, "version": "1.0.0"}),
        );
        for asset in self.assets.values() {
            file(&format!("{}/{}", asset.folder, asset.id), &asset.content);
        }
        archive.finish().expect("an archive").into_inner()
    }

    /// Stores the assets of the archive in a form.
    fn import(&mut self, form: &[u8]) -> Reply {
        let start = find(form, b"application/zip\r\n\r\n").expect("a form with an archive")
            + "application/zip\r\n\r\n".len();
        let end = start + find(&form[start..], b"\r\n--").expect("the end of the form");
        let mut archive = ZipArchive::new(Cursor::new(&form[start..end])).expect("a zip archive");
        let mut files = Vec::new();
        for index in 0..archive.len() {
            let mut file = archive.by_index(index).expect("a file of the archive");
            let name = file.name().expect("a name").into_owned();
            let Some(kind) =
                KINDS.into_iter().position(|(folder, _)| name.contains(&format!("/{folder}/")))
            else {
                continue;
            };
            let mut text = String::new();
            file.read_to_string(&mut text).expect("text");
            files.push((kind, serde_json::from_str::<Value>(&text).expect("an asset")));
        }
        files.sort_by_key(|(kind, _)| *kind);
        let before = self.clone();
        self.clock += 1;
        for (kind, file) in files {
            let (folder, title) = KINDS[kind];
            if let Some(missing) = self.missing(folder, &file) {
                // an import is atomic, and its error does not name the file
                *self = before;
                return Reply::Json(500, json!({"message": format!("KeyError: {missing}")}));
            }
            self.store(folder, title, file);
        }
        Reply::ok(json!({"message": "OK"}))
    }

    /// The missing asset that a file refers to, which makes an import fail.
    fn missing(&self, folder: &str, file: &Value) -> Option<String> {
        let mut wanted: Vec<&Value> = match folder {
            "datasets" => vec![&file["database_uuid"]],
            "charts" => vec![&file["dataset_uuid"]],
            _ => Vec::new(),
        };
        let filters =
            file["metadata"]["native_filter_configuration"].as_array().into_iter().flatten();
        wanted.extend(
            filters
                .flat_map(|filter| filter["targets"].as_array().into_iter().flatten())
                .map(|target| &target["datasetUuid"]),
        );
        wanted
            .into_iter()
            .filter_map(Value::as_str)
            .find(|uuid| !self.assets.contains_key(*uuid))
            .map(str::to_string)
    }

    /// The ids of the charts in a layout. Superset links charts in any order and stops at an unknown one, so the
    /// stand-in links none in that case.
    fn linked(&self, layout: &Value) -> Vec<usize> {
        let charts = layout
            .as_object()
            .into_iter()
            .flat_map(|layout| layout.values())
            .filter_map(|part| part["meta"]["uuid"].as_str());
        charts
            .map(|uuid| self.assets.get(uuid).map(|chart| chart.id))
            .collect::<Option<_>>()
            .unwrap_or_default()
    }

    /// Stores a file. It updates the asset with the same uuid or natural key, and keeps values that the file leaves out.
    fn store(&mut self, folder: &'static str, title: &str, file: Value) {
        let uuid = file["uuid"].as_str().expect("a uuid").to_string();
        let found = |(other, asset): &(&String, &Asset)| {
            **other == uuid
                || asset.folder == folder && has_natural_key_of(folder, &file, &asset.content)
        };
        let old = self.assets.iter().find(found).map(|(old, _)| old.clone());
        let new = Asset {
            id: self.newest() + 1,
            folder,
            title: String::new(),
            changed_on: 0,
            changed_by: US,
            content: json!({}),
            charts: Vec::new(),
        };
        let mut asset = old.and_then(|old| self.assets.remove(&old)).unwrap_or(new);
        (asset.title, asset.changed_on, asset.changed_by) =
            (file[title].as_str().expect("a title").into(), self.clock, US);
        for (key, value) in file.as_object().expect("an asset") {
            asset.content[key] = value.clone();
        }
        asset.charts = self.linked(&asset.content["position"]);
        self.assets.insert(uuid, asset);
    }

    fn newest(&self) -> usize {
        self.assets.values().map(|asset| asset.id).max().unwrap_or_default()
    }
}

/// Whether a file and an asset have the same natural key, which Superset keeps unique besides the uuid.
fn has_natural_key_of(folder: &str, file: &Value, existing: &Value) -> bool {
    let same = |key: &str| file[key] == existing[key];
    match folder {
        "databases" => same("database_name"),
        "datasets" => {
            same("database_uuid")
                && same("table_name")
                && ["catalog", "schema"].into_iter().all(|key| file[key].is_null() || same(key))
        }
        "dashboards" => !file["slug"].is_null() && same("slug"),
        _ => false,
    }
}

/// The connection in the form of Superset: the address as SQLAlchemy sorts and escapes it, and JSON as text.
fn connection(content: &Value) -> Value {
    let (address, settings) = content["sqlalchemy_uri"]
        .as_str()
        .and_then(|uri| uri.split_once('?'))
        .expect("an address with settings");
    let mut settings: Vec<(String, String)> =
        form_urlencoded::parse(settings.as_bytes()).into_owned().collect();
    settings.sort();
    let settings = form_urlencoded::Serializer::new(String::new()).extend_pairs(settings).finish();
    let extra = content["extra"].to_string();
    json!({"sqlalchemy_uri": format!("{address}?{settings}"), "extra": extra, "allow_file_upload": content["allow_csv_upload"]})
}

fn no_such_page() -> Reply {
    let message = "404 Not Found: The requested URL was not found on the server.";
    Reply::Json(404, json!({"errors": [{"message": message, "level": "error"}]}))
}

fn user(name: &str) -> Value {
    let (first, last) = name.split_once(' ').unwrap_or((name, ""));
    json!({"first_name": first, "last_name": last})
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}
