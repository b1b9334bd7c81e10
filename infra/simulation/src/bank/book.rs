//! The gateway's book, held against ours: what it was asked for and how often, what it charged and gave back, what it
//! told, and what came of all that here.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use domain::books::{Item, Key};
use domain::ids::PaymentId;
use domain::orders::{Order, OrderState};
use domain::payments::{
    Calling, Doubt, Gateway, GatewayKey, NoAnswer, Origin, Payment, PaymentState, Refund, RefundState, WhyRefund,
};
use domain::promises::watch::{Action, Watch};
use gateway::{Callback, Charge, Event, Mischief, Signs};
use platform::gateways::{Request, Response};

use super::{header, protocol};
use crate::coverage::Path;
use crate::model::{Judged, must};
use crate::plan::Point;
use crate::world::World;

/// How far the time in a signature may be off, either way.
const TOLERANCE_S: i64 = 300;

/// What makes what is told another sum.
const OTHER_MONEY: [Mischief; 2] = [Mischief::CallbackWrongAmount, Mischief::CallbackWrongCurrency];

/// What came to the gateway and went out from it, as the network saw it.
#[derive(Debug, Default)]
pub(crate) struct Till {
    asked: BTreeMap<GatewayKey, Vec<Exchange>>,
    /// By the id that it goes under: the bodies that were sent, and what was answered to each.
    told: BTreeMap<String, Vec<Told>>,
    /// What an operator has completed or failed.
    judged: BTreeSet<PaymentId>,
    seen: BTreeSet<String>,
    reached: Vec<Path>,
}

#[derive(Debug)]
struct Exchange {
    point: Point,
    is_send: bool,
    heard: Option<Heard>,
}

/// What whoever asked could make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Heard {
    Status(u16),
    NotReached,
    Silence,
}

#[derive(Debug)]
struct Told {
    body: Bytes,
    is_taken: bool,
}

/// Where an exchange stands.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    key: GatewayKey,
    number: usize,
}

impl Till {
    pub(crate) fn reached(&mut self) -> Vec<Path> {
        std::mem::take(&mut self.reached)
    }

    /// An operator says what became of it, and may be wrong.
    pub(crate) fn is_judged(&mut self, payment: PaymentId) {
        self.judged.insert(payment);
    }

    /// Judges what is sent, as it goes out.
    fn ask(
        &mut self,
        point: &Point,
        request: &Request,
        key: Option<GatewayKey>,
        watch: &Watch,
    ) -> (Option<Place>, Judged) {
        let is_send = request.method == "POST";
        let Some(key) = key else {
            let is_of_ours = !is_send;
            let says = || format!("{} is sent under a key that is nobody's", request.url);
            return (None, must(is_of_ours, says));
        };
        let before = self.asked.entry(key).or_default();
        let judged = match calling(key, watch) {
            None => Err(format!("the gateway is asked about {key}, which nobody has committed")),
            Some(calling) if is_send => {
                may_send(before, &calling, request.gateway).map_err(|says| format!("{key} is sent {says}"))
            }
            Some(_) => Ok(()),
        };
        if !is_send && before.iter().any(|exchange| exchange.is_send && exchange.is_in_doubt()) {
            self.reached.push(Path::GatewayAsked);
        }
        before.push(Exchange { point: point.clone(), is_send, heard: None });
        (Some(Place { key, number: before.len() - 1 }), judged)
    }

    fn heard(&mut self, place: &Place, answer: &Result<Response, NoAnswer>) {
        let heard = match answer {
            Ok(response) => Heard::Status(response.status),
            Err(NoAnswer::NotReached) => Heard::NotReached,
            Err(NoAnswer::Lost | NoAnswer::NobodyKnows) => Heard::Silence,
        };
        if heard == Heard::Status(429) {
            self.reached.push(Path::GatewayPutOff);
        }
        let exchange = self.asked.get_mut(&place.key).and_then(|asked| asked.get_mut(place.number));
        if let Some(exchange) = exchange {
            exchange.heard = Some(heard);
        }
    }

    /// Takes down that a callback goes out, whatever becomes of it.
    fn tell(&mut self, callback: &Callback) {
        let body = callback.request.body();
        let told = self.told.entry(callback.id.event.clone()).or_default();
        if !told.iter().any(|told| told.body == *body) {
            told.push(Told { body: body.clone(), is_taken: false });
        }
    }

