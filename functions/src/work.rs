//! Work on orders, as queues, schedules and dead letters ask for it: advancing some together, waking those that wait,
//! and what to do with what cannot be done. Used by `advance-orders`, `sweep` and `recover`.

use std::collections::BTreeSet;
use std::ops::Range;

use domain::accounts::Account;
use domain::books::{Books, Draft, Halt, Kept, Key};
use domain::events::EventId;
use domain::goods::Stock;
use domain::ids::{OrderId, SlotId};
use domain::messages::{self, Cursor, Notification, Unreadable, Work, WorkMessage};
use domain::orders::{self, Advanced, Resource, Waiting};
use domain::payments::{self, GatewayKey, Refund};
use domain::webhooks;
use domain::{Terms, Timestamp, planted};
use futures_util::future::join_all;
use platform::queue::{Batch, Delivery};
use platform::runtime::Invocation;
use platform::store::{Needs, Races};
use platform::table::Stored;
use platform::{App, Failure};
use serde_json::Value;

/// Waiters that are served in one transaction at most: of plain orders three actions each, and the account's. Where they
/// come to more than fits, fewer are.
const WAITERS: usize = 30;
/// Attempts of one piece of work that lose every race before the order is given a rest.
const ATTEMPTS: u32 = 20;
/// Races over a slot that a decision loses before its order goes on without it.
const RACES: u32 = 3;

/// An order to advance, and the message that asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) order: OrderId,
    pub(crate) message: WorkMessage,
}

/// Advances orders in one transaction where that is possible, else in smaller ones, or one by one. Gives the places of
/// those that must be delivered again.
pub(crate) async fn advance(app: &App, errands: &[Errand]) -> Vec<usize> {
    let mut failed = Vec::new();
    let mut rest: Vec<Range<usize>> = std::iter::once(0..errands.len()).collect();
    while let Some(places) = rest.pop() {
        let some = &errands[places.clone()];
        if let [errand] = some {
            if let Err(error) = advance_or_stall(app, errand).await {
                tracing::error!(error = %error, order = %errand.order, "order {} cannot be advanced", errand.order);
                failed.push(places.start);
            }
            continue;
        }
        match advance_together(app, some).await {
            Ok(()) => {}
            Err(error @ Failure::TooLarge(_)) => {
                tracing::info!(error = %error, orders = some.len(), "a batch is taken in halves");
                let middle = places.start + some.len() / 2;
                rest.extend([middle..places.end, places.start..middle]);
            }
            Err(error) => {
                tracing::info!(error = %error, orders = some.len(), "a batch is taken one by one");
                rest.extend(places.rev().map(|place| place..place + 1));
            }
        }
    }
    failed
}

async fn advance_together(app: &App, errands: &[Errand]) -> Result<(), Failure> {
    let keys = errands.iter().flat_map(|errand| errand.message.needs());
    app.store
        .decide_in_races(Needs::load(keys), |books, now, races| {
            for errand in errands {
                books
                    .decide(|draft| go_on(draft, errand.order, errand.message.slot(), now, &app.config.terms, races))?;
            }
            Ok(())
        })
        .await
}

/// Advances an order: all the way, or where rivals keep being faster about its slot, as far as that.
fn go_on(
    draft: &mut Draft<'_>,
    order: OrderId,
    slot: Option<SlotId>,
    now: Timestamp,
    terms: &Terms,
    races: &Races,
) -> Result<Advanced, Halt> {
    if slot.is_some_and(|slot| races.lost_over(&Key::Slot(slot)) >= RACES) {
        orders::advance_to_slot(draft, order, now, terms)
    } else {
        orders::advance(draft, order, now, terms)
    }
}

async fn advance_or_stall(app: &App, errand: &Errand) -> Result<(), Failure> {
    match advance_together(app, std::slice::from_ref(errand)).await {
        Err(Failure::Contended) if errand.message.attempt < ATTEMPTS => {
            // It does not die in its queue: it is sent again, behind what it lost against.
            let again = errand.message.again();
            if app.outbox.send_work(&[again]).await.is_empty() { Ok(()) } else { Err(Failure::Contended) }
        }
        // It lost every race for long enough; it rests.
        Err(Failure::Contended) => stall(app, errand.order).await,
        done => done_or_stalled(app, errand.order, done).await,
    }
}

/// What was tried with an order is done, or comes again by itself, or else the order is marked. A table that does not
/// answer, and a lost race, are the weather and no fault of the order's.
pub(crate) async fn done_or_stalled<T>(app: &App, order: OrderId, tried: Result<T, Failure>) -> Result<(), Failure> {
    match tried {
        Ok(_) => Ok(()),
        Err(error @ (Failure::Unavailable(_) | Failure::Contended)) => Err(error),
        Err(error) => {
            tracing::error!(error = %error, order = %order, "order {order} is stalled");
            stall(app, order).await
        }
    }
}

