//! Ralph, the LRS: its accounts, its release, and whether it answers.

use anyhow::{Context, Result};
use async_trait::async_trait;
use futures::future::join4;
use k8s_openapi::api::core::v1::Secret;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::clients::helm::Install;
use crate::clients::http::Account;
use crate::clients::ralph::Ralph;
use crate::clients::secrets::{self, Data, Keep, Key};
use crate::clients::wait;
use crate::clients::{apply, elasticsearch};
use crate::error::Failure;
use crate::output::progress::Progress;
use crate::stack::Stack;
use crate::stack::step::{Converged, Observed, Retracted, Retraction, Step, StepId};
use crate::stack::versions::Component;

use super::{Credential, Fact, Part, PartStatus, datalake, release};

const RELEASE: &str = "lrs";
/// The Deployment, the Service and the Secret.
pub const NAME: &str = "lrs-ralph";
const USER: &str = "admin";
/// Of the xAPI endpoint, below the address.
const PATH: &str = "/xAPI";
/// The account that Moodle sends with.
pub const MOODLE: &str = "moodle";
const MOODLE_KEY: &str = "moodle-password";

/// The passwords are random and long: guessing is hopeless at any cost, and Ralph pays this one per request.
const BCRYPT_COST: u32 = 10;

pub struct Lrs;

#[async_trait]
impl Part for Lrs {
    fn name(&self) -> &'static str {
        "ralph"
    }

    fn component(&self) -> Component {
        Component::Lrs
    }

    fn steps(&self) -> Vec<Box<dyn Step>> {
        vec![Box::new(Credentials), Box::new(RalphRelease), Box::new(Answers)]
    }

    async fn status(&self, stack: &Stack) -> PartStatus {
        let mut status = PartStatus::default();
        let (runs, pods, answers, closed) = join4(
            release::runs(stack, RELEASE),
            release::pods(stack, NAME),
            probe(stack),
            datalake::why_nothing_is_stored(stack),
        )
        .await;
        let Some(runs) = runs else {
            status.runs = Fact::Bad("not installed".into());
            return status;
        };
        (status.runs, status.pods) = (runs, pods);
        status.answers = match answers {
            Ok(detail) => Fact::Good(detail),
            Err(error) => Fact::from_error(&error),
        };
        // neither of the two that were asked looks at what the index takes; why it takes nothing is in the row of the data lake
        status.data = match (&status.answers, closed) {
            (Fact::Good(_), Ok(None)) => Fact::Good("takes statements".into()),
            (Fact::Good(_), Ok(Some(_))) => Fact::Bad("can store no statements".into()),
            _ => Fact::None,
        };
        status.url = release::url(stack, NAME).await.ok().flatten();
        status.inside = Some(endpoint(stack));
        status
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        // Moodle's account is nobody's to sign in with
        let Some(password) = secrets::optional(stack, NAME, "password").await? else {
            return Ok(Vec::new());
        };
        let outside = release::url(stack, NAME).await.ok().flatten();
        Ok(vec![Credential {
            user: USER.into(),
            password,
            purpose: "stores and reads all statements",
            secret: format!("{NAME}/password"),
            url: outside.map_or_else(|| endpoint(stack), |url| format!("{url}{PATH}")),
        }])
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        RalphRelease::install(stack).await.map(Some)
    }
}

/// The address inside the cluster.
fn address(stack: &Stack) -> String {
    release::address(stack, Component::Lrs, NAME)
}

/// Where clients inside the cluster send statements to.
pub fn endpoint(stack: &Stack) -> String {
    format!("{}{PATH}", address(stack))
}

/// A client as the administrator of the LRS.
pub async fn client(stack: &Stack) -> Result<Ralph> {
    let password: SecretString = secrets::value(stack, NAME, "password").await?;
    Ralph::new(stack.service(&address(stack))?, &Account { user: USER.into(), password })
}

/// Asks the LRS who we are and whether it is well.
pub async fn probe(stack: &Stack) -> Result<String> {
    let ralph = client(stack).await?;
    let (who, heart) = tokio::try_join!(ralph.whoami(), ralph.heartbeat())?;
    if !who.status.is_success() {
        let why = format!("Ralph answered {} to /whoami as {USER}", who.status.as_u16());
        return Err(Failure::failed(why)
            .hint("`kubectl lastack install` brings secret, accounts file and pods together again")
            .into());
    }
    if !heart.status.is_success() {
        let why = format!("Ralph's heartbeat says {}: {}", heart.status.as_u16(), heart.excerpt());
        return Err(Failure::failed(why)
            .hint("it asks Elasticsearch: look at the data lake first")
            .into());
    }
    Ok("heartbeat ok".into())
}

/// An account of Ralph, as its accounts file has it.
struct AccountOf {
    user: &'static str,
    /// The key of the Secret with its password.
    key: &'static str,
    scopes: &'static [&'static str],
}

/// People and this tool; and Moodle, which may ask only for what it sent itself.
const ACCOUNTS: [AccountOf; 2] = [
    AccountOf { user: USER, key: "password", scopes: &["all"] },
    AccountOf {
        user: MOODLE,
        key: MOODLE_KEY,
        scopes: &["statements/write", "statements/read/mine"],
    },
];

fn credentials(stack: &Stack) -> Keep {
    Keep {
        name: NAME,
        kind: "Opaque",
        labels: stack.labels("ralph", RELEASE),
        keys: vec![
            ("username", Key::Fixed(USER.into())),
            ("password", Key::Password),
            (MOODLE_KEY, Key::Password),
            ("auth.json", Key::Derived { fits: accounts_fit, make: make_accounts }),
        ],
    }
}

