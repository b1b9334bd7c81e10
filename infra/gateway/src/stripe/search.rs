//! Lists, which are true at once, and the search, which lags behind as Stripe's does.

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};

use super::form::{Form, Refusal};
use super::objects::{intent_json, refund_json};
use crate::answer::Answer;
use crate::book::{Charge, ChargeState, Protocol, Refund};
use crate::gateway::{Gateway, Moment};

const MOST_LISTED: usize = 100;
const LISTED: usize = 10;

pub(super) fn list_intents(gateway: &Gateway, request: &Request<Bytes>) -> Result<Answer, Refusal> {
    let mut form = Form::of(request)?;
    let limit = limit(&mut form)?;
    let created = form.bounds("created")?;
    let after = form.text("starting_after")?;
    form.list("expand")?;
    form.nothing_else()?;
    let mut charges: Vec<&Charge> = gateway
        .book
        .charges()
        .filter(|charge| charge.protocol == Protocol::Stripe && created(charge.created_ms.div_euclid(1_000)))
        .collect();
    charges.sort_by_key(|charge| std::cmp::Reverse(charge.number));
    let charges = page(charges, limit, after.as_deref(), |charge| &charge.id, "payment_intent")?;
    Ok(listed("/v1/payment_intents", charges, intent_json))
}

pub(super) fn list_refunds(gateway: &Gateway, request: &Request<Bytes>) -> Result<Answer, Refusal> {
    let mut form = Form::of(request)?;
    let limit = limit(&mut form)?;
    let created = form.bounds("created")?;
    let after = form.text("starting_after")?;
    let intent = form.text("payment_intent")?;
    let charge = form.text("charge")?.map(|charge| charge.replacen("ch_", "pi_", 1));
    form.list("expand")?;
    form.nothing_else()?;
    let is_of = |wanted: &Option<String>, refund: &Refund| wanted.as_ref().is_none_or(|id| *id == refund.charge);
    let mut refunds: Vec<&Refund> = gateway
        .book
        .refunds()
        .filter(|refund| refund.protocol == Protocol::Stripe && created(refund.created_ms.div_euclid(1_000)))
        .filter(|refund| is_of(&intent, refund) && is_of(&charge, refund))
        .collect();
    refunds.sort_by_key(|refund| std::cmp::Reverse(refund.number));
    let refunds = page(refunds, limit, after.as_deref(), |refund| &refund.id, "refund")?;
    Ok(listed("/v1/refunds", refunds, refund_json))
}

pub(super) fn search_intents(gateway: &Gateway, request: &Request<Bytes>, now_ms: Moment) -> Result<Answer, Refusal> {
    let mut form = Form::of(request)?;
    let query = form.text("query")?.ok_or_else(|| Refusal::parameter_missing("query"))?;
    let limit = limit(&mut form)?;
    let after = form.text("page")?;
    form.list("expand")?;
    form.nothing_else()?;
    let clauses = parse(&query).map_err(|message| Refusal::invalid("query", None, &message))?;
    let lag_ms = i64::try_from(gateway.mood.timing.search_lag_ms).unwrap_or(i64::MAX);
    let is_indexed = |charge: &Charge| charge.changed_ms <= now_ms.saturating_sub(lag_ms);
    let mut charges: Vec<&Charge> = gateway
        .book
        .charges()
        .filter(|charge| charge.protocol == Protocol::Stripe && is_indexed(charge))
        .filter(|charge| clauses.iter().all(|clause| clause.fits(charge)))
        .collect();
    charges.sort_by_key(|charge| std::cmp::Reverse(charge.number));
    let (charges, has_more) = page(charges, limit, after.as_deref(), |charge| &charge.id, "page")?;
    let next_page = charges.last().filter(|_| has_more).map(|charge| charge.id.clone());
    let data: Vec<_> = charges.into_iter().map(intent_json).collect();
    Ok(Answer::said(
        200,
        &json!({
            "object": "search_result",
            "url": "/v1/payment_intents/search",
            "has_more": has_more,
            "next_page": next_page,
            "data": data,
        }),
    ))
}

fn limit(form: &mut Form) -> Result<usize, Refusal> {
    let limit = form.whole_number("limit")?.map_or(Some(LISTED), |limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| (1..=MOST_LISTED).contains(limit));
    limit.ok_or_else(|| Refusal::invalid("limit", Some("parameter_invalid_integer"), "A limit is from 1 to 100."))
}

