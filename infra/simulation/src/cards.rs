//! What customers do about payments by card: they pay, for orders of ours and for orders that are kept elsewhere, have
//! some of it given back, and look; and an operator says what nobody else can know. Whether a run has any is drawn for all
//! of its customers together.

pub(crate) mod told;

use bytes::Bytes;
use domain::books::Key;
use domain::ids::{IdempotencyKey, OrderId, PaymentId};
use domain::payments::{GatewayKey, Payment, PaymentState, Refund, RefundState};
use local_system::System;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::bank;
use crate::chance;
use crate::coverage::Path;
use crate::model::{Body, IfUnpaid, Intent, Kind, decimal};
use crate::shop::{self, Deed};
use crate::workload::{Customer, Letter, Operation, page, places};

/// Numbers of what is done about cards begin here, since it comes between what is drawn anyway.
pub(crate) const FIRST: u64 = 2_000;

/// What is done about payments by card.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Card {
    /// For an order that is kept elsewhere.
    Pay(Body),
    /// The gateway charges for what is asked for only then.
    ChargedBefore {
        after_ms: u64,
        kind: Kind,
        body: Body,
    },
    Refund(Body),
    /// An operator says what became of one of those that wait for it, as the gateway has it.
    Operate(usize),
    /// An inventory tells of an order that is complete; so often.
    Complete {
        minor: Option<i64>,
        names_order: bool,
        times: usize,
    },
    Read(usize),
    List,
}

impl Body {
    /// Some of what was paid by this, or all that is left.
    pub(crate) fn refund(of: usize, minor: Option<i64>) -> Self {
        Self { of: Some(of), ..Self::of(minor.unwrap_or_default()) }
    }

    pub(crate) fn by_card(minor: i64) -> Self {
        Self { card: true, ..Self::of(minor) }
    }
}

impl Kind {
    /// Whether it is answered before the gateway has spoken.
    pub(crate) const fn is_taken_later(self) -> bool {
        matches!(self, Self::Payment | Self::Refund)
    }
}

impl Intent {
    /// Whether there is a payment by card for it.
    pub(crate) fn is_by_card(&self) -> bool {
        let accepted = self.accepted.as_ref().and_then(|(body, _)| self.bodies.get(*body));
        match self.kind {
            Kind::Payment => accepted.is_some(),
            Kind::Order => accepted.is_some_and(|body| body.card),
            Kind::Deposit | Kind::Receipt | Kind::Refund => false,
        }
    }
}

impl Customer {
    /// What is done about cards before something else is, if this run has any.
    pub(crate) fn draw_card(&self, number: u64) -> Option<Operation> {
        let mut rng = chance::at(self.world().cards?, &self.model.name, number);
        let rng = &mut rng;
        let mut paid = places(&self.model.intents, Intent::is_by_card);
        paid.reverse();
        paid.truncate(4);
        let one = |rng: &mut fastrand::Rng| paid.get(rng.usize(0..paid.len().max(1))).copied();
        let pay = |rng: &mut fastrand::Rng| Body::of(rng.i64(1..5_000));
        Some(match rng.u32(0..180) {
            0..26 => Operation::Order(order(rng)),
            26..36 => Operation::Order(self.goods_by_card(rng)),
            36..50 => Operation::Card(Card::Pay(pay(rng))),
            50..56 => {
                let kind = [Kind::Order, Kind::Payment][rng.usize(0..2)];
                let body = if kind == Kind::Order { order(rng) } else { pay(rng) };
                Operation::Card(Card::ChargedBefore { after_ms: rng.u64(0..1_500), kind, body })
            }
            56..64 => {
                let mut burst: Vec<(Kind, Body)> = Vec::new();
                for _ in 0..rng.usize(2..5) {
                    burst.push(if rng.bool() { (Kind::Order, order(rng)) } else { (Kind::Payment, pay(rng)) });
                }
                burst_of(burst)
            }
            64..78 => {
                let of = one(rng)?;
                Operation::Card(Card::Refund(self.part(rng, of)))
            }
            78..86 => {
                let of = one(rng)?;
                burst_of((0..rng.usize(2..4)).map(|_| (Kind::Refund, self.part(rng, of))).collect())
            }
            86..96 => {
                let order = one(rng).filter(|place| self.model.intents[*place].kind == Kind::Order)?;
                Operation::Shop(Deed::Cancel(order))
            }
            96..104 => Operation::Card(Card::Operate(rng.usize(0..8))),
            104..110 => {
                let minor = (rng.u32(0..4) > 0).then(|| rng.i64(1..5_000));
                let (names_order, times) = (rng.u32(0..6) == 0, rng.usize(1..4));
                Operation::Card(Card::Complete { minor, names_order, times })
            }
            110..118 => Operation::Card(Card::Read(one(rng)?)),
            118..120 => Operation::Card(Card::List),
            _ => return None,
        })
    }

