//! Fixed stories, each small enough that everything that can go wrong in it is tried. Together they reach every kind of
//! call that any function makes.

use std::sync::Arc;

use crate::bank::{CALLS_BACK, MAKES as CHARGE, TELLS as TOLD};
use crate::cards::Card;
use crate::fault::{Class, Fault, Outage, Swarm};
use crate::hooks::{Hook, Where};
use crate::model::{Body, IfUnpaid, Kind};
use crate::outcome::Met;
use crate::plan::Plan;
use crate::script::{Jump, Script, Step};
use crate::shop::{Basket, Deed, STANDARD};
use crate::workload::Operation;

/// A story by its name.
#[derive(Debug)]
pub struct Scenario {
    pub name: &'static str,
    hours: u32,
    outage: Option<Outage>,
    /// Each pair of crashes in it is tried.
    pub(crate) is_way: bool,
    /// The looks of the sweep into its index are swept here. They come every minute, and are all alike.
    has_looks: bool,
    /// The functions whose calls are swept here, if the others are in another scenario.
    only: &'static [&'static str],
    customers: &'static [fn() -> Vec<Step>],
}

impl Scenario {
    pub const ALL: &'static [Self] = &[
        Self { has_looks: true, ..Self::of("account", &[|| vec![does(Operation::Open), does(Operation::Open)]]) },
        Self::of("deposit", &[|| vec![deposit(500)]]),
        Self { is_way: true, ..Self::of("paid", &[|| vec![deposit(1_000), pause(2), order(300)]]) },
        Self::of("no-account", &[|| vec![order(300)]]),
        Self { is_way: true, ..Self::of("woken", &[|| vec![order(300), pause(2), deposit(1_000)]]) },
        Self::of("one-of-two-woken", &[|| vec![order(300), order(200), pause(2), deposit(350)]]),
        Self::of("both-woken", &[|| vec![order(300), order(200), pause(2), deposit(500)]]),
        Self::of("unpaid", &[|| vec![deposit(100), cancelled_if_unpaid(300)]]),
        Self { hours: 1, has_looks: true, ..Self::of("overdue", &[overdue]) },
        Self {
            hours: 1,
            only: &["Sweep"],
            ..Self::of("overdue-in-doubt", &[overdue]).in_outage(
                3_600_000,
                3_680_000,
                Class::Transact,
                Fault::LostAfter,
            )
        },
        Self::of("replayed", &[replayed]),
        Self::of("reads", &[reads, || vec![pause(1), order(100), does(Operation::ListOrders)]]),
        Self { only: &["AdvanceOrders", "Relay"], ..Self::of("burst", &[burst]) },
        Self { only: &["AdvanceOrders"], ..Self::of("crowd", &[crowd]) },
        // The writes arrive and nobody hears of it, until they are read back.
        Self {
            only: &["OpenAccount", "PlaceOrder", "Notify"],
            ..Self::of("in-doubt", &[|| vec![does(Operation::Open), order(300)]]).in_outage(
                0,
                9_000,
                Class::Put,
                Fault::LostAfter,
            )
        },
        Self {
            only: &["AdvanceOrders"],
            ..Self::of("advanced-in-doubt", &[|| vec![deposit(1_000), pause(2), order(300)]]).in_outage(
                1_500,
                6_000,
                Class::Transact,
                Fault::LostAfter,
            )
        },
        Self {
            only: &["AdvanceOrders"],
            ..Self::of("contended", &[|| vec![deposit(1_000), pause(2), order(300)]]).in_outage(
                1_500,
                4_500,
                Class::Transact,
                Fault::Conflict,
            )
        },
        Self {
            only: &["AdvanceOrders", "Sweep"],
            ..Self::of("stalled", &[stalled]).in_outage(1_500, 60_000, Class::Transact, Fault::Conflict)
        },
        Self {
            only: &["Recover"],
            ..Self::of("dead-update", &[|| vec![deposit(1_000), pause(2), order(300), pause(898), Step::Begins]])
                .in_outage(1_500, 901_000, Class::Transact, Fault::CrashBefore)
        },
        Self {
            only: &["Recover"],
            ..Self::of("dead-wake", &[|| vec![order(300), pause(2), deposit(1_000), pause(890), Step::Begins]])
                .in_outage(1_500, 890_000, Class::Query, Fault::CrashBefore)
        },
        Self {
            only: &["Recover"],
            ..Self::of("dead-notice", &[|| vec![order(300), pause(296), Step::Begins]]).in_outage(
                20,
                296_000,
                Class::Put,
                Fault::CrashBefore,
            )
        },
        Self {
            only: &["Recover"],
            ..Self::of("failed-record", &[|| vec![order(300), pause(500), Step::Begins]]).in_outage(
                10,
                500_000,
                Class::Announce,
                Fault::ErrorBefore,
            )
        },
        Self { only: &["PutProduct", "PutSlot", "ReceiveStock", "PlaceOrder"], ..Self::of("shop", &[sold]) },
        Self { is_way: true, only: &["AdvanceOrders"], ..Self::of("sold", &[begun_sold]) },
        Self { only: &["AdvanceOrders", "Relay"], ..Self::of("stocked", &[stocked]) },
        Self { only: &["AdvanceOrders"], ..Self::of("moved", &[moved]) },
        Self { only: &["AcceptDelivery"], ..Self::of("in-time", &[in_time]) },
        Self { only: &["AdvanceOrders", "AcceptDelivery"], ..Self::of("carried", &[carried]) },
        Self { only: &["AdvanceOrders", "CancelOrder"], ..Self::of("given-back", &[given_back]) },
        Self { only: &["AdvanceOrders", "PutSlot"], ..Self::of("raised", &[raised]) },
        Self { only: &["Sweep"], ..Self::of("slot-begun", &[slot_begun]) },
        Self {
            only: &["AdvanceOrders"],
            ..Self::of("raced", &[begun_sold]).in_outage(5_076, 6_900, Class::Transact, Fault::Conflict)
        },
        Self { only: &["GetProduct", "ListProducts", "ListSlots", "GetTimeline"], ..Self::of("shelves", &[shelves]) },
        Self { only: &["CancelOrder"], ..Self::of("cancelled-at-once", &[cancelled_at_once]) },
        Self { only: &["Notify", "Relay", "DeliverWebhook"], ..Self::of("told-outside", &[told_outside]) },
        Self {
            only: &["DeliverWebhook"],
            ..Self::of("told-again", &[told_outside]).in_outage(0, 3_000, Class::Outside, Fault::ErrorBefore)
        },
        Self { only: &["DeliverWebhook"], ..Self::of("told-nobody", &[told_nobody]) },
        Self {
            only: &["Sweep", "DeliverWebhook"],
            ..Self::of("told-unheard", &[|| [told_outside(), vec![pause(20), Step::Begins]].concat()]).in_outage(
                0,
                15_000,
                Class::Outside,
                Fault::CrashAfter,
            )
        },
        Self {
            only: &["Recover"],
            ..Self::of("dead-webhook", &[|| [told_outside(), vec![pause(895), Step::Begins]].concat()]).in_outage(
                20,
                895_000,
                Class::LoadSome,
                Fault::CrashBefore,
            )
        },
        Self {
            only: &["PutWebhook", "GetWebhook", "DeleteWebhook", "RotateWebhookSecret"],
            ..Self::of("endpoint", &[endpoint])
        },
        Self {
            only: &["PlaceOrder", "CallGateway", "TakeCallback", CHARGE, TOLD, CALLS_BACK],
            ..Self::of("card", &[card])
        },
        Self {
            only: &["CallGateway"],
            ..Self::of("card-in-doubt", &[in_doubt]).in_outage(0, 5_000, Class::Gateway, Fault::SlowAfter)
        },
        Self {
            only: &["CallGateway", "Sweep"],
            ..Self::of("card-unheard", &[unheard]).in_outage(0, 15_000, Class::Gateway, Fault::CrashAfter)
        },
        Self { only: &["CallGateway", "AdvanceOrders"], ..Self::of("card-sold", &[card_sold]) },
        Self {
            only: &["CallGateway"],
            ..Self::of("card-declined", &[declined]).in_outage(0, 30_000, Class::Money, Fault::Declined)
        },
        Self {
            only: &["CancelOrder", "CallGateway"],
            ..Self::of("card-cancelled", &[card_cancelled]).in_outage(0, 5_000, Class::Gateway, Fault::SlowAfter)
        },
        Self { only: &["MakePayment", "TakeCallback"], ..Self::of("card-early", &[card_early]) },
        Self {
            only: &["RefundPayment", "CallGateway", "TakeCallback", CHARGE, TOLD, CALLS_BACK],
            ..Self::of("card-refunded", &[card_refunded])
        },
        Self { only: &["MakePayment", "GetPayment", "ListPayments"], ..Self::of("card-reads", &[card_reads]) },
        Self {
            only: &["JudgePayment"],
            ..Self::of("card-reviewed", &[card_reviewed]).in_outage(0, 30_000, Class::Telling, Fault::WrongAmount)
        },
        Self {
            only: &["EndRefund"],
            ..Self::of("refund-reviewed", &[refund_reviewed]).in_outage(4_000, 30_000, Class::Money, Fault::Declined)
        },
        Self {
            only: &["CallGateway"],
            ..Self::of("breaker", &[breaker]).in_outage(0, 20_000, Class::Gateway, Fault::ErrorBefore)
        },
        Self {
            only: &["Recover"],
            ..Self::of("dead-call", &[|| [card(), vec![pause(1_795), Step::Begins]].concat()]).in_outage(
                20,
                1_810_000,
                Class::LoadSome,
                Fault::CrashBefore,
            )
        },
        Self { only: &["TakeInventory", "JudgePayment"], ..Self::of("inventory", &[inventory]) },
    ];

    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|scenario| scenario.name == name)
    }

    /// Whether what was met in it is to go wrong.
    pub(crate) fn sweeps(&self, met: &Met) -> bool {
        let is_meant = self.only.is_empty() || self.only.contains(&met.function());
        met.is_swept && is_meant && (self.has_looks || !met.is_look())
    }

    /// A run like this one, in which the scenario is told.
    pub fn plan(&self, like: &Plan) -> Plan {
        let customers = self.customers.iter().map(|story| numbered(story())).collect();
        let script = Script {
            hours: self.hours,
            jump: Jump::None,
            weather: Swarm::in_outage(self.outage),
            is_stripe: false,
            customers,
        };
        Plan { script: Some(Arc::new(script)), ..like.clone() }
    }

    const fn of(name: &'static str, customers: &'static [fn() -> Vec<Step>]) -> Self {
        Self { name, hours: 72, outage: None, is_way: false, has_looks: false, only: &[], customers }
    }

    /// While it lasts every call of this class meets this fault.
    const fn in_outage(self, from_ms: i64, to_ms: i64, class: Class, fault: Fault) -> Self {
        Self { outage: Some(Outage { from_ms, to_ms, class, fault, rate: 10_000 }), ..self }
    }
}

