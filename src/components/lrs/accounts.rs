//! Ralph's accounts: a Secret with their passwords and with the accounts file, which contains their hashes.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::http::Account;
use crate::cluster::secrets::{self, Data};
use crate::cluster::steps::{with_input, yaml};
use crate::components::accounts::{Accounts, RetainedObjects};
use crate::components::secrets::{Key, SecretSpec};
use crate::engine::Id;
use crate::stack::Stack;

use super::{COMPONENT, NAME, RELEASE};

/// The administrator.
pub(super) const USER: &str = "admin";
/// The account of Moodle.
pub const MOODLE: &str = "moodle";
const MOODLE_KEY: &str = "moodle-password";

/// A low cost suffices, because the passwords are random and long. Ralph computes a hash for each request.
const BCRYPT_COST: u32 = 10;

pub const ACCOUNTS: Accounts = Accounts { id: Id("lrs.credentials"), retained };

fn retained(stack: &Stack) -> RetainedObjects {
    RetainedObjects {
        secrets: vec![secret(stack)],
        users: "admin, moodle",
        configmaps: &[],
        volumes_of: None,
        reason: "clients of the LRS know its password",
    }
}

/// The Secret of all accounts.
pub fn secret(stack: &Stack) -> SecretSpec {
    let keys = vec![
        ("username", Key::Fixed(USER.into())),
        ("password", Key::Password),
        (MOODLE_KEY, Key::Password),
        ("auth.json", Key::Derived { fits: accounts_fit, make: make_accounts, by_hand }),
    ];
    SecretSpec { name: NAME, kind: "Opaque", labels: stack.labels("ralph", RELEASE), keys }
}

/// The Pod in which a user creates the accounts file.
const POD: &str = "lrs-accounts";

/// A Python script that creates the Secret. It requires bcrypt, which the image of Ralph contains.
const SCRIPT: &str = r#"import json, secrets, string
import bcrypt

known = json.loads("""KNOWN""")
letters = string.ascii_letters + string.digits
data = {"username": known["accounts"][0]["username"]}
accounts = []
for account in known["accounts"]:
    password = "".join(secrets.choice(letters) for _ in range(24))
    data[account.pop("key")] = password
    account["hash"] = bcrypt.hashpw(password.encode(), bcrypt.gensalt(known["cost"])).decode()
    accounts.append(account)
data["auth.json"] = json.dumps(accounts)
print(json.dumps({**known["secret"], "stringData": data}))
"#;

fn by_hand(secret: &SecretSpec, stack: &Stack) -> Result<String> {
    let accounts = KNOWN.iter().map(|account| {
        json!({"username": account.user, "key": account.key, "scopes": account.scopes, "agent": agent(account)})
    });
    let known = json!({
        "accounts": accounts.collect::<Vec<_>>(),
        "cost": BCRYPT_COST,
        "secret": {
            "apiVersion": "v1", "kind": "Secret", "type": secret.kind,
            "metadata": {"name": secret.name, "labels": secret.labels},
        },
    });
    let namespace = stack.namespace();
    let apply = with_input(&format!("kubectl apply -n {namespace} -f -"), &yaml(&pod(stack))?);
    let run = with_input(
        &format!("kubectl exec -i {POD} -n {namespace} -- python -"),
        &SCRIPT.replace("KNOWN", &known.to_string()),
    );
    // the pipe follows the command on the line before its input
    let run =
        run.replacen("<<'EOF'\n", &format!("<<'EOF' | kubectl create -n {namespace} -f -\n"), 1);
    let wait = format!("kubectl wait pod/{POD} -n {namespace} --for=condition=Ready --timeout=10m");
    let delete = format!("kubectl delete pod/{POD} -n {namespace} --wait=false");
    Ok(["{", &apply, &wait, &run, &delete, "}"].join("\n"))
}

