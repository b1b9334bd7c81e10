//! How goods look: what is sold, what came in, when couriers come, and what a courier has to know.

use domain::Timestamp;
use domain::events::Told;
use domain::goods::{Line, Product, Receipt, Stock};
use domain::ids::CustomerId;
use domain::orders::Order;
use domain::slots::Slot;
use serde::Serialize;

#[derive(Serialize)]
pub(crate) struct ProductView<'a> {
    sku: String,
    name: &'a str,
    price: String,
    currency: &'static str,
    on_hand: u64,
}

#[derive(Serialize)]
pub(crate) struct ReceiptV1 {
    id: String,
    sku: String,
    quantity: u32,
    on_hand_after: u64,
    created_at: String,
}

#[derive(Serialize)]
pub(crate) struct SlotView {
    id: String,
    capacity: u32,
    booked: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    has_room: bool,
}

/// A line of an order, as its customer sees it.
#[derive(Serialize)]
pub(crate) struct LineV1 {
    sku: String,
    quantity: u32,
    price: String,
}

/// What is to be brought, and when. What it costs and what the customer says of it is the customer's own affair.
#[derive(Serialize)]
pub(crate) struct AcceptedView {
    order: String,
    state: &'static str,
    lines: Vec<BroughtView>,
    slot: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted_at: Option<String>,
}

#[derive(Serialize)]
struct BroughtView {
    sku: String,
    quantity: u32,
}

pub(crate) fn product(product: &Product, stock: Option<Stock>) -> ProductView<'_> {
    ProductView {
        sku: product.sku.to_string(),
        name: product.name.as_str(),
        price: product.price.to_decimal(product.currency),
        currency: product.currency.code(),
        on_hand: stock.map_or(0, |stock| stock.on_hand),
    }
}

/// The answer to a receipt, now and for ever.
pub(crate) fn received(receipt: &Receipt) -> ReceiptV1 {
    // There is one renderer so far; `receipt.renderer` says which.
    ReceiptV1 {
        id: receipt.id.to_string(),
        sku: receipt.sku.to_string(),
        quantity: receipt.quantity,
        on_hand_after: receipt.on_hand_after,
        created_at: receipt.created_at.to_string(),
    }
}

pub(crate) fn slot(slot: &Slot, now: Timestamp) -> SlotView {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    SlotView {
        id: slot.id.to_string(),
        capacity: slot.capacity,
        booked: slot.booked,
        from: time(slot.from),
        to: time(slot.to),
        has_room: slot.has_room(now),
    }
}

pub(super) fn lines(order: &Order) -> Option<Vec<LineV1>> {
    let line = |line: &Line| LineV1 {
        sku: line.sku.to_string(),
        quantity: line.quantity,
        price: line.price.to_decimal(order.currency),
    };
    (!order.lines.is_empty()).then(|| order.lines.iter().map(line).collect())
}

pub(crate) fn accepted(order: &Order, courier: CustomerId, slot: Option<Slot>) -> AcceptedView {
    let told = Told::OrderAccepted { courier };
    let brought = |line: &Line| BroughtView { sku: line.sku.to_string(), quantity: line.quantity };
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    AcceptedView {
        order: order.id.to_string(),
        state: order.state.name(),
        lines: order.lines.iter().map(brought).collect(),
        slot: order.slot().to_string(),
        from: time(slot.and_then(|slot| slot.from)),
        to: time(slot.and_then(|slot| slot.to)),
        accepted_at: time(order.timeline.iter().find(|passage| passage.told == told).map(|passage| passage.at)),
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::{Fingerprint, IdempotencyKey, ReceiptId, Sku};

    use super::*;

    #[test]
    fn the_first_renderer_of_receipts_answers_as_it_always_did() {
        let keeper = CustomerId::of("local", "keeper");
        let receipt = Receipt {
            id: ReceiptId::of(&keeper, &IdempotencyKey::parse("k").unwrap()),
            sku: Sku::parse("EARL-GREY-100G").unwrap(),
            quantity: 12,
            on_hand_after: 999_999_999_999,
            keeper,
            created_at: Timestamp::from_millis(1_795_240_383_007),
            fingerprint: Fingerprint::of("POST /stock/{sku}/receipts", &[]),
            renderer: 1,
        };
        let answer = serde_json::to_string(&received(&receipt)).unwrap();
        assert_eq!(answer, include_str!("../../golden/receipt.v1.json").trim_end());
    }
}
