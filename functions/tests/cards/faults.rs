//! Each thing that goes wrong with the gateway, at each step, alone and with each other: at the charge, at what is asked or
//! sent again after it, at the refund and what is asked about that, and with the callbacks of both.
//!
//! All of it happens in one shop, one payment after another, so that the breaker has its say too. In the end the gateway's
//! book has one charge for each payment at most, and what it took has its order paid or goes back; what a person has to say,
//! a person says, by that book; and then there is nothing left to do.

use std::collections::{BTreeMap, BTreeSet};

use domain::books::{Kept as _, Key};
use domain::ids::{CustomerId, IdempotencyKey, OrderId, PaymentId, RefundId};
use domain::payments::{GatewayKey, PaymentState, Refund, RefundState};
use gateway::Mischief::{self, *};
use gateway::{CallKind, Group, Mood, Order};

use crate::support::user_with;
use crate::world::World;

/// What of a call is of any use where nothing is charged.
const OF_ASKING: [Mischief; 5] = [TooMany, TimeoutBefore, ErrorBefore, TimeoutAfter, Slow];
/// What leaves it to a person, wherever it happens: other money, another body under the same id, and a key that is used up
/// by an error of which nobody can say what it was.
const FOR_A_PERSON: [Mischief; 4] = [CallbackWrongAmount, CallbackWrongCurrency, CallbackAltered, ErrorKept];

/// What goes wrong with one payment.
#[derive(Clone, Debug, Default)]
struct Plan {
    charge: BTreeSet<Mischief>,
    /// With the second request about the charge, asked or sent again.
    again: BTreeSet<Mischief>,
    refund: BTreeSet<Mischief>,
    refund_again: BTreeSet<Mischief>,
    /// Its order is cancelled while the gateway is at it, if it is at it for long enough.
    is_cancelled: bool,
}

impl Plan {
    fn all(&self) -> BTreeSet<Mischief> {
        [&self.charge, &self.again, &self.refund, &self.refund_again].into_iter().flatten().copied().collect()
    }

    fn may_need_a_person(&self) -> bool {
        let all = self.all();
        FOR_A_PERSON.iter().any(|one| all.contains(one))
            || self.refund.contains(&Decline)
            || self.refund_again.contains(&Decline)
    }
}

/// Two that can happen to the same request: of its call one at most.
fn pairs() -> impl Iterator<Item = BTreeSet<Mischief>> {
    let is_of_the_call = |one: &Mischief| one.group() == Group::Call;
    let places = 0..Mischief::ALL.len();
    places.flat_map(move |first| {
        let others = Mischief::ALL[first + 1..].iter();
        let others = others.filter(move |second| !(is_of_the_call(&Mischief::ALL[first]) && is_of_the_call(second)));
        others.map(move |second| BTreeSet::from([Mischief::ALL[first], *second]))
    })
}

fn alone() -> impl Iterator<Item = BTreeSet<Mischief>> {
    Mischief::ALL.into_iter().map(|one| BTreeSet::from([one]))
}

/// Of the charge: everything alone, with anything else of it, and with anything about what comes after it.
fn of_the_charge() -> Vec<Plan> {
    let of_charge = |charge| Plan { charge, ..Plan::default() };
    let again = alone().take(8).flat_map(|charge| {
        OF_ASKING.map(|again| Plan { charge: charge.clone(), again: BTreeSet::from([again]), ..Plan::default() })
    });
    alone().chain(pairs()).map(of_charge).chain(again).collect()
}

/// Of the refund: the same.
fn of_the_refund() -> Vec<Plan> {
    let of_refund = |refund| Plan { refund, ..Plan::default() };
    let again = alone().take(8).flat_map(|refund| {
        OF_ASKING.map(|again| Plan { refund: refund.clone(), refund_again: BTreeSet::from([again]), ..Plan::default() })
    });
    alone().chain(pairs()).map(of_refund).chain(again).collect()
}

/// One of the charge and one of its refund.
fn of_both() -> Vec<Plan> {
    let both = alone()
        .flat_map(|charge| alone().map(move |refund| Plan { charge: charge.clone(), refund, ..Plan::default() }));
    both.collect()
}

/// Each plan once for an order that stays, and once for one that is cancelled meanwhile.
fn cancelled_too(plans: Vec<Plan>) -> Vec<Plan> {
    plans.into_iter().flat_map(|plan| [plan.clone(), Plan { is_cancelled: true, ..plan }]).collect()
}

