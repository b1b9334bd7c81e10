//! The words in which people are told what became of their orders.

use crate::events::Told;
use crate::orders::{CancelReason, Lack, Order};

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
