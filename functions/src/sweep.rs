//! Looks at everything that has not ended when its time has come. An order whose message was lost goes on, one that waited
//! as long as it may is cancelled, one that is stalled is tried again; a delivery whose pause is over is sent on its way.
//! The index only says where to look; what is done is decided on the item itself.

use domain::events::EventId;
use domain::ids::OrderId;
use domain::planted;
use platform::runtime::{Failed, Invocation};
use platform::table::{ReadError, Table};
use platform::{App, Failure};
use serde_json::{Value, json};

use crate::work;

const PAGE: u16 = 50;

pub(crate) async fn handle(app: &App, _: Value, invocation: Invocation) -> Result<Value, Failed> {
    let mut tally = Tally::default();
    // Deliveries come after orders: however many an endpoint fails to take, no order waits behind them.
    for kind in [Kind::Orders, Kind::Deliveries] {
        if planted!(DeliveriesUnswept) && matches!(kind, Kind::Deliveries) {
            continue;
        }
        sweep(app, kind, invocation, &mut tally).await?;
    }
    let Tally { looked, failures } = tally;
    if failures > 0 {
        return Err(Failed(format!("{failures} of {looked} orders and deliveries could not be looked at")));
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
    Deliveries,
}

enum Due {
    Order(OrderId),
    Delivery(EventId),
}

impl Kind {
    const fn shards(self) -> u8 {
        match self {
            Self::Orders => Table::LOOK_SHARDS,
            Self::Deliveries => Table::DELIVERY_SHARDS,
        }
    }

    async fn due(self, app: &App, shard: u8) -> Result<Vec<Due>, ReadError> {
        let (table, now) = (app.store.table(), app.now());
        Ok(match self {
            Self::Orders => table.due(shard, now, PAGE.into()).await?.into_iter().map(Due::Order).collect(),
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
            Self::Delivery(event) => work::look_at_delivery(app, *event).await,
        }
    }
}

impl std::fmt::Display for Due {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Order(order) => write!(f, "order {order}"),
            Self::Delivery(event) => write!(f, "delivery of {event}"),
        }
    }
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
            for due in due {
                if !invocation.has_time(app.now()) {
                    // What is left is due at the next run too.
                    return Ok(());
                }
                tally.looked += 1;
                if let Err(error) = due.look(app).await {
                    tracing::error!(error = %error, "{due} could not be looked at");
                    tally.failures += 1;
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