/// A payment under way.
struct Played {
    plan: Plan,
    order: String,
    payment: PaymentId,
    minor: u64,
}

fn ids(world: &World, key: &str) -> (OrderId, PaymentId) {
    let issuer = &world.system.app().config.tokens.issuer;
    let order = OrderId::of(&CustomerId::of(issuer, "alice"), &IdempotencyKey::parse(key).unwrap());
    (order, PaymentId::of_order(&order))
}

/// Has this go wrong with what is called about under a key: with the first request for it, and with the next about it.
fn arrange(
    world: &World,
    protocol: &str,
    kind: CallKind,
    key: GatewayKey,
    first: &BTreeSet<Mischief>,
    again: &BTreeSet<Mischief>,
) {
    let order = |call, mischiefs: &BTreeSet<Mischief>| Order {
        call: Some(call),
        key: Some(key.to_string()),
        ..Order::next(mischiefs.iter().copied())
    };
    world.stand_in.with(|gateway, _| {
        if !first.is_empty() {
            gateway.order(order(kind, first));
        }
        if !again.is_empty() {
            // Where it is not asked by key, it is sent again.
            gateway.order(order(if protocol == "plain" { CallKind::Ask } else { kind }, again));
        }
    });
}

async fn refunds_of(world: &World, ids: &[RefundId]) -> BTreeMap<RefundId, Refund> {
    let keys: Vec<Key> = ids.iter().copied().map(Key::Refund).collect();
    let mut refunds = BTreeMap::new();
    for some in keys.chunks(100) {
        for stored in world.system.app().store.table().load(some).await.unwrap().into_values().flatten() {
            let refund = Refund::of_item(&stored.found.item).unwrap().clone();
            refunds.insert(refund.id, refund);
        }
    }
    refunds
}

/// Plays them all, and says in how many a person was needed.
async fn play(protocol: &str, plans: Vec<Plan>) -> usize {
    let world = World::of(protocol, Mood::calm(), |mut options| {
        options.template = options.template.replace("rate(1 minute)", "rate(5 minutes)");
        options
    });
    let issuer = world.system.app().config.tokens.issuer.clone();
    let refund_asked = |n: usize| {
        RefundId::of_request(&CustomerId::of(&issuer, "staff"), &IdempotencyKey::parse(&format!("r{n}")).unwrap())
    };
    let mut all = Vec::new();
    for (n, plan) in plans.into_iter().enumerate() {
        let (key, minor) = (format!("o{n}"), 100 + n as u64);
        let (order, payment) = ids(&world, &key);
        arrange(&world, protocol, CallKind::Charge, GatewayKey::Charge(payment), &plan.charge, &plan.again);
        for refund in [refund_asked(n), RefundId::of_order(&order)] {
            arrange(&world, protocol, CallKind::Refund, GatewayKey::Refund(refund), &plan.refund, &plan.refund_again);
        }
        let (order, made) = world.order(&key, &format!("{}.{:02}", minor / 100, minor % 100)).await;
        assert_eq!(made, payment);
        world.seconds(1).await;
        if plan.is_cancelled {
            // Too late is fine as well.
            assert!([200, 409].contains(&world.cancel(&order).await), "{plan:?}");
        }
        all.push(Played { plan, order, payment, minor });
    }
    world.hours(2).await;
    for (n, played) in all.iter().enumerate() {
        let kept = world.payment(played.payment).await;
        if kept.state == PaymentState::Captured {
            let half = played.minor / 2;
            let asked =
                world.refund(played.payment, &format!("r{n}"), &format!("{}.{:02}", half / 100, half % 100)).await;
            assert_eq!(asked, 202, "{:?}", played.plan);
        }
    }
    // Until no key is known any more.
    world.hours(26).await;

    let persons = judged(&world, &all).await;
    for played in &all {
        check(&world, played).await;
    }
    world.all_is_well().await;
    persons
}

