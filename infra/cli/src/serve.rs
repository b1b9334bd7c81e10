//! `paidonce serve`: the whole system from this process, for this machine only, until it is told to stop.
//!
//! It listens on the loopback address and believes `X-User-Id`; both are for a machine of one's own and neither can be
//! switched to anything else here.

mod feed;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use local_cloud::{Clock, Storage};
use local_system::{Options, System};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::feed::Feed;
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
    let Arguments { state, ephemeral, port, template, parameters, quiet } = arguments;
    let stop = Stop::listen()?;
    let template = template.map_or_else(|| Ok(local_system::TEMPLATE.to_owned()), read_template)?;
    let listener = listen(port).await?;
    let temporary = ephemeral.then(|| tempfile::Builder::new().prefix("paidonce-").tempdir()).transpose();
    let temporary =
        temporary.map_err(|error| Failure::Failed(format!("no temporary directory can be made: {error}")))?;
    let state = StateDirectory::new(temporary.as_ref().map_or(state, |temporary| temporary.path().to_owned()))?;
    let mut parameters: BTreeMap<_, _> = parameters.into_iter().collect();
    parameters.entry("TokenKeys".to_owned()).or_insert(state.signing_key_or_new()?.key_set());
    let served = Served { template, parameters, aws_port: None };

    let feed = (!quiet).then(|| Feed::start(Clock::wall(), Paint::for_stdout()));
    let system = start(&state, &served, feed.as_ref())?;
    state.keep(&served)?;
    let address = listener.local_addr().map_err(|error| Failure::Failed(format!("the port is unknown: {error}")))?;
    announce(&format!("http://{address}"), &state, temporary.as_ref(), quiet);
    let edge = match &feed {
        Some(feed) => system.edge.clone().observed_by(feed.answers()),
        None => system.edge.clone(),
    };
    local_cloud::edge::serve(edge, listener, stop.asked()).await;
    system.stop().await;
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
    Ok(System::start(Options { template, parameters, ..Options::new(cloud) })?)
}

fn read_template(path: PathBuf) -> Result<String, Failure> {
    std::fs::read_to_string(&path).map_err(|error| {
        let path = path.display();
        Failure::Failed(format!(
            "the template {path} cannot be read: {error}\nname a SAM template in YAML, or none for the built-in one"
        ))
    })
}

async fn listen(port: u16) -> Result<TcpListener, Failure> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(|error| {
        Failure::Failed(match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "port {port} is taken by another program\nstop that one, or name another port: --port 0 takes a free one"
            ),
            std::io::ErrorKind::PermissionDenied => {
                format!("port {port} is not for everyone to take; name one from 1024 on, such as --port 3000")
            }
            _ => format!("port {port} cannot be listened on: {error}"),
        })
    })
}

fn announce(url: &str, state: &StateDirectory, temporary: Option<&TempDir>, is_quiet: bool) {
    let paint = Paint::for_stdout();
    say(format_args!("Paidonce is at {}", paint.bold(url)));
    if is_quiet {
        return;
    }
    let kept = if temporary.is_some() { "and is deleted at the end" } else { "and survives a restart" };
    say(format_args!("The state is in {} {kept}", state.path().display()));
    say("X-User-Id is believed, because this is a local machine; `paidonce token` makes a bearer token");
    say("");
    for line in curl_lines(url) {
        say(format_args!("  {line}"));
    }
    say("");
    say(paint.faint("Ctrl-C stops it. What happens:"));
}

/// What to paste first. On a second start the keys are known, and the answers are the same.
fn curl_lines(url: &str) -> [String; 3] {
    let post = |path: &str, key: &str, body: &str| {
        format!(
            "curl --fail-with-body -sS {url}{path} -H 'X-User-Id: alice' -H 'Idempotency-Key: {key}' \
             -H 'Content-Type: application/json' -d '{body}' -w '\\n'"
        )
    };
    [
        post("/deposits", "deposit-1", r#"{"amount": 5000}"#),
        post("/orders", "order-1", r#"{"amount": 1500.99, "description": "a first order"}"#),
        format!("curl --fail-with-body -sS {url}/orders -H 'X-User-Id: alice' -w '\\n'"),
    ]
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