    /// What is on the shelf, by card; or anything for money, if there is no shop.
    fn goods_by_card(&self, rng: &mut fastrand::Rng) -> Body {
        let on_the_shelf = self.known().shelves.products.clone();
        if on_the_shelf.is_empty() {
            return order(rng);
        }
        Body { card: true, ..shop::goods(rng, &on_the_shelf) }
    }

    /// All of it, some of it, or too much.
    fn part(&self, rng: &mut fastrand::Rng, of: usize) -> Body {
        let whole = self.model.intents[of].bodies.first().map_or(0, |body| body.minor).max(2);
        Body::refund(
            of,
            match rng.u32(0..8) {
                0 | 1 => None,
                2 => Some(whole),
                3 => Some(whole + rng.i64(1..100)),
                _ => Some(rng.i64(1..whole)),
            },
        )
    }

    pub(crate) fn card_in_words(&self, card: &Card, number: u64) -> String {
        let key_of = |intent: &usize| &self.model.intents[*intent].key;
        match card {
            Card::Pay(body) => format!("pays {} for an order kept elsewhere (k{number})", decimal(body.minor)),
            Card::ChargedBefore { after_ms, kind, body } => {
                format!(
                    "is charged {}, and asks {} for it {after_ms} ms later (k{number})",
                    decimal(body.minor),
                    kind.path()
                )
            }
            Card::Refund(body) => format!("{} (k{number})", self.refund_in_words(body)),
            Card::Operate(which) => format!("has the operator look at what waits ({which})"),
            Card::Complete { minor, times, .. } => {
                let minor = minor.map_or_else(|| "nothing".to_owned(), decimal);
                format!("tells {times} times of an order kept elsewhere, for {minor} (e{number})")
            }
            Card::Read(intent) => format!("reads the payment of {}", key_of(intent)),
            Card::List => "lists payments".to_owned(),
        }
    }

    pub(crate) fn refund_in_words(&self, body: &Body) -> String {
        let of = body.of.and_then(|of| self.model.intents.get(of)).map_or("", |intent| &intent.key);
        let part = if body.minor == 0 { "all that is left".to_owned() } else { decimal(body.minor) };
        format!("wants {part} of {of} back")
    }

    pub(crate) async fn pays(&mut self, card: Card, number: u64, rng: &mut fastrand::Rng) {
        match card {
            Card::Pay(body) => self.ask(Kind::Payment, format!("k{number}"), body, rng).await,
            Card::Refund(body) => self.ask(Kind::Refund, format!("k{number}"), body, rng).await,
            Card::ChargedBefore { after_ms, kind, body } => {
                let key = format!("k{number}");
                if !self.world().is_stripe
                    && let Some(payment) = self.payment_under(kind, &key)
                {
                    self.world().charge_before(payment, body.minor);
                }
                self.wait_for(after_ms).await;
                self.ask(kind, key, body, rng).await;
            }
            Card::Operate(which) => self.operate(which, rng).await,
            Card::Complete { minor, names_order, times } => self.complete(number, minor, names_order, times).await,
            Card::Read(intent) => self.read_payment(intent).await,
            Card::List => self.list_payments(page(rng)).await,
        }
    }

