//! What the stand-in says, for eyes.

use domain::{Amount, Currency};
use serde_json::Value;

use crate::terminal::{Paint, say};

fn text<'v>(of: &'v Value, field: &str) -> &'v str {
    of[field].as_str().unwrap_or("-")
}

fn list<'v>(of: &'v Value, field: &str) -> &'v [Value] {
    of[field].as_array().map_or(&[], Vec::as_slice)
}

fn names(list: &[Value]) -> String {
    let names: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
    if names.is_empty() { "nothing goes wrong".to_owned() } else { names.join(", ") }
}

pub(super) fn mood(mood: &Value, paint: Paint) {
    let rates = mood["rates"].as_object().into_iter().flatten();
    let wrong: Vec<(&String, u64)> =
        rates.map(|(name, rate)| (name, rate.as_u64().unwrap_or(0))).filter(|(_, rate)| *rate > 0).collect();
    if wrong.is_empty() {
        say("nothing goes wrong");
        return;
    }
    say(paint.faint("what goes wrong, of ten thousand"));
    for (name, rate) in wrong {
        say(format_args!("  {name:<24} {rate:>5}"));
    }
}

pub(super) fn next(next: &Value, _: Paint) {
    let orders = list(next, "next");
    if orders.is_empty() {
        say("nothing is asked for the next requests");
    }
    for order in orders {
        let times = order["times"].as_u64().unwrap_or(1);
        let only = ["call", "key", "reference"].iter().filter_map(|field| {
            let value = order[*field].as_str()?;
            Some(format!(", {field} {value}"))
        });
        let whom = if times == 1 { "the next request".to_owned() } else { format!("the next {times} requests") };
        say(format_args!("{whom}{}: {}", only.collect::<String>(), names(list(order, "mischiefs"))));
    }
}

pub(super) fn outage(outage: &Value, paint: Paint) {
    let outage = &outage["outage"];
    if outage.is_null() {
        say("there is no outage");
    } else {
        say(paint.yellow(format_args!("an outage until {}: {}", text(outage, "until"), text(outage, "how"))));
    }
}

fn money(of: &Value) -> String {
    let minor = of["amount"].as_i64().unwrap_or(0);
    let code = text(of, "currency");
    match (Amount::from_minor(minor), Currency::from_code(code)) {
        (Some(amount), Some(currency)) => format!("{} {code}", amount.to_decimal(currency)),
        _ => format!("{minor} {code} (minor units)"),
    }
}

pub(super) fn book(book: &Value, paint: Paint) {
    let (charges, refunds) = (list(book, "charges"), list(book, "refunds"));
    for charge in charges {
        let (id, state) = (text(charge, "id"), text(charge, "state"));
        let of = format!("key {}, reference {}", text(charge, "key"), text(charge, "reference"));
        say(format_args!("charge {} {state:<9} {:>14}  {}", paint.bold(id), money(charge), paint.faint(of)));
        for refund in refunds.iter().filter(|refund| refund["charge"] == id) {
            let (id, state) = (text(refund, "id"), text(refund, "state"));
            let of = format!("key {}", text(refund, "key"));
            say(format_args!("  refund {id} {state:<9} {:>14}  {}", money(refund), paint.faint(of)));
        }
        for event in list(book, "events").iter().filter(|event| event["charge"] == id) {
            for copy in list(event, "copies") {
                let attempts: Vec<String> = list(copy, "attempts").iter().map(attempt).collect();
                let attempts = if attempts.is_empty() { "not sent".to_owned() } else { attempts.join(", ") };
                say(format_args!("  callback {:<28} {attempts}", text(event, "kind")));
            }
        }
        let key = &charge["key"];
        for call in list(book, "calls").iter().filter(|call| !key.is_null() && call["key"] == *key) {
            let (method, path) = (text(call, "method"), text(call, "path"));
            let befell = call["mischief"].as_str().map(|mischief| format!(", {mischief}")).unwrap_or_default();
            say(format_args!("  call {method} {path} {}{befell}", status(call)));
        }
    }
    if charges.is_empty() {
        say("nothing was charged");
    }
    say("");
    let calls = list(book, "calls").len();
    say(format_args!("{} charges, {} refunds, {calls} calls", charges.len(), refunds.len()));
    findings(book, paint);
}

fn attempt(attempt: &Value) -> String {
    attempt["status"].as_u64().map_or_else(|| "unanswered".to_owned(), |status| status.to_string())
}

fn status(call: &Value) -> String {
    call["status"].as_u64().map_or_else(|| "without an answer".to_owned(), |status| status.to_string())
}

pub(super) fn findings(judged: &Value, paint: Paint) {
    let findings = list(judged, "findings");
    if findings.is_empty() {
        say(paint.green("no money was taken or given back twice"));
    }
    for finding in findings {
        let of = finding["key"].as_str().or_else(|| finding["reference"].as_str()).unwrap_or("-");
        let which = if finding["refunds"].is_null() { list(finding, "charges") } else { list(finding, "refunds") };
        say(format_args!("{} {of}: {}", paint.red(text(finding, "finding")), names(which)));
    }
}
