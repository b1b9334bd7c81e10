//! The system, taken through steps by what takes it through them in production, and all that its table keeps.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use domain::books::{Draft, Halt, Key};
use domain::events::EventId;
use domain::ids::OrderId;
use domain::messages::{Cursor, Work, WorkMessage};
use domain::orders::{self, Order, Resource};
use domain::{Millis, Timestamp};
use local_cloud::stack::Stack;
use local_cloud::{Clock, Options as CloudOptions, Storage};
use local_system::{Options, STACK_NAME, System, TEMPLATE};
use platform::store::Needs;
use serde_json::{Value, json};

use crate::ledger::interleavings::{Happening, ORDERS, Setting, Step, World, id};
use crate::support::shop::Shop;
use crate::support::{START_MS, User, user, user_with};
use crate::table::{self, Images, pass};
use crate::writes::Writes;

pub(crate) struct Driven {
    pub(crate) system: System,
    pub(crate) writes: Writes,
}

fn stack() -> Stack {
    static STACK: OnceLock<Stack> = OnceLock::new();
    // So that customers have the same ids here and in the ledger.
    let parameters = BTreeMap::from([("TokenIssuer".to_owned(), "test".to_owned())]);
    STACK.get_or_init(|| local_system::stack(TEMPLATE, STACK_NAME, parameters).unwrap()).clone()
}

impl Driven {
    /// Functions run only where they are called.
    pub(crate) fn start() -> Self {
        let cloud = CloudOptions::new(Storage::Memory, Clock::starting_at(START_MS), 7);
        let writes = Writes::default();
        let watched = writes.clone();
        let network =
            Arc::new(move |connector: local_cloud::Connector| platform::aws::shared(watched.watching(connector)));
        let options = Options { runs_by_itself: false, network, ..Options::new(cloud) };
        Self { system: System::start_on(stack(), options).unwrap(), writes }
    }

