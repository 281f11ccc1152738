//! An external PostgreSQL with TLS, as another department runs it. It is part of no stack and outlives each one.

use crate::cluster::{Cluster, Own};
use crate::components::sql;

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