/// By its place, which says what its key is and what it draws.
fn numbered(story: Vec<Step>) -> Vec<Step> {
    let steps = (1..).zip(story).map(|(number, step)| match step {
        Step::Does { what, .. } => Step::Does { number, what },
        step => step,
    });
    steps.collect()
}

const fn does(what: Operation) -> Step {
    Step::Does { number: 0, what }
}

const fn pause(seconds: u64) -> Step {
    Step::WaitsMs(seconds * 1_000)
}

const fn body(minor: i64) -> Body {
    Body::of(minor)
}

fn deposit(minor: i64) -> Step {
    does(Operation::Deposit(body(minor)))
}

fn order(minor: i64) -> Step {
    does(Operation::Order(body(minor)))
}

fn cancelled_if_unpaid(minor: i64) -> Step {
    does(Operation::Order(Body { if_unpaid: Some(IfUnpaid::Cancel), ..body(minor) }))
}

fn overdue() -> Vec<Step> {
    vec![deposit(100), order(300), pause(2), Step::JumpsMs(3_600_000), pause(70)]
}

fn replayed() -> Vec<Step> {
    vec![
        deposit(1_000),
        does(Operation::Again(0)),
        does(Operation::Other(0, body(900))),
        order(300),
        does(Operation::Again(1)),
        does(Operation::Other(1, body(200))),
    ]
}

