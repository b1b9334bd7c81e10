//! What happens, as it happens: a line for each request, each step of an order and each invocation that failed. The
//! machinery between them is not told; whoever wants it asks for logs.
//!
//! Lines are handed to a thread of their own, so that a terminal that stands still never holds up the server. What it
//! could not take is counted and said.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use domain::Timestamp;
use local_cloud::edge::{AnswerObserver, AnswerRecord};
use local_cloud::{Clock, EventObserver, InvocationObserver, InvocationRecord, Outcome};
use serde_json::Value;

use crate::terminal::{Paint, say};

#[derive(Clone)]
pub(super) struct Feed(Arc<Inner>);

struct Inner {
    clock: Clock,
    paint: Paint,
    lines: SyncSender<String>,
    left_out: Arc<AtomicUsize>,
}

/// Beside the message, which says what panicked and where.
const AFTER_A_PANIC: &str = "the server goes on, and what is committed stays; started with RUST_BACKTRACE=1 it says how it \
     came there, and `paidonce invoke` replays the event alone";

/// Lines that wait for the terminal.
const DEPTH: usize = 4096;

impl Feed {
    pub(super) fn start(clock: Clock, paint: Paint) -> Self {
        let (lines, taken) = sync_channel(DEPTH);
        let left_out = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&left_out);
        std::thread::spawn(move || write(&taken, &counted));
        Self(Arc::new(Inner { clock, paint, lines, left_out }))
    }

    pub(super) fn answers(&self) -> AnswerObserver {
        let inner = Arc::clone(&self.0);
        Arc::new(move |answer| inner.tell(answered(inner.paint, answer)))
    }

    pub(super) fn events(&self) -> EventObserver {
        let inner = Arc::clone(&self.0);
        Arc::new(move |event| {
            if let Some(line) = happened(inner.paint, event) {
                inner.tell(line);
            }
        })
    }

    pub(super) fn invocations(&self) -> InvocationObserver {
        let inner = Arc::clone(&self.0);
        Arc::new(move |record| {
            if let Some(line) = went_wrong(inner.paint, record) {
                inner.tell(line);
            }
        })
    }
}

