//! What a run reached: each fault at each kind of call, and the rare paths by name. What is known and was never reached
//! is a hole in the simulator, not a success.

use std::collections::BTreeMap;

use bytes::Bytes;
use domain::books::{Item, Key};
use domain::events::Told;
use domain::orders::{CancelReason, IfLacking, Lack, What};
use domain::payments::{BreakerPhase, Origin, Payment, PaymentState, Refund, RefundState, Stub};
use domain::promises::watch::{Action, Watch};
use http::Response;
use serde_json::Value;

use crate::fault::{Class, Fault};
use crate::named::written_by_name;
use crate::wire::Call;

macro_rules! paths {
    ($($name:ident = $text:literal,)*) => {
        /// A path that only some runs come by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Path { $($name,)* }

        impl Path {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            pub(crate) fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|path| path.name() == name)
            }
        }
    };
}

paths! {
    PutRefused = "a put's condition refused",
    TransactionCancelled = "a transaction cancelled for a condition",
    TransactionRepeated = "a transaction repeated under its token",
    ReadBack = "a lost answer read back",
    ReadLagged = "a read behind the table",
    FunctionFailed = "a function failed as a whole",
    ClockSkewed = "an invocation with another clock",
    OrderWaits = "an order parked",
    OrderWoken = "an order woken",
    OrderUnpaid = "an order cancelled as unpaid",
    OrderOverdue = "an order cancelled at its deadline",
    OrderStalled = "an order stalled",
    OrderUnstalled = "a stalled order going on",
    OrdersTogether = "several orders moved in one commit",
    BatchTakenApart = "a batch taken apart",
    ManyWoken = "more than thirty waiters",
    WakeContinued = "a wake continued by its cursor",
    SentAgain = "work sent again as a new attempt",
    SweepMoved = "the sweep moved an order",
    DeadLetter = "a dead letter taken up",
    DeadNotice = "a dead notification taken up",
    FailedRecord = "a failed stream record taken up",
    Replayed = "201 replayed",
    KeyRefused = "422 for another request under a key",
    KeyMended = "a key used after a refusal",
    TryAgain = "503 try_again",
    OutcomeUnknown = "503 outcome_unknown",
    GatewayError = "500 for a dead process",
    FoundOut = "an unknown outcome found out in the calm",
    AnothersOrder = "another's order asked for",
    WaitsForStock = "an order parked for stock",
    WaitsForCourier = "an order parked for a courier",
    QueueMoved = "an order moved to another queue",
    StockWoken = "an order woken by stock",
    CourierWoken = "an order woken by its slot",
    OrderUnavailable = "an order cancelled as unavailable",
    OrderUndeliverable = "an order cancelled as undeliverable",
    SlotBegun = "an order cancelled as its slot began",
    CancelRequested = "an order cancelled on request",
    CancelledReserved = "an order cancelled after it was reserved",
    BothUndone = "an order refunded and released",
    BegunLater = "a waiting that ends at another time",
    OrderBooked = "an order booked",
    OrderAccepted = "an order taken by a courier",
    OrderQueued = "an order going on without its slot",
    WaitersSplit = "waiters taken in smaller batches",
    TooLate = "409 too_late_to_cancel",
    SlotHadRoom = "409 slot_has_room",
    NothingToCarry = "409 not_awaiting_delivery",
    BelowBooked = "409 capacity_below_booked",
    NotOnTheShelf = "422 for what is not on the shelf",
    SlotHadBegun = "422 slot_has_begun",
    WebhookAgain = "a webhook sent again",
    WebhookTakenTwice = "a webhook taken and sent again",
    WebhookSwept = "a webhook sent on its way by the sweep",
    WebhookUnknown = "a call that nobody came back to tell of",
    WebhookGone = "a webhook given up with its endpoint",
    WebhookWithdrawn = "a webhook withdrawn",
    WebhookExhausted = "a webhook given up after its last attempt",
    WebhookMoved = "an endpoint moved",
    WebhookSetAgain = "an endpoint set again after it was given up",
    SecretReplaced = "a secret replaced",
    SignedTwice = "a webhook signed with two secrets",
    SecretNotCurrent = "409 webhook_secret_not_current",
    DeadWebhook = "a dead webhook taken up",
    PaidByCard = "an order paid by card",
    NotCharged = "an order cancelled as not charged",
    PaidElsewhere = "a payment captured for an order kept elsewhere",
    PaymentDeclined = "a payment declined",
    PaymentUnknown = "a payment unknown",
    PaymentExpired = "a payment expired",
    PaymentInReview = "a payment in review",
    PaymentCreated = "a payment that an inventory tells of",
    PaymentRefunding = "a payment being refunded",
    PaymentRefunded = "a payment refunded",
    CapturedAfterAll = "a payment captured that was unknown or expired",
    PaymentWithdrawn = "a payment withdrawn with its order",
    GivenBackByItself = "a refund as an order ended",
    RefundInReview = "a refund in review",
    PaymentSwept = "a payment looked at by the sweep",
    ReportEarly = "a report on what is not there yet",
    ReportTakenIn = "a payment made over a report",
    CallbackAgain = "a callback taken once and sent again",
    CallbackChanged = "409 callback_changed",
    GatewayAsked = "a gateway asked before it is sent anything again",
    GatewayPutOff = "a call put off by 429",
    BreakerOpen = "a breaker open",
    BreakerHalfOpen = "a breaker half open",
    BreakerClosed = "a breaker closed again",
    BreakerPutOff = "a call put off by the breaker",
    NotGivenBack = "a refund refused",
    Operated = "a review ended by an operator",
    DeadCall = "a dead call of a gateway taken up",
    CopyAfterMinutes = "a delivery again after eleven minutes",
    CopyAfterDay = "a delivery again after a day",
    CopyAfterMonth = "a delivery again after a month",
}

