//! The Lambda functions: one file each, and the one list of them that `bootstrap`, the local cloud and the tests pick
//! from. A handler parses, calls and renders; what is decided is in `domain`, how it is kept in `platform`.

mod accept_delivery;
mod advance_orders;
mod authorize;
mod call_gateway;
mod cancel_order;
mod credentials;
mod delete_webhook;
mod deliver_webhook;
mod deposit;
mod dismiss_report;
mod end_refund;
mod get_account;
mod get_description;
mod get_keys;
mod get_order;
mod get_payment;
mod get_product;
mod get_refund;
mod get_timeline;
mod get_webhook;
mod judge_payment;
mod list_entries;
mod list_notifications;
mod list_orders;
mod list_payments;
mod list_products;
mod list_reviews;
mod list_slots;
mod make_payment;
mod notify;
mod open_account;
mod place_order;
mod put_product;
mod put_slot;
mod put_webhook;
mod receive_stock;
mod recover;
mod refund_payment;
mod relay;
mod rotate_webhook_secret;
mod sign_in;
mod sign_up;
mod sweep;
mod take_callback;
mod take_inventory;
mod views;
mod webhooks;
mod work;

use platform::{Function, Handler};

macro_rules! functions {
    ($($name:literal => $kind:ident $module:ident;)*) => {
        /// Every function, by the template's `Handler`.
        pub const FUNCTIONS: &[Function] = &[$(functions!(@ $kind $name $module)),*];
    };
    (@ http $name:literal $module:ident) => {
        Function { name: $name, handler: Handler::Http(|app, request| Box::pin($module::handle(app, request))) }
    };
    (@ event $name:literal $module:ident) => {
        Function {
            name: $name,
            handler: Handler::Event(|app, event, invocation| Box::pin($module::handle(app, event, invocation))),
        }
    };
}

functions! {
    "open-account" => http open_account;
    "get-account" => http get_account;
    "list-entries" => http list_entries;
    "deposit" => http deposit;
    "place-order" => http place_order;
    "list-orders" => http list_orders;
    "get-order" => http get_order;
    "get-timeline" => http get_timeline;
    "cancel-order" => http cancel_order;
    "list-notifications" => http list_notifications;
    "put-product" => http put_product;
    "get-product" => http get_product;
    "list-products" => http list_products;
    "receive-stock" => http receive_stock;
    "put-slot" => http put_slot;
    "list-slots" => http list_slots;
    "accept-delivery" => http accept_delivery;
    "put-webhook" => http put_webhook;
    "get-webhook" => http get_webhook;
    "delete-webhook" => http delete_webhook;
    "rotate-webhook-secret" => http rotate_webhook_secret;
    "make-payment" => http make_payment;
    "get-payment" => http get_payment;
    "list-payments" => http list_payments;
    "refund-payment" => http refund_payment;
    "get-refund" => http get_refund;
    "judge-payment" => http judge_payment;
    "end-refund" => http end_refund;
    "dismiss-report" => http dismiss_report;
    "list-reviews" => http list_reviews;
    "take-callback" => http take_callback;
    "get-description" => http get_description;
    "sign-up" => http sign_up;
    "sign-in" => http sign_in;
    "get-keys" => http get_keys;
    "authorize" => event authorize;
    "relay" => event relay;
    "advance-orders" => event advance_orders;
    "notify" => event notify;
    "deliver-webhook" => event deliver_webhook;
    "take-inventory" => event take_inventory;
    "call-gateway" => event call_gateway;
    "sweep" => event sweep;
    "recover" => event recover;
}

/// The function that a `Handler` names.
pub fn by_handler(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}
