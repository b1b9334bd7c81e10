//! What an audit saw and found, for eyes and for machines.

use std::collections::BTreeMap;

use domain::Currency;
use domain::promises::{Finding, Promise, Report};
use serde_json::{Value, json};

use crate::terminal::{Paint, say};

pub(crate) fn to_json(report: &Report, currency: Option<Currency>) -> Value {
    let orders: serde_json::Map<_, _> =
        report.orders.iter().map(|(state, count)| (state.name().to_owned(), json!(count))).collect();
    let promises: Vec<_> = Promise::ALL
        .into_iter()
        .map(|promise| {
            let findings: Vec<_> = of(report, promise)
                .map(|finding| json!({ "subject": finding.subject, "says": finding.says }))
                .collect();
            json!({
                "promise": promise.code(),
                "says": promise.says(),
                "holds": findings.is_empty(),
                "findings": findings,
            })
        })
        .collect();
    json!({
        "holds": report.findings.is_empty() && !report.is_cut,
        "is_cut": report.is_cut,
        "promises": promises,
        "seen": {
            "accounts": report.accounts,
            "entries": report.entries,
            "orders": orders,
            "waiting": report.waiting,
            "stalled": report.stalled,
            "deposits": report.deposits,
            "notifications": report.notifications,
            "products": report.products,
            "receipts": report.receipts,
            "slots": report.slots,
            "profiles": report.profiles,
            "endpoints": report.endpoints,
            "deliveries": report.deliveries,
            "undelivered": report.undelivered,
            "payments": report.payments.iter().map(|(state, count)| (state.name(), count)).collect::<BTreeMap<_, _>>(),
            "refunds": report.refunds.iter().map(|(state, count)| (state.name(), count)).collect::<BTreeMap<_, _>>(),
            "orphans": report.orphans,
            "unreadable": report.unreadable,
            "by_gateways": decimal(report.gateway, currency),
            "confirmed": decimal(report.confirmed, currency),
            "owed": decimal(report.owed, currency),
            "currency": currency.map(Currency::code),
            "deposited": decimal(report.deposited, currency),
            "held": decimal(report.held, currency),
            "revenue": decimal(report.revenue, currency),
        },
    })
}

pub(crate) fn show(report: &Report, currency: Option<Currency>, paint: Paint) {
    let total: usize = report.orders.values().sum();
    let by_state: Vec<_> = report.orders.iter().map(|(state, count)| format!("{} {count}", state.name())).collect();
    let orders = if total == 0 { "0".to_owned() } else { format!("{total}  ({})", by_state.join(", ")) };
    let waits = match (report.waiting, report.stalled) {
        (waiting, 0) => waiting.to_string(),
        (waiting, stalled) => format!("{waiting}, and {stalled} stalled"),
    };
    let money = |minor| {
        let code = currency.map_or("", Currency::code);
        format!("{} {code}", decimal(minor, currency)).trim_end().to_owned()
    };
    let mut seen = vec![
        ("accounts", report.accounts.to_string()),
        ("entries", report.entries.to_string()),
        ("deposits", report.deposits.to_string()),
        ("orders", orders),
        ("waiting", waits),
        ("notifications", report.notifications.to_string()),
        ("came in", money(report.deposited)),
        ("held", money(report.held)),
        ("paid", money(report.revenue)),
    ];
    let payments: usize = report.payments.values().sum();
    if payments > 0 {
        let by_state: Vec<_> =
            report.payments.iter().map(|(state, count)| format!("{} {count}", state.name())).collect();
        seen.push(("payments", format!("{payments}  ({})", by_state.join(", "))));
        seen.push(("by gateways", money(report.gateway)));
    }
    let refunds: usize = report.refunds.values().sum();
    if refunds > 0 {
        seen.push(("refunds", format!("{refunds}, and {} on their way back", money(report.owed))));
    }
    if report.orphans > 0 {
        seen.push(("orphans", paint.yellow(format_args!("{} reports on payments that are not there", report.orphans))));
    }
    if report.products > 0 {
        seen.push(("products", format!("{}, and {} receipts of stock", report.products, report.receipts)));
    }
    if report.slots > 0 {
        seen.push(("slots", report.slots.to_string()));
    }
    if report.profiles > 0 {
        seen.push(("profiles", report.profiles.to_string()));
    }
    if report.deliveries > 0 {
        seen.push(("deliveries", format!("{}, {} of them on their way", report.deliveries, report.undelivered)));
    }
    if report.unreadable > 0 {
        let count = report.unreadable;
        seen.push(("unreadable", paint.yellow(format_args!("{count} messages, kept for a person to look at"))));
    }
    for (what, how_much) in seen {
        say(format_args!("  {what:<14} {how_much}"));
    }
    say("");
    for promise in Promise::ALL {
        let count = of(report, promise).count();
        let verdict = if count == 0 {
            paint.green(format_args!("{:<12}", "holds"))
        } else {
            paint.red(format_args!(
                "{:<12}",
                if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") }
            ))
        };
        say(format_args!("  {verdict} {:<18} {}", promise.code(), paint.faint(promise.says())));
        for finding in of(report, promise) {
            say(format_args!("               {}: {}", paint.bold(&finding.subject), finding.says));
        }
    }
    if report.is_cut {
        let count = report.findings.len();
        say("");
        say(paint.red(format_args!("  there is more to find than the {count} findings that are listed")));
    }
}

fn of(report: &Report, promise: Promise) -> impl Iterator<Item = &Finding> {
    report.findings.iter().filter(move |finding| finding.promise == promise)
}

/// Sums of many accounts, which may be more than one account can hold, and below zero where something is wrong. Where
/// nothing names a currency there is no money.
fn decimal(minor: i128, currency: Option<Currency>) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    match currency.map_or(0, Currency::digits) {
        0 => format!("{sign}{minor}"),
        digits => {
            let unit = 10_u128.pow(digits);
            format!("{sign}{}.{:0width$}", minor / unit, minor % unit, width = digits as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_shown_in_the_currency() {
        let shown = |minor, code| decimal(minor, Some(Currency::from_code(code).unwrap()));
        assert_eq!(shown(150_099, "EUR"), "1500.99");
        assert_eq!(shown(-5, "EUR"), "-0.05");
        assert_eq!(shown(7, "JPY"), "7");
        assert_eq!(shown(i128::from(i64::MAX) * 2, "KWD"), "18446744073709551.614");
    }
}
