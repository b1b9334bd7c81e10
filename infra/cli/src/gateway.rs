//! `paidonce gateway`: the controls of the payment gateway's stand-in that a running server has beside it. It asks them
//! over HTTP on this machine, as anyone may (docs/GATEWAY.md); the book that it shows is the gateway's own.

mod controls;
mod shown;

use clap::{Subcommand, ValueEnum};
use gateway::{CallKind, Mischief, Mood};
use serde_json::{Map, Value, json};

use self::controls::Controls;
use crate::failure::Failure;
use crate::state::Which;
use crate::terminal::{Paint, say};

const EXAMPLES: &str = "\
Examples:
  paidonce gateway mood foul                 everything goes wrong, and often
  paidonce gateway mood calm --rate timeout_after=2000
                                             of five calls one is done and not answered, and nothing else goes wrong
  paidonce gateway next timeout_after,callback_twice --call charge
                                             that is what happens to the next charge
  paidonce gateway outage on --for 600       nothing is done for ten minutes
  paidonce gateway book                      what it charged, gave back and told, and how often it was called
  paidonce gateway report > report.csv       then: paidonce reconcile report.csv";

#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    control: Control,
    /// For machines, as the gateway says it
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    state: Which,
}

#[derive(Subcommand)]
enum Control {
    /// Show what goes wrong and how often, or set it as a whole
    Mood {
        /// calm, usual or foul
        #[arg(value_parser = mood)]
        name: Option<String>,
        /// What goes wrong so often besides, of ten thousand; repeatable
        #[arg(long = "rate", value_name = "MISCHIEF=RATE", value_parser = rate)]
        rates: Vec<(Mischief, u32)>,
    },
    /// Show what was asked for the next requests, or ask for something
    Next {
        /// What happens to them, parted by commas; `none` is that nothing goes wrong
        #[arg(value_parser = mischiefs)]
        mischiefs: Option<Mischiefs>,
        /// Only to requests of this kind
        #[arg(long, value_enum, requires = "mischiefs")]
        call: Option<Call>,
        /// Only to requests with this idempotency key, or about it
        #[arg(long, requires = "mischiefs")]
        key: Option<String>,
        /// Only to charges with this reference
        #[arg(long, requires = "mischiefs")]
        reference: Option<String>,
        /// To so many
        #[arg(long, value_name = "NUMBER", requires = "mischiefs")]
        times: Option<u32>,
        /// Forget what was asked for
        #[arg(long, conflicts_with = "mischiefs")]
        clear: bool,
    },
    /// Show, begin or end an outage
    Outage {
        switch: Option<Switch>,
        /// How long it lasts
        #[arg(long = "for", value_name = "SECONDS", default_value_t = 60)]
        seconds: u64,
        /// 503, silence, or connections that are cut off
        #[arg(long, value_enum, default_value_t = How::Errors)]
        how: How,
    },
    /// Show what it charged, gave back and told, and how it was called
    Book {
        /// Only what concerns this idempotency key
        #[arg(long)]
        key: Option<String>,
        /// Only what concerns this reference: the payment's id
        #[arg(long)]
        reference: Option<String>,
    },
    /// Show what should never be in its book; exit code 1 if there is anything
    Findings,
    /// Print its report of every movement of money, as CSV
    Report {
        /// From this moment on
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Before this moment
        #[arg(long, value_name = "TIME")]
        to: Option<String>,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

#[derive(Clone, Copy, ValueEnum)]
enum How {
    Errors,
    Silence,
    Refused,
}

#[derive(Clone, Copy, ValueEnum)]
enum Call {
    Charge,
    Refund,
    Ask,
}

/// Those that were named, each once.
#[derive(Clone)]
struct Mischiefs(Vec<Mischief>);

fn mood(name: &str) -> Result<String, String> {
    Mood::named(name).map(|_| name.to_owned()).ok_or_else(|| format!("there are {}", Mood::NAMES.join(", ")))
}

fn mischief(name: &str) -> Result<Mischief, String> {
    let known = || Mischief::ALL.map(Mischief::name).join(", ");
    Mischief::named(name.trim()).ok_or_else(|| format!("there is no {name:?}; there are {}", known()))
}

fn mischiefs(names: &str) -> Result<Mischiefs, String> {
    if names == "none" {
        return Ok(Mischiefs(Vec::new()));
    }
    names.split(',').map(mischief).collect::<Result<_, _>>().map(Mischiefs)
}

fn rate(text: &str) -> Result<(Mischief, u32), String> {
    let written_so = || "write it as MISCHIEF=RATE, such as timeout_after=2000".to_owned();
    let (name, rate) = text.split_once('=').ok_or_else(written_so)?;
    Ok((mischief(name)?, rate.parse().map_err(|_| written_so())?))
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let controls = Controls::of(&arguments.state.directory())?;
    let Some((answer, show)) = ask(&controls, &arguments.control)? else { return Ok(()) };
    if arguments.json {
        say(format_args!("{answer:#}"));
    } else {
        show(&answer, Paint::for_stdout());
    }
    let finds = matches!(arguments.control, Control::Findings);
    let found = answer["findings"].as_array().is_some_and(|findings| !findings.is_empty());
    if finds && found { Err(Failure::Findings) } else { Ok(()) }
}

type Show = fn(&Value, Paint);

/// The answer and how it is shown; nothing where it is printed as it is.
fn ask(controls: &Controls, control: &Control) -> Result<Option<(Value, Show)>, Failure> {
    let asked: (Value, Show) = match control {
        Control::Mood { name: None, rates } if rates.is_empty() => (controls.json("GET", "/mood", None)?, shown::mood),
        Control::Mood { name, rates } => {
            let rates: Map<String, Value> =
                rates.iter().map(|(mischief, rate)| (mischief.name().to_owned(), json!(rate))).collect();
            let mood = json!({ "name": name, "rates": rates });
            (controls.json("PUT", "/mood", Some(&mood))?, shown::mood)
        }
        Control::Next { clear: true, .. } => (controls.json("DELETE", "/moods/next", None)?, shown::next),
        Control::Next { mischiefs: None, .. } => (controls.json("GET", "/moods/next", None)?, shown::next),
        Control::Next { mischiefs: Some(Mischiefs(mischiefs)), call, key, reference, times, .. } => {
            let call = call.map(|call| match call {
                Call::Charge => CallKind::Charge,
                Call::Refund => CallKind::Refund,
                Call::Ask => CallKind::Ask,
            });
            let order = gateway::Order {
                call,
                key: key.clone(),
                reference: reference.clone(),
                times: times.unwrap_or(1),
                ..gateway::Order::next(mischiefs.iter().copied())
            };
            (controls.json("POST", "/moods/next", Some(&json!(order)))?, shown::next)
        }
        Control::Outage { switch: None, .. } => (controls.json("GET", "/outage", None)?, shown::outage),
        Control::Outage { switch: Some(Switch::Off), .. } => (controls.json("DELETE", "/outage", None)?, shown::outage),
        Control::Outage { switch: Some(Switch::On), seconds, how } => {
            let how = match how {
                How::Errors => "errors",
                How::Silence => "silence",
                How::Refused => "refused",
            };
            let outage = json!({ "for_ms": seconds.saturating_mul(1_000), "how": how });
            (controls.json("POST", "/outage", Some(&outage))?, shown::outage)
        }
        Control::Book { key, reference } => {
            let path = controls::path("/book", &[("key", key.as_deref()), ("reference", reference.as_deref())]);
            (controls.json("GET", &path, None)?, shown::book)
        }
        Control::Findings => (controls.json("GET", "/book/findings", None)?, shown::findings),
        Control::Report { from, to } => {
            let path = controls::path("/report.csv", &[("from", from.as_deref()), ("to", to.as_deref())]);
            say(controls.text("GET", &path, None)?.trim_end_matches('\n'));
            return Ok(None);
        }
    };
    Ok(Some(asked))
}