/// Advances an order from its state, whatever the message about it was.
pub(crate) async fn advance_from_state(app: &App, order: OrderId) -> Result<(), Failure> {
    app.store
        .decide(Needs::load([Key::Order(order)]), |books, now| {
            books.decide(|draft| orders::advance(draft, order, now, &app.config.terms))
        })
        .await
        .map(drop)
}

/// Marks an order that cannot be processed, so that it is looked at again later.
async fn stall(app: &App, order: OrderId) -> Result<(), Failure> {
    app.store
        .decide(Needs::load([Key::Order(order)]), |books, now| {
            books.decide(|draft| orders::stall(draft, order, now, &app.config.terms))
        })
        .await
        .map(drop)
}

/// Lets those go on that wait under a resource, oldest first, as far as the time allows; the rest is a message. Those who
/// do not fit into one write, or of whom one cannot be decided on, are taken in smaller batches.
pub(crate) async fn wake(app: &App, message: &WorkMessage, invocation: Invocation) -> Result<(), Failure> {
    let Work::Wake { resource, mut after } = message.work.clone() else { return Ok(()) };
    let (mut size, mut most) = (WAITERS, WAITERS);
    let mut unmarked = None;
    loop {
        let limit = i32::try_from(size).unwrap_or(i32::MAX);
        let waiters = app.store.table().waiters(&resource, after.as_ref(), limit).await?;
        let orders: Vec<&Waiting> = waiters.iter().filter_map(|stored| Waiting::of_item(&stored.found.item)).collect();
        let Some(last) = orders.last() else { break };
        let last = Cursor { placed_at: last.placed_at, order: last.order };
        match wake_together(app, resource, &waiters, &orders).await {
            Ok(false) => break,
            Ok(true) => {}
            Err(Failure::Contended) if message.attempt < ATTEMPTS => {
                carry_on(app, resource, after, message.again()).await?;
                break;
            }
            Err(error @ (Failure::Unavailable(_) | Failure::Contended)) => return Err(error),
            Err(error) if orders.len() > 1 => {
                tracing::info!(error = %error, orders = orders.len(), "waiters are taken in smaller batches");
                size = orders.len().div_ceil(2);
                if matches!(error, Failure::TooLarge(_)) {
                    most = size;
                }
                continue;
            }
            Err(error) => unmarked = mark(app, orders[0].order, error).await?.or(unmarked),
        }
        if waiters.len() < size || planted!(WakeStopsAtThirty) {
            break;
        }
        after = Some(last);
        size = (size * 2).min(most);
        if !invocation.has_time(app.now()) {
            carry_on(app, resource, after, WorkMessage { attempt: 0, ..message.clone() }).await?;
            break;
        }
    }
    unmarked.map_or(Ok(()), Err)
}

/// Lets some go on in one transaction, and says whether there may be anything for those behind them.
async fn wake_together(
    app: &App,
    resource: Resource,
    waiters: &[Stored],
    orders: &[&Waiting],
) -> Result<bool, Failure> {
    let ways = orders.iter().flat_map(|waiting| waiting.ways()).chain([resource.key()]);
    let keys: BTreeSet<Key> = orders.iter().map(|waiting| Key::Order(waiting.order)).chain(ways).collect();
    app.store
        .decide_in_races(Needs::load(keys).and_found(waiters.iter().cloned()), |books, now, races| {
            for waiting in orders {
                let advanced =
                    books.decide(|draft| go_on(draft, waiting.order, waiting.slot, now, &app.config.terms, races))?;
                if planted!(WakeStopsAtFirst) && advanced != Advanced::Moved {
                    break;
                }
            }
            Ok(anything_left(books, resource))
        })
        .await
}

/// Whoever fails is marked and the pass goes on: those behind it are not to wait for it. What could be read and not even
/// be marked is given back, so that the wake comes again.
async fn mark(app: &App, order: OrderId, failure: Failure) -> Result<Option<Failure>, Failure> {
    match done_or_stalled(app, order, Err::<(), _>(failure)).await {
        Ok(()) => Ok(None),
        Err(error @ (Failure::Unavailable(_) | Failure::Contended)) => Err(error),
        Err(error) => {
            tracing::error!(error = %error, order = %order, "and cannot even be marked");
            // What this release cannot read keeps its place and its time for the next look: it would stop every wake.
            Ok(Some(error).filter(|error| !matches!(error, Failure::Unreadable(_))))
        }
    }
}