fn burst() -> Vec<Step> {
    let orders = (0..12).map(|place| (place, Kind::Order, body(100)));
    vec![deposit(1_000), pause(2), does(Operation::Burst(orders.collect())), Step::Begins]
}

/// More wait than one query reads.
fn crowd() -> Vec<Step> {
    let orders = (0..32).map(|place| (place, Kind::Order, body(100)));
    vec![does(Operation::Burst(orders.collect())), pause(20), Step::Begins, deposit(3_150)]
}

fn reads() -> Vec<Step> {
    vec![
        deposit(1_000),
        order(300),
        order(200),
        pause(2),
        does(Operation::ReadAccount),
        does(Operation::ReadOrder(1)),
        does(Operation::ReadTimeline(1)),
        does(Operation::ListEntries),
        does(Operation::ListOrders),
        does(Operation::ListNotifications),
        does(Operation::ReadAnothers),
        does(Operation::Malformed(2)),
    ]
}

/// Begins when the last try is about to be given up.
fn stalled() -> Vec<Step> {
    vec![deposit(1_000), pause(2), order(300), Step::WaitsMs(43_600), Step::Begins]
}

fn put_product(sku: &str) -> Step {
    does(Operation::Shop(Deed::PutProduct { sku: sku.to_owned(), minor: 100 }))
}

