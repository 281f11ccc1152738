//! A PostgreSQL database: its dump, and the restore into a second database that then replaces it.
//!
//! A restore changes nothing before the new database is complete and verified; the exchange is one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Mutex;

use crate::cluster::exec::{self, Ended};
use crate::cluster::psql::{LIVE, Psql};
use crate::components::external_database;
use crate::components::model::{DataStore, ExternalDatabase};
use crate::engine::Progress;
use crate::error::one_line;
use crate::output::printer;
use crate::stack::Stack;

const LOADED: &str = "${POSTGRES_DB}_restored";
const MAINTENANCE: &str = "postgres";
/// Psql reports success after a failed command of its shell; this line is the last after a complete dump.
const COMPLETE: &str = "dump is complete";
/// Starts the line with the number of rows of a table.
const ROWS: &str = "rows ";

/// Dump and numbers of rows have one snapshot.
const DUMP: &str = r#"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv SNAPSHOT :snapshot
\! exec </dev/null pg_dump --snapshot="$SNAPSHOT" --format=custom --compress=gzip:3 --no-owner --no-privileges --lock-wait-timeout=60s --no-password --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"
\if :SHELL_ERROR
  \warn pg_dump ended with exit code :SHELL_EXIT_CODE
  \quit
\endif
\o |cat >&2
COUNT
\o
\warn dump is complete
"#;

/// Prints a line for each table.
const COUNT: &str = r#"SELECT format('SELECT %L || count(*) FROM %I.%I', 'rows ' || table_name || ' ', table_schema, table_name)
FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE' ORDER BY table_name \gexec"#;

/// Replaces the database by the restored one. Both names come from the image's environment.
const EXCHANGE: &str = r#"\getenv live POSTGRES_DB
\set restored :live '_restored'
\set replaced :live '_replaced'
DROP DATABASE IF EXISTS :"replaced" WITH (FORCE);
ALTER DATABASE :"live" WITH ALLOW_CONNECTIONS false;
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN (:'live', :'restored') AND backend_type = 'client backend' \g /dev/null
BEGIN;
ALTER DATABASE :"live" RENAME TO :"replaced";
ALTER DATABASE :"restored" RENAME TO :"live";
COMMIT;
DROP DATABASE :"replaced" WITH (FORCE);
"#;

/// Reverts the first step of an exchange that was interrupted.
const REOPEN: &str = r#"\getenv live POSTGRES_DB
ALTER DATABASE :"live" WITH ALLOW_CONNECTIONS true;
"#;

/// Creates an empty database for a restore.
const CREATE: &str = r#"\getenv live POSTGRES_DB
\set restored :live '_restored'
DROP DATABASE IF EXISTS :"restored" WITH (FORCE);
CREATE DATABASE :"restored" TEMPLATE template0;
"#;

const RESTORE: &str = r#"exec pg_restore --exit-on-error --no-owner --no-privileges --no-password --username="$POSTGRES_USER" --dbname="${POSTGRES_DB}_restored""#;

/// The databases that a backup copies and a restore replaces.
pub struct Databases<'a> {
    stack: &'a Stack,
    /// Whether external databases are among them.
    with_external: bool,
    /// External databases whose clients run.
    opened: Mutex<Vec<ExternalDatabase>>,
}

impl<'a> Databases<'a> {
    pub fn of(stack: &'a Stack, with_external: bool) -> Self {
        Self { stack, with_external, opened: Mutex::default() }
    }

    /// Whether a store is a database, and one of them.
    pub fn contain(&self, store: DataStore) -> bool {
        match store {
            DataStore::Database(_) => true,
            DataStore::ExternalDatabase(_) => self.with_external,
            _ => false,
        }
    }

    /// The database in a store that [`Self::contain`] accepts.
    ///
    /// # Errors
    /// When the client of an external database cannot be started.
    pub async fn open(&self, store: DataStore, progress: &Progress<'_>) -> Result<Database> {
        let psql = match store {
            DataStore::Database(name) => Psql::of(&self.stack.cluster, name),
            DataStore::ExternalDatabase(external) => {
                self.opened.lock().await.push(external);
                let say = |text: &str| progress.say(text);
                external_database::open(self.stack, external, &say).await?
            }
            _ => bail!("{store:?} is not a database"),
        };
        Ok(Database(psql))
    }

    /// Ends the clients of external databases.
    pub async fn close(self) {
        for external in self.opened.into_inner() {
            if let Err(error) = external_database::close(self.stack, external).await {
                printer::warning(&one_line(&error));
            }
        }
    }
}

/// A running database.
pub struct Database(Psql);

