//! Being told from outside: a customer's endpoint, and the delivery of each notification to it.
//!
//! A [`Delivery`] is committed in the same write as its notification, so that nothing is told and not delivered. Each
//! attempt is committed before the call goes out and its outcome after it; what stands between the two when a process
//! dies is unknown, and is sent again under the same id. Deliberately absent: any order among deliveries.

mod delivery;
mod endpoint;
mod reach;

pub use delivery::{
    ATTEMPTS, Answer, Attempt, Delivery, DeliveryState, NoAnswer, WebhookMessage, begin, look, settle, tell,
};
pub use endpoint::{Endpoint, EndpointUrl, GaveUp, GivenUp, Secret, Target, put, remove, rotate};
pub use reach::Reach;
