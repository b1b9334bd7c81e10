//! Looks at everything that has not ended when its time has come. An order whose message was lost goes on, one that waited
//! as long as it may is cancelled, one that is stalled is tried again; a payment that its gateway has not spoken about is
//! asked for; a delivery whose pause is over is sent on its way. The index only says where to look; what is done is decided
//! on the item itself.

use domain::books::{Kept as _, Key};
use domain::events::EventId;
use domain::ids::OrderId;
use domain::payments::{Breaker, BreakerPhase, Gateway, GatewayKey};
use domain::planted;
use futures_util::future::join_all;
use platform::runtime::{Failed, Invocation};
use platform::table::{ReadError, Table};
use platform::{App, Failure};
use serde_json::{Value, json};

use crate::work;

const PAGE: u16 = 50;
/// Looks at payments at once. Each is of items of its own, and when a gateway was away there are many.
const PAYMENTS_AT_ONCE: usize = 10;

pub(crate) async fn handle(app: &App, _: Value, invocation: Invocation) -> Result<Value, Failed> {
    let mut tally = Tally::default();
    // However many payments wait for a gateway, no order waits behind them, and none of either behind deliveries, of which
    // an endpoint may fail to take any number.
    for kind in [Kind::Orders, Kind::Payments, Kind::Deliveries] {
        let is_left_out = match kind {
            Kind::Orders => false,
            Kind::Payments => planted!(PaymentsUnswept),
            Kind::Deliveries => planted!(DeliveriesUnswept),
        };
        if is_left_out {
            continue;
        }
        sweep(app, kind, invocation, &mut tally).await?;
    }
    measure_breakers(app).await.map_err(|error| Failed(error.to_string()))?;
    let Tally { looked, failures } = tally;
    if failures > 0 {
        return Err(Failed(format!("{failures} of {looked} orders, payments and deliveries could not be looked at")));
    }
    Ok(json!({ "looked": looked }))
}

#[derive(Default)]
struct Tally {
    looked: u32,
    failures: u32,
}

#[derive(Clone, Copy)]
enum Kind {
    Orders,
    Payments,
    Deliveries,
}

enum Due {
    Order(OrderId),
    Payment(GatewayKey),
    Delivery(EventId),
}

impl Kind {
    const fn shards(self) -> u8 {
        match self {
            Self::Orders => Table::LOOK_SHARDS,
            Self::Payments => Table::PAYMENT_SHARDS,
            Self::Deliveries => Table::DELIVERY_SHARDS,
        }
    }

    const fn at_once(self) -> usize {
        match self {
            Self::Orders | Self::Deliveries => 1,
            Self::Payments => PAYMENTS_AT_ONCE,
        }
    }

    async fn due(self, app: &App, shard: u8) -> Result<Vec<Due>, ReadError> {
        let (table, now) = (app.store.table(), app.now());
        Ok(match self {
            Self::Orders => table.due(shard, now, PAGE.into()).await?.into_iter().map(Due::Order).collect(),
            Self::Payments => {
                table.due_payments(shard, now, PAGE.into()).await?.into_iter().map(Due::Payment).collect()
            }
            Self::Deliveries => {
                table.due_deliveries(shard, now, PAGE.into()).await?.into_iter().map(Due::Delivery).collect()
            }
        })
    }
}

impl Due {
    async fn look(&self, app: &App) -> Result<(), Failure> {
        match self {
            Self::Order(order) => {
                let looked_at = work::look(app, *order).await;
                work::done_or_stalled(app, *order, looked_at).await
            }
            Self::Payment(key) => work::look_at_payment(app, *key).await,
            Self::Delivery(event) => work::look_at_delivery(app, *event).await,
        }
    }
}

impl std::fmt::Display for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Order(order) => write!(f, "order {order}"),
            Self::Payment(key) => write!(f, "what the gateway knows as {key}"),
            Self::Delivery(event) => write!(f, "delivery of {event}"),
        }
    }
}

/// Says once a minute whether each gateway is called, so that who watches need not remember what was said last.
async fn measure_breakers(app: &App) -> Result<(), ReadError> {
    let keys = [Gateway::Plain, Gateway::Stripe].map(Key::Breaker);
    for (key, kept) in app.store.table().load(&keys).await? {
        let Key::Breaker(gateway) = key else { continue };
        let kept = kept.as_ref().and_then(|stored| Breaker::of_item(&stored.found.item));
        if kept.is_some() || app.config.offered == Some(gateway) {
            let is_open = kept.is_some_and(|breaker| breaker.phase != BreakerPhase::Closed);
            let of = Some(("Gateway", gateway.name()));
            app.metrics.count("BreakerOpen", u64::from(is_open), &app.config.table, of, app.now());
        }
    }
    Ok(())
}

async fn sweep(app: &App, kind: Kind, invocation: Invocation, tally: &mut Tally) -> Result<(), Failed> {
    // Each run begins at another shard, so that none is always the one that the time does not suffice for.
    let minute = app.now().as_seconds().div_euclid(60);
    let first = u8::try_from(minute.rem_euclid(kind.shards().into())).unwrap_or(0);
    let shards = if planted!(LastShardUnswept) { kind.shards() - 1 } else { kind.shards() };
    for shard in (first..shards).chain(0..first.min(shards)) {
        loop {
            let due = kind.due(app, shard).await.map_err(|error| Failed(error.to_string()))?;
            let more = due.len() == usize::from(PAGE);
            let failed_before = tally.failures;
            for some in due.chunks(kind.at_once()) {
                if !invocation.has_time(app.now()) {
                    // What is left is due at the next run too.
                    return Ok(());
                }
                for (due, looked) in some.iter().zip(join_all(some.iter().map(|due| due.look(app))).await) {
                    tally.looked += 1;
                    if let Err(error) = looked {
                        tracing::error!(error = %error, "{due} could not be looked at");
                        tally.failures += 1;
                    }
                }
            }
            // What failed is due still, and would come again at once.
            if !more || tally.failures > failed_before {
                break;
            }
        }
    }
    Ok(())
}
