//! The words in which people are told what became of their orders.

use crate::events::Told;
use crate::orders::{CancelReason, Lack, Order};

/// Whether there are words for it.
pub const fn is_told(told: &Told) -> bool {
    match told {
        Told::OrderPaid { .. }
        | Told::OrderWaiting { .. }
        | Told::OrderStalled
        | Told::OrderCompleted
        | Told::OrderCancelled { .. } => true,
        Told::OrderPlaced | Told::AccountOpened | Told::MoneyDeposited { .. } | Told::MoneyAvailable => false,
    }
}

/// The name of the transition and the sentence for it; `None` where the customer has nothing to learn.
pub fn words(order: &Order, told: &Told) -> Option<(&'static str, String)> {
    let currency = order.currency;
    match told {
        Told::OrderPaid { balance } => Some((
            "paid",
            format!(
                "Your order is paid: {} {currency} from your balance, which is now {}",
                order.amount.to_decimal(currency),
                balance.to_decimal(currency)
            ),
        )),
        Told::OrderWaiting { lacks: Lack::Money { missing } } => {
            Some(("waiting", format!("Payment is not possible: {} is missing", missing.to_decimal(currency))))
        }
        Told::OrderStalled => Some((
            "stalled",
            "Your order is taking longer than usual; nothing is lost and it is tried again".to_owned(),
        )),
        Told::OrderCompleted => Some(("completed", "Your order is completed".to_owned())),
        Told::OrderCancelled { reason: CancelReason::Unpaid } => Some((
            "cancelled",
            format!(
                "Your order is cancelled: your balance does not cover {} {currency}",
                order.amount.to_decimal(currency)
            ),
        )),
        Told::OrderCancelled { reason: CancelReason::Deadline } => {
            Some(("cancelled", "Your order is cancelled: it waited as long as it could".to_owned()))
        }
        Told::OrderPlaced | Told::AccountOpened | Told::MoneyDeposited { .. } | Told::MoneyAvailable => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{CustomerId, DepositId, Fingerprint, IdempotencyKey, OrderId};
    use crate::orders::{IfLacking, OrderState};
    use crate::{Amount, Currency, Timestamp};

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
            if_unpaid: IfLacking::Wait,
            placed_at: Timestamp::from_millis(0),
            fingerprint: Fingerprint::of("r", &[]),
            renderer: 1,
            plan: Vec::new(),
            state: OrderState::Completed,
            charged: Amount::ZERO,
            waiting_for: None,
            parked: None,
            stalls: 0,
            look_at: None,
            timeline: Vec::new(),
        };
        let (balance, deposit) = (Amount::ZERO, DepositId::of(&customer, &key));
        for told in [
            Told::AccountOpened,
            Told::MoneyDeposited { deposit, amount: balance, balance },
            Told::MoneyAvailable,
            Told::OrderPlaced,
            Told::OrderPaid { balance },
            Told::OrderWaiting { lacks: Lack::Money { missing: balance } },
            Told::OrderStalled,
            Told::OrderCompleted,
            Told::OrderCancelled { reason: CancelReason::Unpaid },
            Told::OrderCancelled { reason: CancelReason::Deadline },
        ] {
            assert_eq!(is_told(&told), words(&order, &told).is_some(), "{told:?}");
        }
    }
}