    /// The payment that comes of what is asked for under a key.
    fn payment_under(&self, kind: Kind, key: &str) -> Option<PaymentId> {
        let (customer, key) = (self.customer(), IdempotencyKey::parse(key)?);
        match kind {
            Kind::Order => Some(PaymentId::of_order(&OrderId::of(&customer, &key))),
            Kind::Payment => Some(PaymentId::of_request(&customer, &key)),
            Kind::Deposit | Kind::Receipt | Kind::Refund => None,
        }
    }

    pub(crate) fn payment_of(&self, intent: usize) -> Option<PaymentId> {
        let intent = self.model.intents.get(intent)?;
        self.payment_under(intent.kind, &intent.key)
    }

    /// Under a key: an order that is paid for elsewhere, or what goes back.
    pub(crate) fn card_letter(&self, intent: &Intent, body: &Body) -> Option<Letter> {
        let key = Some(intent.key.clone());
        match intent.kind {
            Kind::Payment => {
                let reference = format!("{}'s {}", self.model.name, intent.key);
                let fields = json!({ "amount": decimal(body.minor), "currency": "EUR", "reference": reference });
                Some(Letter::post(Kind::Payment.path(), key, &fields.to_string()))
            }
            Kind::Refund => {
                let payment = self.payment_of(body.of?)?;
                let fields = if body.minor == 0 { json!({}) } else { json!({ "amount": decimal(body.minor) }) };
                let path = format!("/payments/{payment}/refunds");
                Some(Letter::post(&path, key, &fields.to_string()).for_refunds())
            }
            Kind::Deposit | Kind::Order | Kind::Receipt => None,
        }
    }

    /// What waits for a person, in an order that is the same in each run.
    fn waiting_for_operator(&self) -> Vec<GatewayKey> {
        let state = self.world().state();
        let mut waiting = Vec::new();
        for payment in state.watch.payments() {
            if matches!(payment.state, PaymentState::Created | PaymentState::InReview) {
                waiting.push(payment.gateway_key());
            }
            let refunds = payment.open_refunds.iter().filter_map(|id| state.watch.get::<Refund>(&Key::Refund(*id)));
            let in_review = refunds.filter(|refund| refund.state == RefundState::InReview);
            waiting.extend(in_review.map(Refund::gateway_key));
        }
        waiting
    }

    async fn operate(&mut self, which: usize, rng: &mut fastrand::Rng) {
        let waiting = self.waiting_for_operator();
        let Some(key) = waiting.get(which % waiting.len().max(1)).copied() else { return };
        let (path, payment) = match key {
            GatewayKey::Charge(id) => {
                let Some(verdict) = self.world().verdict(id, rng) else { return };
                (format!("/payments/{id}/{verdict}"), id)
            }
            GatewayKey::Refund(id) => {
                let refund = self.world().state().watch.get::<Refund>(&Key::Refund(id)).cloned();
                let Some(refund) = refund else { return };
                let verdict = if refund.is_owed() || rng.bool() { "complete" } else { "fail" };
                (format!("/payments/{}/refunds/{id}/{verdict}", refund.payment), refund.payment)
            }
        };
        self.world().state().till.is_judged(payment);
        for heard in self.send(&Letter::call(path).by_operator()).await {
            if heard.status == 200 {
                self.world().reached(Path::Operated);
            }
            let judged = told::operated(&heard, self.world().is_calm());
            self.judged("an operator's call", judged);
        }
    }

    /// Onto the queue of an inventory that is none of ours.
    async fn complete(&mut self, number: u64, minor: Option<i64>, names_order: bool, times: usize) {
        let customer = self.customer();
        let mut event = json!({
            "idempotent_key": format!("{}-e{number}", self.model.name),
            "order_id": format!("{}'s e{number}", self.model.name),
            "status": "COMPLETED",
            "customer": customer.to_string(),
        });
        if let Some(minor) = minor {
            event["amount"] = decimal(minor).into();
        }
        let order =
            self.model.intents.iter().find_map(|intent| intent.id.clone().filter(|_| intent.kind == Kind::Order));
        if let Some(order) = order.filter(|_| names_order) {
            event["order_id"] = order.into();
        }
        for _ in 0..times {
            self.put_on_queue("-inventory", &event).await;
        }
        event["idempotent_key"] = format!("{}-o{number}", self.model.name).into();
        event["status"] = "PENDING".into();
        self.put_on_queue("-inventory", &event).await;
    }