    fn alice(&self) -> User<'_> {
        user(&self.system, "alice")
    }

    fn keeper(&self) -> User<'_> {
        user_with(&self.system, "keeper", "stock slots")
    }

    pub(crate) const fn shop(&self) -> Shop<'_> {
        Shop(&self.system)
    }

    /// The catalogue and the two orders.
    pub(crate) async fn begin(&self, setting: &Setting) {
        for sku in ["tea", "pot"] {
            let product = json!({ "name": sku, "price": "1.00" }).to_string();
            self.keeper().put(&format!("/stock/{sku}"), product).await.expect(200);
        }
        for (order, lines) in ORDERS.into_iter().zip(setting.lines) {
            let lines: Vec<Value> =
                lines.iter().map(|(sku, quantity)| json!({ "sku": sku, "quantity": quantity })).collect();
            let policies = &setting.policies;
            let body = json!({
                "lines": lines,
                "reserve_first": policies.reserve_first,
                "if_unpaid": policies.if_unpaid,
                "if_unavailable": policies.if_unavailable,
                "if_undeliverable": policies.if_undeliverable,
            });
            let placed = self.alice().post("/orders", order, body.to_string()).await.expect(201);
            assert_eq!(placed.id(), id(order).to_string());
            pass(Millis(1)).await;
        }
    }

    /// Takes a step; `to` is where it leads.
    pub(crate) async fn step(&self, setting: &Setting, from: &World, step: Step, to: &World) {
        let terms = &self.system.app().config.terms;
        match step {
            Step::Wake(resource, after, _) if from.waiters(resource, after).len() == 1 => {
                self.advance(&wake(resource, after)).await;
            }
            // Who waits behind it is woken by the same message, and here by another.
            Step::Wake(_, _, order) | Step::Advance(order) => {
                self.advance(&advance(&from.kept.ledger.order(id(order)))).await;
            }
            Step::AdvanceToSlot(order) => {
                let order = id(order);
                self.decide(order, |draft, now| orders::advance_to_slot(draft, order, now, terms)).await;
            }
            Step::Look(order) => {
                let ledger = &from.kept.ledger;
                let due = |name: &&&str| ledger.order(id(name)).look_at.is_some_and(|at| at <= ledger.now);
                // The sweep looks at all that are due.
                if ORDERS.iter().filter(due).count() == 1 {
                    self.sweep().await;
                } else {
                    let order = id(order);
                    self.decide(order, |draft, now| orders::look(draft, order, now, terms)).await;
                }
            }
            Step::Happens(happening, order) => {
                let order = order.map(id);
                self.happen(setting, happening, order, to).await;
            }
        }
    }

    async fn happen(&self, setting: &Setting, happening: Happening, order: Option<OrderId>, to: &World) {
        let of = || order.expect("it is of an order");
        let number = to.number();
        let one = r#"{"quantity":1}"#;
        match happening {
            Happening::Deposit => _ = self.alice().deposit(&number, "1.00").await.expect(201),
            Happening::Receipt => _ = self.keeper().post("/stock/tea/receipts", &number, one).await.expect(201),
            Happening::OtherReceipt => _ = self.keeper().post("/stock/pot/receipts", &number, one).await.expect(201),
            Happening::Slot => {
                let mut slot = json!({ "capacity": to.kept.ledger.capacity("standard") });
                if let Some(begins) = setting.begins {
                    slot["from"] = begins.to_string().into();
                }
                self.keeper().put("/slots/standard", slot.to_string()).await.expect(200);
            }
            Happening::Accept => {
                let courier = user_with(&self.system, "alice", "courier");
                courier.ask(&format!("/deliveries/{}/accept", of())).await.expect(200);
            }
            Happening::Cancel => _ = self.alice().ask(&format!("/orders/{}/cancel", of())).await.expect(200),
            // The time has passed.
            Happening::Deadline | Happening::Beginning => {}
            Happening::Stall => {
                let terms = &self.system.app().config.terms;
                self.decide(of(), |draft, now| orders::stall(draft, of(), now, terms)).await;
            }
        }
    }

    /// What no function does alone, as the functions do it among other things.
    async fn decide<T>(&self, order: OrderId, decide: impl Fn(&mut Draft<'_>, Timestamp) -> Result<T, Halt>) {
        let store = &self.system.app().store;
        let needs = Needs::load([Key::Order(order)]);
        store.decide(needs, |books, now| books.decide(|draft| decide(draft, now))).await.unwrap();
    }

    async fn advance(&self, work: &WorkMessage) {
        assert_eq!(self.shop().advance(std::slice::from_ref(work)).await, 0, "{work:?} is done");
    }

    async fn sweep(&self) {
        self.system.cloud.invoke("Sweep", json!({})).await.unwrap();
    }

    /// Everything that is in the table, as it is there.
    pub(crate) async fn images(&self) -> Images {
        table::images(&self.system).await
    }

    /// Puts the table back as it was, from what it is now.
    pub(crate) async fn put_back(&self, now: &Images, before: &Images) {
        table::put_back(&self.system, now, before).await;
    }

    /// When each order is to be looked at, as the index says.
    pub(crate) async fn looks(&self) -> BTreeMap<String, String> {
        let images = table::scan(&self.system, Some("by_look")).await;
        let text = |value: &Value| value.as_str().unwrap().trim_start_matches("order#").to_owned();
        images.iter().map(|image| (text(&image["pk"]["S"]), text(&image["look_at"]["N"]))).collect()
    }
}

/// As the event that it was placed by asks for it.
fn advance(order: &Order) -> WorkMessage {
    let event = EventId::new(&order.key(), 1, 0);
    let work = Work::Advance { order: order.id, customer: order.customer, skus: order.skus(), slot: order.slot };
    WorkMessage { work, event, attempt: 0 }
}

fn wake(resource: Resource, after: Option<Cursor>) -> WorkMessage {
    WorkMessage { work: Work::Wake { resource, after }, event: EventId::new(&resource.key(), 1, 0), attempt: 0 }
}
