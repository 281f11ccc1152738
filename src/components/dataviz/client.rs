//! A client for Superset's REST API: login, assets, chart queries, and permissions of roles.

use std::fmt;

use anyhow::{Context, Result};
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{AUTHORIZATION, COOKIE, SET_COOKIE};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::cluster::http::{Account, HttpClient, Response};

const CSRF: HeaderName = HeaderName::from_static("x-csrftoken");
/// The largest page of a list that Superset returns.
const PAGE: usize = 100;
/// The boundary of a multipart upload. No uploaded content contains it.
const BOUNDARY: &str = "lastack-6c1f0f0e5b9d4d0f";

/// The kinds of asset, in dependency order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    Database,
    Dataset,
    Chart,
    Dashboard,
}

impl Kind {
    pub const ALL: [Self; 4] = [Self::Database, Self::Dataset, Self::Chart, Self::Dashboard];

    /// Its name in output and in the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Database => "database",
            Self::Dataset => "dataset",
            Self::Chart => "chart",
            Self::Dashboard => "dashboard",
        }
    }

    /// Its directory in a bundle.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Database => "databases",
            Self::Dataset => "datasets",
            Self::Chart => "charts",
            Self::Dashboard => "dashboards",
        }
    }

    /// The key of its title in a bundle and in the API.
    pub fn title_key(self) -> &'static str {
        match self {
            Self::Database => "database_name",
            Self::Dataset => "table_name",
            Self::Chart => "slice_name",
            Self::Dashboard => "dashboard_title",
        }
    }
}

/// An asset as Superset lists it.
#[derive(Debug, Clone)]
pub struct Listed {
    pub kind: Kind,
    pub id: u64,
    pub uuid: Uuid,
    pub title: String,
    /// The slug of a dashboard: the last segment of its URL.
    pub slug: Option<String>,
    /// The database of a dataset's table.
    pub database: Option<Uuid>,
    pub catalog: Option<String>,
    pub schema: Option<String>,
    /// Time of the last change as text, only ever compared for equality.
    pub changed_on: String,
    /// Full name of the user who last changed it.
    pub changed_by: String,
}

/// The result of a chart's query.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Rows {
    #[serde(default)]
    pub colnames: Vec<String>,
    #[serde(default)]
    pub data: Vec<serde_json::Map<String, Value>>,
    /// The type of each column, as Superset's `GenericDataType`; see [`TEMPORAL`].
    #[serde(default)]
    pub coltypes: Vec<u8>,
    pub error: Option<String>,
}

impl Rows {
    /// Whether any cell has a value. A total over no statements is a single row of zeros or nulls.
    pub fn has_data(&self) -> bool {
        let has_value = |value: &Value| !value.is_null() && *value != 0;
        self.data.iter().any(|row| row.values().any(has_value))
    }
}

/// `GenericDataType.TEMPORAL` of Superset (`superset/utils/core.py`): a column of timestamps.
pub const TEMPORAL: u8 = 2;

/// A permission on a resource, in Superset's own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub id: u64,
    name: String,
    resource: String,
}

impl Permission {
    fn of(id: &Value, name: &Value, resource: &Value) -> Option<Self> {
        let (name, resource) = (name.as_str()?.into(), resource.as_str()?.into());
        Some(Self { id: id.as_u64()?, name, resource })
    }

    fn is(&self, name: &str, resource: &str) -> bool {
        self.name == name && self.resource == resource
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}", self.name, self.resource)
    }
}

pub struct Role {
    pub id: u64,
    pub permissions: Vec<Permission>,
}

impl Role {
    pub fn permission(&self, name: &str, resource: &str) -> Option<&Permission> {
        self.permissions.iter().find(|permission| permission.is(name, resource))
    }
}

pub struct Superset {
    http: HttpClient,
}

/// A response with an error status.
#[derive(Debug, thiserror::Error)]
#[error("Superset responded with {} to {what}: {reason}", status.as_u16())]
pub struct ApiError {
    status: StatusCode,
    what: String,
    reason: String,
}

