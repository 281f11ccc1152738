use std::ffi::OsStr;
use std::net::Ipv4Addr;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use tokio::net::TcpListener;

use crate::cluster::access::Rules;
use crate::cluster::flags::KubeFlags;
use crate::cluster::tunnel::{self, Connection, Connector};
use crate::components;
use crate::components::model::Component;
use crate::error::{Failure, one_line};
use crate::output::printer;
use crate::stack::component::{ComponentName, ComponentParser};

use super::Outcome;

/// Open a component in the browser
///
/// Uses the external URL of the component if it has one. Otherwise forwards a local port until Ctrl-C.
#[derive(Debug, Args)]
#[command(after_long_help = after_help!("  kubectl lastack open dataviz
  kubectl lastack open lrs --port 8090
  kubectl lastack open lms --print"))]
pub struct OpenArgs {
    /// Component to open
    #[arg(value_parser = ExposedParser)]
    component: ComponentName,
    /// Print the URL and do not start a browser
    #[arg(long)]
    print: bool,
    /// Local port of the port-forward [default: a free port]
    #[arg(long, value_name = "PORT", default_value = "0", hide_default_value = true)]
    port: u16,
}

pub fn needs() -> Vec<Rules> {
    let pages = components::all().iter().flat_map(|one| one.declaration().access.page);
    pages.copied().chain([tunnel::RULES]).collect()
}

pub async fn run(flags: &KubeFlags, args: OpenArgs) -> Result<Outcome> {
    let stack = super::open(flags).await?;
    let component = components::get(args.component).context("no such component")?;
    let exposure = component.declaration().exposure.context("the component has no page")?;
    let page = component.page(&stack).await?;
    if let Some(url) = component.outside_url(&stack).await? {
        show(&format!("{url}{page}"), args.print)?;
        return Ok(Outcome::Good);
    }
    let listener = listen(&args, exposure.local_port).await?;
    let forward = Forward {
        connector: Connector::to_cluster(stack.cluster.streams.clone()),
        namespace: stack.namespace().to_string(),
        service: exposure.service,
        port: components::port(&stack, args.component),
    };
    // report a Service without Pods now, not at the first request of the browser
    forward.open().await?;
    let host = match exposure.local_port {
        Some(port) => format!("localhost:{port}"),
        None => listener.local_addr()?.to_string(),
    };
    show(&format!("http://{host}{page}"), args.print)?;
    printer::note("Forwarding until Ctrl-C");
    forward.serve(listener).await
}

/// Parses the name of a component that has a page. Its values are computed only when needed, not at every start.
#[derive(Clone)]
struct ExposedParser;

impl ExposedParser {
    fn values() -> Vec<PossibleValue> {
        let value = |component: &&'static dyn Component| {
            let declared = component.declaration();
            let page = declared.exposure?.page;
            Some(ComponentParser::value(declared.name)?.help(page))
        };
        components::all().iter().filter_map(value).collect()
    }
}

impl TypedValueParser for ExposedParser {
    type Value = ComponentName;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<ComponentName, clap::Error> {
        PossibleValuesParser::new(Self::values()).parse_ref(command, argument, value)?;
        ComponentParser.parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        Some(Box::new(Self::values().into_iter()))
    }
}

/// Binds the local port. `own` is the only port that the component's own URL allows.
async fn listen(args: &OpenArgs, own: Option<u16>) -> Result<TcpListener> {
    if let Some(own) = own
        && ![0, own].contains(&args.port)
    {
        return Err(Failure::usage(format!(
            "`--port {}`: Moodle's site URL is http://localhost:{own}, which allows no other port",
            args.port
        ))
        .hint("set `siteUrl` in Moodle's chart values, or expose Moodle with `install --expose`")
        .into());
    }
    let wanted = own.unwrap_or(args.port);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, wanted)).await;
    listener.map_err(|error| {
        let hint = match own {
            Some(_) => {
                "stop the program that uses the port, or expose Moodle with `install --expose`"
            }
            None => "choose another port with `--port`, or omit the flag to use a free one",
        };
        Failure::failed(format!("local port {wanted}: cannot listen: {error}")).hint(hint).into()
    })
}

fn show(url: &str, print_only: bool) -> Result<()> {
    printer::data(&format!("{url}\n"))?;
    if !print_only && let Err(error) = open::that_detached(url) {
        printer::note(&format!("Cannot start a browser ({error}); open the URL yourself"));
    }
    Ok(())
}

/// A port-forward to the Service of a component.
#[derive(Clone)]
struct Forward {
    connector: Connector,
    namespace: String,
    service: &'static str,
    port: u16,
}

impl Forward {
    async fn open(&self) -> Result<Connection> {
        self.connector.to_service(&self.namespace, self.service, self.port).await
    }

    async fn serve(&self, listener: TcpListener) -> Result<Outcome> {
        loop {
            let (mut browser, _) = listener.accept().await.context("the port-forward")?;
            let forward = self.clone();
            tokio::spawn(async move {
                match forward.open().await {
                    // either side may close the connection at any time
                    Ok(mut pod) => {
                        drop(tokio::io::copy_bidirectional(&mut browser, &mut pod).await)
                    }
                    Err(error) => printer::note(&one_line(&error)),
                }
            });
        }
    }
}