fn receipt(sku: &str, quantity: u32) -> Step {
    does(Operation::Receive(Body::receipt(sku, quantity)))
}

fn slot(capacity: u32) -> Step {
    does(Operation::Shop(Deed::PutSlot { slot: STANDARD.to_owned(), capacity, begins_ms: None }))
}

fn basket(skus: &[&str]) -> Basket {
    Basket { lines: skus.iter().map(|sku| ((*sku).to_owned(), 1)).collect(), ..Basket::default() }
}

fn goods(skus: &[&str]) -> Step {
    does(Operation::Order(Body::goods(basket(skus))))
}

/// What each of these is about is asked for last, so that it is the place of the last intent.
fn sold() -> Vec<Step> {
    vec![put_product("tea"), slot(1), receipt("tea", 1), deposit(1_000), pause(2), goods(&["tea"])]
}

fn begun_sold() -> Vec<Step> {
    vec![put_product("tea"), slot(1), receipt("tea", 1), deposit(1_000), pause(5), Step::Begins, goods(&["tea"])]
}

/// Two wait, one of them with its goods before its money, and what comes is enough for both.
fn stocked() -> Vec<Step> {
    let reserve_first = Body::goods(Basket { reserve_first: true, ..basket(&["tea"]) });
    vec![
        put_product("tea"),
        slot(2),
        deposit(1_000),
        goods(&["tea"]),
        does(Operation::Order(reserve_first)),
        pause(5),
        Step::Begins,
        receipt("tea", 2),
    ]
}

/// It lacks two things, and waits for one after the other.
fn moved() -> Vec<Step> {
    vec![
        put_product("tea"),
        put_product("pot"),
        slot(1),
        deposit(1_000),
        goods(&["tea", "pot"]),
        pause(5),
        Step::Begins,
        receipt("tea", 1),
        pause(5),
        receipt("pot", 1),
    ]
}

fn carried() -> Vec<Step> {
    vec![
        put_product("tea"),
        receipt("tea", 1),
        deposit(1_000),
        pause(3),
        Step::Begins,
        goods(&["tea"]),
        pause(5),
        does(Operation::Shop(Deed::Accept(2))),
        does(Operation::Shop(Deed::Accept(2))),
        does(Operation::Shop(Deed::Cancel(2))),
    ]
}

/// The slot has room again, and the courier is faster than the wake.
fn in_time() -> Vec<Step> {
    vec![
        put_product("tea"),
        receipt("tea", 1),
        slot(0),
        deposit(1_000),
        goods(&["tea"]),
        pause(5),
        Step::Begins,
        slot(1),
        does(Operation::Shop(Deed::Accept(2))),
    ]
}

/// What one gives back, the other goes on with.
fn given_back() -> Vec<Step> {
    vec![
        put_product("tea"),
        receipt("tea", 1),
        deposit(150),
        goods(&["tea"]),
        goods(&["tea"]),
        pause(5),
        Step::Begins,
        does(Operation::Shop(Deed::Cancel(2))),
        pause(5),
        does(Operation::Shop(Deed::Cancel(2))),
    ]
}

fn raised() -> Vec<Step> {
    vec![
        put_product("tea"),
        receipt("tea", 2),
        slot(0),
        deposit(1_000),
        goods(&["tea"]),
        goods(&["tea"]),
        pause(5),
        Step::Begins,
        slot(1),
    ]
}

fn slot_begun() -> Vec<Step> {
    let begins = Deed::PutSlot { slot: "dawn".to_owned(), capacity: 0, begins_ms: Some(30_000) };
    let at_dawn = Body::goods(Basket { slot: Some("dawn".to_owned()), ..basket(&["tea"]) });
    vec![
        put_product("tea"),
        receipt("tea", 1),
        does(Operation::Shop(begins)),
        deposit(1_000),
        does(Operation::Order(at_dawn)),
        pause(5),
        Step::JumpsMs(40_000),
        pause(70),
    ]
}

/// Before it was looked at at all.
fn cancelled_at_once() -> Vec<Step> {
    vec![order(300), does(Operation::Shop(Deed::Cancel(0)))]
}

fn hook(hook: Hook) -> Step {
    does(Operation::Hook(hook))
}

