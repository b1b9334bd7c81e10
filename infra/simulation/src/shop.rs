//! What customers do in a shop: they keep it, order of it, cancel, and carry what was ordered. Whether a run has one is
//! drawn for all of its customers together.

pub(crate) mod told;

use std::collections::BTreeSet;

use domain::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::chance;
use crate::coverage::Path;
use crate::model::{Body, IfUnpaid, Intent, Kind};
use crate::workload::{Customer, Letter, Operation, page, places};

/// What is ordered, and how it is to come.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Basket {
    pub(crate) lines: Vec<(String, u32)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) slot: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) reserve_first: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) if_unavailable: Option<IfUnpaid>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) if_undeliverable: Option<IfUnpaid>,
}

/// What a customer does in a shop besides asking for something under a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Deed {
    PutProduct {
        sku: String,
        minor: i64,
    },
    /// It begins so long after the run does.
    PutSlot {
        slot: String,
        capacity: u32,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        begins_ms: Option<i64>,
    },
    /// An order of one's own.
    Cancel(usize),
    /// The courier takes an order of this customer's.
    Accept(usize),
    ReadProduct(String),
    ListProducts,
    ListSlots,
}

/// What is known to be there, since somebody was told so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelves {
    pub(crate) products: BTreeSet<String>,
    pub(crate) slots: BTreeSet<String>,
}

pub(crate) const STANDARD: &str = "standard";
const SKUS: [(&str, i64); 3] = [("tea", 100), ("pot", 250), ("cup", 40)];
const SLOTS: [&str; 3] = [STANDARD, "noon", "dawn"];
pub(crate) const SCOPES: &str = "stock slots courier";
pub(crate) const COURIER: &str = "courier";

impl Body {
    pub(crate) fn receipt(sku: &str, quantity: u32) -> Self {
        Self { sku: Some(sku.to_owned()), ..Self::of(quantity.into()) }
    }

    pub(crate) fn goods(basket: Basket) -> Self {
        Self { basket: Some(basket), ..Self::of(0) }
    }

    /// What else could be asked for under the same key.
    pub(crate) fn another(&self) -> Self {
        let mut other = Self { minor: self.minor + 1, ..self.clone() };
        if let Some(basket) = &mut other.basket {
            other.minor = self.minor;
            basket.lines.iter_mut().take(1).for_each(|(_, quantity)| *quantity += 1);
        }
        other
    }

    /// The fields of a request for it.
    pub(crate) fn asked(&self, fields: &mut Map<String, Value>) {
        let Some(basket) = &self.basket else { return };
        let line = |(sku, quantity): &(String, u32)| json!({ "sku": sku, "quantity": quantity });
        fields.insert("lines".to_owned(), basket.lines.iter().map(line).collect());
        fields.extend(basket.slot.as_ref().map(|slot| ("slot".to_owned(), slot.as_str().into())));
        if basket.reserve_first {
            fields.insert("reserve_first".to_owned(), true.into());
        }
        let policies = [("if_unavailable", basket.if_unavailable), ("if_undeliverable", basket.if_undeliverable)];
        for (name, policy) in policies {
            fields.extend(policy.map(|policy| (name.to_owned(), policy.name().into())));
        }
    }

    pub(crate) fn in_words(&self) -> Option<String> {
        if let Some(sku) = &self.sku {
            return Some(format!("takes in {} of {sku}", self.minor));
        }
        let basket = self.basket.as_ref()?;
        let lines: Vec<String> = basket.lines.iter().map(|(sku, quantity)| format!("{quantity} {sku}")).collect();
        let mut words = format!("orders {}{}", lines.join(" and "), if self.card { " by card" } else { "" });
        if let Some(slot) = &basket.slot {
            words.push_str(&format!(" in {slot}"));
        }
        if basket.reserve_first {
            words.push_str(", reserved first");
        }
        for (lacking, policy) in [
            ("unpaid", self.if_unpaid),
            ("unavailable", basket.if_unavailable),
            ("undeliverable", basket.if_undeliverable),
        ] {
            words.push_str(&policy.map(|policy| format!(", if {lacking} {}", policy.name())).unwrap_or_default());
        }
        Some(words)
    }
}