    /// By whoever else sends there; nothing goes wrong with it.
    async fn put_on_queue(&self, name: &str, message: &Value) {
        let queues = &self.system().cloud.stack().queues;
        let url = queues.iter().find(|queue| queue.name.ends_with(name)).map_or("", |queue| &queue.url);
        let body = json!({ "QueueUrl": url, "MessageBody": message.to_string() });
        if let Err(says) = ask_queues(self.system(), url, "SendMessage", &body).await {
            self.world().find(format!("the queue {name} took no message: {says}"));
        }
    }

    pub(crate) async fn read_payment(&mut self, intent: usize) {
        let Some(id) = self.payment_of(intent) else { return };
        for heard in self.send(&Letter::get(format!("/payments/{id}"))).await {
            let is_calm = self.world().is_calm();
            let payment = self.world().state().watch.get::<Payment>(&Key::Payment(id)).cloned();
            let judged = self.model.judge_payment(intent, payment.as_ref(), &heard, is_calm);
            self.judged("GET /payments/{id}", judged);
        }
    }

    async fn list_payments(&mut self, page: u32) {
        let asked_ms = self.world().now_ms();
        if let Some(heard) = self.whole("/payments", page).await {
            let due: Vec<String> = (0..self.model.intents.len())
                .filter(|place| self.model.intents[*place].is_listed_by(asked_ms))
                .filter_map(|place| self.payment_of(place))
                // Where stock comes first, it is opened only then.
                .filter(|id| self.world().state().watch.get::<Payment>(&Key::Payment(*id)).is_some())
                .map(|id| id.to_string())
                .collect();
            let judged = told::listed(&heard, &due, self.world().is_calm());
            self.judged("GET /payments", judged);
        }
    }

    /// In the end: each payment, as its customer is shown it, and all of them.
    pub(crate) async fn look_at_payments(&mut self) {
        let paid = places(&self.model.intents, Intent::is_by_card);
        for place in &paid {
            self.read_payment(*place).await;
        }
        if !paid.is_empty() {
            self.list_payments(20).await;
        }
    }
}

/// Asks the queues in nobody's name: nothing goes wrong with it.
pub(crate) async fn ask_queues(system: &System, url: &str, what: &str, body: &Value) -> Result<(), String> {
    let request = http::Request::post(url)
        .header("x-amz-target", format!("AmazonSQS.{what}"))
        .header("content-type", "application/x-amz-json-1.0")
        .body(Bytes::from(body.to_string()));
    let answer = system.cloud.connector().answer(request.map_err(|error| error.to_string())?).await;
    if answer.status().is_success() { Ok(()) } else { Err(String::from_utf8_lossy(answer.body()).into_owned()) }
}

fn order(rng: &mut fastrand::Rng) -> Body {
    let if_unpaid = (rng.u32(0..4) == 0).then_some(IfUnpaid::Cancel);
    Body { if_unpaid, ..Body::by_card(rng.i64(1..5_000)) }
}

fn burst_of(burst: Vec<(Kind, Body)>) -> Operation {
    Operation::Burst(burst.into_iter().enumerate().map(|(place, (kind, body))| (place, kind, body)).collect())
}

impl crate::world::World {
    /// What an operator finds out at the gateway, as a word of a path; nothing as long as the gateway has not decided.
    fn verdict(&self, id: PaymentId, rng: &mut fastrand::Rng) -> Option<&'static str> {
        let gateway = self.state().watch.get::<Payment>(&Key::Payment(id)).map(|payment| payment.gateway)?;
        let Some(gateway) = gateway else { return Some(["complete", "fail"][rng.usize(0..2)]) };
        let core = self.bank.core();
        let key = GatewayKey::Charge(id).to_string();
        let charge = core.book().charges_under(bank::protocol(gateway), &key).last();
        match charge.map(|charge| (charge.was_captured(), charge.settles_ms.is_some())) {
            Some((true, _)) => Some("complete"),
            Some((false, true)) => None,
            Some((false, false)) | None => Some("fail"),
        }
    }
}
