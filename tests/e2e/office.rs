//! Who runs databases for the whole house: one PostgreSQL, with TLS, that is part of no stack and outlives every one.

use crate::cluster::{Cluster, Own};
use crate::parts::sql;

pub struct Office(Own);

impl Office {
    /// Of its namespace, its Service, and the Secret with what one needs to use it.
    pub const NAME: &str = "e2e-office";
    const PASSWORD: &str = "not-one-of-ours-01";

    /// Opens it, and hands password and authority over to a stack.
    pub fn open(lab: &Cluster) -> Self {
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
        lab.kubectl(&format!("create secret generic {name} --from-literal=password={password} --from-file=ca.crt={folder}/tls.crt"));
        Self(office)
    }

    /// The values of a part that keeps its data there.
    pub fn values(&self) -> String {
        let name = Self::NAME;
        let access = format!(
            "host: {name}.{name}.svc, existingSecret: {name}, sslMode: verify-full, caSecret: {name}"
        );
        format!("postgresql: {{enabled: false}}\nexternalDatabase: {{{access}}}\n")
    }

    fn asked(&self, statement: &str) -> String {
        sql(&self.0, &format!("deployment/{}", Self::NAME), "superset", statement)
            .trim()
            .to_string()
    }

    /// Superset's data is here and nowhere else, and nobody can read it on its way.
    pub fn is_used(&self, lab: &Cluster) {
        let sql = "SELECT count(*) FILTER (WHERE ssl), count(*) FILTER (WHERE NOT ssl) \
                   FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL";
        let open = self.asked(sql);
        let (with_tls, without) = open.split_once('|').expect("two counts");
        assert!(
            with_tls != "0" && without == "0",
            "{with_tls} connections with TLS, {without} without"
        );
        assert_eq!(
            lab.kubectl("get statefulsets -l app.kubernetes.io/instance=dataviz -o name"),
            "",
            "no PostgreSQL of the stack beside it"
        );
    }

    /// A stack that is gone with all its data took nothing of this.
    pub fn keeps_what_superset_stored(self) {
        assert_eq!(
            self.asked("SELECT count(*) FROM dashboards"),
            "3",
            "dashboards in a database that was never the stack's"
        );
        self.0.run("kubectl", &["delete", "namespace", Self::NAME, "--wait=false"], "").good();
    }
}