impl Database {
    /// Writes a dump of the state at the first call of `watch`, which receives the number of written bytes. Returns the number
    /// of rows of each table.
    ///
    /// # Errors
    /// When the dump is not complete.
    pub async fn dump(
        &self,
        to: &mut (impl AsyncWrite + Unpin),
        watch: impl FnMut(u64) + Unpin,
    ) -> Result<BTreeMap<String, u64>> {
        let script = DUMP.replace("COUNT", COUNT);
        let mut to = Watched { inner: to, bytes: 0, watch };
        let ended = self.0.run(LIVE, &script, &mut to).await?;
        if ended.code != 0 || !ended.stderr.lines().any(|line| line == COMPLETE) {
            return Err(self.failure("the dump", &ended));
        }
        Ok(rows(ended.stderr.lines()))
    }

    /// Reads a dump into a second database, which replaces nothing yet. Returns the number of rows of each table.
    ///
    /// # Errors
    /// When the dump cannot be read completely.
    pub async fn load(&self, from: impl AsyncRead + Unpin) -> Result<BTreeMap<String, u64>> {
        self.0.sql(MAINTENANCE, CREATE).await?;
        let mut nothing = tokio::io::sink();
        let ended =
            exec::stream(&self.0.container, &["sh", "-c", RESTORE], from, &mut nothing).await;
        let ended = ended.with_context(|| format!("the restore of database {}", self.0.name))?;
        if ended.code != 0 {
            return Err(self.failure("the restore", &ended));
        }
        let counted = self.0.sql(LOADED, COUNT).await?;
        Ok(rows(counted.lines()))
    }

    /// Replaces the database by the one that was loaded, and ends all connections to it.
    ///
    /// # Errors
    /// When the server does not execute it. The database is then unchanged, or accepts no connections until the next
    /// attempt.
    pub async fn exchange(&self) -> Result<()> {
        self.0.sql(MAINTENANCE, EXCHANGE).await.map(drop)
    }

    /// Lets clients connect after an exchange that was interrupted.
    ///
    /// # Errors
    /// When the server does not respond.
    pub async fn reopen(&self) -> Result<()> {
        self.0.sql(MAINTENANCE, REOPEN).await.map(drop)
    }

    /// Executes SQL in the loaded database.
    ///
    /// # Errors
    /// When the server rejects it.
    pub async fn in_loaded(&self, script: &str) -> Result<String> {
        self.0.sql(LOADED, script).await
    }

    fn failure(&self, what: &str, ended: &Ended) -> anyhow::Error {
        self.0.failure(what, ended, |line| !line.starts_with(ROWS))
    }
}

/// The numbers of rows in the output of psql.
fn rows<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<String, u64> {
    let row = |line: &str| {
        let (table, rows) = line.strip_prefix(ROWS)?.rsplit_once(' ')?;
        Some((table.to_string(), rows.parse().ok()?))
    };
    lines.filter_map(row).collect()
}

/// The tables whose number of rows differs, in a few words.
pub fn differing_rows(
    wanted: &BTreeMap<String, u64>,
    found: &BTreeMap<String, u64>,
) -> Option<String> {
    let tables: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let differing: Vec<String> = tables
        .into_iter()
        .filter(|table| wanted.get(*table) != found.get(*table))
        .map(|table| {
            let rows = |rows: Option<&u64>| rows.map_or("no".into(), u64::to_string);
            format!(
                "{table} ({} rows instead of {})",
                rows(found.get(table)),
                rows(wanted.get(table))
            )
        })
        .collect();
    let first = differing.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
    (!differing.is_empty()).then_some(first)
}

/// Passes bytes on, and reports their number.
struct Watched<'a, W, F> {
    inner: &'a mut W,
    bytes: u64,
    watch: F,
}

impl<W: AsyncWrite + Unpin, F: FnMut(u64) + Unpin> AsyncWrite for Watched<'_, W, F> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = ready!(Pin::new(&mut *this.inner).poll_write(context, bytes))?;
        this.bytes += written as u64;
        (this.watch)(this.bytes);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_between_other_lines() {
        let lines = "rows mdl_user 3\nNOTICE: something\nrows a table 12\nrows broken\n";
        let wanted = BTreeMap::from([("a table".into(), 12), ("mdl_user".into(), 3)]);
        assert_eq!(rows(lines.lines()), wanted);
    }

    #[test]
    fn tables_with_other_numbers_of_rows_are_named() {
        let of = |rows: &[(&str, u64)]| {
            rows.iter().map(|(table, rows)| (table.to_string(), *rows)).collect::<BTreeMap<_, _>>()
        };
        let wanted = of(&[("a", 1), ("b", 2)]);
        assert_eq!(differing_rows(&wanted, &wanted), None);
        let text = differing_rows(&wanted, &of(&[("a", 1), ("c", 5)])).unwrap();
        assert_eq!(text, "b (no rows instead of 2), c (5 rows instead of no)");
    }
}