    /// Judges how a callback was answered.
    fn answered(&mut self, callback: &Callback, event: &Event, status: u16, now_ms: i64, skew_ms: i64) -> Judged {
        let told = self.told.entry(callback.id.event.clone()).or_default();
        let Some(place) = told.iter().position(|told| told.body == *callback.request.body()) else {
            return Err("it is answered, and was never sent".to_owned());
        };
        let copy = event.copies.get(callback.id.copy);
        let signs = copy.filter(|_| callback.id.attempt == 0).map_or(Signs::Rightly, |copy| copy.signs);
        let age_ms = signed_at(callback).map_or(0, |seconds| (now_ms - seconds * 1_000).abs());
        let may_be_old = age_ms + skew_ms + 1_000 >= TOLERANCE_S * 1_000;
        let is_other_taken = || told.iter().enumerate().any(|(other, told)| other != place && told.is_taken);
        match (status, signs) {
            (500.., _) => Ok(()),
            (401, Signs::Wrongly | Signs::Stale) => Ok(()),
            (401, Signs::Rightly) => must(may_be_old, || "it is rightly signed, and refused".to_owned()),
            (_, Signs::Wrongly) => Err(format!("nobody knows who signed it, and it is answered {status}")),
            (_, Signs::Stale) => Err(format!("it is of an hour ago, and answered {status}")),
            (409, _) => {
                self.reached.push(Path::CallbackChanged);
                let is_first = told[place].is_taken;
                must(told.len() > 1 && !is_first, || "nothing else was told under its id, and it is refused".to_owned())
            }
            (200, _) => {
                must(!is_other_taken(), || "something else was told under its id, and it is taken in".to_owned())?;
                if told[place].is_taken {
                    self.reached.push(Path::CallbackAgain);
                }
                told[place].is_taken = true;
                Ok(())
            }
            (status, _) => Err(format!("it is answered {status}")),
        }
    }

    /// What a commit says of payments, held against what the gateway has done by then.
    fn see(&self, actions: &[Action], core: &gateway::Gateway, watch: &Watch) -> Vec<String> {
        let mut findings = Vec::new();
        for action in actions {
            let Action::Put { item, .. } = action else { continue };
            let judged = match item {
                Item::Payment(payment) => {
                    self.step(payment, core).map_err(|says| format!("payment {}: {says}", payment.id))
                }
                Item::Refund(refund) if refund.state == RefundState::Pending => {
                    must(is_due(refund, watch), || format!("refund {}: its order has not completed", refund.id))
                }
                Item::Refund(refund) if refund.state == RefundState::GivenBack => {
                    let key = refund.gateway_key().to_string();
                    let is_done = core
                        .book()
                        .refunds_under(protocol(refund.gateway), &key)
                        .any(|done| done.state == gateway::RefundState::Done);
                    let is_said = is_done || self.judged.contains(&refund.payment);
                    must(is_said, || format!("refund {}: it is given back, and the gateway has not", refund.id))
                }
                _ => Ok(()),
            };
            findings.extend(judged.err());
        }
        findings
    }

    /// What is said of a payment, the gateway has said.
    fn step(&self, payment: &Payment, core: &gateway::Gateway) -> Judged {
        let Some(gateway) = payment.gateway else { return Ok(()) };
        if self.judged.contains(&payment.id) {
            return Ok(());
        }
        let charge = charge(core, gateway, payment.id);
        if let Some(captured) = payment.captured {
            let taken = charge.filter(|charge| charge.was_captured());
            let is_so = taken.is_some_and(|charge| i64::try_from(charge.amount) == Ok(captured.minor()));
            must(is_so, || format!("{captured} are captured, and the gateway says {:?}", charge.map(|c| c.state)))?;
        }
        if payment.state == PaymentState::Expired && gateway.is_asked_by_key() {
            let exchanges = self.asked.get(&payment.gateway_key()).map_or(&[][..], Vec::as_slice);
            if let Some(point) = unasked(exchanges) {
                return Err(format!("it is given up, though {point} may have arrived, and nobody has asked"));
            }
        }
        if payment.state == PaymentState::Declined {
            must(charge.is_some_and(|charge| charge.decline.is_some()), || {
                format!("it is declined, and the gateway says {:?}", charge.map(|charge| charge.state))
            })?;
        }
        Ok(())
    }

