//! The Lambda functions: one file each, and the one list of them that `bootstrap`, the local cloud and the tests pick
//! from. A handler parses, calls and renders; what is decided is in `domain`, how it is kept in `platform`.

mod advance_orders;
mod authorize;
mod delete_webhook;
mod deliver_webhook;
mod deposit;
mod get_account;
mod get_description;
mod get_order;
mod get_timeline;
mod get_webhook;
mod list_entries;
mod list_notifications;
mod list_orders;
mod notify;
mod open_account;
mod place_order;
mod put_webhook;
mod recover;
mod relay;
mod rotate_webhook_secret;
mod sweep;
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
    "list-notifications" => http list_notifications;
    "put-webhook" => http put_webhook;
    "get-webhook" => http get_webhook;
    "delete-webhook" => http delete_webhook;
    "rotate-webhook-secret" => http rotate_webhook_secret;
    "get-description" => http get_description;
    "authorize" => event authorize;
    "relay" => event relay;
    "advance-orders" => event advance_orders;
    "notify" => event notify;
    "deliver-webhook" => event deliver_webhook;
    "sweep" => event sweep;
    "recover" => event recover;
}

/// The function that a `Handler` names.
pub fn by_handler(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}
