//! `paidonce reconcile`: a gateway's report, held against the payments and refunds of a local state or a deployed table.
//! It changes nothing; what differs is for a person.

use std::fs::File;
use std::path::{Path, PathBuf};

use domain::payments::{Difference, Gateway, GatewayKey, Ours, Reconciled, Reconciling, ReportLine, Window};
use domain::{Amount, Currency, Millis, Timestamp};
use platform::Clock;
use platform::reports::{self, Unreadable};
use platform::table::Table;
use platform::verify::{self, Now, Plan, Reading};
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::runtime;
use crate::state::Which;
use crate::terminal::{Paint, Progress, say};
use crate::verify::deployed;

#[derive(clap::Args)]
#[command(
    after_help = "FILE is CSV with the columns of docs/GATEWAY.md. Exit code 1 if anything differs, or if a line \
                        of it is malformed.\n\n\
                        A report of some time is held against what was of that time with --from and --to. What was asked \
                        for in it and known here after it, or asked for before it and known in it, may stand in the \
                        report beside it: it is counted and is no difference.\n\n\
                        The report is held in memory and the table is not. It is read while others may write to it: let \
                        --to be some minutes ago."
)]
pub(crate) struct Arguments {
    /// The gateway's report
    file: PathBuf,
    /// For machines
    #[arg(long)]
    json: bool,
    /// Hold only what went through this gateway against it: plain or stripe
    #[arg(long, value_name = "GATEWAY", value_parser = gateway)]
    gateway: Option<Gateway>,
    /// From when on the report is, as RFC 3339; without, from the beginning
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<Timestamp>,
    /// Before when the report is; without, until now
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<Timestamp>,
    #[command(flatten)]
    state: Which,
    #[command(flatten)]
    deployed: deployed::OnAws,
}

fn gateway(text: &str) -> Result<Gateway, String> {
    Gateway::parse(text).ok_or_else(|| "it is plain or stripe".to_owned())
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse(text).map_err(|_| "write it as 2026-11-21T00:00:00Z".to_owned())
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let window = Window { from: arguments.from, to: arguments.to };
    let mut reconciling = Reconciling::new(arguments.gateway, window);
    read_report(&arguments.file, &mut reconciling)?;
    let place = match arguments.deployed.deployed(|name| std::env::var(name).ok())? {
        Some(deployed) => {
            let mut plan = plan(Reading::Live(Clock::wall()))?;
            plan.segments = deployed.segments;
            plan.read_units_a_second = deployed.read_units;
            let table = deployed.open();
            let read = runtime::of_one_thread()?.block_on(see_all(&table, &plan, &mut reconciling));
            read.map_err(|error| deployed.explain(error))?;
            format!("table {} {}", table.name(), deployed.place())
        }
        None => {
            let directory = arguments.state.directory();
            let (_snapshot, reader) = directory.snapshot()?;
            let plan = plan(Reading::Still(Now::Newest))?;
            runtime::of_one_thread()?.block_on(see_all(reader.store.table(), &plan, &mut reconciling))?;
            directory.path().display().to_string()
        }
    };
    let reconciled = reconciling.finish();
    if arguments.json {
        say(format_args!("{:#}", to_json(&arguments.file, &place, &reconciled)));
    } else {
        show(&arguments.file, &place, &reconciled, Paint::for_stdout());
    }
    if reconciled.differences.is_empty() { Ok(()) } else { Err(Failure::Findings) }
}

fn read_report(path: &Path, reconciling: &mut Reconciling) -> Result<(), Failure> {
    let shown = path.display();
    let file = File::open(path).map_err(|error| Failure::Failed(format!("{shown} cannot be read: {error}")))?;
    reports::read(file, |line| reconciling.line(line)).map_err(|error| {
        Failure::Failed(match error {
            Unreadable::Io(error) => format!("{shown} cannot be read: {error}"),
            Unreadable::NoReport => format!("{shown} is no report of a gateway: {error}"),
            Unreadable::Malformed { .. } => {
                format!("{shown} is not held against anything, for lines of it are malformed\n{error}")
            }
        })
    })
}

fn plan(reading: Reading) -> Result<Plan, Failure> {
    Ok(Plan::new(reading, Millis(0), verify::chance()?))
}

async fn see_all(table: &Table, plan: &Plan, reconciling: &mut Reconciling) -> Result<(), platform::Failure> {
    let shown = Progress::new();
    verify::each(table, plan, |item| reconciling.see(item), |items| shown.at(format_args!("{items} items"))).await
}