    /// In the end both books say the same, and what is in review is so for a reason.
    fn judge(&self, core: &gateway::Gateway, watch: &Watch) -> Vec<String> {
        let mut findings = Vec::new();
        for charge in core.book().charges() {
            let key = charge.key.as_deref().and_then(GatewayKey::parse);
            let payment = match key {
                Some(GatewayKey::Charge(id)) => watch.get::<Payment>(&Key::Payment(id)),
                _ => None,
            };
            let Some(payment) = payment else {
                findings.push(format!("the gateway has charge {} for {key:?}, which is not here", charge.id));
                continue;
            };
            let is_looked_at = !payment.doubts.is_empty() || self.judged.contains(&payment.id);
            if !is_looked_at && core.book().events_of(&charge.id).any(|event| self.has_taken_other_money(event)) {
                findings.push(format!("payment {}: other money was told of it, and nobody is to look", payment.id));
            }
        }
        for payment in watch.payments() {
            let judged = self.judge_payment(payment, core, watch);
            findings.extend(judged.into_iter().map(|says| format!("payment {}: {says}", payment.id)));
        }
        findings
    }

    /// Whether a callback was taken that tells of another amount or currency than was charged.
    fn has_taken_other_money(&self, event: &Event) -> bool {
        let is_other = event.refund.is_none() && OTHER_MONEY.iter().any(|mischief| event.mischiefs.contains(mischief));
        is_other && self.told.get(&event.id).is_some_and(|told| told.iter().any(|told| told.is_taken))
    }

    fn judge_payment(&self, payment: &Payment, core: &gateway::Gateway, watch: &Watch) -> Vec<String> {
        let mut findings = Vec::new();
        let state = payment.state;
        let refunds: Vec<&Refund> =
            payment.open_refunds.iter().filter_map(|id| watch.get::<Refund>(&Key::Refund(*id))).collect();
        match state {
            PaymentState::Pending | PaymentState::Unknown => {
                findings.push(format!("at rest it is {}", state.name()));
            }
            PaymentState::Refunding if refunds.iter().any(|refund| refund.state == RefundState::Pending) => {
                findings.push("at rest something is on its way back".to_owned());
            }
            _ => {}
        }
        findings.extend(self.judge_order(payment, watch).err());
        let Some(gateway) = payment.gateway else { return findings };
        let charge = charge(core, gateway, payment.id);
        for doubt in &payment.doubts {
            if !is_explained(*doubt, payment, charge, core) {
                findings.push(format!("nothing in the weather explains that a person is to look: {doubt:?}"));
            }
        }
        if self.judged.contains(&payment.id) {
            return findings;
        }
        // Of what is in review the right report may never have come.
        let is_in_review = state == PaymentState::InReview;
        let taken = charge.filter(|charge| charge.was_captured());
        let amounts = |charge: &Charge| (i64::try_from(charge.amount).unwrap_or_default(), charge.currency.clone());
        if let Some(charge) = charge
            && amounts(charge) != (payment.amount.minor(), payment.currency.code().to_owned())
        {
            findings.push(format!("{:?} was charged of {}", amounts(charge), payment.amount));
        }
        if payment.captured.is_some() != taken.is_some() && !(is_in_review && payment.captured.is_none()) {
            let said = charge.map(|charge| charge.state);
            findings.push(format!("it captured {:?}, and the gateway says {said:?}", payment.captured));
        }
        let given = charge.map_or(0, |charge| i64::try_from(charge.refunded).unwrap_or_default());
        let in_review = refunds.iter().any(|refund| refund.state == RefundState::InReview);
        if given != payment.refunded.minor() && !in_review {
            findings.push(format!("{} went back, and the gateway has given back {given}", payment.refunded));
        }
        findings
    }

