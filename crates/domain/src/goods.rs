//! What is sold, and how much of it is there. A product's price is frozen into an order when that is placed; its stock
//! is what was received less what orders hold.

use serde::{Deserialize, Serialize};

use crate::accounts::{self, RENDERER};
use crate::books::{Draft, Halt, Key};
use crate::events::Told;
use crate::ids::{CustomerId, Fingerprint, ReceiptId, Sku};
use crate::text::ProductName;
use crate::{Amount, Currency, Outcome, Refusal, Terms, Timestamp, planted};

/// An entry of the catalogue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    pub sku: Sku,
    pub name: ProductName,
    pub price: Amount,
    pub currency: Currency,
}

/// How much of a sku is there for whoever comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    pub sku: Sku,
    pub on_hand: u64,
    pub changed_at: Timestamp,
}

/// That stock came in: the idempotency record and the resource in one, committed with its effect.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub id: ReceiptId,
    pub sku: Sku,
    pub quantity: u32,
    pub on_hand_after: u64,
    /// Who took it in.
    pub keeper: CustomerId,
    pub created_at: Timestamp,
    pub fingerprint: Fingerprint,
    pub renderer: u32,
}

/// One line of an order, with the price that the catalogue had when it was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub sku: Sku,
    pub quantity: u32,
    pub price: Amount,
}

/// The lines that a request asks for: some, not too many, none twice, each of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lines(Vec<(Sku, u32)>);

impl Stock {
    /// Far less than can be counted, so that what is given back always fits.
    pub const MOST: u64 = 1_000_000_000_000;

    pub(crate) const fn none(sku: Sku, now: Timestamp) -> Self {
        Self { sku, on_hand: 0, changed_at: now }
    }

    /// Takes some away, if there is enough.
    pub(crate) fn take(self, quantity: u32, now: Timestamp) -> Result<Self, Short> {
        let on_hand = self.on_hand.checked_sub(quantity.into());
        let on_hand =
            on_hand.or_else(|| (planted!(OneTooMany) && self.on_hand + 1 == u64::from(quantity)).then_some(0));
        on_hand
            .map(|on_hand| Self { on_hand, changed_at: now, ..self })
            .ok_or_else(|| Short::of(self.on_hand, quantity))
    }

    /// Puts back what was taken.
    #[must_use]
    pub(crate) const fn give_back(self, quantity: u32, now: Timestamp) -> Self {
        Self { on_hand: self.on_hand.saturating_add(quantity as u64), changed_at: now, ..self }
    }
}

/// How many pieces are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Short(pub u32);

impl Short {
    /// Of what is wanted, with so much on hand.
    pub fn of(on_hand: u64, wanted: u32) -> Self {
        Self(wanted.saturating_sub(u32::try_from(on_hand).unwrap_or(u32::MAX)))
    }
}

impl Lines {
    /// So that the commit that takes all of an order, and the one that gives all of it back, fit into one write.
    pub const MOST: usize = 50;

    pub fn new(lines: Vec<(Sku, u32)>) -> Result<Self, Refusal> {
        if lines.is_empty() {
            return Err(Refusal::LinesEmpty);
        }
        if lines.len() > Self::MOST {
            return Err(Refusal::TooManyLines);
        }
        for (place, (sku, quantity)) in lines.iter().enumerate() {
            if *quantity == 0 {
                return Err(Refusal::QuantityNotPositive);
            }
            if lines[..place].iter().any(|(earlier, _)| earlier == sku) {
                return Err(Refusal::SkuTwice { sku: *sku });
            }
        }
        Ok(Self(lines))
    }

    pub fn skus(&self) -> impl Iterator<Item = Sku> {
        self.0.iter().map(|(sku, _)| *sku)
    }