impl Customer {
    /// What a customer does where there is a shop; `None` is anything else.
    pub(crate) fn draw_in_shop(&self, rng: &mut fastrand::Rng, number: u64) -> Option<Operation> {
        if let Some(operation) = self.draw_crowd(number).or_else(|| self.draw_hurry(number)) {
            return Some(operation);
        }
        // Whoever comes opens the shop, so that there is something to order soon.
        match number {
            1 => return Some(Operation::Shop(put_product(rng, self.number() % SKUS.len()))),
            2 => return Some(Operation::Shop(put_slot(rng))),
            _ => {}
        }
        // What was ordered last is most likely still on its way.
        let mut orders = places(&self.model.intents, |intent| intent.kind == Kind::Order && intent.accepted.is_some());
        orders.reverse();
        orders.truncate(4);
        let one = |rng: &mut fastrand::Rng| orders.get(rng.usize(0..orders.len().max(1))).copied();
        let on_the_shelf = self.known().shelves.products.clone();
        let goods = |rng: &mut fastrand::Rng| goods(rng, &on_the_shelf);
        Some(match rng.u32(0..100) {
            0..23 => Operation::Order(goods(rng)),
            23..33 => Operation::Receive(receipt(rng)),
            33..41 => Operation::Shop(put_slot(rng)),
            41..45 => {
                let which = rng.usize(0..SKUS.len());
                Operation::Shop(put_product(rng, which))
            }
            45..53 => one(rng).map_or(Operation::Order(goods(rng)), |order| Operation::Shop(Deed::Cancel(order))),
            53..61 => one(rng).map_or(Operation::Receive(receipt(rng)), |order| Operation::Shop(Deed::Accept(order))),
            61..68 => {
                let mut burst: Vec<(Kind, Body)> = (0..rng.usize(2..6)).map(|_| (Kind::Order, goods(rng))).collect();
                if rng.bool() {
                    let place = rng.usize(0..burst.len());
                    burst.insert(place, (Kind::Receipt, receipt(rng)));
                }
                let places = burst.into_iter().enumerate();
                Operation::Burst(places.map(|(place, (kind, body))| (place, kind, body)).collect())
            }
            68..70 => Operation::Shop(Deed::ReadProduct(SKUS[rng.usize(0..SKUS.len())].0.to_owned())),
            70..72 => Operation::Shop(Deed::ListProducts),
            72..74 => Operation::Shop(Deed::ListSlots),
            _ => return None,
        })
    }

    /// More than a transaction takes at once wait for one receipt: each is paid and, as its slot has no room, refunded.
    fn draw_crowd(&self, number: u64) -> Option<Operation> {
        let mut rng = chance::at(self.world().workload, &self.model.name, 1_000);
        if rng.u32(0..24) > 0 {
            return None;
        }
        let if_undeliverable = rng.bool().then_some(IfUnpaid::Cancel);
        let slot = if rng.bool() { None } else { Some("noon".to_owned()) };
        let one = |place| {
            let lines = vec![("tea".to_owned(), 1)];
            let basket =
                Basket { lines, slot: slot.clone(), reserve_first: true, if_undeliverable, ..Basket::default() };
            (place, Kind::Order, Body::goods(basket))
        };
        match number {
            1 => Some(Operation::Shop(Deed::PutProduct { sku: "tea".to_owned(), minor: 100 })),
            2 => Some(Operation::Shop(Deed::PutSlot { slot: "noon".to_owned(), capacity: 0, begins_ms: None })),
            3 => Some(Operation::Burst((0..rng.usize(31..36)).map(one).collect())),
            4 => Some(Operation::Deposit(Body::of(10_000))),
            5 => Some(Operation::Receive(Body::receipt("tea", 33))),
            _ => None,
        }
    }

    /// A slot is raised for who waits for it, and a courier may come before they are woken.
    fn draw_hurry(&self, number: u64) -> Option<Operation> {
        if chance::at(self.world().workload, &self.model.name, 1_001).u32(0..40) > 0 {
            return None;
        }
        let slot = |capacity| Deed::PutSlot { slot: "noon".to_owned(), capacity, begins_ms: None };
        match number {
            1 => Some(Operation::Shop(Deed::PutProduct { sku: "tea".to_owned(), minor: 100 })),
            2 => Some(Operation::Shop(slot(0))),
            3 => Some(Operation::Receive(Body::receipt("tea", 1))),
            4 => Some(Operation::Deposit(Body::of(100))),
            5 => {
                let lines = vec![("tea".to_owned(), 1)];
                let basket = Basket { lines, slot: Some("noon".to_owned()), ..Basket::default() };
                Some(Operation::Order(Body::goods(basket)))
            }
            6 => Some(Operation::Shop(slot(1))),
            7 => {
                let is_placed = |intent: &Intent| intent.kind == Kind::Order && intent.accepted.is_some();
                let order = places(&self.model.intents, is_placed).pop();
                order.map(|order| Operation::Shop(Deed::Accept(order)))
            }
            _ => None,
        }
    }