    /// What was captured for an order of ours has paid it, or goes back.
    fn judge_order(&self, payment: &Payment, watch: &Watch) -> Judged {
        let Origin::Order(id) = payment.origin else { return Ok(()) };
        let order = watch.get::<Order>(&Key::Order(id)).ok_or_else(|| format!("its order {id} is not there"))?;
        match (order.state, payment.captured) {
            (OrderState::AwaitingPayment, Some(_)) => Err("it is captured, and its order waits for it".to_owned()),
            (OrderState::Cancelled, Some(_)) => {
                must(payment.left().is_zero(), || "it is captured, and its order has ended".to_owned())
            }
            (OrderState::AwaitingPayment, None) => {
                let is_over = matches!(payment.state, PaymentState::Declined | PaymentState::Expired);
                must(!is_over, || format!("it is {}, and its order waits for it", payment.state.name()))
            }
            _ => Ok(()),
        }
    }
}

impl Exchange {
    /// It may have arrived, and nobody has said that it did not.
    const fn is_in_doubt(&self) -> bool {
        !matches!(self.heard, Some(Heard::Status(429) | Heard::NotReached))
    }
}

/// Each attempt is counted before it is made, and what may have arrived is asked for before it is sent again, if the
/// gateway can be asked.
fn may_send(before: &[Exchange], calling: &Calling, gateway: Gateway) -> Judged {
    let sent = before.iter().filter(|exchange| exchange.is_send).count();
    let attempts = usize::try_from(calling.attempts).unwrap_or(usize::MAX);
    must(sent < attempts, || format!("for the {}th time in {attempts} attempts", sent + 1))?;
    if !gateway.is_asked_by_key() {
        return Ok(());
    }
    match unasked(before) {
        None => Ok(()),
        Some(point) => Err(format!("though {point} may have arrived, and nobody has asked")),
    }
}

/// Where something was sent that may have arrived, if nobody was told since that it has not.
fn unasked(exchanges: &[Exchange]) -> Option<&Point> {
    let doubted = exchanges.iter().rposition(|exchange| exchange.is_send && exchange.is_in_doubt())?;
    let is_not_there = |exchange: &Exchange| !exchange.is_send && exchange.heard == Some(Heard::Status(404));
    (!exchanges[doubted..].iter().any(is_not_there)).then_some(&exchanges[doubted].point)
}

/// Of an order of ours money goes back on request once it has completed, and not before.
fn is_due(refund: &Refund, watch: &Watch) -> bool {
    let origin = watch.get::<Payment>(&Key::Payment(refund.payment)).map(|payment| payment.origin);
    match (refund.why, origin) {
        (WhyRefund::Requested, Some(Origin::Order(order))) => {
            watch.get::<Order>(&Key::Order(order)).is_some_and(|order| order.state == OrderState::Completed)
        }
        _ => true,
    }
}

fn calling(key: GatewayKey, watch: &Watch) -> Option<Calling> {
    match key {
        GatewayKey::Charge(id) => watch.get::<Payment>(&Key::Payment(id)).map(|payment| payment.call),
        GatewayKey::Refund(id) => watch.get::<Refund>(&Key::Refund(id)).map(|refund| refund.call),
    }
}

fn charge(core: &gateway::Gateway, gateway: Gateway, payment: PaymentId) -> Option<&Charge> {
    let key = GatewayKey::Charge(payment).to_string();
    core.book().charges_under(protocol(gateway), &key).last()
}

fn signed_at(callback: &Callback) -> Option<i64> {
    let text = |name: &str| callback.request.headers().get(name).and_then(|value| value.to_str().ok());
    let seconds = text("webhook-timestamp").or_else(|| text("stripe-signature")?.split(',').next()?.strip_prefix("t="));
    seconds?.parse().ok()
}

