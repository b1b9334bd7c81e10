//! What customers do. An operation is added here: a variant, how it is drawn, how it is sent and what is said of the
//! answer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::Request;
use local_system::System;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::{advance, sleep};

use crate::cards::{self, Card};
use crate::chance;
use crate::coverage::Path;
use crate::fault::{Class, Fault};
use crate::hooks::{self, Hook};
use crate::model::{Body, Heard, IfUnpaid, Intent, Kind, Model, Seen, decimal};
use crate::outcome::Performed;
use crate::plan::Point;
use crate::script::Step;
use crate::shop::{COURIER, Deed, SCOPES, Shelves};
use crate::telling::{Line, Mark};
use crate::world::World;

/// One thing that a customer does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    Open,
    Deposit(Body),
    Order(Body),
    /// For all that is on the account, as far as the customer knows.
    OrderOfAll,
    /// Several orders and a deposit at once, each with its place.
    Burst(Vec<(usize, Kind, Body)>),
    /// The same request again.
    Again(usize),
    /// Another request under the same key.
    Other(usize, Body),
    ReadAccount,
    ReadOrder(usize),
    ReadTimeline(usize),
    ListEntries,
    ListOrders,
    ListNotifications,
    /// An order of somebody else's, or one that does not exist.
    ReadAnothers,
    /// What no server takes, and then the same key with what it does take.
    Malformed(usize),
    /// Stock comes in.
    Receive(Body),
    Shop(Deed),
    Hook(Hook),
    Card(Card),
}

/// Why a request is not taken: its key if it has one, its content type, its body, and what is answered.
type Wrong = (Option<&'static str>, &'static str, &'static str, u16, &'static str);

