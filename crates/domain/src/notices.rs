//! The words in which people are told what became of their orders.

use crate::events::Told;
use crate::orders::{CancelReason, Lack, Order, Step};
use crate::{Amount, told_of_no_order};

/// Whether there are words for it.
pub const fn is_told(told: &Told) -> bool {
    match told {
        // That the gateway is asked says nothing that whoever pays by card does not know.
        Told::OrderWaiting { lacks: Lack::Card } => false,
        Told::OrderPaid { .. }
        | Told::OrderWaiting { .. }
        | Told::OrderStalled
        | Told::OrderReserved
        | Told::OrderCompleted
        | Told::OrderRefunded { .. }
        | Told::OrderPaidByCard
        | Told::OrderRefundedToCard
        | Told::OrderCancelled { .. } => true,
        // That it is handed over is told as its completion, that its goods are back as its cancellation.
        Told::OrderPlaced
        | Told::OrderQueued
        | Told::OrderBooked
        | Told::OrderAccepted { .. }
        | Told::OrderReleased
        | told_of_no_order!() => false,
    }
}

/// The name of the transition and the sentence for it; `None` where the customer has nothing to learn. From what never
/// changes of an order, so that it is the same whenever it is said.
pub fn words(order: &Order, told: &Told) -> Option<(&'static str, String)> {
    let currency = order.currency;
    let decimal = |amount: Amount| amount.to_decimal(currency);
    let (transition, words) = match told {
        Told::OrderPaid { balance } => (
            "paid",
            format!(
                "Your order is paid: {} {currency} from your balance, which is now {}",
                decimal(order.amount),
                decimal(*balance)
            ),
        ),
        Told::OrderPaidByCard => ("paid", format!("Your order is paid: {} {currency} by card", decimal(order.amount))),
        Told::OrderRefundedToCard => {
            ("refunded", format!("{} {currency} of your order is on its way back to your card", decimal(order.amount)))
        }
        Told::OrderWaiting { lacks } => ("waiting", waits(order, *lacks)?),
        Told::OrderStalled => {
            ("stalled", "Your order is taking longer than usual; nothing is lost and it is tried again".to_owned())
        }
        Told::OrderReserved => ("reserved", "Your order is reserved".to_owned()),
        Told::OrderCompleted if order.plan.contains(&Step::Delivery) => {
            ("completed", "Your order was handed to delivery".to_owned())
        }
        Told::OrderCompleted => ("completed", "Your order is completed".to_owned()),
        Told::OrderRefunded { balance } => (
            "refunded",
            format!(
                "{} {currency} of your order is back on your balance, which is now {}",
                decimal(order.amount),
                decimal(*balance)
            ),
        ),
        Told::OrderCancelled { reason } => ("cancelled", format!("Your order is cancelled: {}", why(order, *reason))),
        Told::OrderPlaced
        | Told::OrderQueued
        | Told::OrderBooked
        | Told::OrderAccepted { .. }
        | Told::OrderReleased
        | told_of_no_order!() => return None,
    };
    Some((transition, words))
}

fn waits(order: &Order, lacks: Lack) -> Option<String> {
    Some(match lacks {
        Lack::Money { missing } => {
            format!("Payment is not possible: {} is missing", missing.to_decimal(order.currency))
        }
        Lack::Stock { sku, missing } => format!("Your order waits for stock: {missing} of {sku} is missing"),
        Lack::Delivery => format!("Your order waits for a courier: slot {} has no room", order.slot()),
        Lack::Card => return None,
    })
}

