//! What one customer was told, and what may still be said to them. An answer once given is never contradicted.
//!
//! A 201 is for ever, and the same for every repeat. An error may or may not have happened, and a retry finds out. What
//! was seen of an order, a statement or an inbox never goes backwards.

use std::collections::{BTreeMap, BTreeSet};

use http::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::cards;
use crate::hooks::told::Hook;
use crate::shop::{Basket, told};

/// The index of an owner's orders lags for a moment; this is far more than one.
const INDEX_LAG_MS: i64 = 60_000;

/// What a request under a key asks for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Body {
    /// Money; of a receipt, pieces; of goods, nothing, since what they cost is read from the catalogue; of a refund of all
    /// that is left, nothing.
    pub(crate) minor: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) if_unpaid: Option<IfUnpaid>,
    /// What a receipt is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sku: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) basket: Option<Basket>,
    /// An order that is paid by card.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) card: bool,
    /// Of a refund: what was paid by what this place asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) of: Option<usize>,
}

impl Body {
    pub(crate) const fn of(minor: i64) -> Self {
        Self { minor, if_unpaid: None, sku: None, basket: None, card: false, of: None }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum IfUnpaid {
    #[default]
    Wait,
    Cancel,
}

impl IfUnpaid {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::Cancel => "cancel",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Deposit,
    Order,
    Receipt,
    Payment,
    Refund,
}

impl Kind {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Deposit => "/deposits",
            Self::Order => "/orders",
            Self::Receipt => "/stock/{sku}/receipts",
            Self::Payment => "/payments",
            Self::Refund => "/payments/{id}/refunds",
        }
    }
}

/// Everything that was asked under one key.
#[derive(Clone, Debug)]
pub(crate) struct Intent {
    pub(crate) kind: Kind,
    pub(crate) key: String,
    /// What was asked for, in the order in which it was first sent.
    pub(crate) bodies: Vec<Body>,
    /// Which of them was answered with 201, and how.
    pub(crate) accepted: Option<(usize, Vec<u8>)>,
    /// Which of them were refused as another's key.
    pub(crate) refused: Vec<usize>,
    /// It was refused for a slot that has begun, which it may be for ever.
    pub(crate) is_too_late: bool,
    /// When a 201 was heard first.
    pub(crate) told_ms: Option<i64>,
    pub(crate) id: Option<String>,
    /// An order, as it was seen last.
    pub(crate) seen: Seen,
}

/// How far something had come when it was seen last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) ended: Option<Value>,
    timeline: Vec<Value>,
    /// Where it stood when it was read last.
    pub(crate) state: Option<String>,
    /// How it has ended, by what a call was answered that would have ended it.
    pub(crate) ends: Option<&'static str>,
    /// When the courier took it.
    pub(crate) taken: Option<Value>,
    /// What its payment captured.
    pub(crate) captured: Option<Value>,
}

#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) intents: Vec<Intent>,
    pub(crate) account: Option<Value>,
    /// The balance that was heard of last. It may have changed since.
    pub(crate) balance: Option<i64>,
    entries: BTreeMap<u64, Value>,
    pub(crate) notifications: BTreeMap<String, Value>,
    pub(crate) hook: Hook,
}

/// An answer, as far as it is judged.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) replayed: bool,
    pub(crate) bytes: Vec<u8>,
}

