//! A shop that takes cards, and the gateway that it takes them through.

use std::time::Duration;

use domain::books::{Kept as _, Key};
use domain::ids::PaymentId;
use domain::payments::{Doubt, Payment, PaymentState};
use gateway::{Call, CallKind, Mood};
use local_system::{Options, System};
use serde_json::{Value, json};

use crate::support::stand_in::StandIn;
use crate::support::{promises_hold, system_with, user, user_with};

pub(crate) struct World {
    pub(crate) system: System,
    pub(crate) stand_in: StandIn,
}

impl World {
    pub(crate) fn calm(protocol: &str) -> Self {
        Self::of(protocol, Mood::calm(), |options| options)
    }

    /// Whose sweep comes by each hour, for days that would take as many minutes to play.
    pub(crate) fn of_days(protocol: &str) -> Self {
        Self::of(protocol, Mood::calm(), |mut options| {
            options.template = options.template.replace("rate(1 minute)", "rate(1 hour)");
            options
        })
    }

    pub(crate) fn of(protocol: &str, mood: Mood, change: impl FnOnce(Options) -> Options) -> Self {
        let mut stand_in = None;
        let system = system_with(|mut options| {
            stand_in = Some(StandIn::behind(&mut options, protocol, mood, 7));
            change(options)
        });
        Self { system, stand_in: stand_in.unwrap() }
    }

    /// A payment for an order that is kept elsewhere.
    pub(crate) async fn pay(&self, key: &str, amount: &str) -> PaymentId {
        let body = json!({ "amount": amount, "currency": "EUR", "reference": format!("their order {key}") });
        let made = user(&self.system, "alice").post("/payments", key, body.to_string()).await.expect(202);
        PaymentId::parse(&made.id()).unwrap()
    }

    /// An order of ours by card, and its payment.
    pub(crate) async fn order(&self, key: &str, amount: &str) -> (String, PaymentId) {
        let body = json!({ "amount": amount, "pay_with": "card" }).to_string();
        let placed = user(&self.system, "alice").post("/orders", key, body).await.expect(201);
        (placed.id(), PaymentId::parse(&placed.get("payment")).unwrap())
    }

    pub(crate) async fn cancel(&self, order: &str) -> u16 {
        user(&self.system, "alice").ask(&format!("/orders/{order}/cancel")).await.status
    }

    pub(crate) async fn order_state(&self, order: &str) -> String {
        user(&self.system, "alice").state(order).await
    }

    pub(crate) async fn refund(&self, payment: PaymentId, key: &str, amount: &str) -> u16 {
        let staff = user_with(&self.system, "staff", "refunds");
        let body = json!({ "amount": amount }).to_string();
        staff.post(&format!("/payments/{payment}/refunds"), key, body).await.status
    }

    pub(crate) async fn judge(&self, payment: PaymentId, verdict: &str) -> Value {
        let operator = user_with(&self.system, "op", "operator");
        operator.ask(&format!("/payments/{payment}/{verdict}")).await.expect(200).json()
    }

    pub(crate) async fn payment(&self, id: PaymentId) -> Payment {
        let key = Key::Payment(id);
        let stored = self.system.app().store.table().load(&[key]).await.unwrap().remove(&key).flatten();
        Payment::of_item(&stored.unwrap().found.item).unwrap().clone()
    }

    pub(crate) async fn state(&self, id: PaymentId) -> PaymentState {
        self.payment(id).await.state
    }

    pub(crate) async fn doubts(&self, id: PaymentId) -> Vec<Doubt> {
        self.payment(id).await.doubts
    }

    pub(crate) async fn seconds(&self, seconds: u64) {
        self.stand_in.pass(&self.system, Duration::from_secs(seconds)).await;
    }

    pub(crate) async fn hours(&self, hours: u64) {
        self.seconds(hours * 3_600).await;
    }

    /// What was called, in its order.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.stand_in.calls()
    }

    pub(crate) fn kinds(&self) -> Vec<CallKind> {
        self.calls().iter().map(|call| call.kind).collect()
    }

    /// In the gateway's book there is no second charge for anything, and every promise holds here.
    pub(crate) async fn all_is_well(&self) {
        assert_eq!(self.stand_in.findings(), []);
        promises_hold(&self.system).await;
    }
}