/// Whether it makes sense to look at those behind. For a slot it always does: when its beginning moves, the waiting of
/// everyone ends at another time, room or not.
fn anything_left(books: &Books, resource: Resource) -> bool {
    let key = resource.key();
    match resource {
        Resource::Account(_) => books.peek::<Account>(&key).is_some_and(|account| !account.balance.is_zero()),
        Resource::Stock(_) => books.peek::<Stock>(&key).is_some_and(|stock| stock.on_hand > 0),
        Resource::Slot(_) => true,
    }
}

/// Leaves the rest of the waiters to a message of its own, which the queue does not take for a repeat: it begins
/// elsewhere, or is another attempt.
async fn carry_on(app: &App, resource: Resource, after: Option<Cursor>, message: WorkMessage) -> Result<(), Failure> {
    let rest = WorkMessage { work: Work::Wake { resource, after }, ..message };
    if app.outbox.send_work(&[rest]).await.is_empty() { Ok(()) } else { Err(Failure::Contended) }
}

/// Lets an order that is due go on, or ends what is due of it.
pub(crate) async fn look(app: &App, order: OrderId) -> Result<Advanced, Failure> {
    app.store
        .decide(Needs::load([Key::Order(order)]), |books, now| {
            books.decide(|draft| orders::look(draft, order, now, &app.config.terms))
        })
        .await
}

/// Takes every message of a batch at once, so that a slow one holds none of the others up. What could not be kept comes
/// again.
pub(crate) async fn together<'a, Taking>(batch: &'a Batch, take: impl Fn(&'a Delivery) -> Taking) -> Value
where
    Taking: Future<Output = Result<(), Failure>>,
{
    let mut failed = BTreeSet::new();
    for (place, taken) in join_all(batch.deliveries.iter().map(take)).await.into_iter().enumerate() {
        if let Err(error) = taken {
            tracing::error!(error = %error, "what became of a call could not be kept");
            failed.insert(place);
        }
    }
    batch.answer(&failed)
}

/// Keeps a notification once, however often it comes, and its delivery to the endpoint that was found.
pub(crate) async fn tell(app: &App, notification: &Notification, endpoint: Option<Stored>) -> Result<(), Failure> {
    let needs = Needs::presume_absent(notification.key());
    app.store
        .decide(needs.and_looked_for(Key::Endpoint(notification.customer), endpoint), |books, now| {
            books.decide(|draft| webhooks::tell(draft, notification, now))
        })
        .await
        .map(drop)
}

/// Sends a delivery that is due on its way.
pub(crate) async fn look_at_delivery(app: &App, event: EventId) -> Result<(), Failure> {
    app.store
        .decide(Needs::load([Key::Delivery(event)]), |books, now| {
            books.decide(|draft| webhooks::look(draft, event, now))
        })
        .await
        .map(drop)
}

/// Looks at a payment that is due, or at what was reported of one or of a refund that is not there.
pub(crate) async fn look_at_payment(app: &App, of: GatewayKey) -> Result<(), Failure> {
    let chance = app.store.draw();
    app.store
        .decide(Needs::load([of.key()]), |books, now| books.decide(|draft| payments::look(draft, of, chance, now)))
        .await
        .map(drop)
}

/// The same for what a call was about: a refund is looked at with its payment.
pub(crate) async fn look_at_what_is_called_about(app: &App, key: GatewayKey) -> Result<(), Failure> {
    let kept = app.store.table().load(&[key.key()]).await?.remove(&key.key()).flatten();
    let refund = kept.as_ref().and_then(|stored| Refund::of_item(&stored.found.item));
    look_at_payment(app, refund.map_or(key, |refund| GatewayKey::Charge(refund.payment))).await
}

/// Keeps something that names itself, once, however often it comes.
pub(crate) async fn keep_once<T: Kept>(app: &App, item: T) -> Result<(), Failure> {
    app.store
        .decide(Needs::presume_absent(item.key()), |books, _| -> Result<_, Halt> {
            books.decide(|draft| messages::keep_once(draft, &item))
        })
        .await
        .map(drop)
}

/// Keeps a message that nobody can read, with its content, out of the way of those behind it.
pub(crate) async fn keep_unreadable(app: &App, delivery: &Delivery, reason: &str) -> Result<(), Failure> {
    tracing::error!(queue = delivery.queue, reason, "a message cannot be read; its content is kept");
    let at = app.now();
    keep_once(app, Unreadable::new(&delivery.queue, &delivery.body, reason.to_owned(), at)).await
}