written_by_name!(Path, "path");

/// How often each thing was reached.
#[derive(Clone, Debug, Default)]
pub struct Coverage {
    faults: BTreeMap<(Fault, Class), u64>,
    paths: BTreeMap<Path, u64>,
}

impl Coverage {
    /// Everything that there is to reach, by name, with how often it was.
    pub fn all(&self) -> BTreeMap<String, u64> {
        let faults = Fault::ALL.iter().flat_map(|fault| Class::ALL.iter().map(move |class| (*fault, *class)));
        let faults = faults
            .filter(|(fault, class)| fault.strikes(*class))
            .map(|(fault, class)| (fault.at(class), self.faults.get(&(fault, class)).copied().unwrap_or_default()));
        let paths =
            Path::ALL.iter().map(|path| (path.name().to_owned(), self.paths.get(path).copied().unwrap_or_default()));
        faults.chain(paths).collect()
    }

    pub fn faults(&self) -> BTreeMap<&'static str, u64> {
        let mut faults: BTreeMap<&'static str, u64> = BTreeMap::new();
        for ((fault, _), times) in &self.faults {
            *faults.entry(fault.name()).or_default() += times;
        }
        faults
    }

    pub fn add(&mut self, other: &Self) {
        for (fault, times) in &other.faults {
            *self.faults.entry(*fault).or_default() += times;
        }
        for (path, times) in &other.paths {
            *self.paths.entry(*path).or_default() += times;
        }
    }

    /// How often a path was reached.
    pub fn times(&self, path: Path) -> u64 {
        self.paths.get(&path).copied().unwrap_or_default()
    }

    pub(crate) fn reached(&mut self, path: Path) {
        *self.paths.entry(path).or_default() += 1;
    }

    pub(crate) fn struck(&mut self, fault: Fault, class: Class) {
        *self.faults.entry((fault, class)).or_default() += 1;
    }

    /// What a commit says about the way that led to it.
    pub(crate) fn see(&mut self, function: &str, actions: &[Action], before: &Watch) {
        for action in actions {
            let Action::Put { item, events, .. } = action else { continue };
            match item {
                Item::Payment(payment) => self.see_payment(function, payment, before),
                Item::Refund(refund) if before.get::<Refund>(&refund.key()).is_none() && refund.is_owed() => {
                    self.reached(Path::GivenBackByItself);
                }
                Item::Refund(refund) if refund.state == RefundState::InReview => self.reached(Path::RefundInReview),
                Item::Stub(_) => self.reached(Path::ReportEarly),
                Item::Breaker(breaker) if !events.is_empty() => self.reached(match breaker.phase {
                    BreakerPhase::Open => Path::BreakerOpen,
                    BreakerPhase::HalfOpen => Path::BreakerHalfOpen,
                    BreakerPhase::Closed => Path::BreakerClosed,
                }),
                _ => {}
            }
        }
        let mut orders = 0;
        for action in actions {
            let Action::Put { item: Item::Order(order), events, .. } = action else { continue };
            orders += 1;
            if events.is_empty() && order.waiting_for.is_some_and(|waiting| waiting.what != What::Stalled) {
                let has_moved = actions
                    .iter()
                    .any(|action| matches!(action, Action::Delete(Key::Waiting(_, _, id)) if *id == order.id));
                self.reached(if has_moved { Path::QueueMoved } else { Path::BegunLater });
            }
            let steps = &order.timeline[..order.timeline.len().saturating_sub(events.len())];
            let was = steps.last().map(|passage| &passage.told);
            if was == Some(&Told::OrderStalled) && !events.is_empty() {
                self.reached(Path::OrderUnstalled);
            }
            for event in events {
                match (&event.told, was) {
                    (Told::OrderWaiting { lacks: Lack::Stock { .. } }, _) => self.reached(Path::WaitsForStock),
                    (Told::OrderWaiting { lacks: Lack::Delivery }, _) => self.reached(Path::WaitsForCourier),
                    (Told::OrderWaiting { .. }, _) => self.reached(Path::OrderWaits),
                    (Told::OrderReserved, Some(Told::OrderWaiting { lacks: Lack::Stock { .. } })) => {
                        self.reached(Path::StockWoken);
                    }
                    (Told::OrderBooked, Some(Told::OrderWaiting { lacks: Lack::Delivery })) => {
                        self.reached(Path::CourierWoken);
                    }
                    (Told::OrderBooked, _) => self.reached(Path::OrderBooked),
                    (Told::OrderAccepted { .. }, _) => self.reached(Path::OrderAccepted),
                    (Told::OrderQueued, _) => self.reached(Path::OrderQueued),
                    (Told::OrderCancelled { reason: CancelReason::Unavailable }, _) => {
                        self.reached(Path::OrderUnavailable);
                    }
                    (Told::OrderCancelled { reason: CancelReason::Undeliverable }, _) => {
                        self.reached(match order.if_undeliverable {
                            IfLacking::Cancel => Path::OrderUndeliverable,
                            IfLacking::Wait => Path::SlotBegun,
                        });
                    }
                    (Told::OrderCancelled { reason: CancelReason::Requested }, _) => {
                        self.reached(Path::CancelRequested);
                    }
                    (Told::OrderReleased, _) => {
                        self.reached(Path::CancelledReserved);
                        if events.iter().any(|event| matches!(event.told, Told::OrderRefunded { .. })) {
                            self.reached(Path::BothUndone);
                        }
                    }
                    (Told::OrderPaidByCard, _) => self.reached(Path::PaidByCard),
                    (Told::OrderCancelled { reason: CancelReason::NotCharged }, _) => self.reached(Path::NotCharged),
                    (Told::OrderPaid { .. }, Some(Told::OrderWaiting { .. })) => self.reached(Path::OrderWoken),
                    (Told::OrderCancelled { reason: CancelReason::Unpaid }, _) => self.reached(Path::OrderUnpaid),
                    (Told::OrderCancelled { reason: CancelReason::Deadline }, _) => self.reached(Path::OrderOverdue),
                    (Told::OrderStalled, _) => self.reached(Path::OrderStalled),
                    _ => {}
                }
            }
        }
        if orders > 1 {
            self.reached(Path::OrdersTogether);
        }
        if orders > 0 && function == "Sweep" {
            self.reached(Path::SweepMoved);
        }
    }

    fn see_payment(&mut self, function: &str, payment: &Payment, before: &Watch) {
        let was = before.get::<Payment>(&payment.key());
        if before.get::<Stub>(&payment.key()).is_some() {
            self.reached(Path::ReportTakenIn);
        }
        if function == "Sweep" {
            self.reached(Path::PaymentSwept);
        }
        if payment.withdrawn && was.is_some_and(|was| !was.withdrawn) {
            self.reached(Path::PaymentWithdrawn);
        }
        if payment.call.put_offs > was.map_or(0, |was| was.call.put_offs) {
            self.reached(Path::BreakerPutOff);
        }
        let from = was.map(|was| was.state);
        if from == Some(payment.state) {
            return;
        }
        let is_late = matches!(from, Some(PaymentState::Unknown | PaymentState::Expired));
        match payment.state {
            PaymentState::Created => self.reached(Path::PaymentCreated),
            PaymentState::Captured if is_late => self.reached(Path::CapturedAfterAll),
            PaymentState::Captured if payment.origin == Origin::Request => self.reached(Path::PaidElsewhere),
            PaymentState::Pending | PaymentState::Captured => {}
            PaymentState::Declined => self.reached(Path::PaymentDeclined),
            PaymentState::Unknown => self.reached(Path::PaymentUnknown),
            PaymentState::Expired => self.reached(Path::PaymentExpired),
            PaymentState::InReview => self.reached(Path::PaymentInReview),
            PaymentState::Refunding => self.reached(Path::PaymentRefunding),
            PaymentState::Refunded => self.reached(Path::PaymentRefunded),
        }
    }

    /// What a service's answer says.
    pub(crate) fn answered(&mut self, function: &str, call: &Call, answer: &Response<Bytes>) {
        let body = answer.body();
        let says = |words: &[u8]| body.windows(words.len()).any(|window| window == words);
        match call.class {
            Class::Put if !answer.status().is_success() && says(b"ConditionalCheckFailed") => {
                self.reached(Path::PutRefused);
            }
            Class::Transact if !answer.status().is_success() && says(b"ConditionalCheckFailed") => {
                self.reached(Path::TransactionCancelled);
            }
            Class::Query if function == "AdvanceOrders" && says(b"\"Count\":30,") => self.reached(Path::ManyWoken),
            Class::Send => {
                for entry in call.body["Entries"].as_array().into_iter().flatten() {
                    let message = crate::network::json(entry["MessageBody"].as_str().unwrap_or_default().as_bytes());
                    if message["work"]["wake"]["after"].is_object() {
                        self.reached(Path::WakeContinued);
                    }
                    if message["attempt"].as_u64().is_some_and(|attempt| attempt > 0) {
                        self.reached(Path::SentAgain);
                    }
                }
            }
            Class::Object if call.request.method() == http::Method::DELETE && answer.status().is_success() => {
                self.reached(Path::FailedRecord);
            }
            _ => {}
        }
    }

    pub(crate) fn delivered(&mut self, function: &str, event: &Value) {
        if function == "Recover" {
            let queue = event["Records"][0]["eventSourceARN"].as_str().unwrap_or_default();
            if queue.ends_with("order-updates-dead.fifo") {
                self.reached(Path::DeadLetter);
            } else if queue.ends_with("notifications-dead.fifo") {
                self.reached(Path::DeadNotice);
            } else if queue.ends_with("webhooks-dead") {
                self.reached(Path::DeadWebhook);
            } else if queue.ends_with("gateway-calls-dead") {
                self.reached(Path::DeadCall);
            }
        }
    }
}
