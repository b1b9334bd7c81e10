//! The report: every movement of money, one line each, as a gateway sends it to whoever it settles with.

use std::fmt::Write as _;

use super::{Book, RefundState};
use crate::text::rfc3339;

const HEAD: &str = "kind,id,charge,key,reference,amount,currency,at";

impl Book {
    /// As CSV (RFC 4180, but lines end with a line feed), in the order of time: what was charged and what was given back,
    /// from `from_ms` on and before `to_ms`.
    pub fn report(&self, from_ms: i64, to_ms: i64) -> String {
        let mut lines = Vec::new();
        for charge in self.charges.values().filter(|charge| charge.was_captured()) {
            let Some(at) = charge.settled_ms else { continue };
            lines.push((
                (at, charge.number),
                [
                    "charge".to_owned(),
                    charge.id.clone(),
                    charge.id.clone(),
                    charge.key.clone().unwrap_or_default(),
                    charge.reference.clone().unwrap_or_default(),
                    charge.amount.to_string(),
                    charge.currency.clone(),
                    rfc3339(at),
                ],
            ));
        }
        for refund in self.refunds.values().filter(|refund| refund.state == RefundState::Done) {
            let Some(at) = refund.settled_ms else { continue };
            let reference = self.charge(&refund.charge).and_then(|charge| charge.reference.clone());
            lines.push((
                (at, refund.number),
                [
                    "refund".to_owned(),
                    refund.id.clone(),
                    refund.charge.clone(),
                    refund.key.clone().unwrap_or_default(),
                    reference.unwrap_or_default(),
                    refund.amount.to_string(),
                    refund.currency.clone(),
                    rfc3339(at),
                ],
            ));
        }
        lines.retain(|((at, _), _)| (from_ms..to_ms).contains(at));
        lines.sort();
        let mut report = format!("{HEAD}\n");
        for (_, fields) in lines {
            let fields: Vec<_> = fields.iter().map(|field| quoted(field)).collect();
            let _ = writeln!(report, "{}", fields.join(","));
        }
        report
    }
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_quoted() {
        for (field, expected) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"so\"", "\"say \"\"so\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("", ""),
        ] {
            assert_eq!(quoted(field), expected);
        }
    }
}