fn page<'a, T>(
    all: Vec<&'a T>,
    limit: usize,
    after: Option<&str>,
    id: impl Fn(&T) -> &String,
    what: &str,
) -> Result<(Vec<&'a T>, bool), Refusal> {
    let begins = match after {
        None => 0,
        Some(after) => {
            let place = all.iter().position(|one| id(one) == after);
            place.ok_or_else(|| Refusal::missing(what, after, "starting_after", 400))? + 1
        }
    };
    let has_more = all.len() > begins + limit;
    Ok((all.into_iter().skip(begins).take(limit).collect(), has_more))
}

fn listed<T>(url: &str, (all, has_more): (Vec<&T>, bool), show: impl Fn(&T) -> Value) -> Answer {
    let data: Vec<_> = all.into_iter().map(show).collect();
    Answer::said(200, &json!({"object": "list", "url": url, "has_more": has_more, "data": data}))
}

/// One condition of a search; all of them hold.
#[derive(Debug, PartialEq, Eq)]
enum Clause {
    Metadata(String, String),
    Status(String),
    Currency(String),
}

impl Clause {
    fn fits(&self, charge: &Charge) -> bool {
        match self {
            Self::Metadata(name, value) => charge.metadata.get(name) == Some(value),
            Self::Status(status) => {
                let is = match charge.state {
                    ChargeState::Pending => "processing",
                    ChargeState::Captured | ChargeState::Refunded => "succeeded",
                    ChargeState::Declined => "requires_payment_method",
                };
                status == is
            }
            Self::Currency(code) => charge.currency.eq_ignore_ascii_case(code),
        }
    }
}

/// `field:'value'` and `metadata['name']:'value'`, joined by AND: what of Stripe's query language is known here.
fn parse(query: &str) -> Result<Vec<Clause>, String> {
    let mut clauses = Vec::new();
    let mut rest = query.trim();
    loop {
        let (clause, left) = clause(rest)?;
        clauses.push(clause);
        rest = left.trim_start();
        if rest.is_empty() {
            return Ok(clauses);
        }
        rest = rest
            .strip_prefix("AND ")
            .or_else(|| rest.strip_prefix("and "))
            .ok_or("Conditions are joined by AND; nothing else is known here.")?
            .trim_start();
    }
}

fn clause(text: &str) -> Result<(Clause, &str), String> {
    if let Some(rest) = text.strip_prefix("metadata[") {
        let (name, rest) = quoted(rest)?;
        let rest = rest.strip_prefix("]:").ok_or("After metadata['name'] comes a colon and a value in quotes.")?;
        let (value, rest) = quoted(rest)?;
        return Ok((Clause::Metadata(name, value), rest));
    }
    let (field, rest) = text.split_once(':').ok_or("A condition is field:'value'.")?;
    let make = match field {
        "status" => Clause::Status,
        "currency" => Clause::Currency,
        _ => return Err(format!("{field} cannot be searched by here; status, currency and metadata can.")),
    };
    let (value, rest) = quoted(rest)?;
    Ok((make(value), rest))
}

/// In single or double quotes, with a backslash before a quote that is meant.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut chars = text.char_indices();
    let quote = chars.next().map(|(_, first)| first).filter(|first| matches!(first, '\'' | '"'));
    let quote = quote.ok_or("A value stands in quotes.")?;
    let mut value = String::new();
    while let Some((place, char)) = chars.next() {
        if char == quote {
            return Ok((value, &text[place + 1..]));
        }
        let meant = if char == '\\' { chars.next().map(|(_, next)| next) } else { Some(char) };
        value.extend(meant);
    }
    Err("A quote is not closed.".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_conditions_joined_by_and() {
        let metadata = |name: &str, value: &str| Clause::Metadata(name.to_owned(), value.to_owned());
        for (query, expected) in [
            ("metadata['reference']:'order 7'", vec![metadata("reference", "order 7")]),
            (r#"metadata["a"]:"it's""#, vec![metadata("a", "it's")]),
            (r"metadata['a']:'it\'s'", vec![metadata("a", "it's")]),
            (
                "status:'succeeded' AND metadata['a']:'b' AND currency:'eur'",
                vec![Clause::Status("succeeded".into()), metadata("a", "b"), Clause::Currency("eur".into())],
            ),
        ] {
            assert_eq!(parse(query).unwrap(), expected, "{query}");
        }
        for query in [
            "",
            "status",
            "status:succeeded",
            "status:'a' OR status:'b'",
            "amount:'1'",
            "metadata['a']",
            "status:'a",
            "status:'a'x",
        ] {
            assert!(parse(query).is_err(), "{query}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_query_is_too_odd(query in ".*") {
            let _ = parse(&query);
        }
    }
}
