//! Ralph's accounts: a Secret with their passwords and with the accounts file, which contains their hashes.

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::cluster::http::Account;
use crate::cluster::secrets::{self, Data};
use crate::cluster::steps::{with_input, yaml};
use crate::components::accounts::{Accounts, RetainedObjects};
use crate::components::secrets::{Key, SecretSpec};
use crate::engine::Id;
use crate::error::Failure;
use crate::stack::Stack;

use super::sources::{self, Source};
use super::users::{MOODLE, USER, mailbox};
use super::{COMPONENT, NAME, RELEASE};

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
        let agent = json!({"mbox": mailbox(account.user)});
        json!({"username": account.user, "key": account.key, "scopes": account.scopes, "agent": agent})
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
    RalphAccount { user: MOODLE, key: MOODLE_KEY, scopes: OF_A_SENDER },
];

const OF_A_SENDER: &[&str] = &["statements/write", "statements/read/mine"];

/// An account that the accounts file must contain.
struct Wanted<'a> {
    user: &'a str,
    password: &'a str,
    scopes: &'static [&'static str],
    mailbox: String,
}

impl Wanted<'_> {
    fn is(&self, account: &Value) -> bool {
        account["username"] == self.user
            && account["scopes"] == json!(self.scopes)
            && account["hash"]
                .as_str()
                .is_some_and(|hash| bcrypt::verify(self.password, hash).unwrap_or(false))
    }

    fn entry(&self) -> Result<Value> {
        let hash = bcrypt::hash(self.password, BCRYPT_COST)?;
        let agent = json!({"mbox": self.mailbox});
        Ok(json!({"username": self.user, "hash": hash, "scopes": self.scopes, "agent": agent}))
    }
}

/// The accounts that the file must contain: ours, and those of the enabled sources. None: a password is missing.
fn wanted<'a>(data: &'a Data, sources: &'a [Source]) -> Option<Vec<Wanted<'a>>> {
    let mut wanted = Vec::new();
    for ours in &KNOWN {
        let password = std::str::from_utf8(data.get(ours.key)?).ok()?;
        let mailbox = mailbox(ours.user);
        wanted.push(Wanted { user: ours.user, password, scopes: ours.scopes, mailbox });
    }
    for source in sources {
        wanted.extend(source.logins().map(|login| Wanted {
            user: &login.user,
            password: login.password.expose_secret(),
            scopes: OF_A_SENDER,
            mailbox: source.authority(),
        }));
    }
    Some(wanted)
}

/// The users in the accounts file that are not those of a source.
fn users(data: &Data) -> Vec<String> {
    let sources = sources::of(data);
    let accounts = existing(data).into_iter();
    let others =
        accounts.filter(|account| !sources.iter().any(|one| one.has(&account["username"])));
    others.filter_map(|account| Some(account["username"].as_str()?.to_string())).collect()
}

/// Fails when the LRS has an account with the name of a new source that a user added.
///
/// # Errors
/// Also when the Secret of the LRS cannot be read.
pub async fn require_free(stack: &Stack, name: &str) -> Result<()> {
    let data = secrets::read(&stack.api(), NAME).await?;
    let data = data.with_context(|| format!("secret {NAME} is missing"))?;
    match users(&data).iter().any(|user| user == name) {
        false => Ok(()),
        true => Err(Failure::failed(format!(
            "the LRS has an account `{name}` that is not one of a source"
        ))
        .hint("choose another name")
        .into()),
    }
}

/// The entries of the accounts file. A file that is not valid has none.
fn existing(data: &Data) -> Vec<Value> {
    let file = data.get("auth.json");
    file.and_then(|file| serde_json::from_slice(file).ok()).unwrap_or_default()
}

/// Whether Ralph's accounts file contains the wanted accounts with the passwords of the same Secret, and no other login of a
/// source.
fn accounts_fit(data: &Data, file: &[u8]) -> bool {
    let accounts: Vec<Value> = serde_json::from_slice(file).unwrap_or_default();
    let sources = sources::of(data);
    let Some(wanted) = wanted(data, &sources) else { return false };
    let is_left = |account: &&Value| {
        sources.iter().any(|source| source.has(&account["username"]))
            && !wanted.iter().any(|one| account["username"] == one.user)
    };
    wanted.iter().all(|one| accounts.iter().any(|account| one.is(account)))
        && !accounts.iter().any(|account| is_left(&account))
}

/// Creates the accounts file. Accounts that users added remain in it.
fn make_accounts(data: &Data) -> Result<Vec<u8>> {
    let sources = sources::of(data);
    let wanted = wanted(data, &sources).context("no password")?;
    let mut accounts = wanted.iter().map(Wanted::entry).collect::<Result<Vec<_>>>()?;
    let is_ours = |user: &Value| {
        KNOWN.iter().any(|ours| user == ours.user) || sources.iter().any(|source| source.has(user))
    };
    accounts.extend(existing(data).into_iter().filter(|account| !is_ours(&account["username"])));
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