/// It waits, and that is told.
fn told_outside() -> Vec<Step> {
    vec![hook(Hook::Put(Where::Here)), order(300)]
}

/// The first of two finds that the endpoint is gone, the other that it was given up.
fn told_nobody() -> Vec<Step> {
    let both = [(0, Kind::Order, body(300)), (1, Kind::Order, body(200))];
    vec![hook(Hook::Put(Where::Gone)), does(Operation::Burst(both.to_vec())), pause(10), order(100)]
}

fn endpoint() -> Vec<Step> {
    vec![
        hook(Hook::Put(Where::Here)),
        hook(Hook::Put(Where::Here)),
        hook(Hook::Rotate),
        hook(Hook::RotateFormer),
        hook(Hook::Rotate),
        hook(Hook::Read),
        hook(Hook::Put(Where::There)),
        hook(Hook::Remove),
        hook(Hook::Remove),
        hook(Hook::Read),
    ]
}

fn by_card(minor: i64) -> Step {
    does(Operation::Order(Body::by_card(minor)))
}

fn done(card: Card) -> Step {
    does(Operation::Card(card))
}

fn pay(minor: i64) -> Step {
    done(Card::Pay(body(minor)))
}

/// What is told of it comes while nobody waits for calm.
fn card() -> Vec<Step> {
    vec![by_card(300), pause(20)]
}

/// The money is taken, and nobody hears of it until it is asked for.
fn in_doubt() -> Vec<Step> {
    vec![by_card(300), pause(40)]
}

/// Whoever called does not come back.
fn unheard() -> Vec<Step> {
    vec![by_card(300), pause(20), Step::Begins, pause(240)]
}

fn declined() -> Vec<Step> {
    vec![by_card(300), pay(200), pause(20)]
}

fn card_sold() -> Vec<Step> {
    let goods = Body { card: true, ..Body::goods(basket(&["tea"])) };
    vec![
        put_product("tea"),
        slot(1),
        receipt("tea", 1),
        pause(5),
        Step::Begins,
        does(Operation::Order(goods)),
        pause(20),
    ]
}

/// While nobody knows whether it was charged, which it was.
fn card_cancelled() -> Vec<Step> {
    vec![by_card(300), pause(2), does(Operation::Shop(Deed::Cancel(0))), pause(60)]
}

fn card_early() -> Vec<Step> {
    vec![done(Card::ChargedBefore { after_ms: 1_000, kind: Kind::Payment, body: body(300) }), pause(20)]
}

fn card_refunded() -> Vec<Step> {
    vec![by_card(300), pause(5), Step::Begins, done(Card::Refund(Body::refund(0, Some(100)))), pause(20)]
}

fn card_reads() -> Vec<Step> {
    vec![pay(300), pause(5), done(Card::Read(0)), done(Card::List), pay(200), pause(5), done(Card::List)]
}

fn card_reviewed() -> Vec<Step> {
    vec![pay(300), pause(5), Step::Begins, done(Card::Operate(0)), pause(5)]
}

fn refund_reviewed() -> Vec<Step> {
    vec![
        pay(300),
        pause(5),
        done(Card::Refund(Body::refund(0, None))),
        pause(5),
        Step::Begins,
        // The refund itself; before it comes its payment.
        done(Card::Operate(1)),
        pause(5),
    ]
}

/// So many fail that nobody is called any more for a while.
fn breaker() -> Vec<Step> {
    let three = (0..3).map(|place| (place, Kind::Payment, body(100)));
    vec![does(Operation::Burst(three.collect())), pause(50), Step::Begins, pause(75)]
}

fn inventory() -> Vec<Step> {
    vec![
        done(Card::Complete { minor: Some(300), names_order: false, times: 2 }),
        pause(5),
        done(Card::Operate(0)),
        pause(5),
    ]
}

/// There is one of each, and then several.
fn shelves() -> Vec<Step> {
    vec![
        put_product("tea"),
        slot(1),
        receipt("tea", 1),
        does(Operation::Shop(Deed::ReadProduct("tea".to_owned()))),
        does(Operation::Shop(Deed::ListProducts)),
        does(Operation::Shop(Deed::ListSlots)),
        put_product("pot"),
        does(Operation::Shop(Deed::PutSlot { slot: "noon".to_owned(), capacity: 1, begins_ms: None })),
        does(Operation::Shop(Deed::ListProducts)),
        does(Operation::Shop(Deed::ListSlots)),
        deposit(1_000),
        goods(&["tea", "pot"]),
        pause(5),
        does(Operation::ReadTimeline(2)),
    ]
}
