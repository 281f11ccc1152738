//! Superset, the dashboards: its accounts, its release, the connection to the data lake, the assets, and the size that they show.

mod accounts;
mod answers;
mod assets;
pub mod database;
pub mod size;
mod superset;
mod teacher;

use std::pin::pin;

use anyhow::Result;
use async_trait::async_trait;
use futures::future::{Either, join, join3, select, try_join3};
use secrecy::SecretString;

use crate::clients::helm::Install;
use crate::clients::http::{Account, HttpClient};
use crate::clients::secrets;
use crate::clients::superset::{Kind, Superset};
use crate::clients::wait::State;
use crate::dashboards::bundle::Bundle;
use crate::dashboards::standing::{Standing, compare};
use crate::error::Failure;
use crate::stack::Stack;
use crate::stack::step::{Blocked, Step};
use crate::stack::versions::Component;

use super::postgresql::Database;
use super::{Credential, Fact, Part, PartStatus, release};

const RELEASE: &str = "dataviz";
/// The Deployment, the Service and the Secret of the accounts.
pub const NAME: &str = "dataviz-superset";
/// Of Superset's own data, not of the statements.
const POSTGRESQL: Database =
    Database { part: "Superset", component: Component::Dataviz, name: "dataviz-postgresql" };
/// The tool's own account, so that no password that a person changes locks it out.
const USER: &str = "lastack";

pub struct Dataviz;

#[async_trait]
impl Part for Dataviz {
    fn name(&self) -> &'static str {
        "superset"
    }

    fn component(&self) -> Component {
        Component::Dataviz
    }

    fn steps(&self) -> Vec<Box<dyn Step>> {
        vec![
            Box::new(accounts::ACCOUNTS),
            Box::new(superset::SupersetRelease),
            Box::new(answers::Answers),
            Box::new(size::Size),
            Box::new(database::Database),
            Box::new(assets::Assets),
            Box::new(teacher::Teacher),
        ]
    }

    async fn status(&self, stack: &Stack) -> PartStatus {
        let mut status = PartStatus::default();
        let (runs, pods, asked) =
            join3(release::runs(stack, RELEASE), pods(stack), ask(stack)).await;
        let Some(runs) = runs else {
            status.runs = Fact::Bad("not installed".into());
            return status;
        };
        (status.runs, status.pods) = (runs, pods);
        (status.answers, status.data) = match asked {
            Ok((answers, data)) => (answers, data),
            Err(error) => (Fact::from_error(&error), Fact::None),
        };
        status.url = release::url(stack, NAME).await.ok().flatten();
        status.inside = Some(address(stack));
        status
    }

    async fn credentials(&self, stack: &Stack) -> Result<Vec<Credential>> {
        let mut found = Vec::new();
        let url = release::url(stack, NAME).await.ok().flatten().unwrap_or_else(|| address(stack));
        for (user, purpose) in
            [("admin", "everything in Superset"), ("teacher", "looks at the dashboards")]
        {
            let key = format!("{user}-password");
            let Some(password) = secrets::optional(stack, NAME, &key).await? else { continue };
            found.push(Credential {
                user: user.into(),
                password,
                purpose,
                secret: format!("{NAME}/{key}"),
                url: url.clone(),
            });
        }
        Ok(found)
    }

    fn volumes(&self, stack: &Stack) -> Option<(String, usize)> {
        POSTGRESQL.is_ours(stack).then(|| (release::objects_of(RELEASE), 1))
    }

    async fn release(&self, stack: &Stack) -> Result<Option<Install>> {
        superset::SupersetRelease::install(stack).await.map(Some)
    }
}

/// Those of the web server, and what keeps others that it works with.
async fn pods(stack: &Stack) -> Fact {
    let (web, others) =
        join(release::pods(stack, NAME), superset::behind_the_web_server(stack)).await;
    match (web, others) {
        (Fact::Good(web), Ok(Some(State::Waiting(why) | State::Fatal { why, .. }))) => {
            Fact::Bad(format!("{web}: {why}"))
        }
        (Fact::Good(_), Err(error)) => Fact::from_error(&error),
        (web, _) => web,
    }
}

