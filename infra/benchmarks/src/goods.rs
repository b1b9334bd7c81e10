//! What is done with goods on a scene: the catalogue, the stock and the slots, and orders of them.

use domain::books::{Draft, Halt};
use domain::goods::{self, Lines, PutProduct, Receipt, ReceiveStock};
use domain::ids::{CustomerId, Fingerprint, IdempotencyKey, OrderId, ReceiptId, Sku, SlotId};
use domain::orders::{self, Goods, IfLacking, PayWith, PlaceOrder, Resource, Wanted};
use domain::slots::{self, PutSlot};
use domain::text::ProductName;
use domain::{Amount, Outcome, Timestamp};
use platform::store::Needs;

use crate::error::{Error, ensure};
use crate::scene::{CUSTOMER, Scene};

const PRICE_MINOR: i64 = 1_250;

/// How an order of goods goes its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    PayFirst,
    ReserveFirst,
}

pub(crate) fn tea() -> Sku {
    Sku::parse("tea-earl-grey").expect("it is a sku")
}

pub(crate) fn stock() -> Resource {
    Resource::Stock(tea())
}

pub(crate) fn slot() -> Resource {
    Resource::Slot(SlotId::standard())
}

impl Scene {
    async fn decide<T>(
        &self,
        needs: Needs,
        decide: impl Fn(&mut Draft<'_>, Timestamp) -> Result<T, Halt>,
    ) -> Result<T, Error> {
        let decided = self.store().decide(needs, |books, now| books.decide(|draft| decide(draft, now))).await;
        decided.map_err(|failure| Error::Unexpected(failure.to_string()))
    }

    pub(crate) async fn put_product(&self) -> Result<(), Error> {
        let name = ProductName::new("Earl Grey, 250 g").expect("it is a name");
        let price = Amount::from_minor(PRICE_MINOR).expect("it is an amount");
        let product = PutProduct { sku: tea(), name, price };
        let needs = Needs::load([domain::books::Key::Product(tea())]);
        self.decide(needs, |draft, _| goods::put_product(draft, &product, self.terms())).await.map(drop)
    }

    /// Takes stock in, and says whether it was new.
    pub(crate) async fn receive(&self, key: &str, quantity: u32) -> Result<Outcome<Receipt>, Error> {
        let keeper = self.customer("keeper");
        let (id, fingerprint) = (ReceiptId::of(&keeper, &idempotency(key)), Fingerprint::of("receipt", &[]));
        let receipt = ReceiveStock { id, sku: tea(), quantity, keeper, fingerprint };
        self.decide(Needs::load(receipt.needs()), |draft, now| goods::receive(draft, &receipt, now)).await
    }

    pub(crate) async fn open_slot(&self, capacity: u32) -> Result<(), Error> {
        let command = PutSlot { id: SlotId::standard(), capacity, from: None, to: None };
        self.decide(Needs::load([slot().key()]), |draft, now| slots::put(draft, &command, now)).await.map(drop)
    }

    /// An order of one piece.
    pub(crate) async fn place_goods(&self, customer: &str, key: &str, plan: Plan) -> Result<OrderId, Error> {
        let customer = self.customer(customer);
        let wanted = Wanted::Goods(Goods {
            lines: Lines::new(vec![(tea(), 1)]).expect("one line"),
            slot: None,
            reserve_first: plan == Plan::ReserveFirst,
            if_unavailable: IfLacking::Wait,
            if_undeliverable: IfLacking::Wait,
        });
        let (id, fingerprint) = (OrderId::of(&customer, &idempotency(key)), Fingerprint::of("order", &[]));
        let order = PlaceOrder {
            id,
            customer,
            wanted,
            description: None,
            pay_with: PayWith::Balance,
            if_unpaid: IfLacking::Wait,
            fingerprint,
        };
        let placed = self
            .decide(Needs::load(order.needs()), |draft, now| orders::place(draft, &order, now, self.terms()))
            .await?;
        ensure(matches!(placed, Outcome::Done(_)), || "an order was there already".to_owned())?;
        Ok(id)
    }

    pub(crate) async fn cancel(&self, order: OrderId) -> Result<(), Error> {
        let customer = self.customer(CUSTOMER);
        let needs = Needs::load([domain::books::Key::Order(order)]);
        self.decide(needs, |draft, now| orders::cancel(draft, order, &customer, now)).await.map(drop)
    }

    pub(crate) async fn accept(&self, order: OrderId) -> Result<(), Error> {
        let courier = CustomerId::of("couriers", "courier");
        let needs = Needs::load([domain::books::Key::Order(order)]);
        self.decide(needs, |draft, now| orders::accept(draft, order, courier, now)).await.map(drop)
    }

    /// Goods and room for so many.
    pub(crate) async fn shop(&self, pieces: u32, room: u32) -> Result<(), Error> {
        self.put_product().await?;
        if pieces > 0 {
            self.receive("first", pieces).await?;
        }
        self.open_slot(room).await
    }
}

fn idempotency(key: &str) -> IdempotencyKey {
    IdempotencyKey::parse(key).expect("it is a key")
}
