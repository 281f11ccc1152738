//! Asks the parts of the stack by their own APIs, as people and other programs do.

use crate::lab::{Ended, Lab};
use crate::stack;

/// Elasticsearch, as an account of the stack. `request` is a path and curl's further arguments.
pub fn data_lake(account: &str, request: &str, body: &str) -> Ended {
    let script = format!(
        r#"password=$(kubectl -n e2e get secret data-lake-user-{account} -o go-template='{{{{.data.password | base64decode}}}}')
        kubectl -n e2e exec -i data-lake-es-default-0 --container elasticsearch -- \
            curl -ksSf -u "{account}:$password" https://localhost:9200/{request}"#
    );
    stack().run("bash", &["-c", &script], body)
}

/// Superset, as one of its accounts. The script has the commands of `superset-api`.
pub fn superset(lab: &Lab, user: &str, password: &str, script: &str) -> Ended {
    let login = format!("{} {user} {password}\n", lab.namespace);
    lab.run("bash", &["-c", &format!(". tests/e2e/superset-api\n{script}")], &login)
}

/// The same as the administrator.
pub fn superset_as_admin(lab: &Lab, script: &str) -> Ended {
    superset(lab, "admin", &password_of(lab, "admin"), script)
}

/// Of an account of Superset, as `creds` tells it.
pub fn password_of(lab: &Lab, user: &str) -> String {
    let accounts = lab.lastack("creds dataviz -o json").good().json();
    let found = accounts["items"].as_array().expect("accounts").iter().find(|item| item["user"] == user);
    found.and_then(|item| item["password"].as_str()).unwrap_or_else(|| panic!("there should be an account {user}: {accounts}")).to_string()
}
