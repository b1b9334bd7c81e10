//! `paidonce serve`: the whole system from this process, for this machine only, until it is told to stop.
//!
//! It listens on the loopback address and believes `X-User-Id`; both are for a machine of one's own and neither can be
//! switched to anything else here.

mod feed;
mod stand_in;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use domain::webhooks::Reach;
use local_cloud::{Clock, Storage};
use local_system::{Options, System};
use platform::gateways::Gateways;
use platform::outside::Outside;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

use self::feed::Feed;
pub(crate) use self::stand_in::StandIn;
use crate::failure::Failure;
use crate::logs;
use crate::runtime;
use crate::state::{Served, StateDirectory};
use crate::terminal::{Paint, say};

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the state is kept; it survives the process
    #[arg(long, value_name = "DIR", default_value = ".paidonce")]
    state: PathBuf,
    /// Keep the state in a temporary directory that is deleted at the end
    #[arg(long, conflicts_with = "state")]
    ephemeral: bool,
    /// The port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// The port for the AWS CLI, `sam local` and SDKs, on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 4566)]
    aws_port: u16,
    /// Do not open the AWS port
    #[arg(long, conflicts_with = "aws_port")]
    no_aws_port: bool,
    /// The port for the payment gateway's stand-in, on 127.0.0.1; 0 takes a free one
    #[arg(long, value_name = "PORT", default_value_t = 0)]
    gateway_port: u16,
    /// Start no payment gateway; cards are refused, unless parameters name another
    #[arg(long, conflicts_with = "gateway_port")]
    no_gateway: bool,
    /// Serve this SAM template instead of the built-in one
    #[arg(long, value_name = "FILE")]
    template: Option<PathBuf>,
    /// Give a parameter of the template another value; repeatable
    #[arg(long = "parameter", value_name = "NAME=VALUE", value_parser = named_value)]
    parameters: Vec<(String, String)>,
    /// Say where it is, and then only what goes wrong
    #[arg(long)]
    quiet: bool,
}

fn named_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as NAME=VALUE, such as Currency=JPY".to_owned()),
    }
}

pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    // What the feed shows anyway is not said twice.
    logs::start(if arguments.quiet { "warn" } else { "warn,local_cloud::invoke=off,local_cloud::edge=off" });
    let runtime = runtime::of_a_system()?;
    runtime.block_on(serve(arguments))
}

async fn serve(arguments: Arguments) -> Result<(), Failure> {
    let Arguments {
        state,
        ephemeral,
        port,
        aws_port,
        no_aws_port,
        gateway_port,
        no_gateway,
        template,
        parameters,
        quiet,
    } = arguments;
    let stop = Stop::listen()?;
    let template = template.map_or_else(|| Ok(local_system::TEMPLATE.to_owned()), read_template)?;
    let listener = Listener::open(port, "--port").await?;
    let aws_listener = if no_aws_port { None } else { Some(Listener::open(aws_port, "--aws-port").await?) };
    let temporary = ephemeral.then(|| tempfile::Builder::new().prefix("paidonce-").tempdir()).transpose();
    let temporary =
        temporary.map_err(|error| Failure::Failed(format!("no temporary directory can be made: {error}")))?;
    let state = StateDirectory::new(temporary.as_ref().map_or(state, |temporary| temporary.path().to_owned()))?;
    let mut parameters: BTreeMap<_, _> = parameters.into_iter().collect();
    let signing = state.signing_key_or_new()?;
    if !parameters.contains_key("TokenKeys") {
        parameters.insert("TokenKeys".to_owned(), signing.key_set());
        parameters.entry("SigningKey".to_owned()).or_insert(state.signing_key_as_text()?);
    }
    let url = format!("http://127.0.0.1:{}", listener.port);
    // A template that takes no gateway is told of none.
    let has_gateway = !no_gateway && template.contains(stand_in::TAKEN_BY);
    let stand_in = if has_gateway { Some(StandIn::open(gateway_port, &state).await?) } else { None };
    stand_in.iter().for_each(|stand_in| stand_in.tell(&mut parameters));
    let aws_port = aws_listener.as_ref().map(|listener| listener.port);
    let gateway_port = stand_in.as_ref().map(StandIn::port);
    let served = Served { template, parameters, aws_port, gateway_port };

    let feed = (!quiet).then(|| Feed::start(Clock::wall(), Paint::for_stdout()));
    // Whoever holds the directory may write the gateway's book.
    let system = start(&state, &served, feed.as_ref())?;
    let gateway = stand_in.map(|stand_in| stand_in.start(&state, &url)).transpose()?;
    state.keep(&served)?;
    announce(&Announced {
        url,
        gateway_url: gateway_port.map(|port| format!("http://127.0.0.1:{port}")),
        aws_url: served.aws_port.map(|port| format!("http://localhost:{port}")),
        table: system.cloud.stack().tables.first().map(|table| table.name.clone()),
        state: &state,
        is_kept: temporary.is_none(),
        is_quiet: quiet,
    });
    let edge = match &feed {
        Some(feed) => system.edge.clone().observed_by(feed.answers()),
        None => system.edge.clone(),
    };
    let stopping = watch::Sender::new(false);
    let aws = async {
        if let Some(listener) = aws_listener {
            local_cloud::port::serve(&system.cloud, listener.socket, asked(stopping.subscribe())).await;
        }
    };
    let api = local_cloud::edge::serve(edge, listener.socket, asked(stopping.subscribe()));
    let told = async {
        stop.asked().await;
        stopping.send_replace(true);
    };
    tokio::join!(api, aws, told);
    system.stop().await;
    // What was under way may have asked it to the last.
    if let Some(gateway) = gateway {
        gateway.stop().await;
    }
    state.keep(&Served { aws_port: None, gateway_port: None, ..served })?;
    if !quiet {
        say(if ephemeral { "stopped; nothing is kept" } else { "stopped; the state is kept" });
    }
    Ok(())
}

