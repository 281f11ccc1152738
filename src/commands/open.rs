use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;

use crate::cli::KubeFlags;
use crate::clients::superset::Kind;
use crate::clients::tunnel::{Connector, Link};
use crate::dashboards::bundle::{Bundle, FIRST};
use crate::error::{Failure, one_line};
use crate::output::printer;
use crate::stack::Stack;
use crate::stack::versions::Component;
use crate::steps::{dataviz, lms, lrs, release};

use super::Outcome;

/// Open a part of the stack in the browser
///
/// By its own address when it has one, else by a port-forward that stays up until Ctrl-C.
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// What to open
    #[arg(value_enum)]
    part: Openable,
    /// Only print the address
    #[arg(long)]
    print: bool,
    /// Port of this machine for the port-forward
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Openable {
    /// Superset, at the first dashboard
    #[value(alias = "superset")]
    Dataviz,
    /// Moodle
    #[value(alias = "moodle")]
    Lms,
    /// Ralph
    #[value(alias = "ralph")]
    Lrs,
}

pub async fn run(flags: &KubeFlags, args: OpenArgs) -> Result<Outcome> {
    let stack = super::open(flags).await?;
    let (component, service, path) = match args.part {
        Openable::Dataviz => (Component::Dataviz, dataviz::NAME, first_dashboard(&stack).await?),
        Openable::Lms => (Component::Lms, lms::NAME, "/".to_string()),
        Openable::Lrs => (Component::Lrs, lrs::NAME, "/__heartbeat__".to_string()),
    };
    let outside = match args.part {
        Openable::Lms => lms::outside_url(&stack).await?,
        _ => release::url(&stack, service).await?,
    };
    if let Some(url) = outside {
        show(&format!("{url}{path}"), args.print)?;
        return Ok(Outcome::Good);
    }
    // Moodle knows the one address that people reach it by, and it is this port
    let wanted = if args.part == Openable::Lms { lms::LOCAL_PORT } else { args.port };
    if args.part == Openable::Lms && ![0, wanted].contains(&args.port) {
        return Err(Failure::usage(format!("Moodle's own address is http://localhost:{wanted}, so it can be opened on no other port"))
            .hint("give it another address as `siteUrl` in its values, or expose it")
            .into());
    }
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await.map_err(|error| {
        Failure::failed(format!("port {wanted} of this machine cannot be used: {error}")).hint(
            match args.part {
                Openable::Lms => {
                    "Moodle knows itself by this port: end what else uses it, or expose Moodle"
                }
                _ => "choose another with `--port`, or none to take a free one",
            },
        )
    })?;
    let forward = Forward {
        connector: Connector::to_cluster(stack.target.streams.clone()),
        namespace: stack.namespace().to_string(),
        service,
        port: release::port(&stack, component),
    };
    // a service without pods is said now, not at the browser's first request
    forward.open().await?;
    let host = if args.part == Openable::Lms {
        format!("localhost:{wanted}")
    } else {
        listener.local_addr()?.to_string()
    };
    show(&format!("http://{host}{path}"), args.print)?;
    printer::note("forwarding until Ctrl-C");
    forward.serve(listener).await
}

/// The address of the dashboard to look at first, else, when a person deleted it, of the list of all.
async fn first_dashboard(stack: &Stack) -> Result<String> {
    let ours = Bundle::ours()?;
    let first = ours
        .find(Kind::Dashboard, |asset| asset.name == FIRST)
        .context("dashboards/ has no first dashboard")?;
    let listed = dataviz::client(stack).await?.find(Kind::Dashboard, first.uuid).await?;
    Ok(listed.map_or("/dashboard/list/".into(), |listed| {
        format!("/superset/dashboard/{}/", listed.slug.unwrap_or(listed.id.to_string()))
    }))
}

fn show(url: &str, print_only: bool) -> Result<()> {
    printer::data(&format!("{url}\n"))?;
    if !print_only && let Err(error) = open::that_detached(url) {
        printer::note(&format!("no browser could be started ({error}): open the address yourself"));
    }
    Ok(())
}

/// The way to a part's Service.
#[derive(Clone)]
struct Forward {
    connector: Connector,
    namespace: String,
    service: &'static str,
    port: u16,
}

impl Forward {
    async fn open(&self) -> Result<Link> {
        self.connector.to_service(&self.namespace, self.service, self.port).await
    }

    async fn serve(&self, listener: TcpListener) -> Result<Outcome> {
        loop {
            let (mut browser, _) = listener.accept().await.context("the port-forward")?;
            let forward = self.clone();
            tokio::spawn(async move {
                match forward.open().await {
                    // either end may hang up whenever it likes
                    Ok(mut pod) => {
                        drop(tokio::io::copy_bidirectional(&mut browser, &mut pod).await)
                    }
                    Err(error) => printer::note(&one_line(&error)),
                }
            });
        }
    }
}