const JSON: &str = "application/json";
const MALFORMED: &[Wrong] = &[
    (None, JSON, r#"{"amount":"1"}"#, 400, "idempotency_key_missing"),
    (Some("a,b"), JSON, r#"{"amount":"1"}"#, 400, "idempotency_key_malformed"),
    (Some(""), JSON, r#"{"amount":"-1"}"#, 422, "amount_has_sign"),
    (Some(""), JSON, r#"{"amount":"1.001"}"#, 422, "amount_too_precise"),
    (Some(""), JSON, r#"{"amount":1e2}"#, 422, "amount_has_exponent"),
    (Some(""), JSON, r#"{"amount":"0"}"#, 422, "amount_not_positive"),
    (Some(""), JSON, r#"{"amount":"1","colour":"red"}"#, 422, "field_unknown"),
    (Some(""), JSON, r#"{"amount":"1","currency":"USD"}"#, 422, "currency_not_of_this_stack"),
    (Some(""), JSON, r#"{"amount":"#, 400, "json_malformed"),
    (Some(""), "text/plain", r#"{"amount":"1"}"#, 415, "content_type_unsupported"),
];

/// What customers were told of, for all of them.
pub(crate) type Known = Arc<Mutex<Told>>;

#[derive(Debug, Default)]
pub(crate) struct Told {
    /// By whose they are.
    orders: Vec<(usize, String)>,
    pub(crate) shelves: Shelves,
}

pub(crate) struct Customer {
    number: usize,
    pub(crate) model: Model,
    world: Arc<World>,
    system: Arc<System>,
    known: Known,
    is_hot: bool,
    /// There is a shop in this run.
    is_shop: bool,
    has_acted: bool,
    sent: u64,
}

/// A request that can be sent more than once.
#[derive(Clone)]
pub(crate) struct Letter {
    method: &'static str,
    path: String,
    key: Option<String>,
    content_type: &'static str,
    body: Bytes,
    who: Who,
}

/// Who sends a request, and what they may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Customer,
    /// The one that there is.
    Courier,
    /// A customer who may have money given back.
    Refunder,
    /// The one that there is.
    Operator,
}

impl Customer {
    pub(crate) fn new(number: usize, world: Arc<World>, system: Arc<System>, known: Known) -> Self {
        let name = ["alice", "bob", "carol"][number % 3];
        let is_hot = chance::at(world.workload, name, 0).u32(0..3) == 0;
        let is_shop = chance::at(world.workload, "shop", 0).bool();
        if world.plan.traced {
            world.state().names.meet(&system.app().config.tokens.issuer, name);
        }
        Self { number, model: Model::new(name), world, system, known, is_hot, is_shop, has_acted: false, sent: 0 }
    }

    pub(crate) const fn number(&self) -> usize {
        self.number
    }

    pub(crate) fn world(&self) -> &World {
        &self.world
    }

    pub(crate) fn system(&self) -> &System {
        &self.system
    }

    pub(crate) async fn wait_for(&self, length_ms: u64) {
        sleep(Duration::from_millis(length_ms)).await;
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.system.app().config.tokens.issuer
    }

    pub(crate) fn known(&self) -> MutexGuard<'_, Told> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that this customer does while things go wrong.
    pub(crate) async fn act(&mut self) {
        let script = self.world.plan.script.clone();
        match script.as_ref().and_then(|script| script.customers.get(self.number)) {
            Some(steps) => self.follow(steps).await,
            None => self.improvise().await,
        }
    }

    async fn improvise(&mut self) {
        let mut rng = chance::at(self.world.workload, &self.model.name, 1);
        let operations = rng.u64(5..13);
        for number in 1..=operations {
            let mut rng = chance::at(self.world.workload, &self.model.name, number + 1);
            let length = self.think(&mut rng);
            self.wait(length).await;
            if let Some(operation) = self.draw_hook(number) {
                self.take(hooks::FIRST + number, operation).await;
            }
            if let Some(operation) = self.draw_card(number) {
                self.take(cards::FIRST + number, operation).await;
            }
            let operation = self.draw(&mut rng, number);
            self.take(number, operation).await;
        }
    }

    async fn follow(&mut self, steps: &[Step]) {
        for step in steps {
            match step {
                // What it is about may have been left out.
                Step::Does { what, .. } if !self.knows(what) => {}
                Step::Does { number, what } => self.take(*number, what.clone()).await,
                Step::WaitsMs(length) => self.wait(*length).await,
                Step::JumpsMs(length) => {
                    self.world.tell(self.number, step.clone());
                    advance(Duration::from_millis(*length)).await;
                }
                Step::Begins => {
                    self.world.tell(self.number, step.clone());
                    self.world.begin();
                }
            }
        }
    }

    async fn wait(&mut self, length_ms: u64) {
        self.world.tell(self.number, Step::WaitsMs(length_ms));
        sleep(Duration::from_millis(length_ms)).await;
    }

    /// Does one thing, unless the plan leaves it out.
    async fn take(&mut self, number: u64, operation: Operation) {
        if self.world.plan.dropped.contains(&(self.number, number)) {
            return;
        }
        let operation = self.thinned(operation, number);
        self.has_acted = true;
        let says = format!("{} {}", self.model.name, self.in_words(&operation, number));
        let requests = if let Operation::Burst(requests) = &operation { requests.len() } else { 1 };
        self.world.performs(Performed { customer: self.number, number, requests, says });
        self.world.tell(self.number, Step::Does { number, what: operation.clone() });
        // Apart from the numbers with which it was drawn, so that it is the same where it is told.
        let mut rng = chance::at(self.world.workload, &format!("{} does", self.model.name), number);
        self.perform(operation, number, &mut rng).await;
    }

    fn knows(&self, operation: &Operation) -> bool {
        let intent = |place: &usize| self.model.intents.get(*place);
        match operation {
            Operation::Again(place) | Operation::Other(place, _) => intent(place).is_some(),
            Operation::ReadOrder(place) | Operation::ReadTimeline(place) => {
                intent(place).is_some_and(|intent| intent.kind == Kind::Order && intent.accepted.is_some())
            }
            Operation::Malformed(which) => *which < MALFORMED.len(),
            Operation::Shop(Deed::Cancel(place) | Deed::Accept(place)) => {
                intent(place).is_some_and(|intent| intent.kind == Kind::Order && intent.accepted.is_some())
            }
            Operation::Card(Card::Read(place)) => intent(place).is_some_and(Intent::is_by_card),
            Operation::Card(Card::Refund(body)) => body.of.is_some_and(|place| intent(&place).is_some()),
            Operation::Burst(requests) => {
                requests.iter().all(|(_, _, body)| body.of.is_none_or(|place| intent(&place).is_some()))
            }
            _ => true,
        }
    }

    /// Without the requests that the plan leaves out.
    fn thinned(&self, operation: Operation, number: u64) -> Operation {
        let is_left_out = |place: usize| self.world.plan.thinned.contains(&(self.number, number, place));
        match operation {
            Operation::Burst(mut requests) => {
                requests.retain(|(place, ..)| !is_left_out(*place));
                Operation::Burst(requests)
            }
            operation => operation,
        }
    }

    fn in_words(&self, operation: &Operation, number: u64) -> String {
        let key_of = |intent: &usize| &self.model.intents[*intent].key;
        let asks = |kind: Kind, key: String, body: &Body| match (kind, body.if_unpaid) {
            _ if body.in_words().is_some() => format!("{} ({key})", body.in_words().unwrap_or_default()),
            (Kind::Payment, _) => format!("pays {} for an order kept elsewhere ({key})", decimal(body.minor)),
            (Kind::Refund, _) => format!("{} ({key})", self.refund_in_words(body)),
            (Kind::Order, _) if body.card => format!("orders for {} by card ({key})", decimal(body.minor)),
            (Kind::Deposit | Kind::Receipt, _) => format!("deposits {} ({key})", decimal(body.minor)),
            (Kind::Order, None) => format!("orders for {} ({key})", decimal(body.minor)),
            (Kind::Order, Some(if_unpaid)) => {
                format!("orders for {}, if unpaid {} ({key})", decimal(body.minor), if_unpaid.name())
            }
        };
        match operation {
            Operation::Open => "opens an account".to_owned(),
            Operation::OrderOfAll => format!("orders for all that is on the account (k{number})"),
            Operation::Deposit(body) => asks(Kind::Deposit, format!("k{number}"), body),
            Operation::Order(body) => asks(Kind::Order, format!("k{number}"), body),
            Operation::Receive(body) => asks(Kind::Receipt, format!("k{number}"), body),
            Operation::Shop(deed) => self.deed_in_words(deed),
            Operation::Hook(hook) => Self::hook_in_words(*hook),
            Operation::Card(card) => self.card_in_words(card, number),
            Operation::Burst(requests) => {
                let asked: Vec<String> = requests
                    .iter()
                    .map(|(place, kind, body)| asks(*kind, format!("k{number}-{place}"), body))
                    .collect();
                format!("at once {}", asked.join(", "))
            }
            Operation::Again(intent) => format!("repeats {}", key_of(intent)),
            Operation::Other(intent, body) => {
                let asked = body.in_words().unwrap_or_else(|| format!("asks for {}", decimal(body.minor)));
                format!("{asked} under {}", key_of(intent))
            }
            Operation::ReadAccount => "reads the account".to_owned(),
            Operation::ReadOrder(intent) => format!("reads the order {}", key_of(intent)),
            Operation::ReadTimeline(intent) => format!("reads the timeline of {}", key_of(intent)),
            Operation::ListEntries => "lists entries".to_owned(),
            Operation::ListOrders => "lists orders".to_owned(),
            Operation::ListNotifications => "lists notifications".to_owned(),
            Operation::ReadAnothers => "asks for another's order".to_owned(),
            Operation::Malformed(which) => format!("sends what is refused as {}", MALFORMED[*which].4),
        }
    }

    /// In milliseconds.
    fn think(&self, rng: &mut fastrand::Rng) -> u64 {
        match rng.u32(0..12) {
            _ if self.is_hot => rng.u64(0..300),
            0 => rng.u64(20_000..70_000),
            1..=4 => rng.u64(0..30),
            _ => rng.u64(30..4_000),
        }
    }

    fn draw(&self, rng: &mut fastrand::Rng, number: u64) -> Operation {
        // From numbers of its own, so that the other runs stay as they are.
        let mut of_shop = chance::at(self.world.workload, &format!("{} shops", self.model.name), number);
        if self.is_shop
            && let Some(operation) = self.draw_in_shop(&mut of_shop, number)
        {
            return operation;
        }
        let orders: Vec<usize> = places(&self.model.intents, |i| i.kind == Kind::Order && i.accepted.is_some());
        let all: Vec<usize> = places(&self.model.intents, |_| true);
        let pick = |rng: &mut fastrand::Rng, of: &[usize]| of.get(rng.usize(0..of.len().max(1))).copied();
        let is_crowded = chance::at(self.world.workload, &self.model.name, 0).u32(0..24) == 0;
        match number {
            // More than a transaction takes at once wait for one deposit, which covers nearly all of them.
            2 if is_crowded => {
                let one = |place| (place, Kind::Order, Body::of(100));
                return Operation::Burst((0..rng.usize(31..40)).map(one).collect());
            }
            3 if is_crowded => return Operation::Deposit(Body::of(rng.i64(3_050..4_500))),
            _ => {}
        }
        match rng.u32(0..100) {
            0..4 => Operation::Open,
            4..20 => Operation::Deposit(deposit(rng)),
            20..45 => Operation::Order(order(rng)),
            45..48 => Operation::OrderOfAll,
            48..58 => {
                let mut burst: Vec<(Kind, Body)> = (0..rng.usize(2..6)).map(|_| (Kind::Order, order(rng))).collect();
                if rng.bool() {
                    let place = rng.usize(0..burst.len());
                    burst.insert(place, (Kind::Deposit, deposit(rng)));
                }
                let places = burst.into_iter().enumerate();
                Operation::Burst(places.map(|(place, (kind, body))| (place, kind, body)).collect())
            }
            58..66 => pick(rng, &all).map_or(Operation::Open, Operation::Again),
            66..71 => match pick(rng, &all) {
                Some(intent) => {
                    let before = &self.model.intents[intent].bodies[0];
                    Operation::Other(intent, before.another())
                }
                None => Operation::ReadAccount,
            },
            71..75 => Operation::ReadAccount,
            75..81 => pick(rng, &orders).map_or(Operation::ListOrders, Operation::ReadOrder),
            81..86 => pick(rng, &orders).map_or(Operation::ListOrders, Operation::ReadTimeline),
            86..88 => Operation::ListEntries,
            88..90 => Operation::ListOrders,
            90..92 => Operation::ListNotifications,
            92..95 => Operation::ReadAnothers,
            _ => Operation::Malformed(rng.usize(0..MALFORMED.len())),
        }
    }

    async fn perform(&mut self, operation: Operation, number: u64, rng: &mut fastrand::Rng) {
        self.world.say(|| Line::new(Mark::Plain, &self.model.name, self.in_words(&operation, number)));
        match operation {
            Operation::Open => {
                for heard in self.send(&Letter::post("/accounts", None, "")).await {
                    let judged = self.model.judge_opened(&heard, self.world.is_calm());
                    self.judged("POST /accounts", judged);
                }
            }
            Operation::Deposit(body) => self.ask(Kind::Deposit, format!("k{number}"), body, rng).await,
            Operation::Order(body) => self.ask(Kind::Order, format!("k{number}"), body, rng).await,
            Operation::Receive(body) => self.ask(Kind::Receipt, format!("k{number}"), body, rng).await,
            Operation::Shop(deed) => self.does(deed, rng).await,
            Operation::Hook(hook) => self.hooks(hook).await,
            Operation::Card(card) => self.pays(card, number, rng).await,
            Operation::OrderOfAll => {
                let minor = self.model.balance.filter(|balance| *balance > 0).unwrap_or(1);
                self.ask(Kind::Order, format!("k{number}"), Body::of(minor), rng).await;
            }
            Operation::Burst(requests) => self.burst(number, requests).await,
            Operation::Again(intent) => {
                let body = rng.usize(0..self.model.intents[intent].bodies.len());
                self.try_hard(intent, body, rng).await;
            }
            Operation::Other(intent, other) => {
                let bodies = &mut self.model.intents[intent].bodies;
                let body = bodies.iter().position(|body| *body == other).unwrap_or_else(|| {
                    bodies.push(other);
                    bodies.len() - 1
                });
                self.try_hard(intent, body, rng).await;
            }
            Operation::ReadAccount => self.read_account().await,
            Operation::ReadOrder(intent) => self.read_order(intent).await,
            Operation::ReadTimeline(intent) => self.read_timeline(intent).await,
            Operation::ListEntries => self.list_entries(page(rng)).await,
            Operation::ListOrders => self.list_orders(page(rng)).await,
            Operation::ListNotifications => self.list_notifications(page(rng)).await,
            Operation::ReadAnothers => self.read_anothers(rng).await,
            Operation::Malformed(which) => self.malformed(number, which, rng).await,
        }
    }

    /// A new request under a new key.
    pub(crate) async fn ask(&mut self, kind: Kind, key: String, body: Body, rng: &mut fastrand::Rng) {
        let intent = self.intend(kind, key, body);
        self.try_hard(intent, 0, rng).await;
    }

    fn intend(&mut self, kind: Kind, key: String, body: Body) -> usize {
        if self.world.plan.traced {
            self.world.state().names.ask(&self.model.name, &key);
        }
        self.model.intents.push(Intent {
            kind,
            key,
            bodies: vec![body],
            accepted: None,
            refused: Vec::new(),
            is_too_late: false,
            told_ms: None,
            id: None,
            seen: Seen::default(),
        });
        self.model.intents.len() - 1
    }

    /// Sends it until something is known, or until the customer has had enough.
    async fn try_hard(&mut self, intent: usize, body: usize, rng: &mut fastrand::Rng) {
        let tries = if rng.u32(0..4) == 0 { 1 } else { 4 };
        for _ in 0..tries {
            if self.try_once(intent, body).await {
                return;
            }
            sleep(Duration::from_millis(rng.u64(10..3_000))).await;
        }
    }

    /// Whether anything is known now.
    async fn try_once(&mut self, intent: usize, body: usize) -> bool {
        let letter = self.letter(intent, body);
        let lacked = self.may_lack(intent, body);
        let heard = self.send(&letter).await;
        self.hear(intent, body, lacked, &heard)
    }

    /// Whether what a request names is not known to be there.
    fn may_lack(&self, intent: usize, body: usize) -> bool {
        let body = &self.model.intents[intent].bodies[body];
        let known = &self.known().shelves;
        let lines = body.basket.iter().flat_map(|basket| basket.lines.iter().map(|(sku, _)| sku));
        let slot = body.basket.as_ref().and_then(|basket| basket.slot.as_ref());
        !lines.chain(&body.sku).all(|sku| known.products.contains(sku))
            || slot.is_some_and(|slot| !known.slots.contains(slot))
    }

    fn hear(&mut self, intent: usize, body: usize, lacked: bool, heard: &[Heard]) -> bool {
        for heard in heard {
            if heard.status == 201 && heard.replayed {
                self.world.reached(Path::Replayed);
            }
            match heard.code().as_str() {
                "key_used_for_another_request" => self.world.reached(Path::KeyRefused),
                _ if cards::told::is_refused(self.model.intents[intent].kind, heard) => {
                    self.world.reached(Path::NotGivenBack);
                }
                "sku_unknown" | "sku_not_found" | "slot_unknown" => self.world.reached(Path::NotOnTheShelf),
                "slot_has_begun" => self.world.reached(Path::SlotHadBegun),
                _ => {}
            }
            let was_told = self.model.intents[intent].id.is_some();
            let judged = self.model.judge_keyed(intent, body, lacked, heard, self.world.is_calm());
            let asked = &mut self.model.intents[intent];
            if asked.accepted.is_some() {
                asked.told_ms.get_or_insert(self.world.now_ms());
            }
            let asked = &self.model.intents[intent];
            if let (Kind::Order, Some(id), false) = (asked.kind, &asked.id, was_told) {
                self.known().orders.push((self.number, id.clone()));
            }
            self.judged(asked.kind.path(), judged);
        }
        heard.iter().any(|heard| !heard.is_unknown())
    }

    async fn burst(&mut self, number: u64, requests: Vec<(usize, Kind, Body)>) {
        let first = self.model.intents.len();
        for (place, kind, body) in requests {
            self.intend(kind, format!("k{number}-{place}"), body);
        }
        let intents: Vec<usize> = (first..self.model.intents.len()).collect();
        let letters: Vec<(Letter, Point)> =
            intents.iter().map(|intent| (self.letter(*intent, 0), self.next_point())).collect();
        let lacked: Vec<bool> = intents.iter().map(|intent| self.may_lack(*intent, 0)).collect();
        let this = &*self;
        let heard =
            join_all(letters.into_iter().map(|(letter, point)| async move { this.carry(&letter, point).await }));
        for ((intent, lacked), heard) in intents.into_iter().zip(lacked).zip(heard.await) {
            self.hear(intent, 0, lacked, &heard);
        }
    }

    fn letter(&self, intent: usize, body: usize) -> Letter {
        let intent = &self.model.intents[intent];
        let body = &intent.bodies[body];
        if let Some(sku) = &body.sku {
            let fields = json!({ "quantity": body.minor });
            return Letter::post(&format!("/stock/{sku}/receipts"), Some(intent.key.clone()), &fields.to_string());
        }
        if let Some(letter) = self.card_letter(intent, body) {
            return letter;
        }
        let mut fields = Map::new();
        if body.card {
            fields.insert("pay_with".to_owned(), "card".into());
        }
        if body.basket.is_none() {
            fields.insert("amount".to_owned(), decimal(body.minor).into());
        }
        body.asked(&mut fields);
        if intent.kind == Kind::Order {
            fields.insert("description".to_owned(), format!("order {}", intent.key).into());
            fields.extend(body.if_unpaid.map(|if_unpaid| ("if_unpaid".to_owned(), if_unpaid.name().into())));
        }
        Letter::post(intent.kind.path(), Some(intent.key.clone()), &Value::Object(fields).to_string())
    }

    async fn read_account(&mut self) {
        for heard in self.send(&Letter::get("/account")).await {
            let judged = self.model.judge_account(&heard, self.world.is_calm());
            self.judged("GET /account", judged);
        }
    }

    async fn read_order(&mut self, intent: usize) {
        let Some(id) = self.model.intents[intent].id.clone() else { return };
        let before = self.model.seen(intent);
        for heard in self.send(&Letter::get(format!("/orders/{id}"))).await {
            let judged = self.model.judge_order(intent, &before, &heard, self.world.is_calm());
            self.judged("GET /orders/{id}", judged);
        }
    }

    async fn read_timeline(&mut self, intent: usize) {
        let Some(id) = self.model.intents[intent].id.clone() else { return };
        let before = self.model.seen(intent);
        for heard in self.send(&Letter::get(format!("/orders/{id}/timeline"))).await {
            let judged = self.model.judge_timeline(intent, &before, &heard, self.world.is_calm());
            self.judged("GET /orders/{id}/timeline", judged);
        }
    }

    async fn list_orders(&mut self, page: u32) {
        let asked_ms = self.world.now_ms();
        if let Some(heard) = self.whole("/orders", page).await {
            let judged = self.model.judge_orders(&heard, asked_ms, self.world.is_calm());
            self.judged("GET /orders", judged);
        }
    }

    async fn list_entries(&mut self, page: u32) {
        if let Some(heard) = self.whole("/account/entries", page).await {
            let judged = self.model.judge_entries(&heard, self.world.is_calm());
            self.judged("GET /account/entries", judged);
        }
    }

    async fn list_notifications(&mut self, page: u32) {
        if let Some(heard) = self.whole("/notifications", page).await {
            let judged = self.model.judge_notifications(&heard, self.world.is_calm());
            self.judged("GET /notifications", judged);
        }
    }

    /// A list from its beginning to its end, put together from its pages. `None` if nothing was heard of one of them.
    pub(crate) async fn whole(&mut self, path: &str, page: u32) -> Option<Heard> {
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let letter = Letter::get(format!("{path}?limit={page}{cursor}"));
            let heard = self.send(&letter).await.into_iter().next()?;
            let mut json = heard.json();
            if heard.status != 200 {
                return Some(heard);
            }
            items.extend(json["items"].as_array().cloned().unwrap_or_default());
            match json["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => {
                    json["items"] = items.into();
                    return Some(Heard { bytes: json.to_string().into_bytes(), ..heard });
                }
            }
        }
    }

    async fn read_anothers(&mut self, rng: &mut fastrand::Rng) {
        let known = self.known().orders.clone();
        let anothers: Vec<String> =
            known.into_iter().filter(|(whose, _)| *whose != self.number).map(|(_, id)| id).collect();
        let id = match anothers.get(rng.usize(0..anothers.len().max(1))) {
            Some(id) => {
                self.world.reached(Path::AnothersOrder);
                id.clone()
            }
            None => "a".repeat(32),
        };
        let path = if rng.bool() { format!("/orders/{id}") } else { format!("/orders/{id}/timeline") };
        for heard in self.send(&Letter::get(path)).await {
            let judged = Model::judge_unseen(&heard, self.world.is_calm());
            self.judged("another's order", judged);
        }
    }

    async fn malformed(&mut self, number: u64, which: usize, rng: &mut fastrand::Rng) {
        let (key, content_type, body, status, code) = MALFORMED[which];
        let own_key = format!("k{number}");
        let key = key.map(|key| if key.is_empty() { own_key.clone() } else { key.to_owned() });
        let kind = if rng.bool() { Kind::Deposit } else { Kind::Order };
        let letter = Letter { content_type, ..Letter::post(kind.path(), key, body) };
        let mut is_refused = false;
        for heard in self.send(&letter).await {
            is_refused |= !heard.is_unknown();
            let judged = Model::judge_refused(&heard, status, code, self.world.is_calm());
            self.judged("a malformed request", judged);
        }
        if is_refused && rng.bool() {
            self.world.reached(Path::KeyMended);
            let body = if kind == Kind::Deposit { deposit(rng) } else { order(rng) };
            self.ask(kind, own_key, body, rng).await;
        }
    }

    /// In the calm: what is unknown is found out, and what is known is said again, byte for byte.
    pub(crate) async fn find_out(&mut self) {
        self.stock_up().await;
        self.set_again().await;
        for intent in 0..self.model.intents.len() {
            let bodies = self.model.intents[intent].bodies.len();
            if self.model.intents[intent].accepted.is_none() {
                self.world.reached(Path::FoundOut);
            } else if chance::at(self.world.workload, &self.model.intents[intent].key, 0).bool() {
                continue;
            }
            for body in 0..bodies {
                if !self.try_once(intent, body).await {
                    self.world.find(format!("{}: in the calm nothing was heard", self.model.name));
                }
            }
            let may_be_refused = self.model.intents[intent].kind == Kind::Refund;
            let is_open = self.model.intents[intent].accepted.is_none() && !may_be_refused;
            if is_open && !self.model.intents[intent].is_too_late {
                let key = &self.model.intents[intent].key;
                self.world.find(format!("{}: nothing asked under {key} is accepted", self.model.name));
            }
        }
    }

    /// Long afterwards: some of what was accepted, sent once more.
    pub(crate) async fn say_again(&mut self) {
        const TIMES: usize = 3;
        let mut rng = chance::at(self.world.workload, &self.model.name, self.sent);
        let mut accepted = places(&self.model.intents, |intent| intent.accepted.is_some());
        rng.shuffle(&mut accepted);
        for intent in accepted.into_iter().take(TIMES) {
            if let Some(body) = self.model.intents[intent].accepted.as_ref().map(|(body, _)| *body) {
                self.try_once(intent, body).await;
            }
        }
    }

    /// In the calm: everything, read once more, and what it comes to.
    pub(crate) async fn look_at_everything(&mut self) {
        if !self.has_acted {
            return;
        }
        for intent in 0..self.model.intents.len() {
            if self.model.intents[intent].kind == Kind::Order {
                self.read_timeline(intent).await;
                self.read_order(intent).await;
            }
        }
        self.look_at_payments().await;
        self.read_account().await;
        let mut rng = chance::at(self.world.workload, &self.model.name, self.sent);
        self.list_orders(page(&mut rng)).await;
        self.list_entries(page(&mut rng)).await;
        self.list_notifications(page(&mut rng)).await;
        let judged = self.model.judge_balance();
        self.judged("the balance", judged);
        if self.model.hook.is_used {
            self.read_hook().await;
            let judged = self.world.state().book.judge_inbox(self.customer(), &self.model.notifications);
            self.judged("what its endpoint was told", judged);
        }
    }

    pub(crate) fn judged(&self, what: &str, judged: Result<(), String>) {
        if let Err(says) = judged {
            self.world.find(format!("{}: {what}: {says}", self.model.name));
        }
    }

    fn next_point(&mut self) -> Point {
        self.sent += 1;
        Point::new(&self.model.name, self.sent)
    }

    /// What is heard of it: nothing, an answer, or the answers to both of two that were sent at once.
    pub(crate) async fn send(&mut self, letter: &Letter) -> Vec<Heard> {
        let point = self.next_point();
        self.carry(letter, point).await
    }

    async fn carry(&self, letter: &Letter, point: Point) -> Vec<Heard> {
        self.world.meet(&point, Class::Request, true, || letter.in_short());
        let struck = self.world.strike(&point, Class::Request, true);
        if let Some((fault, _)) = &struck {
            self.world.say(|| Line::new(Mark::Struck, &point, letter.in_short()).to(fault.name().to_uppercase()));
        }
        let mut heard = match struck {
            Some((Fault::RequestLost, _)) => Vec::new(),
            Some((Fault::ResponseLost, _)) => {
                self.call(letter, &point).await;
                Vec::new()
            }
            Some((Fault::RequestLate, mut rng)) => {
                let (this, letter, late_ms) = (self.caller(), letter.clone(), rng.u64(100..20_000));
                tokio::spawn(async move {
                    let _owed = this.world.owes();
                    sleep(Duration::from_millis(late_ms)).await;
                    this.call(&letter, &Point::new(&format!("{} (late)", point.who), point.call)).await;
                });
                Vec::new()
            }
            Some((Fault::SentTwice, mut rng)) if letter.method == "POST" => {
                let late_ms = rng.u64(0..30);
                let second = async {
                    sleep(Duration::from_millis(late_ms)).await;
                    self.call(letter, &point).await
                };
                let (first, second) = tokio::join!(self.call(letter, &point), second);
                vec![first, second]
            }
            _ => vec![self.call(letter, &point).await],
        };
        // Of two at once, the one that did it is heard first: which answer came first says nothing.
        heard.sort_by_key(|heard| (heard.replayed, std::cmp::Reverse(heard.status)));
        for heard in &heard {
            let path = match (heard.status, heard.code().as_str()) {
                (503, "try_again") => Path::TryAgain,
                (503, "outcome_unknown") => Path::OutcomeUnknown,
                (500, "") => Path::GatewayError,
                _ => continue,
            };
            self.world.reached(path);
        }
        heard
    }

    fn caller(&self) -> Caller {
        Caller { name: self.model.name.clone(), world: self.world.clone(), system: self.system.clone() }
    }

    async fn call(&self, letter: &Letter, point: &Point) -> Heard {
        self.caller().call(letter, point).await
    }
}

/// What it takes to call, for a request that outlives its customer's patience.
struct Caller {
    name: String,
    world: Arc<World>,
    system: Arc<System>,
}

impl Caller {
    async fn call(&self, letter: &Letter, point: &Point) -> Heard {
        let (who, target) = (point.to_string(), format!("{} {}", letter.method, letter.path));
        self.world.note(&[b"ask", who.as_bytes(), target.as_bytes(), &letter.body]);
        let mut request = Request::builder()
            .method(letter.method)
            .uri(&letter.path)
            .header("host", "localhost")
            .header("x-user-id", letter.who.name().unwrap_or(&self.name))
            .header("x-user-scopes", letter.who.scopes())
            .header("content-type", letter.content_type);
        if let Some(key) = &letter.key {
            request = request.header("idempotency-key", key);
        }
        let heard = match request.body(letter.body.clone()) {
            Ok(request) => Heard::of(&self.system.call(request).await),
            Err(error) => Heard { status: 0, replayed: false, bytes: error.to_string().into_bytes() },
        };
        self.world.note(&[b"hear", who.as_bytes(), &heard.status.to_be_bytes(), &heard.bytes]);
        self.world.say(|| {
            let is_look = letter.method == "GET" && self.world.is_calm() && heard.status < 500;
            let mark = if is_look { Mark::Aside } else { Mark::Plain };
            Line::new(mark, &who, letter.in_short()).to(heard.in_short())
        });
        heard
    }
}

impl Who {
    /// By which they are known, if they are not the customer.
    const fn name(self) -> Option<&'static str> {
        match self {
            Self::Customer | Self::Refunder => None,
            Self::Courier => Some(COURIER),
            Self::Operator => Some("operator"),
        }
    }

    const fn scopes(self) -> &'static str {
        match self {
            Self::Customer | Self::Courier => SCOPES,
            Self::Refunder => "refunds",
            Self::Operator => "operator",
        }
    }
}

impl Letter {
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self { method: "GET", path: path.into(), key: None, content_type: JSON, body: Bytes::new(), who: Who::Customer }
    }

    pub(crate) fn put(path: String, body: &Value) -> Self {
        Self { method: "PUT", body: Bytes::from(body.to_string()), ..Self::get(path) }
    }

    pub(crate) fn by_courier(self) -> Self {
        Self { who: Who::Courier, ..self }
    }

    pub(crate) fn for_refunds(self) -> Self {
        Self { who: Who::Refunder, ..self }
    }

    pub(crate) fn by_operator(self) -> Self {
        Self { who: Who::Operator, ..self }
    }

    /// A call whose path says it all.
    pub(crate) fn call(path: String) -> Self {
        Self::post(&path, None, "")
    }

    pub(crate) fn delete(path: &str) -> Self {
        Self { method: "DELETE", ..Self::get(path) }
    }

    fn in_short(&self) -> String {
        let key = self.key.as_deref().unwrap_or_default();
        format!("{} {} {key}", self.method, self.path).trim_end().to_owned()
    }

    pub(crate) fn post(path: &str, key: Option<String>, body: &str) -> Self {
        let body = Bytes::from(body.to_owned());
        Self { method: "POST", key, body, ..Self::get(path) }
    }
}

/// How much of a list is asked for at once.
pub(crate) fn page(rng: &mut fastrand::Rng) -> u32 {
    [100, 100, 20, 7][rng.usize(0..4)]
}

fn deposit(rng: &mut fastrand::Rng) -> Body {
    Body::of(rng.i64(1..12_000))
}

fn order(rng: &mut fastrand::Rng) -> Body {
    let if_unpaid = match rng.u32(0..8) {
        0 | 1 => Some(IfUnpaid::Cancel),
        2 => Some(IfUnpaid::Wait),
        _ => None,
    };
    Body { if_unpaid, ..Body::of(rng.i64(1..5_000)) }
}

pub(crate) fn places(intents: &[Intent], wanted: impl Fn(&Intent) -> bool) -> Vec<usize> {
    intents.iter().enumerate().filter(|(_, intent)| wanted(intent)).map(|(place, _)| place).collect()
}