/// Whether people can sign in, and what they then find.
async fn ask(stack: &Stack) -> Result<(Fact, Fact)> {
    let superset = client(stack).await?;
    // a password that a person chose is the person's: it is said, and is no fault
    let own = if sign_in(stack, "admin").await?.is_some() {
        ""
    } else {
        ", admin has a password of their own"
    };
    let answers = Fact::Good(format!("login ok{own}"));
    let bundle = Bundle::ours()?;
    let (mut standings, of_the_connection, of_the_size) = try_join3(
        compare(stack, &superset, &bundle),
        database::fault(stack, &superset),
        size::fault(stack),
    )
    .await?;
    let fault =
        of_the_connection.or(of_the_size.map(|Blocked { why, hint }| format!("{why}; {hint}")));
    // the connection that is there has a step of its own, which tells whether it is as it should be
    standings
        .retain(|(asset, standing)| asset.kind != Kind::Database || *standing == Standing::Missing);
    let there = |kind| {
        standings
            .iter()
            .filter(|(asset, standing)| asset.kind == kind && standing.is_there())
            .count()
    };
    let count = |wanted| standings.iter().filter(|(_, standing)| *standing == wanted).count();
    let theirs = standings.iter().filter(|(_, standing)| standing.is_a_persons()).count();
    let mut data = format!("{} dashboards, {} charts", there(Kind::Dashboard), there(Kind::Chart));
    if theirs > 0 {
        data.push_str(&format!(", {theirs} changed by people"));
    }
    match standings.iter().filter(|(_, standing)| matches!(standing, Standing::Held { .. })).count()
    {
        0 => {}
        held => data
            .push_str(&format!(", {held} held back (`kubectl lastack dashboards apply` says why)")),
    }
    // those of another version of this program still show what they say
    match count(Standing::Outdated) {
        0 => {}
        old => data.push_str(&format!(", {old} of another version")),
    }
    Ok((
        answers,
        match (fault, count(Standing::Missing)) {
            (Some(fault), _) => Fact::Bad(fault),
            (None, 0) => Fact::Good(data),
            (None, missing) => Fact::Bad(format!("{data}, {missing} not brought yet")),
        },
    ))
}

/// The address inside the cluster.
pub fn address(stack: &Stack) -> String {
    release::address(stack, Component::Dataviz, NAME)
}

fn http(stack: &Stack) -> Result<HttpClient> {
    stack.service(&address(stack))
}

/// Superset as the tool's own account.
pub async fn client(stack: &Stack) -> Result<Superset> {
    sign_in(stack, USER).await?.ok_or_else(|| {
        Failure::failed(format!(
            "Superset does not accept the password of account {USER}, which is the tool's own"
        ))
        .hint("`kubectl lastack install` gives the account the password of its Secret again")
        .into()
    })
}

/// None when Superset does not accept the password of the Secret.
async fn sign_in(stack: &Stack, user: &str) -> Result<Option<Superset>> {
    let password: SecretString = secrets::value(stack, NAME, &format!("{user}-password")).await?;
    let account = Account { user: user.into(), password };
    let login = pin!(Superset::login(http(stack)?, &account));
    let down = pin!(POSTGRESQL.fault(stack));
    // without its database Superset gives a login no answer for a minute, and then no reason
    match select(login, down).await {
        Either::Right((Some(fault), _)) => Err(fault),
        Either::Right((None, login)) => {
            login.await.map_err(|error| POSTGRESQL.may_have_caused(stack, error))
        }
        Either::Left((Err(error), down)) => {
            Err(down.await.unwrap_or_else(|| POSTGRESQL.may_have_caused(stack, error)))
        }
        Either::Left((login, _)) => login,
    }
}