fn pod(stack: &Stack) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": POD, "labels": stack.labels("ralph", POD)},
        "spec": {
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 900,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {"runAsNonRoot": true, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{
                "name": "accounts",
                "image": stack.image(stack.versions.of(COMPONENT).image("ralph")),
                "command": ["sleep", "900"],
                "resources": {"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "128Mi"}},
                "securityContext": {"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    });
    let values = stack.settings.values_of(COMPONENT);
    if let Some(secrets) = values.and_then(|values| values.get("imagePullSecrets")) {
        pod["spec"]["imagePullSecrets"] = secrets.clone();
    }
    pod
}

/// The account of Moodle, with its password.
///
/// # Errors
/// When the Secret with the password is absent or cannot be read.
pub async fn moodle_account(stack: &Stack) -> Result<Account> {
    Ok(Account {
        user: MOODLE.into(),
        password: secrets::value(&stack.cluster, NAME, MOODLE_KEY).await?,
    })
}

/// An entry of Ralph's accounts file.
struct RalphAccount {
    user: &'static str,
    /// The key of the password in the Secret.
    key: &'static str,
    scopes: &'static [&'static str],
}

/// The administrator, which this tool also uses, and Moodle, which can read only its own statements.
const KNOWN: [RalphAccount; 2] = [
    RalphAccount { user: USER, key: "password", scopes: &["all"] },
    RalphAccount {
        user: MOODLE,
        key: MOODLE_KEY,
        scopes: &["statements/write", "statements/read/mine"],
    },
];

fn agent(account: &RalphAccount) -> Value {
    json!({"mbox": format!("mailto:{}@lrs.example.org", account.user)})
}

/// Whether Ralph's accounts file contains our accounts with the passwords of the same Secret.
fn accounts_fit(data: &Data, file: &[u8]) -> bool {
    let accounts: Vec<Value> = serde_json::from_slice(file).unwrap_or_default();
    KNOWN.iter().all(|ours| {
        let account = accounts.iter().find(|account| account["username"] == ours.user && account["scopes"] == json!(ours.scopes));
        let hash = account.and_then(|account| account["hash"].as_str());
        let password = data.get(ours.key).and_then(|password| std::str::from_utf8(password).ok());
        matches!((password, hash), (Some(password), Some(hash)) if bcrypt::verify(password, hash).unwrap_or(false))
    })
}

/// Creates the accounts file. Accounts that users added remain in it.
fn make_accounts(data: &Data) -> Result<Vec<u8>> {
    let mut accounts = Vec::new();
    for ours in &KNOWN {
        let password = data.get(ours.key).context("no password")?;
        let hash = bcrypt::hash(std::str::from_utf8(password)?, BCRYPT_COST)?;
        accounts.push(json!({"username": ours.user, "hash": hash, "scopes": ours.scopes, "agent": agent(ours)}));
    }
    let existing = data
        .get("auth.json")
        .and_then(|file| serde_json::from_slice::<Vec<Value>>(file).ok())
        .unwrap_or_default();
    accounts.extend(
        existing
            .into_iter()
            .filter(|account| KNOWN.iter().all(|ours| account["username"] != ours.user)),
    );
    Ok(serde_json::to_vec(&accounts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_file_follows_password_and_keeps_other_accounts() {
        let mut data = Data::from([
            ("password".to_string(), b"one".to_vec()),
            (MOODLE_KEY.to_string(), b"three".to_vec()),
        ]);
        let first = make_accounts(&data).unwrap();
        assert!(accounts_fit(&data, &first));
        let mut accounts: Vec<Value> = serde_json::from_slice(&first).unwrap();
        assert_eq!(
            accounts[1]["scopes"],
            json!(["statements/write", "statements/read/mine"]),
            "Moodle must not read statements of other accounts"
        );
        accounts.push(
            json!({"username": "h5p", "hash": "x", "scopes": ["statements/write"], "agent": {}}),
        );
        data.insert("auth.json".into(), serde_json::to_vec(&accounts).unwrap());
        data.insert("password".into(), b"two".to_vec());
        assert!(
            !accounts_fit(&data, &data["auth.json"]),
            "the file still contains the old password"
        );
        let second = make_accounts(&data).unwrap();
        assert!(accounts_fit(&data, &second));
        assert!(String::from_utf8_lossy(&second).contains("h5p"));
        assert!(
            !String::from_utf8_lossy(&second).contains("two"),
            "the file must contain a hash and no password"
        );
    }
}
