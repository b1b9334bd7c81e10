//! What is shown of an endpoint, and what is sent to it.

use domain::messages::Notification;
use domain::webhooks::{GaveUp, Secret, Target};
use platform::App;
use platform::http::Problem;
use serde::Serialize;

use crate::views::{self, NotificationView};

/// An endpoint, for its owner.
#[derive(Serialize)]
pub(crate) struct EndpointView<'a> {
    url: &'a str,
    secret: String,
    state: &'static str,
    since: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    given_up_because: Option<GaveUp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failing_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    former_secret_until: Option<String>,
}

/// A notification as an endpoint is sent it. It only grows: fields are added, none is changed or taken away.
#[derive(Serialize)]
struct Event<'a> {
    r#type: String,
    timestamp: String,
    data: NotificationView<'a>,
}

pub(crate) fn endpoint(target: &Target) -> EndpointView<'_> {
    EndpointView {
        url: target.url.as_str(),
        secret: target.secret.reveal(),
        state: if target.given_up.is_some() { "given_up" } else { "active" },
        since: target.given_up.map_or(target.set_at, |given_up| given_up.at).to_string(),
        given_up_because: target.given_up.map(|given_up| given_up.because),
        failing_since: target.failing_since.map(|since| since.to_string()),
        former_secret_until: target.former.map(|former| former.until.to_string()),
    }
}

pub(crate) fn fresh_secret(app: &App) -> Result<Secret, Problem> {
    app.chance.bytes().map(Secret::of).map_err(|error| {
        tracing::error!(error = %error, "no secret can be made");
        Problem::internal()
    })
}

/// The body of a call: from what never changes of a notification, so that it is the same in each attempt.
pub(crate) fn event(notification: &Notification) -> String {
    let event = Event {
        r#type: format!("order.{}", notification.transition),
        timestamp: notification.at.to_string(),
        data: views::notification(notification),
    };
    serde_json::to_string(&event).expect("a notification is plain data with text keys")
}

#[cfg(test)]
mod tests {
    use domain::Timestamp;
    use domain::books::Key;
    use domain::events::EventId;
    use domain::ids::{CustomerId, IdempotencyKey, OrderId};

    use super::*;

    /// What was released is in receivers' hands.
    #[test]
    fn an_event_is_sent_as_it_always_was() {
        let customer = CustomerId::of("local", "alice");
        let order = OrderId::of(&customer, &IdempotencyKey::parse("k").unwrap());
        let notification = Notification {
            customer,
            at: Timestamp::from_millis(1_795_240_383_007),
            event: EventId::new(&Key::Order(order), 2, 1),
            order,
            transition: "completed".to_owned(),
            text: "Your order was handed to delivery".to_owned(),
        };
        assert_eq!(event(&notification), include_str!("../golden/webhook-event.v1.json").trim_end());
    }
}