impl Heard {
    pub(crate) fn of(response: &Response<bytes::Bytes>) -> Self {
        Self {
            status: response.status().as_u16(),
            replayed: response.headers().get("idempotent-replayed").is_some_and(|value| value == "true"),
            bytes: response.body().to_vec(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap_or_default()
    }

    pub(crate) fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The status, and what it comes to.
    pub(crate) fn in_short(&self) -> String {
        let body = self.json();
        let said = ["code", "state", "balance_after", "balance"].into_iter().find_map(|name| body[name].as_str());
        let waits = body["waiting_for"]["what"].as_str().map(|what| format!(", waits for {what}")).unwrap_or_default();
        let items = body["items"].as_array().map(|items| format!("{} items", items.len())).unwrap_or_default();
        let again = if self.replayed { "replayed, " } else { "" };
        format!("{} {again}{}{waits} {items}", self.status, said.unwrap_or_default()).trim_end().to_owned()
    }

    /// Nothing is known from it: it may have been done or not.
    pub(crate) fn is_unknown(&self) -> bool {
        self.status >= 500
    }
}

pub(crate) fn decimal(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

pub(crate) fn minor(amount: &Value) -> Option<i64> {
    let text = amount.as_str()?;
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.')?;
    let cents: i64 = part.parse().ok().filter(|_| part.len() == 2)?;
    Some(sign * (whole.parse::<i64>().ok()? * 100 + cents))
}

pub(crate) type Judged = Result<(), String>;

pub(crate) fn must(holds: bool, says: impl FnOnce() -> String) -> Judged {
    if holds { Ok(()) } else { Err(says()) }
}

impl Model {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            intents: Vec::new(),
            account: None,
            balance: None,
            entries: BTreeMap::new(),
            notifications: BTreeMap::new(),
            hook: Hook::default(),
        }
    }

    /// Errors that may come while things go wrong. In the calm none may.
    pub(crate) fn judge_error(heard: &Heard, is_calm: bool) -> Judged {
        let says = || format!("{} {}", heard.status, String::from_utf8_lossy(&heard.bytes));
        must(!is_calm, || format!("in the calm it answered {}", says()))?;
        // A function that lives knows what to say; 500 is what the gateway says for one that does not.
        let by_gateway = heard.code().is_empty();
        let may_be = match heard.status {
            503 => by_gateway || matches!(heard.code().as_str(), "try_again" | "outcome_unknown"),
            500 | 504 => by_gateway,
            _ => false,
        };
        must(may_be, || format!("it answered {}", says()))
    }

    /// An answer to a request under a key. `lacked` says that what it names may not have been there when it was sent.
    pub(crate) fn judge_keyed(
        &mut self,
        intent: usize,
        body: usize,
        lacked: bool,
        heard: &Heard,
        is_calm: bool,
    ) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        let intent = &mut self.intents[intent];
        let key = intent.key.clone();
        if let Some(judged) = told::is_refused(heard, &intent.bodies[body], lacked) {
            intent.is_too_late |= heard.code() == "slot_has_begun";
            let accepted = intent.accepted.as_ref().map(|(accepted, _)| *accepted);
            must(accepted != Some(body), || format!("{key}: accepted once, and now refused"))?;
            return judged.map_err(|says| format!("{key}: {says}"));
        }
        if cards::told::is_refused(intent.kind, heard) {
            let accepted = intent.accepted.as_ref().map(|(accepted, _)| *accepted);
            return must(accepted != Some(body), || format!("{key}: accepted once, and now refused"));
        }
        let text = String::from_utf8_lossy(&heard.bytes).into_owned();
        let taken = if intent.kind.is_taken_later() { 202 } else { 201 };
        match heard.status {
            status if status == taken => {
                must(!intent.refused.contains(&body), || {
                    format!("{key}: what was refused as another request is accepted: {text}")
                })?;
                if let Some((accepted, bytes)) = &intent.accepted {
                    must(*accepted == body, || format!("{key}: two requests were accepted: {text}"))?;
                    must(*bytes == heard.bytes, || {
                        format!("{key}: answered as {} and now as {text}", String::from_utf8_lossy(bytes))
                    })?;
                    must(heard.replayed, || format!("{key}: a repeat is not said to be one: {text}"))?;
                    return Ok(());
                }
                let json = heard.json();
                let asked = &intent.bodies[body];
                let is_as_asked = match (&asked.sku, &asked.basket) {
                    _ if intent.kind.is_taken_later() => true,
                    (Some(sku), _) => json["quantity"] == asked.minor && json["sku"] == sku.as_str(),
                    (None, Some(_)) => true,
                    (None, None) => minor(&json["amount"]) == Some(asked.minor),
                };
                must(is_as_asked, || format!("{key}: {} was asked for, and answered {text}", asked.minor))?;
                told::goods_as_asked(&key, asked, &json)?;
                cards::told::as_asked(&key, intent.kind, asked, &json)?;
                if intent.kind == Kind::Order {
                    let if_unpaid = asked.if_unpaid.unwrap_or_default().name();
                    must(json["if_unpaid"] == if_unpaid, || format!("{key}: {if_unpaid} was asked for: {text}"))?;
                }
                let id = json["id"].as_str().map(str::to_owned);
                must(id.is_some() && (intent.id.is_none() || intent.id == id), || format!("{key}: {text}"))?;
                self.balance = minor(&json["balance"]).or(self.balance);
                intent.id = id;
                intent.accepted = Some((body, heard.bytes.clone()));
                Ok(())
            }
            422 if heard.code() == "key_used_for_another_request" => {
                must(intent.bodies.len() > 1, || format!("{key}: refused, and nothing else was ever asked under it"))?;
                let accepted = intent.accepted.as_ref().map(|(accepted, _)| *accepted);
                must(accepted != Some(body), || format!("{key}: accepted once, and now refused"))?;
                if !intent.refused.contains(&body) {
                    intent.refused.push(body);
                }
                must(intent.refused.len() < intent.bodies.len(), || {
                    format!("{key}: every request under it was refused")
                })
            }
            _ => Err(format!("{key}: {} {text}", heard.status)),
        }
    }

