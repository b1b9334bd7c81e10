//! Work on orders, as queues, schedules and dead letters ask for it: advancing some together, waking those that wait,
//! and what to do with what cannot be done. Used by `advance-orders`, `sweep` and `recover`.

use std::collections::BTreeSet;

use domain::Timestamp;
use domain::accounts::Account;
use domain::books::{Books, Halt, Kept, Key};
use domain::events::EventId;
use domain::goods::Stock;
use domain::ids::OrderId;
use domain::messages::{self, Cursor, Notification, Unreadable, Work, WorkMessage};
use domain::orders::{self, Advanced, Order, Resource, Waiting};
use domain::planted;
use domain::slots::Slot;
use domain::webhooks;
use platform::queue::Delivery;
use platform::runtime::Invocation;
use platform::store::Needs;
use platform::table::Stored;
use platform::{App, Failure};

/// Waiters that are served in one transaction: of plain orders at most three actions each, and the account's. Where those
/// of goods come to more than fits, they are taken one by one.
const WAITERS: i32 = 30;
/// Attempts of one piece of work that lose every race before the order is given a rest.
const ATTEMPTS: u32 = 20;

/// An order to advance, and the message that asked for it.
#[derive(Clone, Debug)]
pub(crate) struct Errand {
    pub(crate) order: OrderId,
    pub(crate) message: WorkMessage,
}

/// Advances orders in one transaction where that is possible, else one by one. Gives the places of those that must be
/// delivered again.
pub(crate) async fn advance(app: &App, errands: &[Errand]) -> Vec<usize> {
    if errands.len() > 1 {
        match advance_together(app, errands).await {
            Ok(()) => return Vec::new(),
            Err(error) => tracing::info!(error = %error, orders = errands.len(), "a batch is taken one by one"),
        }
    }
    let mut failed = Vec::new();
    for (place, errand) in errands.iter().enumerate() {
        if let Err(error) = advance_or_stall(app, errand).await {
            tracing::error!(error = %error, order = %errand.order, "order {} cannot be advanced", errand.order);
            failed.push(place);
        }
    }
    failed
}

async fn advance_together(app: &App, errands: &[Errand]) -> Result<(), Failure> {
    let keys = errands.iter().flat_map(|errand| errand.message.needs());
    app.store
        .decide(Needs::load(keys), |books, now| {
            for errand in errands {
                books.decide(|draft| orders::advance(draft, errand.order, now, &app.config.terms))?;
            }
            Ok(())
        })
        .await
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

/// An order with everything that it may take or give back from where it stands, for who moves it by a call of their own.
pub(crate) async fn all_of(app: &App, order: OrderId) -> Result<Needs, Failure> {
    let key = Key::Order(order);
    let stored = app.store.table().load(&[key]).await?.remove(&key).flatten();
    let ways = stored.as_ref().and_then(|stored| Order::of_item(&stored.found.item)).map(|order| order.ways());
    let needs = Needs::load(ways.into_iter().flatten());
    Ok(match stored {
        Some(stored) => needs.and_found([stored]),
        None => Needs::presume_absent(key),
    })
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

/// Lets those go on that wait under a resource, oldest first, as far as the time allows; the rest is a message.
pub(crate) async fn wake(app: &App, message: &WorkMessage, invocation: Invocation) -> Result<(), Failure> {
    let Work::Wake { resource, after } = message.work.clone() else { return Ok(()) };
    let mut after = after;
    loop {
        let waiters = app.store.table().waiters(&resource, after.as_ref(), WAITERS).await?;
        let orders: Vec<Waiting> =
            waiters.iter().filter_map(|stored| Waiting::of_item(&stored.found.item).cloned()).collect();
        let Some(last) = orders.last() else { return Ok(()) };
        let last = Cursor { placed_at: last.placed_at, order: last.order };
        let ways = orders.iter().flat_map(Waiting::ways).chain([resource.key()]);
        let keys: BTreeSet<Key> = orders.iter().map(|waiting| Key::Order(waiting.order)).chain(ways).collect();
        let woken = app
            .store
            .decide(Needs::load(keys).and_found(waiters.iter().cloned()), |books, now| {
                for waiting in &orders {
                    let advanced =
                        books.decide(|draft| orders::advance(draft, waiting.order, now, &app.config.terms))?;
                    if planted!(WakeStopsAtFirst) && advanced != Advanced::Moved {
                        break;
                    }
                }
                Ok(anything_left(books, resource, now))
            })
            .await;
        let left = match woken {
            Ok(left) => left,
            Err(Failure::Contended) if message.attempt < ATTEMPTS => {
                return carry_on(app, resource, after, message.again()).await;
            }
            Err(error @ (Failure::Unavailable(_) | Failure::Contended)) => return Err(error),
            Err(error) => {
                tracing::error!(error = %error, "waiters are taken one by one");
                wake_each(app, &orders, resource).await?;
                true
            }
        };
        if !left || orders.len() < usize::try_from(WAITERS).unwrap_or_default() || planted!(WakeStopsAtThirty) {
            return Ok(());
        }
        after = Some(last);
        if !invocation.has_time(app.now()) {
            return carry_on(app, resource, after, WorkMessage { attempt: 0, ..message.clone() }).await;
        }
    }
}

/// Whoever fails is marked and the pass goes on. If somebody could be read and not even be marked, the wake comes again.
async fn wake_each(app: &App, orders: &[Waiting], resource: Resource) -> Result<(), Failure> {
    let mut unmarked = None;
    for waiting in orders {
        let keys = [Key::Order(waiting.order), resource.key(), waiting.key()].into_iter().chain(waiting.ways());
        let woken = app
            .store
            .decide(Needs::load(keys), |books, now| {
                books.decide(|draft| orders::advance(draft, waiting.order, now, &app.config.terms))
            })
            .await;
        match done_or_stalled(app, waiting.order, woken).await {
            Ok(()) => {}
            Err(error @ (Failure::Unavailable(_) | Failure::Contended)) => return Err(error),
            // Those behind it are not to wait for it.
            Err(error) => {
                tracing::error!(error = %error, order = %waiting.order, "and cannot even be marked");
                // What this release cannot read keeps its place and its time for the next look: it would stop every wake.
                unmarked = Some(error).filter(|error| !matches!(error, Failure::Unreadable(_))).or(unmarked);
            }
        }
    }
    unmarked.map_or(Ok(()), Err)
}

fn anything_left(books: &Books, resource: Resource, now: Timestamp) -> bool {
    let key = resource.key();
    match resource {
        Resource::Account(_) => books.peek::<Account>(&key).is_some_and(|account| !account.balance.is_zero()),
        Resource::Stock(_) => books.peek::<Stock>(&key).is_some_and(|stock| stock.on_hand > 0),
        Resource::Slot(_) => books.peek::<Slot>(&key).is_some_and(|slot| slot.has_room(now)),
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