fn why(order: &Order, reason: CancelReason) -> String {
    match reason {
        CancelReason::Unpaid => {
            let currency = order.currency;
            format!("your balance does not cover {} {currency}", order.amount.to_decimal(currency))
        }
        CancelReason::Unavailable => "not all of its goods are in stock".to_owned(),
        CancelReason::Undeliverable => format!("no courier has room for it in slot {}", order.slot()),
        CancelReason::Deadline => "it waited as long as it could".to_owned(),
        CancelReason::Requested => "you asked for it".to_owned(),
        CancelReason::NotCharged => "your card was not charged".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{
        CustomerId, DepositId, Fingerprint, IdempotencyKey, OrderId, PaymentId, ReceiptId, RefundId, Sku,
    };
    use crate::orders::{IfLacking, OrderState, PayWith};
    use crate::payments::{BreakerPhase, Doubt, GatewayKey, PaymentState};
    use crate::{Currency, Timestamp};

    #[test]
    fn what_is_told_has_words_and_what_is_not_has_none() {
        let customer = CustomerId::of("test", "alice");
        let key = IdempotencyKey::parse("k").unwrap();
        let order = Order {
            id: OrderId::of(&customer, &key),
            customer,
            amount: Amount::ZERO,
            currency: Currency::from_code("EUR").unwrap(),
            description: None,
            pay_with: PayWith::Balance,
            if_unpaid: IfLacking::Wait,
            if_unavailable: IfLacking::Wait,
            if_undeliverable: IfLacking::Wait,
            lines: Vec::new(),
            slot: None,
            placed_at: Timestamp::from_millis(0),
            fingerprint: Fingerprint::of("r", &[]),
            renderer: 1,
            plan: Vec::new(),
            state: OrderState::Completed,
            charged: Amount::ZERO,
            reserved: false,
            delivery: None,
            waiting_for: None,
            parked: None,
            stalls: 0,
            look_at: None,
            timeline: Vec::new(),
        };
        let (balance, deposit) = (Amount::ZERO, DepositId::of(&customer, &key));
        let (payment, refund) = (PaymentId::of_order(&order.id), RefundId::of_order(&order.id));
        for told in [
            Told::AccountOpened,
            Told::MoneyDeposited { deposit, amount: balance, balance },
            Told::MoneyAvailable,
            Told::OrderPlaced,
            Told::OrderPaid { balance },
            Told::OrderWaiting { lacks: Lack::Money { missing: balance } },
            Told::OrderStalled,
            Told::OrderWaiting { lacks: Lack::Stock { sku: Sku::parse("tea").unwrap(), missing: 2 } },
            Told::OrderWaiting { lacks: Lack::Delivery },
            Told::OrderReserved,
            Told::OrderQueued,
            Told::OrderBooked,
            Told::OrderAccepted { courier: customer },
            Told::OrderCompleted,
            Told::OrderReleased,
            Told::OrderRefunded { balance },
            Told::OrderCancelled { reason: CancelReason::Unpaid },
            Told::OrderCancelled { reason: CancelReason::Unavailable },
            Told::OrderCancelled { reason: CancelReason::Undeliverable },
            Told::OrderCancelled { reason: CancelReason::Deadline },
            Told::OrderCancelled { reason: CancelReason::Requested },
            Told::StockReceived { receipt: ReceiptId::of(&customer, &key), quantity: 1, on_hand: 1 },
            Told::StockAvailable,
            Told::SlotAvailable,
            Told::DeliveryDue { seconds: 5 },
            Told::OrderPaidByCard,
            Told::OrderRefundedToCard,
            Told::OrderWaiting { lacks: Lack::Card },
            Told::OrderCancelled { reason: CancelReason::NotCharged },
            Told::GatewayDue { key: GatewayKey::Charge(payment), attempt: 0, seconds: 2 },
            Told::PaymentBecame { state: PaymentState::Captured },
            Told::MoneyCaptured { amount: balance },
            Told::PaymentDoubted { doubt: Doubt::OtherGateway },
            Told::OperatorDue,
            Told::RefundBegun { refund, amount: balance },
            Told::RefundEnded { refund, amount: balance, given_back: true },
            Told::ReportOrphaned,
            Told::BreakerBecame { phase: BreakerPhase::Open },
        ] {
            let words = words(&order, &told);
            assert_eq!(is_told(&told), words.is_some(), "{told:?}");
            assert!(words.is_none_or(|(_, text)| !text.ends_with('.') && text.len() < 120), "{told:?}");
        }
    }
}