    pub(crate) fn judge_opened(&mut self, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        let is_news = heard.status == 201;
        must(is_news || heard.status == 200, || format!("opening answered {}", heard.status))?;
        // It may be that an earlier opening was not heard of; but nobody opens what is known to be open.
        must(!is_news || self.account.is_none(), || "an account was opened twice".to_owned())?;
        self.learn_account(&heard.json())
    }

    pub(crate) fn judge_account(&mut self, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        if heard.status == 404 {
            let paid_in = self.intents.iter().any(|i| i.kind == Kind::Deposit && i.accepted.is_some());
            let is_known = self.account.is_some() || paid_in;
            return must(!is_known && heard.code() == "account_not_found", || "the account is gone".to_owned());
        }
        must(heard.status == 200, || format!("the account answered {}", heard.status))?;
        self.learn_account(&heard.json())
    }

    fn learn_account(&mut self, json: &Value) -> Judged {
        let fixed = |json: &Value| [json["id"].clone(), json["currency"].clone(), json["created_at"].clone()];
        if let Some(known) = &self.account {
            must(fixed(known) == fixed(json), || format!("the account was {known} and is {json}"))?;
        }
        let balance = minor(&json["balance"]);
        must(balance.is_some_and(|balance| balance >= 0), || format!("a balance of {}", json["balance"]))?;
        self.account = Some(json.clone());
        self.balance = balance;
        Ok(())
    }

    /// What was known of an order when it was asked for.
    pub(crate) fn seen(&self, intent: usize) -> Seen {
        self.intents[intent].seen.clone()
    }

    pub(crate) fn judge_order(&mut self, intent: usize, before: &Seen, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        let intent = &mut self.intents[intent];
        let (key, json) = (&intent.key, heard.json());
        must(heard.status == 200, || format!("{key}: a 201 was lost: {} {json}", heard.status))?;
        let (body, bytes) = intent.accepted.as_ref().ok_or("it was never accepted")?;
        let placed: Value = serde_json::from_slice(bytes).unwrap_or_default();
        const FIXED: [&str; 13] = [
            "id",
            "amount",
            "currency",
            "description",
            "if_unpaid",
            "created_at",
            "lines",
            "slot",
            "reserve_first",
            "if_unavailable",
            "if_undeliverable",
            "pay_with",
            "payment",
        ];
        for field in FIXED {
            must(json[field] == placed[field], || format!("{key}: {field} was {placed} and is {json}"))?;
        }
        let is_of_goods = intent.bodies[*body].basket.is_some();
        let is_as_asked = is_of_goods || minor(&json["amount"]) == Some(intent.bodies[*body].minor);
        must(is_as_asked, || format!("{key}: {json}"))?;
        let state = json["state"].as_str().unwrap_or_default();
        if let Some(ends) = before.ends {
            must(state == ends, || format!("{key}: it was told to be {ends}, and is {json}"))?;
        }
        intent.seen.state = Some(state.to_owned());
        if let Some(ended) = &before.ended {
            must(*ended == json, || format!("{key}: it had ended as {ended} and is {json}"))?;
        }
        match state {
            "completed" | "cancelled" => {
                must(json["waiting_for"].is_null(), || format!("{key}: ended and waiting: {json}"))?;
                intent.seen.ended = Some(json);
            }
            "awaiting_payment" => {}
            "awaiting_stock" | "awaiting_delivery" if is_of_goods => {}
            _ => return Err(format!("{key}: {json}")),
        }
        Ok(())
    }

