//! Ralph's accounts: their passwords in a Secret, and the file with their hashes that Ralph reads.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cluster::http::Account;
use crate::cluster::secrets::{self, Data};
use crate::components::accounts::{Accounts, Kept};
use crate::components::secrets::{Keep, Key};
use crate::engine::Id;
use crate::stack::Stack;

use super::{NAME, RELEASE};

/// The administrator.
pub(super) const USER: &str = "admin";
/// The account that Moodle sends with.
pub const MOODLE: &str = "moodle";
const MOODLE_KEY: &str = "moodle-password";

/// The passwords are random and long: guessing is hopeless at any cost, and Ralph pays this one per request.
const BCRYPT_COST: u32 = 10;

pub const ACCOUNTS: Accounts = Accounts { id: Id("lrs.credentials"), kept };

fn kept(stack: &Stack) -> Kept {
    let keys = vec![
        ("username", Key::Fixed(USER.into())),
        ("password", Key::Password),
        (MOODLE_KEY, Key::Password),
        ("auth.json", Key::Derived { fits: accounts_fit, make: make_accounts }),
    ];
    Kept {
        secrets: vec![Keep {
            name: NAME,
            kind: "Opaque",
            labels: stack.labels("ralph", RELEASE),
            keys,
        }],
        users: "admin, moodle",
        configmaps: &[],
        release: None,
        reason: "clients of the LRS know its password",
    }
}

/// The account that Moodle sends with, and its password.
pub async fn moodle_account(stack: &Stack) -> Result<Account> {
    Ok(Account {
        user: MOODLE.into(),
        password: secrets::value(&stack.cluster, NAME, MOODLE_KEY).await?,
    })
}

/// An account of Ralph, as its accounts file has it.
struct AccountOf {
    user: &'static str,
    /// The key of the Secret with its password.
    key: &'static str,
    scopes: &'static [&'static str],
}

/// The accounts of users and of this tool, and Moodle's account, which can read only its own statements.
const KNOWN: [AccountOf; 2] = [
    AccountOf { user: USER, key: "password", scopes: &["all"] },
    AccountOf {
        user: MOODLE,
        key: MOODLE_KEY,
        scopes: &["statements/write", "statements/read/mine"],
    },
];

/// Whether Ralph's accounts file has our accounts, and opens with the passwords of the same Secret.
fn accounts_fit(data: &Data, file: &[u8]) -> bool {
    let accounts: Vec<Value> = serde_json::from_slice(file).unwrap_or_default();
    KNOWN.iter().all(|ours| {
        let account = accounts.iter().find(|account| account["username"] == ours.user && account["scopes"] == json!(ours.scopes));
        let hash = account.and_then(|account| account["hash"].as_str());
        let password = data.get(ours.key).and_then(|password| std::str::from_utf8(password).ok());
        matches!((password, hash), (Some(password), Some(hash)) if bcrypt::verify(password, hash).unwrap_or(false))
    })
}

/// Accounts that others added stay.
fn make_accounts(data: &Data) -> Result<Vec<u8>> {
    let mut accounts = Vec::new();
    for ours in &KNOWN {
        let password = data.get(ours.key).context("no password")?;
        let hash = bcrypt::hash(std::str::from_utf8(password)?, BCRYPT_COST)?;
        let agent = format!("mailto:{}@lrs.example.org", ours.user);
        accounts.push(json!({"username": ours.user, "hash": hash, "scopes": ours.scopes, "agent": {"mbox": agent}}));
    }
    let there = data
        .get("auth.json")
        .and_then(|file| serde_json::from_slice::<Vec<Value>>(file).ok())
        .unwrap_or_default();
    accounts.extend(
        there
            .into_iter()
            .filter(|account| KNOWN.iter().all(|ours| account["username"] != ours.user)),
    );
    Ok(serde_json::to_vec(&accounts)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_accounts_file_follows_the_password_and_keeps_other_accounts() {
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
            "Moodle must not read what others sent"
        );
        accounts.push(
            json!({"username": "h5p", "hash": "x", "scopes": ["statements/write"], "agent": {}}),
        );
        data.insert("auth.json".into(), serde_json::to_vec(&accounts).unwrap());
        data.insert("password".into(), b"two".to_vec());
        assert!(
            !accounts_fit(&data, &data["auth.json"]),
            "the file still opens with the old password"
        );
        let second = make_accounts(&data).unwrap();
        assert!(accounts_fit(&data, &second));
        assert!(String::from_utf8_lossy(&second).contains("h5p"));
        assert!(
            !String::from_utf8_lossy(&second).contains("two"),
            "the file holds a hash, never the password"
        );
    }
}