    /// The lines at the prices of the catalogue, and what they come to. The catalogue is only looked at: a price holds
    /// as it was read.
    pub(crate) fn priced(&self, draft: &Draft<'_>, terms: &Terms) -> Result<(Vec<Line>, Amount), Halt> {
        let mut lines = Vec::with_capacity(self.0.len());
        let mut sum = Amount::ZERO;
        for (sku, quantity) in self.0.iter().copied() {
            let product = draft.glance::<Product>(Key::Product(sku))?.ok_or(Refusal::SkuUnknown { sku })?;
            accounts::currency_of(Some(product.currency), terms)?;
            let price = product.price;
            let of_line = price.checked_mul(quantity).ok_or(Refusal::AmountTooLarge)?;
            sum = sum.checked_add(of_line).ok_or(Refusal::AmountTooLarge)?;
            lines.push(Line { sku, quantity, price });
        }
        Ok((lines, sum))
    }
}

/// Reads a quantity as it stands in a JSON number.
pub fn quantity(text: &str) -> Result<u32, Refusal> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::QuantityMalformed);
    }
    match text.parse() {
        Ok(0) => Err(Refusal::QuantityNotPositive),
        Ok(quantity) => Ok(quantity),
        Err(_) => Err(Refusal::QuantityTooLarge),
    }
}

/// What a product is to be.
#[derive(Clone, Debug)]
pub struct PutProduct {
    pub sku: Sku,
    pub name: ProductName,
    pub price: Amount,
}

/// Puts a product into the catalogue, or changes it there. Orders that were placed keep their prices.
pub fn put_product(draft: &mut Draft<'_>, command: &PutProduct, terms: &Terms) -> Result<Outcome<Product>, Halt> {
    let PutProduct { sku, name, price } = command.clone();
    if price.is_zero() {
        return Err(Refusal::AmountNotPositive.into());
    }
    let product = Product { sku, name, price, currency: terms.currency };
    if draft.get::<Product>(Key::Product(sku))?.as_ref() == Some(&product) {
        return Ok(Outcome::AlreadyDone(product));
    }
    draft.put(product.clone())?;
    Ok(Outcome::Done(product))
}

/// What came in.
#[derive(Clone, Debug)]
pub struct ReceiveStock {
    pub id: ReceiptId,
    pub sku: Sku,
    pub quantity: u32,
    pub keeper: CustomerId,
    pub fingerprint: Fingerprint,
}

impl ReceiveStock {
    pub fn needs(&self) -> [Key; 3] {
        [Key::Receipt(self.id), Key::Product(self.sku), Key::Stock(self.sku)]
    }
}

/// Takes stock in, once for each key, and tells whoever waits for it.
pub fn receive(draft: &mut Draft<'_>, command: &ReceiveStock, now: Timestamp) -> Result<Outcome<Receipt>, Halt> {
    let ReceiveStock { id, sku, quantity, keeper, fingerprint } = *command;
    if let Some(made) = draft.get::<Receipt>(Key::Receipt(id))?.filter(|_| !planted!(ReceiptAnew)) {
        return accounts::replay(made.fingerprint == fingerprint && made.sku == sku, made);
    }
    if quantity == 0 {
        return Err(Refusal::QuantityNotPositive.into());
    }
    // What is in the catalogue stays in it, so nothing depends on when it was looked at.
    if draft.glance::<Product>(Key::Product(sku))?.is_none() {
        return Err(Refusal::SkuNotFound.into());
    }
    let stock = draft.get::<Stock>(Key::Stock(sku))?.unwrap_or_else(|| Stock::none(sku, now));
    let on_hand = stock.on_hand.checked_add(quantity.into()).filter(|on_hand| *on_hand <= Stock::MOST);
    let on_hand = on_hand.ok_or(Refusal::StockTooLarge)?;
    let made =
        Receipt { id, sku, quantity, on_hand_after: on_hand, keeper, created_at: now, fingerprint, renderer: RENDERER };
    draft.put(Stock { on_hand, changed_at: now, ..stock })?;
    draft.put(made.clone())?;
    draft.tell(Key::Stock(sku), Told::StockReceived { receipt: id, quantity, on_hand }, now)?;
    draft.tell(Key::Stock(sku), Told::StockAvailable, now)?;
    Ok(Outcome::Done(made))
}