    pub(crate) fn judge_timeline(&mut self, intent: usize, before: &Seen, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        let intent = &mut self.intents[intent];
        let (key, json) = (&intent.key, heard.json());
        must(heard.status == 200, || format!("{key}: a 201 was lost: {} {json}", heard.status))?;
        let items = json["items"].as_array().cloned().unwrap_or_default();
        must(items.starts_with(&before.timeline), || {
            format!("{key}: its timeline was {:?} and is {items:?}", before.timeline)
        })?;
        let last = items.last().map(|item| item["transition"].clone()).unwrap_or_default();
        let state = &json["state"];
        let has_ended = state == "completed" || state == "cancelled";
        let last_ends = last == "completed" || last == "cancelled";
        must(has_ended == (*state == last) && has_ended == last_ends, || format!("{key}: {state} after {last}"))?;
        if let Some(ended) = &before.ended {
            must(ended["state"] == *state, || format!("{key}: it had ended as {ended} and is {state}"))?;
        }
        let times = |transition: &str| items.iter().filter(|item| item["transition"] == transition).count();
        must(times("paid") <= 1 && times("placed") == 1, || format!("{key}: {items:?}"))?;
        let is_undone = times("refunded") <= times("paid") && times("released") <= times("reserved");
        let is_handed_over = times("booked") + times("accepted") <= 1;
        must(times("reserved") <= 1 && is_undone && is_handed_over, || format!("{key}: {items:?}"))?;
        if items.len() > intent.seen.timeline.len() {
            intent.seen.timeline = items;
        }
        Ok(())
    }

    /// Another's order, or one that does not exist.
    pub(crate) fn judge_unseen(heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        must(heard.status == 404 && heard.code() == "order_not_found", || {
            format!("another's order: {} {}", heard.status, String::from_utf8_lossy(&heard.bytes))
        })
    }

    pub(crate) fn judge_refused(heard: &Heard, status: u16, code: &str, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        must((heard.status, heard.code().as_str()) == (status, code), || {
            format!("{status} {code} was due: {} {}", heard.status, String::from_utf8_lossy(&heard.bytes))
        })
    }

    /// The whole statement: entries never change, and none is missing.
    pub(crate) fn judge_entries(&mut self, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        must(heard.status == 200, || format!("the statement answered {}", heard.status))?;
        let json = heard.json();
        let items = json["items"].as_array().cloned().unwrap_or_default();
        let newest = self.entries.keys().next_back().copied().unwrap_or_default();
        let number = |item: &Value| item["number"].as_u64().unwrap_or_default();
        let first = items.first().map(number).unwrap_or_default();
        must(first >= newest, || format!("entry {newest} was there and {first} is the newest"))?;
        let last = items.last().map(number).unwrap_or_default();
        must(last == first.min(1), || format!("the statement ends with entry {last}"))?;
        for (item, next) in items.iter().zip(items.iter().skip(1).map(Some).chain([None])) {
            if let Some(known) = self.entries.get(&number(item)) {
                must(known == item, || format!("an entry was {known} and is {item}"))?;
            }
            if let Some(next) = next {
                must(number(item) == number(next) + 1, || format!("{next} comes before {item}"))?;
                let (before, moved) = (minor(&next["balance"]), minor(&item["amount"]));
                let sum = before.zip(moved).map(|(before, moved)| before + moved);
                must(sum.is_some() && sum == minor(&item["balance"]), || format!("{item} after {next}"))?;
            }
        }
        self.entries.extend(items.into_iter().map(|item| (number(&item), item)));
        Ok(())
    }