/// Whether Ralph's accounts file has our accounts, and opens with the passwords of the same Secret.
fn accounts_fit(data: &Data, file: &[u8]) -> bool {
    let accounts: Vec<Value> = serde_json::from_slice(file).unwrap_or_default();
    ACCOUNTS.iter().all(|ours| {
        let account = accounts.iter().find(|account| account["username"] == ours.user && account["scopes"] == json!(ours.scopes));
        let hash = account.and_then(|account| account["hash"].as_str());
        let password = data.get(ours.key).and_then(|password| std::str::from_utf8(password).ok());
        matches!((password, hash), (Some(password), Some(hash)) if bcrypt::verify(password, hash).unwrap_or(false))
    })
}

/// Accounts that others added stay.
fn make_accounts(data: &Data) -> Result<Vec<u8>> {
    let mut accounts = Vec::new();
    for ours in &ACCOUNTS {
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
            .filter(|account| ACCOUNTS.iter().all(|ours| account["username"] != ours.user)),
    );
    Ok(serde_json::to_vec(&accounts)?)
}

/// The account that Moodle sends with, and its password.
pub async fn moodle_account(stack: &Stack) -> Result<Account> {
    Ok(Account { user: MOODLE.into(), password: secrets::value(stack, NAME, MOODLE_KEY).await? })
}

struct Credentials;

#[async_trait]
impl Step for Credentials {
    fn id(&self) -> StepId {
        "lrs.credentials"
    }

    fn needs(&self) -> &'static [StepId] {
        &["namespace"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        credentials(stack).observe(stack).await
    }

    async fn converge(&self, stack: &Stack, _: &Progress) -> Result<Converged> {
        credentials(stack).converge(stack).await?;
        Ok(Converged::Done(format!("secret {NAME}, user {USER}")))
    }

    async fn retractable(&self, stack: &Stack, how: Retraction) -> Result<Retracted> {
        Ok(match apply::is_there(&stack.api::<Secret>(), NAME).await? {
            false => Retracted::Nothing,
            true if how.keep_data => {
                Retracted::Kept(format!("secret {NAME}: clients of the LRS know its password"))
            }
            true => Retracted::Removed(format!("secret {NAME}")),
        })
    }

    async fn retract(&self, stack: &Stack, _: Retraction, _: &Progress) -> Result<()> {
        apply::delete_ours(&stack.api::<Secret>(), NAME).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![format!(
            "kubectl create secret generic {NAME} -n {} --from-literal=username={USER} --from-file=password=FILE --from-file=auth.json=FILE",
            stack.namespace()
        )]
    }
}

struct RalphRelease;

impl RalphRelease {
    async fn install(stack: &Stack) -> Result<Install> {
        let size = &stack.settings.profile().sizes().lrs;
        let values = json!({
            "image": release::image(stack, Component::Lrs, "ralph")?,
            "replicas": size.replicas,
            "existingSecret": NAME,
            "secretChecksum": secrets::checksum(stack, &[NAME, &datalake::user_secret("lrs")]).await?,
            "elasticsearch": {
                "host": "data-lake-es-http",
                "index": elasticsearch::INDEX,
                "existingSecret": datalake::user_secret("lrs"),
                "caSecret": datalake::AUTHORITY_SECRET,
            },
            "resources": size.resources(),
        });
        release::install_part(stack, Component::Lrs, RELEASE, values)
    }
}

#[async_trait]
impl Step for RalphRelease {
    fn id(&self) -> StepId {
        "lrs.release"
    }

    fn needs(&self) -> &'static [StepId] {
        &["lrs.credentials", "datalake.accounts", "datalake.index", "settings"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        let install = Self::install(stack).await?;
        let found = release::observe(stack, &install).await?;
        if !matches!(found, Observed::Ok(_)) {
            return Ok(found);
        }
        Ok(release::observed(found, NAME, release::rollout(stack, NAME).await?))
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        let install = Self::install(stack).await?;
        release::upgrade(stack, &install, NAME, progress, || release::rollout(stack, NAME)).await
    }

    async fn retractable(&self, stack: &Stack, _: Retraction) -> Result<Retracted> {
        release::retractable_part(stack, RELEASE).await
    }

    async fn retract(&self, stack: &Stack, how: Retraction, progress: &Progress) -> Result<()> {
        release::retract(stack, RELEASE, how, progress).await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        let namespace = stack.namespace();
        vec![
            format!("helm upgrade --install {RELEASE} charts/ralph -n {namespace} -f values.yaml"),
            format!("kubectl rollout status deployment/{NAME} -n {namespace}"),
        ]
    }
}

struct Answers;

#[async_trait]
impl Step for Answers {
    fn id(&self) -> StepId {
        "lrs.answers"
    }

    fn needs(&self) -> &'static [StepId] {
        &["lrs.release"]
    }

    async fn observe(&self, stack: &Stack) -> Result<Observed> {
        Ok(match probe(stack).await {
            Ok(detail) => Observed::Ok(format!("whoami and {detail}")),
            // what the user may not ask of it says nothing about it
            Err(error) if crate::error::forbidden(&error).is_some() => return Err(error),
            Err(error) => Observed::drifted("the LRS", crate::error::one_line(&error), "answering"),
        })
    }

    async fn converge(&self, stack: &Stack, progress: &Progress) -> Result<Converged> {
        wait::until_answered(stack, "the LRS", progress, || async {
            Ok(format!("whoami and {}", probe(stack).await?))
        })
        .await
    }

    fn explain(&self, stack: &Stack) -> Vec<String> {
        vec![
            format!("kubectl port-forward -n {} service/{NAME} 8080:80", stack.namespace()),
            format!("curl --user {USER}:PASSWORD http://localhost:8080/whoami"),
        ]
    }
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
