//! Runs SQL in the Pod of a PostgreSQL, with the tools and the account of its image, so that they have the version of the
//! server.

use anyhow::{Context, Result};
use tokio::io::AsyncWrite;

use crate::error::Failure;

use super::exec::{self, Container, Ended};
use super::{Cluster, log};

pub const CONTAINER: &str = "postgresql";
/// Executes SQL in a database, which a name for the shell stands for.
const PSQL: &str = r#"exec psql --no-psqlrc --quiet --tuples-only --no-align --no-password --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="DATABASE""#;
/// The database that the image's environment names.
pub const LIVE: &str = "$POSTGRES_DB";

/// A PostgreSQL that runs.
pub struct Psql {
    /// Its StatefulSet, or the address of an external database.
    pub name: String,
    pub container: Container,
}

impl Psql {
    /// The PostgreSQL of a StatefulSet.
    pub fn of(cluster: &Cluster, name: &'static str) -> Self {
        let pod = format!("{name}-0");
        Self::in_pod(cluster, pod, name.into())
    }

    /// The PostgreSQL that the environment of a Pod names. Its container has the name of that of a StatefulSet.
    pub fn in_pod(cluster: &Cluster, pod: String, name: String) -> Self {
        Self { name, container: Container { pods: cluster.pod_streams(), pod, name: CONTAINER } }
    }

    /// Executes SQL, and returns its output.
    ///
    /// # Errors
    /// When the server rejects it.
    pub async fn sql(&self, database: &str, script: &str) -> Result<String> {
        let mut output = Vec::new();
        let ended = self.run(database, script, &mut output).await?;
        match ended.code {
            0 => Ok(String::from_utf8_lossy(&output).into_owned()),
            _ => Err(self.failure("SQL", &ended, |_| true)),
        }
    }

    /// Executes SQL with an output of any size.
    ///
    /// # Errors
    /// When psql cannot be started. An exit code is no error.
    pub async fn run(
        &self,
        database: &str,
        script: &str,
        output: &mut (impl AsyncWrite + Unpin),
    ) -> Result<Ended> {
        let command = ["sh", "-c", &PSQL.replace("DATABASE", database)];
        let ended = exec::stream(&self.container, &command, script.as_bytes(), output).await;
        ended.with_context(|| format!("database {}", self.name))
    }

    /// The failure of a command, with the cause among these lines of its standard error.
    pub fn failure(
        &self,
        what: &str,
        ended: &Ended,
        is_cause: impl Fn(&str) -> bool,
    ) -> anyhow::Error {
        let why: Vec<&str> = ended.stderr.lines().filter(|line| is_cause(line)).collect();
        let why =
            log::cause(&why.join("\n")).unwrap_or_else(|| format!("exit code {}", ended.code));
        Failure::failed(format!("{what} of database {} failed: {why}", self.name))
            .hint("repeat the command when the database is healthy: kubectl lastack status")
            .into()
    }
}