    pub(crate) fn judge_notifications(&mut self, heard: &Heard, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        must(heard.status == 200, || format!("the inbox answered {}", heard.status))?;
        let mut ids = BTreeSet::new();
        for item in heard.json()["items"].as_array().into_iter().flatten() {
            let id = item["id"].as_str().unwrap_or_default().to_owned();
            must(ids.insert(id.clone()), || format!("told twice: {item}"))?;
            if let Some(known) = self.notifications.get(&id) {
                must(known == item, || format!("it was told {known} and now {item}"))?;
            }
            self.is_own(&item["order"])?;
            self.notifications.insert(id, item.clone());
        }
        let missing = self.notifications.values().find(|item| !item["id"].as_str().is_some_and(|id| ids.contains(id)));
        must(missing.is_none(), || format!("it was told {missing:?} and is not any more"))
    }

    /// The whole list of orders, as it was asked for then. It may lag, but not for longer than anybody notices.
    pub(crate) fn judge_orders(&self, heard: &Heard, asked_ms: i64, is_calm: bool) -> Judged {
        if heard.is_unknown() {
            return Self::judge_error(heard, is_calm);
        }
        must(heard.status == 200, || format!("the list of orders answered {}", heard.status))?;
        let json = heard.json();
        let mut listed = BTreeSet::new();
        for item in json["items"].as_array().into_iter().flatten() {
            self.is_own(&item["id"])?;
            must(listed.insert(item["id"].as_str()), || format!("listed twice: {item}"))?;
        }
        let is_due = |intent: &&Intent| intent.told_ms.is_some_and(|told_ms| told_ms + INDEX_LAG_MS <= asked_ms);
        let mut due = self.intents.iter().filter(|intent| intent.kind == Kind::Order).filter(is_due);
        let missing = due.find(|intent| !listed.contains(&intent.id.as_deref()));
        must(missing.is_none(), || format!("{} is not in the list of orders", missing.map_or("", |intent| &intent.key)))
    }

    /// An order that nobody here was told of may be one whose answer was lost.
    fn is_own(&self, order: &Value) -> Judged {
        let mut orders = self.intents.iter().filter(|intent| intent.kind == Kind::Order);
        let is_known = orders.clone().any(|intent| intent.id.as_deref() == order.as_str());
        let may_be = orders.any(|intent| intent.id.is_none());
        must(is_known || may_be, || format!("{order} is not an order of {}", self.name))
    }

    /// In the end: what is held is what was paid in and not spent, to the cent.
    pub(crate) fn judge_balance(&self) -> Judged {
        let mut due = 0;
        for intent in &self.intents {
            let Some((body, _)) = &intent.accepted else { continue };
            due += match intent.kind {
                Kind::Deposit => intent.bodies[*body].minor,
                Kind::Order => -intent.charged(),
                Kind::Receipt | Kind::Payment | Kind::Refund => 0,
            };
        }
        let held = self.account.as_ref().map_or(Some(0), |account| minor(&account["balance"]));
        must(held == Some(due), || format!("{} holds {held:?}; what was told comes to {due}", self.name))
    }

    /// Orders of plain amounts, which have one deadline. One of goods has one at each step.
    pub(crate) fn waiting(&self) -> usize {
        let is_plain = |intent: &&Intent| intent.bodies.iter().all(|body| body.basket.is_none());
        let orders = self.intents.iter().filter(|i| i.kind == Kind::Order).filter(is_plain);
        orders.filter(|i| i.accepted.is_some() && i.seen.ended.is_none()).count()
    }
}