    pub(crate) fn deed_in_words(&self, deed: &Deed) -> String {
        let key_of = |intent: &usize| &self.model.intents[*intent].key;
        match deed {
            Deed::PutProduct { sku, minor } => format!("puts {sku} into the catalogue for {minor}"),
            Deed::PutSlot { slot, capacity, begins_ms } => {
                let begins = begins_ms.map(|ms| format!(", beginning after {ms} ms")).unwrap_or_default();
                format!("opens slot {slot} for {capacity}{begins}")
            }
            Deed::Cancel(intent) => format!("cancels {}", key_of(intent)),
            Deed::Accept(intent) => format!("has the courier take {}", key_of(intent)),
            Deed::ReadProduct(sku) => format!("reads {sku}"),
            Deed::ListProducts => "lists the catalogue".to_owned(),
            Deed::ListSlots => "lists slots".to_owned(),
        }
    }

    pub(crate) async fn does(&mut self, deed: Deed, rng: &mut fastrand::Rng) {
        match deed {
            Deed::PutProduct { sku, minor } => self.put_product(&sku, minor).await,
            Deed::PutSlot { slot, capacity, begins_ms } => self.put_slot(&slot, capacity, begins_ms).await,
            Deed::Cancel(intent) => self.cancel(intent).await,
            Deed::Accept(intent) => self.accept(intent).await,
            Deed::ReadProduct(sku) => self.read_product(&sku).await,
            Deed::ListProducts => self.list("/stock", "sku", page(rng)).await,
            Deed::ListSlots => self.list("/slots", "id", page(rng)).await,
        }
    }

    async fn put_product(&mut self, sku: &str, minor: i64) {
        let price = crate::model::decimal(minor);
        let letter = Letter::put(format!("/stock/{sku}"), &json!({ "name": sku, "price": price }));
        for heard in self.send(&letter).await {
            let judged = told::product_put(&heard, sku, minor, self.world().is_calm());
            self.judged("PUT /stock/{sku}", judged);
            if heard.status == 200 {
                self.known().shelves.products.insert(sku.to_owned());
            }
        }
    }

    async fn put_slot(&mut self, slot: &str, capacity: u32, begins_ms: Option<i64>) {
        let mut body = json!({ "capacity": capacity });
        let from = begins_ms.map(|ms| Timestamp::from_millis(self.world().start_ms + ms).to_string());
        if let Some(from) = &from {
            body["from"] = from.as_str().into();
        }
        for heard in self.send(&Letter::put(format!("/slots/{slot}"), &body)).await {
            if heard.code() == "capacity_below_booked" {
                self.world().reached(Path::BelowBooked);
            }
            let judged = told::slot_put(&heard, slot, capacity, from.as_deref(), self.world().is_calm());
            self.judged("PUT /slots/{id}", judged);
            if matches!(heard.status, 200 | 409) {
                self.known().shelves.slots.insert(slot.to_owned());
            }
        }
    }

    async fn cancel(&mut self, intent: usize) {
        let Some(id) = self.model.intents[intent].id.clone() else { return };
        let before = self.model.seen(intent);
        for heard in self.send(&Letter::call(format!("/orders/{id}/cancel"))).await {
            if heard.code() == "too_late_to_cancel" {
                self.world().reached(Path::TooLate);
            }
            let judged = self.model.judge_cancelled(intent, &before, &heard, self.world().is_calm());
            self.judged("POST /orders/{id}/cancel", judged);
        }
    }

    async fn accept(&mut self, intent: usize) {
        let Some(id) = self.model.intents[intent].id.clone() else { return };
        let before = self.model.seen(intent);
        let letter = Letter::call(format!("/deliveries/{id}/accept")).by_courier();
        for heard in self.send(&letter).await {
            match heard.code().as_str() {
                "slot_has_room" => self.world().reached(Path::SlotHadRoom),
                "not_awaiting_delivery" => self.world().reached(Path::NothingToCarry),
                _ => {}
            }
            let judged = self.model.judge_accepted(intent, &before, &heard, self.world().is_calm());
            self.judged("POST /deliveries/{order}/accept", judged);
        }
    }