impl ApiError {
    /// Whether the status is 5xx: Superset failed, not the request.
    pub fn is_server_error(error: &anyhow::Error) -> bool {
        error.downcast_ref::<Self>().is_some_and(|cause| cause.status.is_server_error())
    }
}

impl Superset {
    /// Signs in. None when Superset rejects the password.
    ///
    /// # Errors
    /// When Superset cannot be reached, or responds with another error.
    pub async fn login(http: HttpClient, account: &Account) -> Result<Option<Self>> {
        let credentials = json!({"username": account.user, "password": account.password.expose_secret(), "provider": "db", "refresh": false});
        let response = http
            .send(Method::POST, "/api/v1/security/login", Bytes::from(credentials.to_string()))
            .await?;
        if response.status == StatusCode::UNAUTHORIZED {
            return Ok(None);
        }
        let token: Value = expect_success("the login", response)?.json()?;
        let token = token["access_token"].as_str().context("the login returned no token")?;
        let mut bearer = HeaderValue::from_str(&format!("Bearer {token}"))?;
        bearer.set_sensitive(true);
        let http = http.with_header(AUTHORIZATION, bearer);

        // requests that change something need this token and its session cookie
        let response = expect_success(
            "the request for a CSRF token",
            http.get("/api/v1/security/csrf_token/").await?,
        )?;
        let cookie = response
            .headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok()?.split(';').next())
            .collect::<Vec<_>>()
            .join("; ");
        let csrf: Value = response.json()?;
        let csrf = csrf["result"].as_str().context("Superset returned no CSRF token")?;
        let http = http
            .with_header(COOKIE, HeaderValue::from_str(&cookie)?)
            .with_header(CSRF, HeaderValue::from_str(csrf)?);
        Ok(Some(Self { http }))
    }

    /// The full name of this account, as in [`Listed::changed_by`].
    pub async fn me(&self) -> Result<String> {
        let mut found: Value =
            expect_success("/api/v1/me/", self.http.get("/api/v1/me/").await?)?.json()?;
        Ok(full_name(&found["result"].take()))
    }

    /// All assets of a kind that this account can see.
    pub async fn list(&self, kind: Kind) -> Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for row in self
            .pages(
                &format!("/api/v1/{}/", kind.word()),
                &format!("order_column:{},order_direction:asc", kind.title_key()),
            )
            .await?
        {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
            let uuid = |value: &Value| value.as_str().and_then(|uuid| uuid.parse().ok());
            listed.push(Listed {
                kind,
                id: row["id"].as_u64().context("a listed asset has no id")?,
                uuid: uuid(&row["uuid"]).context("a listed asset has no uuid")?,
                title: text(&row[kind.title_key()]),
                slug: row["slug"].as_str().map(str::to_string),
                database: uuid(&row["database"]["uuid"]),
                catalog: row["catalog"].as_str().map(str::to_string),
                schema: row["schema"].as_str().map(str::to_string),
                changed_on: row["changed_on_utc"]
                    .as_str()
                    .or(row["changed_on"].as_str())
                    .unwrap_or_default()
                    .to_string(),
                changed_by: full_name(&row["changed_by"]),
            });
        }
        Ok(listed)
    }

    /// The asset of a kind with this UUID. None when Superset has none.
    pub async fn find(&self, kind: Kind, uuid: Uuid) -> Result<Option<Listed>> {
        Ok(self.list(kind).await?.into_iter().find(|listed| listed.uuid == uuid))
    }

    /// All rows of a list resource.
    async fn pages(&self, path: &str, order: &str) -> Result<Vec<Value>> {
        let mut rows = Vec::new();
        for number in 0.. {
            let (page, is_last) = self.page(path, order, number).await?;
            rows.extend(page);
            if is_last {
                break;
            }
        }
        Ok(rows)
    }

    /// One page of a list resource, and whether it is the last.
    async fn page(&self, path: &str, order: &str, number: usize) -> Result<(Vec<Value>, bool)> {
        let response =
            self.http.get(&format!("{path}?q=({order},page:{number},page_size:{PAGE})")).await?;
        let mut found: Value = expect_success(path, response)?.json()?;
        let Value::Array(rows) = found["result"].take() else {
            anyhow::bail!("{path} returned no list")
        };
        let is_last = rows.len() < PAGE;
        Ok((rows, is_last))
    }

    /// One asset with all its fields.
    pub async fn get(&self, kind: Kind, id: u64) -> Result<Value> {
        let path = format!("/api/v1/{}/{id}", kind.word());
        let mut response: Value = expect_success(&path, self.http.get(&path).await?)?.json()?;
        Ok(response["result"].take())
    }

    /// Creates or overwrites the assets of a bundle, by UUID, in one transaction. References to assets outside the bundle
    /// resolve to existing assets. `passwords` maps paths of databases in the bundle to passwords.
    pub async fn import(&self, bundle: &[u8], passwords: &Value) -> Result<()> {
        let mut body = BytesMut::new();
        for (name, value) in [("passwords", passwords.to_string()), ("sparse", "true".into())] {
            body.put(format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").as_bytes());
        }
        let head = "Content-Disposition: form-data; name=\"bundle\"; filename=\"bundle.zip\"\r\nContent-Type: application/zip";
        body.put(format!("--{BOUNDARY}\r\n{head}\r\n\r\n").as_bytes());
        body.put(bundle);
        body.put(format!("\r\n--{BOUNDARY}--\r\n").as_bytes());
        let content_type = format!("multipart/form-data; boundary={BOUNDARY}");
        let response = self
            .http
            .send_as(&content_type, Method::POST, "/api/v1/assets/import/", body.freeze())
            .await?;
        expect_success("the import of assets", response).map(drop)
    }

    /// A zip archive with dashboards, by id, and all assets that they refer to.
    pub async fn export(&self, dashboards: &[u64]) -> Result<Bytes> {
        let ids = dashboards.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let path = format!("/api/v1/dashboard/export/?q=!({ids})");
        Ok(expect_success("the export", self.http.get(&path).await?)?.body)
    }

    /// Runs the queries of a query context. A failed query is a [`Rows`] with an error, not an error of this call.
    pub async fn query(&self, context: &Value) -> Result<Vec<Rows>> {
        let response = self
            .http
            .send(Method::POST, "/api/v1/chart/data", Bytes::from(context.to_string()))
            .await?;
        if response.status.is_success() {
            let mut found: Value = response.json()?;
            return serde_json::from_value(found["result"].take())
                .context("cannot parse the result of a chart's query");
        }
        if matches!(response.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(expect_success("a chart's query", response).map(drop).unwrap_err());
        }
        Ok(vec![Rows { error: Some(reason(&response)), ..Rows::default() }])
    }

    /// Whether Superset can import the driver for Elasticsearch.
    pub async fn has_driver(&self) -> Result<bool> {
        let path = "/api/v1/database/available/";
        let found: Value = expect_success(path, self.http.get(path).await?)?.json()?;
        let engines =
            found["databases"].as_array().context("Superset returned no list of engines")?;
        Ok(engines.iter().any(|engine| engine["engine"] == "elasticsearch"))
    }

    /// Lists the tables of a database with the credentials that Superset stores. None on success, else the reason.
    pub async fn reach(&self, database: u64) -> Result<Option<String>> {
        let response = self
            .http
            .get(&format!("/api/v1/database/{database}/tables/?q=(schema_name:default,force:!t)"))
            .await?;
        Ok((!response.status.is_success()).then(|| reason(&response)))
    }

    /// The connection settings of a database: its URI without the password, and its options.
    pub async fn connection(&self, database: u64) -> Result<Value> {
        let path = format!("/api/v1/database/{database}/connection");
        let mut found: Value = expect_success(&path, self.http.get(&path).await?)?.json()?;
        Ok(found["result"].take())
    }

    /// The role with this name. None when Superset has none.
    pub async fn role(&self, name: &str) -> Result<Option<Role>> {
        let roles =
            self.pages("/api/v1/security/roles/", "order_column:id,order_direction:asc").await?;
        let Some(id) =
            roles.iter().find(|role| role["name"] == name).and_then(|role| role["id"].as_u64())
        else {
            return Ok(None);
        };
        let path = format!("/api/v1/security/roles/{id}/permissions/");
        let found: Value = expect_success(&path, self.http.get(&path).await?)?.json()?;
        let permissions =
            found["result"].as_array().context("a role has no list of permissions")?;
        let permission = |row: &Value| {
            Permission::of(&row["id"], &row["permission_name"], &row["view_menu_name"])
        };
        Ok(Some(Role { id, permissions: permissions.iter().filter_map(permission).collect() }))
    }

    /// A permission on a resource, such as `datasource_access` on `[Data lake].[statements](id:1)`.
    pub async fn permission(&self, name: &str, resource: &str) -> Result<Option<Permission>> {
        // newest first: permissions on assets follow Superset's own
        for number in 0.. {
            let (page, is_last) = self
                .page(
                    "/api/v1/security/permissions-resources/",
                    "order_column:id,order_direction:desc",
                    number,
                )
                .await?;
            let permission = |row: &Value| {
                Permission::of(&row["id"], &row["permission"]["name"], &row["view_menu"]["name"])
            };
            let mut permissions = page.iter().filter_map(permission);
            let found = permissions.find(|permission| permission.is(name, resource));
            if found.is_some() || is_last {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// Replaces the permissions of a role.
    pub async fn set_permissions(&self, role: u64, permissions: &[u64]) -> Result<()> {
        let path = format!("/api/v1/security/roles/{role}/permissions");
        let body = Bytes::from(json!({"permission_view_menu_ids": permissions}).to_string());
        expect_success(&path, self.http.send(Method::POST, &path, body).await?).map(drop)
    }
}

fn full_name(user: &Value) -> String {
    let names = ["first_name", "last_name"]
        .into_iter()
        .filter_map(|key| user[key].as_str())
        .filter(|name| !name.is_empty());
    names.collect::<Vec<_>>().join(" ")
}

/// Requests the health endpoint, which needs no account.
pub async fn health(http: &HttpClient) -> Result<()> {
    expect_success("/health", http.get("/health").await?).map(drop)
}

fn expect_success(what: &str, response: Response) -> Result<Response> {
    if response.status.is_success() {
        return Ok(response);
    }
    Err(ApiError { status: response.status, what: what.into(), reason: reason(&response) }.into())
}

/// The reason in an error response, in any of Superset's formats. Includes the file name for errors of an import.
fn reason(response: &Response) -> String {
    let Ok(body) = response.json::<Value>() else { return response.excerpt() };
    let errors = body["errors"].as_array().into_iter().flatten().map(|error| {
        let message = error["message"].as_str().unwrap_or_default();
        let files =
            error["extra"].as_object().into_iter().flatten().filter(|(key, _)| key.contains('.'));
        let files: Vec<String> = files.map(|(file, error)| format!("{file}: {error}")).collect();
        if files.is_empty() {
            message.to_string()
        } else {
            format!("{message} ({})", files.join("; "))
        }
    });
    let texts: Vec<String> = errors
        .chain(body["message"].as_str().map(str::to_string))
        .filter(|text| !text.is_empty())
        .collect();
    match texts.is_empty() {
        true if body["message"].is_object() => body["message"].to_string(),
        true => response.excerpt(),
        false => texts.join("; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(body: &'static str) -> Response {
        Response {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            headers: Default::default(),
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn reason_is_found_in_each_error_format_of_superset() {
        let bundle = r#"{"errors":[{"message":"Error importing assets","error_type":"GENERIC_COMMAND_ERROR","level":"warning",
            "extra":{"charts/a.yaml":{"viz_type":["Missing data for required field."]},"issue_codes":[]}}]}"#;
        assert_eq!(
            reason(&response(bundle)),
            r#"Error importing assets (charts/a.yaml: {"viz_type":["Missing data for required field."]})"#
        );
        assert_eq!(reason(&response(r#"{"message":"Not authorized"}"#)), "Not authorized");
        assert_eq!(
            reason(&response(r#"{"message":{"json_metadata":["bad"]}}"#)),
            r#"{"json_metadata":["bad"]}"#
        );
        assert_eq!(reason(&response("<html>proxy")), "<html>proxy");
    }
}