fn start(state: &StateDirectory, served: &Served, feed: Option<&Feed>) -> Result<System, Failure> {
    let storage = Storage::Directory(state.path().to_owned());
    let mut cloud = local_cloud::Options::new(storage, Clock::wall(), fastrand::u64(..));
    cloud.on_invocation = feed.map(Feed::invocations);
    cloud.on_event = feed.map(Feed::events);
    let Served { template, parameters, .. } = served.clone();
    // A webhook is tried out with a receiver on this machine.
    let outside = Outside::network(Reach::ThisMachineToo);
    let gateways = Gateways::network(Reach::ThisMachineToo);
    Ok(System::start(Options { template, parameters, outside, gateways, ..Options::new(cloud) })?)
}

fn read_template(path: PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(&path).map_err(|error| {
        let path = path.display();
        Failure::Failed(format!(
            "the template {path} cannot be read: {error}\nname a SAM template in YAML, or none for the built-in one"
        ))
    })
}

/// A socket on the loopback address, and its port.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) port: u16,
}

impl Listener {
    /// `option` is what names another port.
    pub(crate) async fn open(port: u16, option: &str) -> Result<Self, Failure> {
        let or_none = match option {
            "--aws-port" => ", and --no-aws-port does without",
            "--gateway-port" => ", and --no-gateway does without",
            _ => "",
        };
        let failed = |error: std::io::Error| {
            Failure::Failed(match error.kind() {
                std::io::ErrorKind::AddrInUse => format!(
                    "port {port} is taken by another program\nstop that one, or name another port: {option} 0 takes a free one{or_none}"
                ),
                std::io::ErrorKind::PermissionDenied => {
                    format!("port {port} is not for everyone to take; name one from 1024 on, such as {option} 3000")
                }
                _ => format!("port {port} cannot be listened on: {error}"),
            })
        };
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(failed)?;
        let port = socket.local_addr().map_err(failed)?.port();
        Ok(Self { socket, port })
    }
}

async fn asked(mut stopping: watch::Receiver<bool>) {
    // An error is that nobody is left who could ask.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

struct Announced<'a> {
    url: String,
    gateway_url: Option<String>,
    aws_url: Option<String>,
    table: Option<String>,
    state: &'a StateDirectory,
    is_kept: bool,
    is_quiet: bool,
}

fn announce(what: &Announced<'_>) {
    let Announced { url, gateway_url, aws_url, table, state, is_kept, is_quiet } = what;
    let paint = Paint::for_stdout();
    say(format_args!("Paidonce is at {}", paint.bold(url)));
    if *is_quiet {
        return;
    }
    let kept = if *is_kept { "and survives a restart" } else { "and is deleted at the end" };
    say(format_args!("The state is in {} {kept}", state.path().display()));
    say("X-User-Id is believed, because this is a local machine; `paidonce token` makes a bearer token");
    if let (Some(aws_url), Some(table)) = (aws_url, table) {
        let scan = format!("aws --endpoint-url {aws_url} dynamodb scan --table-name {table}");
        say(format_args!("The AWS services are at {}: {scan}", paint.bold(aws_url)));
    }
    if let Some(gateway_url) = gateway_url {
        let at = paint.bold(gateway_url);
        say(format_args!("A payment gateway that misbehaves a little is at {at}; `paidonce gateway` has its controls"));
    }
    say("");
    for line in curl_lines(url, gateway_url.is_some()) {
        say(format_args!("  {line}"));
    }
    say("");
    say(paint.faint("Ctrl-C stops it. What happens:"));
}

/// What to paste first. On a second start the keys are known, and the answers are the same.
fn curl_lines(url: &str, takes_cards: bool) -> Vec<String> {
    let post = |path: &str, key: &str, body: &str| {
        format!(
            "curl --fail-with-body -sS {url}{path} -H 'X-User-Id: alice' -H 'Idempotency-Key: {key}' \
             -H 'Content-Type: application/json' -d '{body}' -w '\\n'"
        )
    };
    let mut lines = vec![
        post("/deposits", "deposit-1", r#"{"amount": 5000}"#),
        post("/orders", "order-1", r#"{"amount": 1500.99, "description": "a first order"}"#),
        format!("curl --fail-with-body -sS {url}/orders -H 'X-User-Id: alice' -w '\\n'"),
    ];
    if takes_cards {
        lines.push(post("/orders", "order-2", r#"{"amount": 20, "description": "by card", "pay_with": "card"}"#));
    }
    lines
}

/// Ctrl-C, or what a supervisor sends.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> Result<Self, Failure> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::Failed(format!("signals cannot be listened for: {error}")));
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// The first time, what is under way is finished; whoever asks again does not want to wait for it.
    async fn asked(mut self) {
        self.next().await;
        tokio::spawn(async move {
            self.next().await;
            std::process::exit(130);
        });
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