/// A person says what nobody else can, by the gateway's book.
async fn judged(world: &World, all: &[Played]) -> usize {
    let mut persons = 0;
    for Played { plan, payment, .. } in all {
        let kept = world.payment(*payment).await;
        if kept.state != PaymentState::InReview {
            assert!(kept.open_refunds.is_empty(), "{plan:?}: {kept:?}");
            continue;
        }
        assert!(plan.may_need_a_person() && !kept.doubts.is_empty(), "{plan:?}: {kept:?}");
        persons += 1;
        let operator = user_with(&world.system, "op", "operator");
        for refund in refunds_of(world, &kept.open_refunds).await.into_values() {
            assert_eq!(refund.state, RefundState::InReview, "{plan:?}: what the gateway has not made is for a person");
            let path = format!("/payments/{payment}/refunds/{}/complete", refund.id);
            operator.ask(&path).await.expect(200);
        }
        let was_captured = world.stand_in.with(|gateway, _| {
            let charges = gateway.book().charges();
            charges
                .filter(|charge| charge.was_captured())
                .any(|charge| charge.key.as_deref() == Some(&kept.gateway_key().to_string()))
        });
        world.judge(*payment, if was_captured { "complete" } else { "fail" }).await;
    }
    // What goes back for orders that have ended meanwhile.
    world.hours(1).await;
    for Played { payment, .. } in all {
        let kept = world.payment(*payment).await;
        if kept.state == PaymentState::InReview {
            let operator = user_with(&world.system, "op", "operator");
            for refund in refunds_of(world, &kept.open_refunds).await.into_values() {
                operator.ask(&format!("/payments/{payment}/refunds/{}/complete", refund.id)).await.expect(200);
            }
            world.judge(*payment, "complete").await;
        }
    }
    persons
}

async fn check(world: &World, played: &Played) {
    let Played { plan, order, payment, minor } = played;
    let kept = world.payment(*payment).await;
    let order = world.order_state(order).await;
    let context = format!("{plan:?}: {order}, {kept:?}");
    assert!(!kept.is_unsettled(), "{context}");
    let key = kept.gateway_key().to_string();
    let (taken, given_back) = world.stand_in.with(|gateway, _| {
        let charges: Vec<_> = gateway.book().charges().filter(|charge| charge.key.as_ref() == Some(&key)).collect();
        let taken: Vec<u64> =
            charges.iter().filter(|charge| charge.was_captured()).map(|charge| charge.amount).collect();
        (taken, charges.iter().map(|charge| charge.refunded).sum::<u64>())
    });
    match &taken[..] {
        [] => {
            assert_eq!((order.as_str(), kept.captured), ("cancelled", None), "{context}");
        }
        [amount] => {
            assert_eq!(amount, minor, "{context}");
            assert_eq!(kept.captured, Some(kept.amount), "what was taken is known: {context}");
            match order.as_str() {
                "completed" => {}
                "cancelled" => assert_eq!(kept.refunded, kept.amount, "it goes back: {context}"),
                _ => panic!("{context}"),
            }
        }
        more => panic!("{more:?}: {context}"),
    }
    let refunded = u64::try_from(kept.refunded.minor()).unwrap();
    assert!(given_back <= refunded, "{context}");
    if !plan.may_need_a_person() {
        assert_eq!(given_back, refunded, "both books say the same: {context}");
    }
}

/// Everything alone, and of the rest every so many: all of it takes minutes, and is asked for by name.
fn thinned(plans: Vec<Plan>) -> Vec<Plan> {
    const EVERY: usize = 7;
    let is_kept = |(place, plan): &(usize, Plan)| plan.all().len() == 1 || place % EVERY == 0;
    plans.into_iter().enumerate().filter(is_kept).map(|(_, plan)| plan).collect()
}

macro_rules! played {
    ($($name:ident, $whole:ident: $protocol:literal, $plans:expr;)*) => {$(
        #[tokio::test(start_paused = true)]
        async fn $name() {
            assert!(play($protocol, thinned($plans)).await > 0);
        }

        #[tokio::test(start_paused = true)]
        #[ignore = "minutes; cargo test -p functions --test cards -- --ignored"]
        async fn $whole() {
            assert!(play($protocol, $plans).await > 0);
        }
    )*};
}

played! {
    of_the_charge_by_the_plain_protocol, all_of_the_charge_by_the_plain_protocol: "plain", cancelled_too(of_the_charge());
    of_the_charge_by_stripes, all_of_the_charge_by_stripes: "stripe", cancelled_too(of_the_charge());
    of_the_refund_by_the_plain_protocol, all_of_the_refund_by_the_plain_protocol: "plain", of_the_refund();
    of_the_refund_by_stripes, all_of_the_refund_by_stripes: "stripe", of_the_refund();
    of_both_by_the_plain_protocol, all_of_both_by_the_plain_protocol: "plain", of_both();
    of_both_by_stripes, all_of_both_by_stripes: "stripe", of_both();
}