/// Whether something went wrong outside that a person has to look at.
fn is_explained(doubt: Doubt, payment: &Payment, charge: Option<&Charge>, core: &gateway::Gateway) -> bool {
    let told = |of_refund: bool, wrong: &[Mischief]| {
        let events = charge.into_iter().flat_map(|charge| core.book().events_of(&charge.id));
        let mut events = events.filter(|event| event.refund.is_some() == of_refund);
        events.any(|event| wrong.iter().any(|mischief| event.mischiefs.contains(mischief)))
    };
    let wrong = [Mischief::CallbackWrongAmount, Mischief::CallbackWrongCurrency, Mischief::CallbackAltered];
    let altered = [Mischief::CallbackAltered];
    let is_declined = |id| {
        let key = GatewayKey::Refund(id).to_string();
        let Some(gateway) = payment.gateway else { return false };
        core.book().refunds_under(protocol(gateway), &key).any(|refund| refund.fails)
    };
    // A 500 that is kept tells nobody anything until the key is too old.
    let is_kept_error = |key: GatewayKey| {
        let key = key.to_string();
        core.book().calls().any(|call| {
            call.key.as_deref() == Some(&key)
                && matches!(call.mischief, Some(Mischief::ErrorKept | Mischief::ErrorAfter))
        })
    };
    match doubt {
        Doubt::OtherMoney { .. } => told(false, &wrong) || told(true, &wrong),
        Doubt::GivenBackUnasked { .. } => told(false, &wrong) || told(true, &wrong),
        Doubt::CallbackChanged => told(false, &altered) || told(true, &altered),
        Doubt::RefundMisreported { .. } => told(true, &wrong),
        Doubt::RefundRefused { refund } => is_declined(refund),
        Doubt::TooOld { key } => is_kept_error(key),
        Doubt::NamesOrder => payment.origin == Origin::Event,
        Doubt::OtherGateway | Doubt::KeyRefused { .. } | Doubt::NotUnderstood { .. } => false,
    }
}

impl World {
    /// Judges a request to the gateway as it goes out.
    pub(super) fn asked_gateway(&self, point: &Point, request: &Request) -> Option<Place> {
        let key = self.about(request);
        let (place, judged) = {
            let mut state = self.state();
            let crate::world::State { till, watch, .. } = &mut *state;
            till.ask(point, request, key, watch)
        };
        self.count_gateway();
        if let Err(says) = judged {
            self.find(format!("{}: {says}", point.who));
        }
        place
    }

    pub(super) fn heard_gateway(&self, place: Option<&Place>, answer: &Result<Response, NoAnswer>) {
        if let Some(place) = place {
            self.state().till.heard(place, answer);
            self.count_gateway();
        }
    }

    pub(super) fn tells(&self, callback: &Callback) {
        self.state().till.tell(callback);
    }

    /// `was_calm` says whether it was when this was sent.
    pub(super) fn answered_gateway(&self, callback: &Callback, status: u16, was_calm: bool) {
        let judged = {
            let core = self.bank.core();
            let Some(event) = core.book().event(&callback.id.event) else { return };
            let mut state = self.state();
            state.till.answered(callback, event, status, self.now_ms(), self.swarm.skew_ms)
        };
        self.count_gateway();
        let judged =
            judged.and_then(|()| must(status < 500 || !was_calm, || format!("in the calm it is answered {status}")));
        if let Err(says) = judged {
            self.find(format!("a callback under {}: {says}", callback.id.event));
        }
    }

    /// Whether money moved twice where it may move once.
    pub(super) fn judge_gateway(&self) {
        let findings = self.bank.core().book().findings();
        for finding in findings {
            let says = format!("the gateway's book: {finding:?}");
            if self.state().till.seen.insert(says.clone()) {
                self.find(says);
            }
        }
    }

    /// What a commit says, against what the gateway has done by then.
    pub(crate) fn judge_cards(&self, actions: &[Action]) -> Vec<String> {
        let core = self.bank.core();
        let state = self.state();
        state.till.see(actions, &core, &state.watch)
    }

    /// Both books say the same.
    pub(crate) fn judge_books(&self) {
        self.judge_gateway();
        let findings = {
            let core = self.bank.core();
            let state = self.state();
            state.till.judge(&core, &state.watch)
        };
        findings.into_iter().for_each(|finding| self.find(finding));
    }

    fn count_gateway(&self) {
        let mut state = self.state();
        for path in state.till.reached() {
            state.coverage.reached(path);
        }
    }

    /// What a request is about, by the key or by the gateway's own name.
    fn about(&self, request: &Request) -> Option<GatewayKey> {
        if let Some(key) = header(request, "idempotency-key") {
            return GatewayKey::parse(key);
        }
        if let Some((_, key)) = request.url.split_once("?key=") {
            return GatewayKey::parse(key);
        }
        let id = request.url.split('?').next()?.rsplit('/').next()?;
        let core = self.bank.core();
        let book = core.book();
        let key = book.charge(id).and_then(|charge| charge.key.as_deref());
        let key = key.or_else(|| book.refund(id).and_then(|refund| refund.key.as_deref()));
        key.and_then(GatewayKey::parse)
    }
}
