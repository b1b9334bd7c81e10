//! What was told of goods, and what may still be said of them.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::{Body, Heard, Intent, Judged, Model, Seen, minor, must};

/// Why something that was asked for is not taken, and may be tried again.
const REFUSED: [(u16, &str); 4] =
    [(422, "sku_unknown"), (404, "sku_not_found"), (422, "slot_unknown"), (422, "slot_has_begun")];

/// Whether it was refused for what is not there, and that may be so.
pub(crate) fn is_refused(heard: &Heard, body: &Body, lacked: bool) -> Option<Judged> {
    let code = heard.code();
    if !REFUSED.contains(&(heard.status, code.as_str())) {
        return None;
    }
    let says = || format!("{} {}", heard.status, String::from_utf8_lossy(&heard.bytes));
    let is_named = body.basket.as_ref().is_some_and(|basket| basket.slot.is_some());
    let may_be = match code.as_str() {
        "slot_has_begun" => is_named,
        _ => lacked,
    };
    Some(must(may_be, || format!("what is there was refused: {}", says())))
}

/// An order of goods answers what was asked for, at prices that come to its amount.
pub(crate) fn goods_as_asked(key: &str, body: &Body, json: &Value) -> Judged {
    let Some(basket) = &body.basket else { return Ok(()) };
    let lines = json["lines"].as_array().cloned().unwrap_or_default();
    let answered: Vec<(String, u32)> = lines
        .iter()
        .map(|line| {
            let quantity = line["quantity"].as_u64().and_then(|quantity| u32::try_from(quantity).ok());
            (line["sku"].as_str().unwrap_or_default().to_owned(), quantity.unwrap_or_default())
        })
        .collect();
    must(answered == basket.lines, || format!("{key}: {:?} was asked for: {json}", basket.lines))?;
    let cost = |line: &Value| Some(minor(&line["price"])? * i64::try_from(line["quantity"].as_u64()?).ok()?);
    let sum: Option<i64> = lines.iter().map(cost).sum();
    must(sum.is_some() && sum == minor(&json["amount"]), || format!("{key}: its lines come to {sum:?}: {json}"))?;
    let slot = basket.slot.as_deref().unwrap_or(super::STANDARD);
    must(json["slot"] == slot, || format!("{key}: slot {slot} was asked for: {json}"))?;
    must(json["reserve_first"] == basket.reserve_first, || format!("{key}: {json}"))?;
    for (name, policy) in [("if_unavailable", basket.if_unavailable), ("if_undeliverable", basket.if_undeliverable)] {
        let policy = policy.unwrap_or_default().name();
        must(json[name] == policy, || format!("{key}: {name} {policy} was asked for: {json}"))?;
    }
    Ok(())
}

pub(super) fn product_put(heard: &Heard, sku: &str, price: i64, is_calm: bool) -> Judged {
    if heard.is_unknown() {
        return Model::judge_error(heard, is_calm);
    }
    let json = heard.json();
    let is_right = heard.status == 200 && json["sku"] == sku && minor(&json["price"]) == Some(price);
    must(is_right, || format!("{sku} for {price}: {} {json}", heard.status))
}

pub(super) fn product_read(heard: &Heard, sku: &str, is_known: bool, is_calm: bool) -> Judged {
    if heard.is_unknown() {
        return Model::judge_error(heard, is_calm);
    }
    let json = heard.json();
    match heard.status {
        200 => must(json["sku"] == sku && json["on_hand"].is_u64(), || format!("{sku}: {json}")),
        404 if heard.code() == "sku_not_found" => must(!is_known, || format!("{sku} is gone")),
        status => Err(format!("{sku}: {status} {json}")),
    }
}

pub(super) fn slot_put(heard: &Heard, slot: &str, capacity: u32, from: Option<&str>, is_calm: bool) -> Judged {
    if heard.is_unknown() {
        return Model::judge_error(heard, is_calm);
    }
    let json = heard.json();
    match heard.status {
        200 => {
            let booked = json["booked"].as_u64().unwrap_or(u64::MAX);
            let is_right = json["id"] == slot && json["capacity"] == capacity && json["from"].as_str() == from;
            must(is_right && booked <= capacity.into(), || format!("{slot} for {capacity} from {from:?}: {json}"))
        }
        409 if heard.code() == "capacity_below_booked" => Ok(()),
        status => Err(format!("{slot}: {status} {json}")),
    }
}