impl Inner {
    fn tell(&self, line: String) {
        let now = Timestamp::from_millis(self.clock.now_ms()).to_string();
        let time = now.get(11..23).unwrap_or(&now);
        if self.lines.try_send(format!("{}  {line}", self.paint.faint(time))).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn write(lines: &Receiver<String>, left_out: &AtomicUsize) {
    for line in lines {
        say(line);
        match left_out.swap(0, Ordering::Relaxed) {
            0 => {}
            count => say(format_args!("… {count} lines were left out")),
        }
    }
}

fn answered(paint: Paint, answer: &AnswerRecord) -> String {
    let AnswerRecord { method, path, status, duration_ms } = answer;
    let shown = match status {
        ..400 => paint.green(status),
        400..500 => paint.yellow(status),
        _ => paint.red(status),
    };
    format!("{method} {path}  {shown}  {}", paint.faint(format_args!("{duration_ms} ms")))
}

/// A step of an order or a payment, or what has become of a gateway.
fn happened(paint: Paint, event: &Value) -> Option<String> {
    let (about, step) = event["detail-type"].as_str()?.split_once('.')?;
    let detail = &event["detail"];
    match about {
        "order" => of_order(paint, step, detail),
        "payment" | "refund" => of_payment(paint, about, step, detail),
        "gateway" => of_gateway(paint, detail),
        _ => None,
    }
}

/// What the gateway has said of a payment, and what an order does not tell by itself.
fn of_payment(paint: Paint, about: &str, step: &str, detail: &Value) -> Option<String> {
    let text = |field: &str| detail[field].as_str();
    let (id, amount) = match about {
        "refund" => (text("refund")?, text("part")?),
        _ => (text("payment")?, text("amount")?),
    };
    let shown = match step {
        "pending" => return None,
        "captured" | "given_back" => paint.green(step),
        "declined" | "unknown" | "expired" | "created" => paint.yellow(step),
        "doubted" | "in_review" => paint.red(step),
        _ => step.to_owned(),
    };
    let why = detail["doubt"]["why"].as_str().map(|why| format!(": {why}")).unwrap_or_default();
    Some(format!("{about} {id}  {shown} {amount} {}{why}", text("currency")?))
}

fn of_gateway(paint: Paint, detail: &Value) -> Option<String> {
    let gateway = detail["gateway"].as_str()?;
    let what = detail["phase"]
        .as_str()
        .map_or("told of a payment that is not there".to_owned(), |phase| format!("its breaker is {phase}"));
    Some(format!("gateway {gateway}  {}", paint.yellow(what)))
}

/// That it was placed, and what became of an account, the request's own line has told.
fn of_order(paint: Paint, transition: &str, detail: &Value) -> Option<String> {
    let text = |field: &str| detail[field].as_str();
    if transition == "placed" {
        return None;
    }
    let (order, amount, currency) = (text("order")?, text("amount")?, text("currency")?);
    let more = match transition {
        "paid" => format!(" with {amount} {currency}"),
        "waiting" => match (text("missing"), &detail["lacks"]) {
            (Some(missing), _) => format!(" for {missing} {currency} that is missing"),
            (None, lacks) if lacks == "card" => " for the word of the gateway".to_owned(),
            (None, lacks) => match (lacks["stock"]["sku"].as_str(), lacks["delivery"]["slot"].as_str()) {
                (Some(sku), _) => format!(" for stock: {} of {sku} is missing", lacks["stock"]["missing"]),
                (None, Some(slot)) => format!(" for room in slot {slot}"),
                (None, None) => String::new(),
            },
        },
        "cancelled" => format!(" because of: {}", text("reason").unwrap_or("nothing said")),
        _ => String::new(),
    };
    let shown = match transition {
        "completed" => paint.green(transition),
        "waiting" | "cancelled" => paint.yellow(transition),
        "stalled" => paint.red(transition),
        _ => transition.to_owned(),
    };
    Some(format!("order {order}  {shown}{more}"))
}

fn went_wrong(paint: Paint, record: &InvocationRecord) -> Option<String> {
    let what = match record.outcome {
        Outcome::Done => return None,
        Outcome::Failed => "failed",
        Outcome::TimedOut => "timed out",
        Outcome::Panicked => "panicked",
        Outcome::Throttled => "was throttled",
    };
    let why = match (&record.error, record.outcome) {
        (None, _) => String::new(),
        (Some(error), Outcome::Panicked) => format!("{}\n              {}", error.message, paint.faint(AFTER_A_PANIC)),
        (Some(error), _) => error.to_string(),
    };
    Some(format!("{} {}: {why}", record.function, paint.red(what)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(kind: &str, detail: Value) -> Option<String> {
        let paint = Paint::for_pipes();
        happened(paint, &json!({ "detail-type": kind, "detail": detail }))
    }

    #[test]
    fn each_step_of_an_order_is_a_line_and_accounts_are_none() {
        let order = |more: Value| {
            let mut detail = json!({ "order": "o1", "amount": "10.00", "currency": "EUR" });
            detail.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
            detail
        };
        let none = json!({});
        assert_eq!(told("order.paid", order(none.clone())).unwrap(), "order o1  paid with 10.00 EUR");
        assert_eq!(told("order.completed", order(none.clone())).unwrap(), "order o1  completed");
        let missing = order(json!({ "missing": "2.50" }));
        assert_eq!(told("order.waiting", missing).unwrap(), "order o1  waiting for 2.50 EUR that is missing");
        for (lacks, says) in [
            (json!("card"), "the word of the gateway"),
            (json!({ "stock": { "sku": "tea", "missing": 2 } }), "stock: 2 of tea is missing"),
            (json!({ "delivery": { "slot": "noon" } }), "room in slot noon"),
        ] {
            let waiting = told("order.waiting", order(json!({ "lacks": lacks })));
            assert_eq!(waiting.unwrap(), format!("order o1  waiting for {says}"));
        }
        let unpaid = order(json!({ "reason": "unpaid" }));
        assert_eq!(told("order.cancelled", unpaid).unwrap(), "order o1  cancelled because of: unpaid");
        assert_eq!(told("order.placed", order(none.clone())), None);
        assert_eq!(told("account.deposited", none), None);
    }

    #[test]
    fn what_the_gateway_says_of_payments_is_a_line() {
        let payment = json!({ "payment": "p1", "amount": "10.00", "currency": "EUR", "state": "captured" });
        assert_eq!(told("payment.captured", payment.clone()).unwrap(), "payment p1  captured 10.00 EUR");
        assert_eq!(told("payment.pending", payment.clone()), None);
        let mut doubted = payment.clone();
        doubted["doubt"] = json!({ "why": "callback_changed" });
        assert_eq!(told("payment.doubted", doubted).unwrap(), "payment p1  doubted 10.00 EUR: callback_changed");
        let mut refund = payment;
        refund["refund"] = json!("r1");
        refund["part"] = json!("2.50");
        assert_eq!(told("refund.given_back", refund).unwrap(), "refund r1  given_back 2.50 EUR");
        let breaker = json!({ "gateway": "plain", "phase": "open" });
        assert_eq!(told("gateway.breaker", breaker).unwrap(), "gateway plain  its breaker is open");
    }

    #[test]
    fn only_invocations_that_went_wrong_are_told() {
        let record = |outcome| InvocationRecord {
            function: "Relay".to_owned(),
            trigger: local_cloud::Trigger::Stream,
            outcome,
            duration_ms: 3,
            error: Some(local_cloud::FunctionError { kind: "Failed".to_owned(), message: "no".to_owned() }),
        };
        let paint = Paint::for_pipes();
        assert_eq!(went_wrong(paint, &record(Outcome::Done)), None);
        assert_eq!(went_wrong(paint, &record(Outcome::TimedOut)).unwrap(), "Relay timed out: Failed: no");
        let panicked = went_wrong(paint, &record(Outcome::Panicked)).unwrap();
        let lines: Vec<_> = panicked.lines().map(str::trim).collect();
        assert_eq!((lines.len(), lines[0]), (2, "Relay panicked: no"));
        assert!(lines[1].contains("goes on") && lines[1].contains("RUST_BACKTRACE=1"), "{panicked}");
    }
}
