//! An external PostgreSQL with TLS, as another department runs it. It is part of no stack and outlives each one.

use std::fs;

use crate::cluster::{Cluster, Own};
use crate::components::sql;
use crate::permissions::account_for;

pub struct Office(Own);

impl Office {
    /// The name of its namespace, its Service, and the Secret with its password and authority.
    pub const NAME: &str = "e2e-office";
    const PASSWORD: &str = "not-one-of-ours-01";

    /// Starts the database, and copies its password and authority into the namespace of a stack.
    pub fn open(cluster: &Cluster) -> Self {
        let office = Own(Cluster::new(Self::NAME, "3"));
        let (name, password) = (Self::NAME, Self::PASSWORD);
        let folder = office.folder("tls");
        office.certify(&folder, &format!("{name}.{name}.svc"));
        let folder = folder.display();
        office.run("kubectl", &["create", "namespace", name], "").good();
        office.kubectl(&format!(
            "create secret tls certificate --cert {folder}/tls.crt --key {folder}/tls.key"
        ));
        office
            .kubectl(&format!("create secret generic account --from-literal=password={password}"));
        office.kubectl("apply -f tests/e2e/office.yaml");
        office.kubectl(&format!("rollout status deployment/{name} --timeout=180s"));
        // as a hosted database gives it: no superuser
        for statement in [
            format!("CREATE ROLE superset LOGIN CREATEDB PASSWORD '{password}'"),
            "CREATE DATABASE superset OWNER superset".into(),
        ] {
            let psql =
                ["psql", "--username=postgres", "--dbname=postgres", "--command", &statement];
            let pod = format!("deployment/{name}");
            office
                .run("kubectl", &[&["-n", name, "exec", &pod, "--"], &psql[..]].concat(), "")
                .good();
        }
        cluster.kubectl(&format!("create secret generic {name} --from-literal=password={password} --from-file=ca.crt={folder}/tls.crt"));
        Self(office)
    }

    /// The values of a component that uses this database.
    pub fn values(&self) -> String {
        let name = Self::NAME;
        let access = format!(
            "host: {name}.{name}.svc, existingSecret: {name}, sslMode: verify-full, caSecret: {name}"
        );
        format!("postgresql: {{enabled: false}}\nexternalDatabase: {{{access}}}\n")
    }

    fn query(&self, statement: &str) -> String {
        sql(&self.0, &format!("deployment/{}", Self::NAME), "superset", statement)
            .trim()
            .to_string()
    }

    /// Superset uses only this database, and only over TLS.
    pub fn assert_used(&self, cluster: &Cluster) {
        let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) \
                   FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL";
        let open = self.query(sql);
        let (with_tls, without) = open.split_once('|').expect("two counts");
        assert!(
            with_tls != "0" && without == "0",
            "all connections should use TLS: {with_tls} with TLS, {without} without"
        );
        assert_eq!(
            cluster.kubectl("get statefulsets -l app.kubernetes.io/instance=dataviz -o name"),
            "",
            "the stack should have no PostgreSQL of its own"
        );
    }

    /// A backup copies this database on request, and a restore replaces it.
    pub fn assert_restored(&self, cluster: &Cluster) {
        let titles = "SELECT string_agg(dashboard_title, ',' ORDER BY slug) FROM dashboards";
        let before = self.query(titles);
        let location = cluster.folder("external-backups");
        let _ = fs::remove_dir_all(&location);
        let location = location.display();
        cluster
            .lastack(&format!("backup {location}"))
            .good()
            .shows("not in the backup: the external database of Superset");
        let user = account_for("backup", cluster);
        cluster
            .lastack(&format!("backup {location} --external {user}"))
            .good()
            .never_shows("not in the backup: the external database");
        self.query("UPDATE dashboards SET dashboard_title = 'Changed'");
        let restore = format!("restore {location} --only dataviz --yes --timeout 10m");
        cluster.lastack(&format!("{restore} --external")).good().shows("as in the backup");
        assert_eq!(self.query(titles), before, "a restore should replace the external database");
        cluster
            .run(
                "kubectl",
                &["get", "job", "dataviz-postgresql-client", "-n", cluster.namespace],
                "",
            )
            .exits(1)
            .shows("NotFound");
    }

    /// An uninstall of the stack deletes no data of this database.
    pub fn assert_dashboards_kept(self) {
        assert_eq!(
            self.query("SELECT count(*) FROM dashboards"),
            "3",
            "the external database should keep its dashboards"
        );
        self.0.run("kubectl", &["delete", "namespace", Self::NAME, "--wait=false"], "").good();
    }
}