    async fn read_product(&mut self, sku: &str) {
        let is_known = self.known().shelves.products.contains(sku);
        for heard in self.send(&Letter::get(format!("/stock/{sku}"))).await {
            let judged = told::product_read(&heard, sku, is_known, self.world().is_calm());
            self.judged("GET /stock/{sku}", judged);
        }
    }

    async fn list(&mut self, path: &'static str, named_by: &'static str, page: u32) {
        let known = self.known().shelves.clone();
        let known = if path == "/stock" { known.products } else { known.slots };
        if let Some(heard) = self.whole(path, page).await {
            let judged = told::listed(&heard, named_by, &known, self.world().is_calm());
            self.judged(path, judged);
        }
    }

    /// In the calm: whatever was asked for and may not be there is put there, so that all that was asked for is taken.
    pub(crate) async fn stock_up(&mut self) {
        let bodies: Vec<Body> = self.model.intents.iter().flat_map(|intent| intent.bodies.clone()).collect();
        let lines = bodies.iter().filter_map(|body| body.basket.as_ref()).flat_map(|basket| &basket.lines);
        let skus: BTreeSet<String> =
            lines.map(|(sku, _)| sku).chain(bodies.iter().filter_map(|body| body.sku.as_ref())).cloned().collect();
        let slots: BTreeSet<String> = bodies
            .iter()
            .filter_map(|body| body.basket.as_ref()?.slot.clone())
            .filter(|slot| slot != STANDARD)
            .collect();
        let known = self.known().shelves.clone();
        for sku in skus.difference(&known.products) {
            let (_, minor) = SKUS.into_iter().find(|(name, _)| name == sku).unwrap_or(("", 100));
            self.put_product(sku, minor).await;
        }
        for slot in slots.difference(&known.slots) {
            self.put_slot(slot, 1, None).await;
        }
    }
}

fn put_product(rng: &mut fastrand::Rng, which: usize) -> Deed {
    let (sku, minor) = SKUS[which];
    // Prices change now and then.
    let minor = if rng.u32(0..4) == 0 { minor * 2 } else { minor };
    Deed::PutProduct { sku: sku.to_owned(), minor }
}

fn put_slot(rng: &mut fastrand::Rng) -> Deed {
    // Most are for whoever names none, as most orders are.
    let slot = SLOTS[rng.usize(0..6).saturating_sub(3)];
    let begins_ms = match (slot, rng.u32(0..4)) {
        ("dawn", 0..3) => Some(rng.i64(2_000..90_000)),
        ("noon", 0) => Some(rng.i64(60_000..7_200_000)),
        _ => None,
    };
    let capacity = if rng.u32(0..4) == 0 { 0 } else { rng.u32(1..9) };
    Deed::PutSlot { slot: slot.to_owned(), capacity, begins_ms }
}

fn receipt(rng: &mut fastrand::Rng) -> Body {
    Body::receipt(SKUS[rng.usize(0..SKUS.len())].0, rng.u32(1..7))
}

/// Mostly of what is there.
pub(crate) fn goods(rng: &mut fastrand::Rng, on_the_shelf: &BTreeSet<String>) -> Body {
    let anything = on_the_shelf.is_empty() || rng.u32(0..8) == 0;
    let mut skus: Vec<&str> =
        SKUS.into_iter().map(|(sku, _)| sku).filter(|sku| anything || on_the_shelf.contains(*sku)).collect();
    rng.shuffle(&mut skus);
    let lines = skus.into_iter().take(rng.usize(1..4)).map(|sku| (sku.to_owned(), rng.u32(1..4))).collect();
    let slot = match rng.u32(0..8) {
        0..4 => None,
        which => Some(SLOTS[(which % 3) as usize].to_owned()),
    };
    let policy = |rng: &mut fastrand::Rng| match rng.u32(0..8) {
        0 => Some(IfUnpaid::Cancel),
        1 => Some(IfUnpaid::Wait),
        _ => None,
    };
    let reserve_first = rng.u32(0..3) == 0;
    let (if_unpaid, if_unavailable, if_undeliverable) = (policy(rng), policy(rng), policy(rng));
    let basket = Basket { lines, slot, reserve_first, if_unavailable, if_undeliverable };
    Body { if_unpaid, ..Body::goods(basket) }
}