fn show(file: &Path, place: &str, reconciled: &Reconciled, paint: Paint) {
    let Reconciled { charges, refunds, agree, on_the_edge, differences } = reconciled;
    say(format_args!("{} against {place}", file.display()));
    say("");
    say(format_args!("  {:<14} {charges} charges and {refunds} refunds", "the report has"));
    say(format_args!("  {:<14} {agree}", "alike"));
    if *on_the_edge > 0 {
        say(format_args!("  {:<14} {on_the_edge}, or in the report beside this one", "may be in it"));
    }
    let count = differences.len();
    say(format_args!("  {:<14} {}", "different", if count == 0 { paint.green(count) } else { paint.red(count) }));
    if count > 0 {
        say("");
    }
    for difference in differences {
        let Difference { differs, moved, ours, theirs } = difference;
        let what = paint.red(format_args!("{:<9}", differs.name()));
        say(format_args!("  {what} {:<7} here:   {}", moved.name(), ours.as_ref().map_or_else(unknown, our_side)));
        say(format_args!("  {:<9} {:<7} report: {}", "", "", theirs.as_ref().map_or_else(unreported, their_side)));
    }
}

fn unknown() -> String {
    "nothing is known of it".to_owned()
}

fn unreported() -> String {
    "it is not there".to_owned()
}

fn our_side(ours: &Ours) -> String {
    let Ours { key, payment, state, money, at } = ours;
    let what = match (key, payment) {
        (GatewayKey::Charge(payment), _) => format!("payment {payment}"),
        (GatewayKey::Refund(refund), Some(payment)) => format!("refund {refund} of payment {payment}"),
        (GatewayKey::Refund(refund), None) => format!("refund {refund}"),
    };
    let money = money.map(|(amount, currency)| format!(", {}", words(amount, currency))).unwrap_or_default();
    let at = at.map(|at| format!(", {at}")).unwrap_or_default();
    format!("{what}, {state}{money}{at}")
}

fn their_side(theirs: &ReportLine) -> String {
    let ReportLine { line, id, charge, key, reference, amount, currency, at, .. } = theirs;
    let of = if charge == id { String::new() } else { format!(" of {charge}") };
    let named = |name: &str, text: &Option<String>| {
        text.as_ref().map(|text| format!(", {name} {}", text.escape_debug())).unwrap_or_default()
    };
    let (key, reference) = (named("key", key), named("reference", reference));
    format!(
        "line {line}, {}{}, {}, {at}{key}{reference}",
        id.escape_debug(),
        of.escape_debug(),
        words(*amount, *currency)
    )
}

fn words(amount: Amount, currency: Currency) -> String {
    format!("{} {}", amount.to_decimal(currency), currency.code())
}

fn to_json(file: &Path, place: &str, reconciled: &Reconciled) -> Value {
    let Reconciled { charges, refunds, agree, on_the_edge, differences } = reconciled;
    let money = |(amount, currency): (Amount, Currency)| json!({ "amount": amount.to_decimal(currency), "minor": amount.minor(), "currency": currency.code() });
    let ours = |ours: &Ours| {
        json!({
            "key": ours.key,
            "payment": match ours.key {
                GatewayKey::Charge(payment) => Some(payment),
                GatewayKey::Refund(_) => ours.payment,
            },
            "refund": match ours.key {
                GatewayKey::Charge(_) => None,
                GatewayKey::Refund(refund) => Some(refund),
            },
            "state": ours.state,
            "money": ours.money.map(money),
            "at": ours.at.map(|at| at.to_string()),
        })
    };
    let theirs = |line: &ReportLine| {
        json!({
            "line": line.line,
            "id": line.id,
            "charge": line.charge,
            "key": line.key,
            "reference": line.reference,
            "money": money((line.amount, line.currency)),
            "at": line.at.to_string(),
        })
    };
    let differences: Vec<Value> = differences
        .iter()
        .map(|difference| {
            json!({
                "differs": difference.differs.name(),
                "kind": difference.moved.name(),
                "ours": difference.ours.as_ref().map(ours),
                "report": difference.theirs.as_ref().map(theirs),
            })
        })
        .collect();
    json!({
        "file": file,
        "against": place,
        "agrees": differences.is_empty(),
        "report": { "charges": charges, "refunds": refunds },
        "alike": agree,
        "on_the_edge": on_the_edge,
        "differences": differences,
    })
}
