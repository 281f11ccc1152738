//! Queries the components of the stack through their own APIs.

use crate::cluster::{Cluster, Ended};
use crate::stack;

/// Sends a request to Elasticsearch as an account of the stack. `request` is a path and further arguments of curl.
pub fn data_lake(account: &str, request: &str, body: &str) -> Ended {
    let script = format!(
        r#"password=$(kubectl -n e2e get secret data-lake-user-{account} -o go-template='{{{{.data.password | base64decode}}}}')
        kubectl -n e2e exec -i data-lake-es-default-0 --container elasticsearch -- \
            curl -ksSf -u "{account}:$password" https://localhost:9200/{request}"#
    );
    stack().run("bash", &["-c", &script], body)
}

/// Runs a command in the pod of Moodle.
pub fn in_moodle(cluster: &Cluster, command: &str) -> Ended {
    exec(cluster, &command.split(' ').collect::<Vec<_>>(), "")
}

/// Runs a script of the shell in Moodle's container.
pub fn shell_in_moodle(cluster: &Cluster, script: &str) -> Ended {
    exec(cluster, &["sh", "-c", script], "")
}

/// Runs PHP code in Moodle, as an administrator does on the command line.
pub fn php_in_moodle(cluster: &Cluster, code: &str) -> String {
    let script =
        format!("<?php define('CLI_SCRIPT', true); require '/var/www/html/config.php'; {code}");
    exec(cluster, &["php", "-d", "max_input_vars=10000"], &script).good().stdout.trim().to_string()
}

fn exec(cluster: &Cluster, command: &[&str], input: &str) -> Ended {
    let moodle = ["-n", cluster.namespace, "exec", "-i", "deploy/lms-moodle", "-c", "moodle", "--"];
    cluster.run("kubectl", &[&moodle, command].concat(), input)
}

/// Runs a script as an account of Superset. The script can use the commands of `superset-api`.
pub fn superset(cluster: &Cluster, user: &str, password: &str, script: &str) -> Ended {
    let login = format!("{} {user} {password}\n", cluster.namespace);
    cluster.run("bash", &["-c", &format!(". tests/e2e/superset-api\n{script}")], &login)
}

/// The same as the administrator.
pub fn superset_as_admin(cluster: &Cluster, script: &str) -> Ended {
    superset(cluster, "admin", &password_of(cluster, "admin"), script)
}

/// The result of an SQL statement in the PostgreSQL of Superset, one line per row.
pub fn metadata(database: &str, statement: &str) -> String {
    sql(stack(), "dataviz-postgresql-0", database, statement)
}

/// The same for the PostgreSQL in a pod of a namespace.
pub fn sql(cluster: &Cluster, pod: &str, database: &str, statement: &str) -> String {
    let psql = [
        "psql",
        "--quiet",
        "--tuples-only",
        "--no-align",
        "--username=superset",
        "--dbname",
        database,
        "--command",
        statement,
    ];
    cluster
        .run("kubectl", &[&["-n", cluster.namespace, "exec", pod, "--"], &psql[..]].concat(), "")
        .good()
        .stdout
}

/// The password of an account of Superset, from `creds`.
pub fn password_of(cluster: &Cluster, user: &str) -> String {
    let accounts = cluster.lastack("creds dataviz -o json").good().json();
    let found =
        accounts["items"].as_array().expect("accounts").iter().find(|item| item["user"] == user);
    found
        .and_then(|item| item["password"].as_str())
        .unwrap_or_else(|| panic!("account {user} should exist: {accounts}"))
        .to_string()
}
