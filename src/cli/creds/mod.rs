pub mod rotate;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use secrecy::ExposeSecret;
use serde::Serialize;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::components;
use crate::components::model::Credential;
use crate::error::{Failure, Kind, forbidden, one_line};
use crate::output::document::Content;
use crate::output::printer;
use crate::output::table::{Table, table};
use crate::stack::component::{ComponentName, ComponentParser};

use super::{Outcome, TableArgs, open};

/// Show the accounts of the stack: user names, passwords and URLs
///
/// The table hides passwords unless you name a component. The formats `json` and `env` always contain them.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_long_help = after_help!("  kubectl lastack creds
  kubectl lastack creds lrs
  eval \"$(kubectl lastack creds lrs -o env)\"", json: "Credentials"))]
pub struct CredsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Component whose accounts to show, with their passwords
    #[arg(value_parser = ComponentParser)]
    component: Option<ComponentName>,
    /// Output format
    #[arg(short, long, value_enum, default_value = "table")]
    output: Format,
    #[command(flatten)]
    table: TableArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    Rotate(rotate::RotateArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    /// Variable assignments for `eval` in a shell
    Env,
}

pub fn needs() -> Vec<Rules> {
    components::all().iter().flat_map(|one| one.declaration().access.credentials).copied().collect()
}

pub async fn run(flags: &KubeFlags, args: CredsArgs) -> Result<Outcome> {
    match args.action {
        Some(Action::Rotate(rotate)) => rotate::run(flags, rotate).await,
        None => show(flags, args).await,
    }
}

async fn show(flags: &KubeFlags, args: CredsArgs) -> Result<Outcome> {
    let stack = open(flags).await?;
    let mut found: Vec<(ComponentName, Credential)> = Vec::new();
    let mut hidden: Vec<(ComponentName, anyhow::Error)> = Vec::new();
    for one in components::all() {
        let component = one.declaration().name;
        if args.component.is_none_or(|wanted| wanted == component) {
            match one.credentials(&stack).await {
                Ok(credentials) => {
                    found.extend(credentials.into_iter().map(|credential| (component, credential)))
                }
                Err(error) if forbidden(&error).is_some() => hidden.push((component, error)),
                Err(error) => return Err(error),
            }
        }
    }
    if found.is_empty() && !hidden.is_empty() {
        return Err(hidden.swap_remove(0).1);
    }
    if found.is_empty() {
        let what = args
            .component
            .map_or_else(|| "accounts".to_string(), |component| format!("accounts of {component}"));
        return Err(Failure::failed(format!("namespace {}: no {what}", stack.namespace()))
            .hint(format!("run `kubectl lastack install{}` to create them", stack.cluster.flags))
            .into());
    }
    let shown = args.component.is_some();
    match args.output {
        Format::Table => printer::data(&args.table.of(render(&found, &hidden, shown)).to_string())?,
        Format::Env => printer::data(
            &found
                .iter()
                .map(|one| {
                    env(one, found.iter().filter(|(component, _)| *component == one.0).count() > 1)
                })
                .collect::<String>(),
        )?,
        Format::Json => {
            printer::json(&Credentials { items: found.iter().map(Item::of).collect() })?
        }
    }
    if args.output == Format::Table && !shown {
        printer::note(&format!(
            "Passwords are hidden; name a component to show them: `kubectl lastack creds lrs{}`",
            stack.cluster.flags
        ));
    }
    for (component, error) in &hidden {
        printer::warning(&format!("{component}: {}", one_line(error)));
    }
    match hidden.is_empty() {
        true => Ok(Outcome::Good),
        false => Err(Failure::new(Kind::Unreachable, "cannot read all accounts")
            .hint(format!(
                "ask your cluster administrator for this permission in namespace {}",
                stack.namespace()
            ))
            .into()),
    }
}

fn render(
    found: &[(ComponentName, Credential)],
    hidden: &[(ComponentName, anyhow::Error)],
    shown: bool,
) -> Table {
    let rows = found.iter().map(|(component, credential)| {
        let password = if shown { credential.password.expose_secret() } else { "********" };
        [
            component.to_string(),
            credential.user.clone(),
            password.to_string(),
            credential.purpose.to_string(),
            credential.secret.clone(),
            credential.url.clone(),
        ]
    });
    let unknown = hidden
        .iter()
        .map(|(component, _)| [component.as_str(), "unknown", "", "", "", ""].map(str::to_string));
    table(["COMPONENT", "USER", "PASSWORD", "PURPOSE", "SECRET/KEY", "URL"], rows.chain(unknown))
}

/// The accounts of the stack, with their passwords
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Credentials<'a> {
    items: Vec<Item<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Item<'a> {
    /// `lms`, `lrs`, `datalake` or `dataviz`
    component: &'a str,
    user: &'a str,
    password: &'a str,
    /// What the account is for
    purpose: &'a str,
    /// Secret and key with the password: `SECRET/KEY`
    secret: &'a str,
    /// Where to use it
    url: &'a str,
}

impl Content for Credentials<'_> {
    const KIND: &'static str = "Credentials";
}

impl<'a> Item<'a> {
    fn of((component, credential): &'a (ComponentName, Credential)) -> Self {
        Self {
            component: component.as_str(),
            user: &credential.user,
            password: credential.password.expose_secret(),
            purpose: credential.purpose,
            secret: &credential.secret,
            url: &credential.url,
        }
    }
}

/// The shell variables of an account. They contain the user name when the component has several accounts.
fn env((component, credential): &(ComponentName, Credential), among_others: bool) -> String {
    let mut name = component.as_str().to_uppercase();
    if among_others {
        name = format!("{name}_{}", credential.user.to_uppercase());
    }
    let quote = |value: &str| format!("'{}'", value.replace('\'', "'\\''"));
    format!(
        "LASTACK_{name}_USER={}\nLASTACK_{name}_PASSWORD={}\nLASTACK_{name}_URL={}\n",
        quote(&credential.user),
        quote(credential.password.expose_secret()),
        quote(&credential.url)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential() -> (ComponentName, Credential) {
        let credential = Credential {
            user: "admin".into(),
            password: "it's".to_string().into(),
            purpose: "all",
            secret: "lrs-ralph/password".into(),
            url: "http://x".into(),
        };
        (ComponentName::new("lrs"), credential)
    }

    #[test]
    fn table_hides_passwords_unless_a_component_is_named() {
        assert!(!render(&[credential()], &[], false).to_string().contains("it's"));
        assert!(render(&[credential()], &[], true).to_string().contains("it's"));
    }

    #[test]
    fn shell_assignments_escape_a_quote_in_a_password() {
        assert!(env(&credential(), false).contains("LASTACK_LRS_PASSWORD='it'\\''s'\n"));
    }
}