/// All that was there when it was asked for is listed, each once, and no slot is overfull.
pub(super) fn listed(heard: &Heard, named_by: &str, known: &BTreeSet<String>, is_calm: bool) -> Judged {
    if heard.is_unknown() {
        return Model::judge_error(heard, is_calm);
    }
    let json = heard.json();
    must(heard.status == 200, || format!("a list answered {}", heard.status))?;
    let mut names = BTreeSet::new();
    for item in json["items"].as_array().into_iter().flatten() {
        let name = item[named_by].as_str().unwrap_or_default().to_owned();
        must(names.insert(name), || format!("listed twice: {item}"))?;
        let is_overfull = item["booked"].as_u64().zip(item["capacity"].as_u64()).is_some_and(|(b, c)| b > c);
        must(!is_overfull, || format!("more are booked than fit: {item}"))?;
    }
    let missing: Vec<&String> = known.difference(&names).collect();
    must(missing.is_empty(), || format!("{missing:?} are not listed: {json}"))
}

impl Intent {
    /// What it moved on the account, by what was told last.
    pub(crate) fn charged(&self) -> i64 {
        let Some((body, bytes)) = self.accepted.as_ref().filter(|_| !self.is_by_card()) else { return 0 };
        let placed: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let amount = minor(&placed["amount"]).unwrap_or_default();
        let reserve_first = self.bodies[*body].basket.as_ref().is_some_and(|basket| basket.reserve_first);
        match self.seen.state.as_deref() {
            Some("completed" | "awaiting_delivery") => amount,
            Some("awaiting_stock") if !reserve_first => amount,
            _ => 0,
        }
    }
}

impl Model {
    /// An order that its customer cancelled is cancelled, whatever for, and stays so; or it had completed.
    pub(super) fn judge_cancelled(&mut self, intent: usize, before: &Seen, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        let intent = &mut self.intents[intent];
        let (key, json) = (intent.key.clone(), heard.json());
        match heard.status {
            200 => {
                must(json["state"] == "cancelled" && json["id"].as_str() == intent.id.as_deref(), || {
                    format!("{key}: it was cancelled: {json}")
                })?;
                must(json["waiting_for"].is_null(), || format!("{key}: cancelled and waiting: {json}"))?;
                intent.must_end(&key, before, "cancelled")?;
                if let Some(ended) = &before.ended {
                    must(*ended == json, || format!("{key}: it had ended as {ended} and is {json}"))?;
                }
                intent.seen.ended = Some(json);
                Ok(())
            }
            409 if heard.code() == "too_late_to_cancel" => intent.must_end(&key, before, "completed"),
            status => Err(format!("{key}: {status} {json}")),
        }
    }

    /// What the courier took has completed, and the same courier finds it so whenever he asks.
    pub(super) fn judge_accepted(&mut self, intent: usize, before: &Seen, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        let intent = &mut self.intents[intent];
        let (key, json) = (intent.key.clone(), heard.json());
        match (heard.status, heard.code().as_str()) {
            (200, _) => {
                let is_right = json["state"] == "completed" && json["order"].as_str() == intent.id.as_deref();
                must(is_right && json["accepted_at"].is_string(), || format!("{key}: the courier took it: {json}"))?;
                intent.must_end(&key, before, "completed")?;
                if let Some(taken) = &before.taken {
                    must(*taken == json["accepted_at"], || format!("{key}: taken at {taken} and now {json}"))?;
                }
                intent.seen.taken = Some(json["accepted_at"].clone());
                Ok(())
            }
            (409, "not_awaiting_delivery" | "slot_has_room") => {
                must(before.taken.is_none(), || format!("{key}: the courier had taken it, and is refused: {json}"))
            }
            (status, _) => Err(format!("{key}: {status} {json}")),
        }
    }
}

impl Intent {
    /// From now on it has ended like this, and it had not ended otherwise.
    fn must_end(&mut self, key: &str, before: &Seen, state: &'static str) -> Judged {
        if let Some(ends) = before.ends {
            must(ends == state, || format!("{key}: it was told to be {ends}, and is {state}"))?;
        }
        if let Some(ended) = &before.ended {
            must(ended["state"] == state, || format!("{key}: it had ended as {ended} and is {state}"))?;
        }
        self.seen.ends = Some(state);
        Ok(())
    }
}
