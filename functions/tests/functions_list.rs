//! The list of functions, the template and the fixtures under `events/` name the same functions and triggers; every
//! fixture is taken by its function; and no function may do more than its policy names one by one.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use domain::ids::CustomerId;
use domain::messages::{Message, Notification, WorkMessage};
use domain::webhooks::WebhookMessage;
use local_cloud::CallRecord;
use local_system::System;
use platform::http::{Problem, context};
use platform::stream;
use platform::tokens::SigningKey;
use platform::verify::{Now, audit};
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use support::{START_MS, promises_hold, system, system_with, user};

/// What every fixture comes to, over what those before it made.
const CASES: &[Case] = &[
    // One for each trigger.
    alone("open-account", Status(201)),
    alone("get-account", Refused(404, "account_not_found")),
    alone("list-entries", Status(200)),
    alone("deposit", Status(201)),
    alone("place-order", Status(201)),
    alone("list-orders", Status(200)),
    after(&["place-order"], "get-order", Status(200)),
    after(&["place-order"], "get-timeline", Status(200)),
    alone("list-notifications", Status(200)),
    after(&["put-product", "place-order.reserve-first"], "cancel-order", Status(200)),
    alone("put-product", Status(200)),
    after(&["put-product"], "get-product", Status(200)),
    after(&["put-product"], "list-products", Status(200)),
    after(&["put-product"], "receive-stock", Status(201)),
    alone("put-slot", Status(200)),
    after(&["put-slot"], "list-slots", Status(200)),
    after(&["put-product", "receive-stock", "deposit", "place-order.goods"], "accept-delivery", Status(200)),
    alone("put-webhook", Status(200)),
    after(&["put-webhook"], "get-webhook", Status(200)),
    after(&["put-webhook"], "delete-webhook", Status(204)),
    after(&["put-webhook"], "rotate-webhook-secret", Status(200)),
    alone("make-payment", Status(202)),
    after(&["make-payment"], "get-payment", Status(200)),
    alone("list-payments", Status(200)),
    after(&["make-payment"], "refund-payment", Status(202)),
    after(&["make-payment", "refund-payment"], "get-refund", Status(200)),
    after(&["make-payment", "take-callback.wrong-amount"], "judge-payment.complete", Status(200)),
    after(&["take-callback.wrong-amount", "make-payment"], "judge-payment.fail", Status(200)),
    after(NOT_GIVEN_BACK, "end-refund.complete", Status(200)),
    after(NOT_GIVEN_BACK, "end-refund.fail", Status(200)),
    after(&["take-callback"], "dismiss-report", Status(200)),
    after(&["make-payment", "take-callback.wrong-amount"], "list-reviews", Status(200)),
    after(&["make-payment"], "take-callback", Answered(r#"{"outcome":"taken"}"#)),
    alone("get-description", Status(200)),
    alone("sign-up", Status(201)),
    after(&["sign-up"], "sign-in", Status(200)),
    alone("get-keys", Status(200)),
    alone("authorize", Answer(r#"{"isAuthorized":false}"#)),
    alone("relay", Answer(NONE_FAILED)),
    after(&["deposit", "place-order"], "advance-orders", Answer(NONE_FAILED)),
    after(&["put-product", "receive-stock", "deposit"], "advance-orders.goods", Answer(NONE_FAILED)),
    alone("notify", Answer(NONE_FAILED)),
    after(&["put-webhook", "notify"], "deliver-webhook", Answer(NONE_FAILED)),
    alone("take-inventory", Answer(NONE_FAILED)),
    alone("call-gateway", Answer(NONE_FAILED)),
    alone("sweep", Answer(r#"{"looked":0}"#)),
    alone("recover.dead-updates", Answer(NONE_FAILED)),
    alone("recover.dead-notifications", Answer(NONE_FAILED)),
    after(&["put-webhook", "notify"], "recover.dead-webhooks", Answer(NONE_FAILED)),
    alone("recover.dead-calls", Answer(NONE_FAILED)),
    alone("recover.failed-record", Answer(r#"{"taken_up":0}"#)),
    alone("recover.every-hour", Answer(r#"{"taken_up":0}"#)),
    // What others need before them.
    after(&["put-product"], "place-order.goods", Status(201)),
    after(&["put-product"], "place-order.reserve-first", Status(201)),
    after(&["put-product", "place-order.goods"], "get-timeline.goods", Status(200)),
    alone("place-order.card", Status(201)),
    alone("put-slot.standard", Status(200)),
    alone("put-slot.begun", Status(200)),
    // Who calls.
    alone("authorize.no-token", Answer(r#"{"isAuthorized":false}"#)),
    alone("authorize.expired", Answer(r#"{"isAuthorized":false}"#)),
    alone("get-account.token-expired", Refused(401, "unauthorized")),
    alone("list-orders.caller-unnamed", Refused(401, "unauthorized")),
    alone("put-product.scope-missing", Refused(403, "scope_missing")),
    after(&["put-product", "place-order.goods"], "accept-delivery.scope-missing", Refused(403, "scope_missing")),
    // What is wrong with the request.
    alone("place-order.key-missing", Refused(400, "idempotency_key_missing")),
    alone("place-order.key-malformed", Refused(400, "idempotency_key_malformed")),
    alone("place-order.not-named-json", Refused(415, "content_type_unsupported")),
    alone("place-order.body-not-utf8", Refused(400, "body_not_utf8")),
    alone("place-order.json-malformed", Refused(400, "json_malformed")),
    alone("place-order.body-not-an-object", Refused(400, "body_not_an_object")),
    alone("place-order.field-twice", Refused(422, "field_duplicate")),
    alone("place-order.field-unknown", Refused(422, "field_unknown")),
    alone("deposit.amount-missing", Refused(422, "field_missing")),
    alone("place-order.line-without-quantity", Refused(422, "field_missing")),
    alone("deposit.amount-of-wrong-type", Refused(422, "field_wrong_type")),
    alone("place-order.half-a-character", Refused(422, "text_malformed")),
    alone("list-orders.parameter-unknown", Refused(400, "parameter_unknown")),
    alone("list-entries.limit-malformed", Refused(400, "limit_malformed")),
    alone("list-notifications.cursor-malformed", Refused(400, "cursor_malformed")),
    // What is refused.
    alone("place-order.amount-malformed", Refused(422, "amount_malformed")),
    alone("deposit.amount-with-sign", Refused(422, "amount_has_sign")),
    alone("deposit.amount-with-exponent", Refused(422, "amount_has_exponent")),
    alone("place-order.amount-with-too-many-digits", Refused(422, "amount_too_precise")),
    alone("deposit.amount-too-large", Refused(422, "amount_too_large")),
    alone("deposit.amount-zero", Refused(422, "amount_not_positive")),
    after(&["deposit"], "deposit.balance-too-large", Refused(422, "balance_too_large")),
    alone("open-account.currency-unknown", Refused(422, "currency_unknown")),
    alone("open-account.currency-of-another-stack", Refused(422, "currency_not_of_this_stack")),
    alone("place-order.description-too-long", Refused(422, "description_too_long")),
    alone("place-order.description-with-line-break", Refused(422, "description_has_control_characters")),
    alone("place-order.if-unpaid-unknown", Refused(422, "if_unpaid_unknown")),
    alone("place-order.pay-with-unknown", Refused(422, "pay_with_unknown")),
    after(&["place-order"], "place-order.key-reused", Refused(422, "key_used_for_another_request")),
    after(&["deposit"], "deposit.key-reused", Refused(422, "key_used_for_another_request")),
    after(&["deposit"], "get-account.not-found", Refused(404, "account_not_found")),
    after(&["place-order"], "get-order.not-found", Refused(404, "order_not_found")),
    after(&["place-order"], "get-order.of-another", Refused(404, "order_not_found")),
    after(&["place-order"], "get-timeline.not-found", Refused(404, "order_not_found")),
    alone("place-order.amount-missing", Refused(422, "amount_or_lines")),
    alone("place-order.amount-and-lines", Refused(422, "amount_or_lines")),
    alone("place-order.lines-empty", Refused(422, "lines_empty")),
    alone("place-order.too-many-lines", Refused(422, "too_many_lines")),
    alone("place-order.line-with-sku-malformed", Refused(422, "sku_malformed")),
    alone("place-order.sku-twice", Refused(422, "sku_twice")),
    after(&["put-product"], "place-order.sku-unknown", Refused(422, "sku_unknown")),
    alone("place-order.slot-without-lines", Refused(422, "only_with_lines")),
    after(&["put-product", "put-slot"], "place-order.slot-unknown", Refused(422, "slot_unknown")),
    after(&["put-product", "put-slot.begun"], "place-order.slot-begun", Refused(422, "slot_has_begun")),
    alone("place-order.if-unavailable-unknown", Refused(422, "if_unavailable_unknown")),
    alone("place-order.if-undeliverable-unknown", Refused(422, "if_undeliverable_unknown")),
    after(&["put-product", "place-order.goods"], "cancel-order.of-another", Refused(404, "order_not_found")),
    after(HANDED_OVER, "cancel-order.too-late", Refused(409, "too_late_to_cancel")),
    alone("put-product.sku-malformed", Refused(422, "sku_malformed")),
    alone("put-product.name-empty", Refused(422, "name_length")),
    alone("put-product.name-with-line-break", Refused(422, "name_has_control_characters")),
    after(&["put-product"], "get-product.not-found", Refused(404, "sku_not_found")),
    after(&["put-product"], "receive-stock.not-found", Refused(404, "sku_not_found")),
    after(&["put-product"], "receive-stock.quantity-malformed", Refused(422, "quantity_malformed")),
    after(&["put-product"], "receive-stock.quantity-zero", Refused(422, "quantity_not_positive")),
    after(&["put-product"], "receive-stock.quantity-too-large", Refused(422, "quantity_too_large")),
    after(&["put-product", "receive-stock"], "receive-stock.key-reused", Refused(422, "key_used_for_another_request")),
    alone("put-slot.id-malformed", Refused(422, "slot_id_malformed")),
    alone("put-slot.capacity-malformed", Refused(422, "capacity_malformed")),
    alone("put-slot.time-malformed", Refused(422, "time_malformed")),
    alone("put-slot.times-reversed", Refused(422, "slot_times_reversed")),
    after(HANDED_OVER, "put-slot.capacity-below-booked", Refused(409, "capacity_below_booked")),
    after(
        &["put-product", "place-order.goods"],
        "accept-delivery.not-awaiting-delivery",
        Refused(409, "not_awaiting_delivery"),
    ),
    alone("sign-up.email-malformed", Refused(422, "email_malformed")),
    alone("sign-up.email-too-long", Refused(422, "email_too_long")),
    alone("sign-up.password-too-short", Refused(422, "password_too_short")),
    alone("sign-up.password-too-long", Refused(422, "password_too_long")),
    after(&["sign-up"; 20], "sign-up.too-many", Refused(429, "too_many_attempts")),
    // What is refused, and counts.
    after(&["sign-up"], "sign-up.email-taken", Counted(409, "email_taken")),
    after(&["sign-up"], "sign-in.wrong-password", Counted(401, "wrong_email_or_password")),
    after(&["sign-up"], "sign-in.unknown-email", Counted(401, "wrong_email_or_password")),
    alone("put-webhook.url-too-long", Refused(422, "webhook_url_too_long")),
    alone("put-webhook.url-malformed", Refused(422, "webhook_url_malformed")),
    alone("put-webhook.url-not-https", Refused(422, "webhook_url_not_https")),
    alone("put-webhook.url-with-credentials", Refused(422, "webhook_url_has_credentials")),
    alone("put-webhook.url-with-fragment", Refused(422, "webhook_url_has_fragment")),
    alone("put-webhook.url-at-another-port", Refused(422, "webhook_url_port")),
    after(&["put-webhook"], "put-webhook.url-not-public", Refused(422, "webhook_url_not_public")),
    alone("get-webhook.not-found", Refused(404, "webhook_not_found")),
    alone("rotate-webhook-secret.secret-malformed", Refused(422, "webhook_secret_malformed")),
    after(&["put-webhook"], "rotate-webhook-secret.secret-not-current", Refused(409, "webhook_secret_not_current")),
    alone("make-payment.reference-empty", Refused(422, "reference_length")),
    alone("make-payment.reference-with-line-break", Refused(422, "reference_has_control_characters")),
    alone("make-payment.reference-names-order", Refused(422, "reference_names_order")),
    after(&["make-payment"], "make-payment.key-reused", Refused(422, "key_used_for_another_request")),
    after(&["make-payment"], "get-payment.of-another", Refused(404, "payment_not_found")),
    after(&["make-payment"], "refund-payment.all", Status(202)),
    after(&["make-payment"], "refund-payment.too-large", Refused(409, "refund_too_large")),
    after(&["make-payment"], "get-refund.not-found", Refused(404, "refund_not_found")),
    // What a gateway calls back with.
    after(&["make-payment"], "take-callback.wrong-amount", Answered(r#"{"outcome":"taken"}"#)),
    after(&["make-payment"], "take-callback.refund-failed", Answered(r#"{"outcome":"early"}"#)),
    alone("take-callback.not-ours", Answered(r#"{"outcome":"not_ours"}"#)),
    after(&["make-payment"], "take-callback.not-verified", Refused(401, "callback_not_verified")),
    after(&["make-payment"], "take-callback.too-old", Refused(401, "callback_not_verified")),
    alone("take-callback.malformed", Counted(400, "callback_malformed")),
    // What comes in by itself and is not as it should be. What nobody can read is kept for a person; a record that
    // is not relayed is named, and comes again; an inventory event that is not taken is named until its queue keeps it.
    alone("advance-orders.malformed-message", Answer(NONE_FAILED)),
    alone("advance-orders.unknown-order", Answer(NONE_FAILED)),
    alone("notify.malformed-message", Answer(NONE_FAILED)),
    alone("deliver-webhook.malformed-message", Answer(NONE_FAILED)),
    alone(
        "take-inventory.malformed-message",
        Answer(r#"{"batchItemFailures":[{"itemIdentifier":"a00e1a16-be97-45ba-9892-ae89bfd75c99"}]}"#),
    ),
    alone(
        "take-inventory.status-unknown",
        Answer(r#"{"batchItemFailures":[{"itemIdentifier":"a816f5ad-552e-4b0a-a117-b02bd0495cdd"}]}"#),
    ),
    alone(
        "take-inventory.amount-too-precise",
        Answer(r#"{"batchItemFailures":[{"itemIdentifier":"76149649-73f4-47fa-9fa2-0565c134f5e2"}]}"#),
    ),
    after(
        &["take-inventory"],
        "take-inventory.key-reused",
        Answer(r#"{"batchItemFailures":[{"itemIdentifier":"4ff1f583-bd70-4e38-9025-a0ab15a800d7"}]}"#),
    ),
    alone("call-gateway.malformed-message", Answer(NONE_FAILED)),
    alone("recover.dead-updates.unknown-order", Answer(NONE_FAILED)),
    alone("recover.dead-notifications.malformed-message", Answer(NONE_FAILED)),
    alone("relay.unreadable-record", Answer(r#"{"batchItemFailures":[{"itemIdentifier":"100001795240383007005"}]}"#)),
    alone("relay.newer-record", Answer(r#"{"batchItemFailures":[{"itemIdentifier":"100001795240383007006"}]}"#)),
    alone("relay.events-on-a-deposit", Answer(r#"{"batchItemFailures":[{"itemIdentifier":"100001795240383007007"}]}"#)),
];

/// What leads to an order of goods that has its place in a slot.
const HANDED_OVER: &[&str] = &["put-product", "receive-stock", "deposit", "put-slot.standard", "place-order.goods"];

/// What leads to a refund that the gateway does not make.
const NOT_GIVEN_BACK: &[&str] = &["make-payment", "take-callback.refund-failed", "refund-payment"];

/// Codes that no fixture shows, and why.
const NOT_SHOWN: &[(&str, &str)] = &[
    ("stock_too_large", "it takes more receipts than a story has"),
    ("slot_has_room", "it takes a courier who is faster than the wake"),
    ("body_too_large", "a fixture of 64 KiB of filling says no more than tests/refusals.rs does"),
    ("sign_in_not_set_up", "it takes a stack without a key"),
    ("cards_not_offered", "it takes a stack without a gateway"),
    ("payment_not_captured", "it takes a gateway that does not answer at once"),
    ("payment_in_review", "a story of doubts says no more than tests/payments.rs does"),
    ("payment_not_by_card", "it takes an inventory event"),
    ("order_not_completed", "it takes a customer who pays by card for what there is not"),
    ("too_many_refunds", "it takes twenty refunds that a gateway does not answer"),
    ("not_for_an_operator", "it takes an operator who is late"),
    ("captured_already", "it takes an operator who is mistaken"),
    ("refund_is_owed", "it takes a customer, a gateway and an operator who are all at odds"),
    ("callback_changed", "it takes two events under one id"),
    ("try_again", "it takes rivals that are faster sixteen times in a row"),
    ("outcome_unknown", "it takes a table that does not answer"),
    ("internal_error", "it takes an item in the table that cannot be read"),
];

/// Fixtures that leave a message behind which nobody can read.
const KEPT_FOR_A_PERSON: &[&str] = &[
    "advance-orders.malformed-message",
    "notify.malformed-message",
    "deliver-webhook.malformed-message",
    "call-gateway.malformed-message",
    "recover.dead-notifications.malformed-message",
    "take-callback.malformed",
];

/// The public half of the key that signed the token in `authorize.expired.json`.
const KEY_OF_THE_EXPIRED: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"b_vu4mDTBUxyUVs9FWb2g2PoJ7uPlpcuW_P5Wv3wppU"}]}"#;

const NONE_FAILED: &str = r#"{"batchItemFailures":[]}"#;

struct Case {
    fixture: &'static str,
    after: &'static [&'static str],
    comes_to: Expected,
}

const fn alone(fixture: &'static str, comes_to: Expected) -> Case {
    after(&[], fixture, comes_to)
}

const fn after(after: &'static [&'static str], fixture: &'static str, comes_to: Expected) -> Case {
    Case { fixture, after, comes_to }
}

#[derive(Clone, Copy)]
enum Expected {
    /// Of an answer over HTTP.
    Status(u16),
    /// A problem with this status and this code.
    Refused(u16, &'static str),
    /// The same, of an attempt that is kept nevertheless.
    Counted(u16, &'static str),
    /// Over HTTP, with this body.
    Answered(&'static str),
    /// The whole answer.
    Answer(&'static str),
}

use Expected::{Answer, Answered, Counted, Refused, Status};

/// A function as the template has it.
struct Declared {
    logical_id: String,
    handler: String,
    /// The names of its events, and of the API whose authorizer it is.
    triggers: Vec<String>,
    statements: Vec<Yaml>,
}

fn declared() -> Vec<Declared> {
    let template: Yaml = serde_norway::from_str(local_system::TEMPLATE).unwrap();
    let resources = template["Resources"].as_mapping().unwrap();
    let authorizers = authorizers(&template);
    let functions = resources.iter().filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    let functions = functions.map(|(id, resource)| {
        let logical_id = text(id);
        let properties = &resource["Properties"];
        let mut triggers: Vec<String> =
            properties["Events"].as_mapping().into_iter().flatten().map(|(name, _)| text(name)).collect();
        triggers.extend(authorizers.get(&logical_id).cloned());
        let statements = properties["Policies"].as_sequence().into_iter().flatten().flat_map(|policy| {
            policy["Statement"].as_sequence().unwrap_or_else(|| panic!("{logical_id} has a policy by name")).clone()
        });
        Declared { statements: statements.collect(), handler: text(&properties["Handler"]), logical_id, triggers }
    });
    functions.collect()
}

/// Which functions authorize, with the authorizer's name.
fn authorizers(template: &Yaml) -> BTreeMap<String, String> {
    let apis = template["Resources"].as_mapping().unwrap().values();
    let apis = apis.filter_map(|resource| resource["Properties"]["Auth"]["Authorizers"].as_mapping());
    let named = apis.flatten().map(|(name, authorizer)| {
        let Yaml::Tagged(arn) = &authorizer["FunctionArn"] else { panic!("{authorizer:?} names no function") };
        let function = text(&arn.value);
        (function.strip_suffix(".Arn").unwrap().to_owned(), text(name))
    });
    named.collect()
}

fn text(value: &Yaml) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value:?} is no text")).to_owned()
}

/// What may be written as one or as a list.
fn several(value: &Yaml) -> Vec<Yaml> {
    match value {
        Yaml::Sequence(all) => all.clone(),
        one => vec![one.clone()],
    }
}

/// `DeadUpdates` is `dead-updates`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(letter.to_ascii_lowercase());
    }
    kebab
}

/// The fixtures that a function must have: one for each trigger.
fn fixtures_of(function: &Declared) -> Vec<String> {
    match &function.triggers[..] {
        [_] => vec![function.handler.clone()],
        several => several.iter().map(|trigger| format!("{}.{}", function.handler, kebab(trigger))).collect(),
    }
}

fn events() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("events")
}

fn event(name: &str) -> Value {
    let path = events().join(format!("{name}.json"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_list_and_the_template_name_the_same_functions() {
    let listed: Vec<&str> = functions::FUNCTIONS.iter().map(|function| function.name).collect();
    let declared: Vec<String> = declared().into_iter().map(|function| function.handler).collect();
    assert_eq!(BTreeSet::from_iter(&listed).len(), listed.len(), "a name is listed twice: {listed:?}");
    let (mut listed, mut declared) = (listed, declared);
    listed.sort_unstable();
    declared.sort_unstable();
    assert_eq!(listed, declared, "left: functions/src/lib.rs; right: the template's handlers");
}

#[test]
fn every_function_has_a_trigger_and_every_trigger_a_fixture() {
    let mut wanted = BTreeSet::new();
    for function in declared() {
        assert!(!function.triggers.is_empty(), "nothing ever calls {}", function.logical_id);
        wanted.extend(fixtures_of(&function));
    }
    let files = std::fs::read_dir(events()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let there: BTreeSet<String> = files
        .filter(|file| file != "README.md")
        .map(|file| file.strip_suffix(".json").unwrap_or_else(|| panic!("{file} is no fixture")).to_owned())
        .collect();
    let missing: Vec<_> = wanted.difference(&there).collect();
    assert!(missing.is_empty(), "triggers without a fixture: {missing:?}");
    let in_the_table: BTreeSet<String> = CASES.iter().map(|case| case.fixture.to_owned()).collect();
    assert_eq!(there, in_the_table, "left: the files under events/; right: the table in this test");
    assert_eq!(in_the_table.len(), CASES.len(), "a fixture is in the table twice");
    for more in there.difference(&wanted) {
        let of_a_trigger = wanted.iter().any(|trigger| more.starts_with(&format!("{trigger}.")));
        assert!(of_a_trigger, "{more} is of no trigger: name it TRIGGER'S FIXTURE.WHAT IT SHOWS");
    }
}

#[test]
fn every_code_has_a_fixture_or_a_reason_why_not() {
    let shown: BTreeMap<&str, u16> = CASES
        .iter()
        .filter_map(|case| match case.comes_to {
            Refused(status, code) | Counted(status, code) => Some((code, status)),
            _ => None,
        })
        .collect();
    let not_shown: BTreeSet<&str> = NOT_SHOWN.iter().map(|(code, _)| *code).collect();
    let all: Vec<&str> =
        domain::Refusal::CODES.iter().copied().chain(Problem::OF_REQUESTS.iter().map(|(code, _)| *code)).collect();
    for code in &all {
        assert!(shown.contains_key(code) != not_shown.contains(code), "{code} has a fixture, or a reason why not");
    }
    assert_eq!(shown.len() + not_shown.len(), all.len(), "a code that is none");
}

#[test]
fn a_call_is_as_api_gateway_hands_it_over() {
    let template: Yaml = serde_norway::from_str(local_system::TEMPLATE).unwrap();
    let functions = declared();
    for case in CASES {
        let function = of(&functions, case.fixture);
        let [trigger] = &function.triggers[..] else { continue };
        let declared = &template["Resources"][function.logical_id.as_str()]["Properties"]["Events"][trigger.as_str()];
        if declared["Type"] != "HttpApi" {
            continue;
        }
        let fixture = case.fixture;
        let route = format!("{} {}", text(&declared["Properties"]["Method"]), text(&declared["Properties"]["Path"]));
        let event = event(fixture);
        assert_eq!((&event["routeKey"], &event["requestContext"]["routeKey"]), (&json!(route), &json!(route)));
        let path = event["pathParameters"]
            .as_object()
            .into_iter()
            .flatten()
            .fold(route, |path, (name, value)| path.replace(&format!("{{{name}}}"), value.as_str().unwrap()));
        let (_, path) = path.split_once(' ').unwrap();
        assert_eq!(event["rawPath"], path, "{fixture}");

        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
        let usual = self::event(&function.handler);
        let mut expected = names(&usual);
        if event["rawQueryString"] != "" {
            expected.insert("queryStringParameters".to_owned());
        }
        if event["headers"]["content-length"] == "0" {
            expected.remove("body");
        } else {
            expected.insert("body".to_owned());
        }
        assert_eq!(names(&event), expected, "{fixture}");
        assert_eq!(names(&event["requestContext"]), names(&usual["requestContext"]), "{fixture}");
        if let Some(body) = event["body"].as_str() {
            let length =
                if event["isBase64Encoded"] == true { body.trim_end_matches('=').len() * 3 / 4 } else { body.len() };
            assert_eq!(event["headers"]["content-length"], length.to_string(), "{fixture}");
        }
    }
}

/// The function of a fixture, which its name begins with.
fn of<'a>(functions: &'a [Declared], fixture: &str) -> &'a Declared {
    let handler = fixture.split('.').next();
    functions.iter().find(|function| Some(function.handler.as_str()) == handler).unwrap()
}

#[tokio::test(start_paused = true)]
async fn every_fixture_comes_to_what_the_table_says() {
    let functions = declared();
    for Case { fixture, after, comes_to } in CASES {
        let system = system_with(|mut options| {
            support::sign_beside(&mut options, KEY_OF_THE_EXPIRED);
            options
        });
        let invoke = async |fixture: &str| {
            let answer = system.cloud.invoke(&of(&functions, fixture).logical_id, event(fixture)).await;
            let answer = answer.unwrap_or_else(|error| panic!("{fixture}: {error}"));
            system.settled().await;
            answer
        };
        let state = async || platform::verify::fingerprint(system.app().store.table()).await.unwrap();
        for before in *after {
            invoke(before).await;
        }
        let before = state().await;
        let answer = invoke(fixture).await;
        match comes_to {
            Status(status) => assert_eq!(answer["statusCode"], *status, "{fixture}: {answer}"),
            Refused(status, code) | Counted(status, code) => {
                let problem: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
                let said = (&answer["statusCode"], &problem["status"], &problem["code"]);
                assert_eq!(said, (&json!(status), &json!(status), &json!(code)), "{fixture}");
                let is_kept = matches!(comes_to, Counted(..));
                assert_eq!(state().await != before, is_kept, "{fixture} is refused; whether it has changed something");
            }
            Answered(body) => {
                assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!(body)), "{fixture}");
            }
            Answer(whole) => assert_eq!(answer, serde_json::from_str::<Value>(whole).unwrap(), "{fixture}"),
        }
        assert_eq!(unreadable(&system).await, usize::from(KEPT_FOR_A_PERSON.contains(fixture)), "{fixture}");
    }
}

/// How many messages are kept that nobody can read.
async fn unreadable(system: &System) -> usize {
    let now = Now::Moment(system.app().now());
    audit(system.app().store.table(), now, domain::Millis(0), |_| {}).await.unwrap().unreadable
}

/// It is for its age alone that the token is not believed.
#[tokio::test(start_paused = true)]
async fn the_expired_token_was_believed_before() {
    let cloud = local_cloud::Options::new(
        local_cloud::Storage::Memory,
        local_cloud::Clock::starting_at(START_MS - 3_600_000),
        7,
    );
    let mut options = local_system::Options::new(cloud);
    options.parameters.insert("TokenKeys".to_owned(), KEY_OF_THE_EXPIRED.to_owned());
    let system = System::start(options).unwrap();
    let answer = system.cloud.invoke("Authorize", event("authorize.expired")).await.unwrap();
    assert_eq!((&answer["isAuthorized"], &answer["context"]["subject"]), (&json!(true), &json!("alice")));
}

/// Replayed in the order in which they happened, the fixtures are one story: each names what those before it made.
#[tokio::test(start_paused = true)]
async fn the_fixtures_tell_one_story() {
    let system = system();
    until_the_fixtures_happened().await;
    let call = async |function: &str, fixture: &str| {
        let answer = system.cloud.invoke(function, event(fixture)).await.unwrap();
        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        (answer["statusCode"].clone(), body)
    };
    assert_eq!(call("OpenAccount", "open-account").await.0, 201);
    assert_eq!(call("Deposit", "deposit").await.0, 201);
    let (_, placed) = call("PlaceOrder", "place-order").await;
    system.settled().await;
    let (status, order) = call("GetOrder", "get-order").await;
    assert_eq!((status, &order["id"], &order["state"]), (json!(200), &placed["id"], &json!("completed")));
    assert_eq!(call("GetTimeline", "get-timeline").await.0, 200);
    for (function, fixture, items) in [
        ("ListOrders", "list-orders", 1),
        ("ListEntries", "list-entries", 2),
        ("ListNotifications", "list-notifications", 2),
    ] {
        let (_, list) = call(function, fixture).await;
        assert_eq!(list["items"].as_array().unwrap().len(), items, "{fixture}: {list}");
    }
    assert_eq!(call("GetAccount", "get-account").await.1["balance"], "3499.01");

    // What came to the functions by itself comes again, and again changes nothing.
    for (function, fixture) in [
        ("Relay", "relay"),
        ("AdvanceOrders", "advance-orders"),
        ("Notify", "notify"),
        ("Recover", "recover.dead-updates"),
        ("Recover", "recover.dead-notifications"),
        ("Sweep", "sweep"),
    ] {
        system.cloud.invoke(function, event(fixture)).await.unwrap();
    }
    system.settled().await;
    assert_eq!(call("GetAccount", "get-account").await.1["balance"], "3499.01");
    promises_hold(&system).await;
}

/// The stream record is what the code reads and tells, and the messages of the queues' fixtures are what it tells.
#[test]
fn messages_are_as_the_code_writes_them() {
    let order = event("place-order");
    let who = &order["requestContext"]["authorizer"]["lambda"];
    let customer = CustomerId::of(who[context::ISSUER].as_str().unwrap(), who[context::SUBJECT].as_str().unwrap());

    let batch = stream::Batch::from_event(event("relay")).unwrap();
    let [record] = &batch.records[..] else { panic!("{batch:?}") };
    assert!(matches!(record.stored, Ok(Some(_))), "{record:?}");
    let told: Vec<WorkMessage> = record.messages().into_iter().filter_map(work).collect();
    let [advance] = &told[..] else { panic!("{told:?}") };
    assert_eq!(advance.group(), format!("account#{customer}"));

    for fixture in ["advance-orders", "recover.dead-updates"] {
        let mut found = false;
        for message in event(fixture)["Records"].as_array().unwrap() {
            let body = message["body"].as_str().unwrap();
            let work: WorkMessage = serde_json::from_str(body).unwrap();
            assert_eq!(serde_json::to_string(&work).unwrap(), body, "{fixture}");
            as_sent(message, &work.group(), &work.deduplication_id());
            found |= work == *advance;
        }
        assert!(found, "{fixture} has no message of the order in relay.json");
    }
    for message in event("advance-orders.goods")["Records"].as_array().unwrap() {
        let work: WorkMessage = serde_json::from_str(message["body"].as_str().unwrap()).unwrap();
        assert_eq!(serde_json::to_string(&work).unwrap(), message["body"].as_str().unwrap());
        as_sent(message, &work.group(), &work.deduplication_id());
    }
    for fixture in ["notify", "recover.dead-notifications"] {
        for message in event(fixture)["Records"].as_array().unwrap() {
            let body = message["body"].as_str().unwrap();
            let told: Notification = serde_json::from_str(body).unwrap();
            assert_eq!(serde_json::to_string(&told).unwrap(), body, "{fixture}");
            assert_eq!(told.customer, customer);
            as_sent(message, &told.group(), &told.deduplication_id());
        }
    }
    for fixture in ["deliver-webhook", "recover.dead-webhooks"] {
        let notifications = event("notify");
        let notifications = notifications["Records"].as_array().unwrap().iter();
        let told = |message: &Value| serde_json::from_str::<Notification>(message["body"].as_str().unwrap()).unwrap();
        let told: Vec<Notification> = notifications.map(told).collect();
        for (message, told) in event(fixture)["Records"].as_array().unwrap().iter().zip(told) {
            let body = message["body"].as_str().unwrap();
            let webhook: WebhookMessage = serde_json::from_str(body).unwrap();
            assert_eq!(serde_json::to_string(&webhook).unwrap(), body, "{fixture}");
            assert_eq!((webhook.webhook, webhook.customer, webhook.at), (told.event, told.customer, told.at));
            assert_eq!(message["attributes"]["MessageGroupId"], webhook.group());
        }
    }
}

/// The moment that the fixtures bear.
async fn until_the_fixtures_happened() {
    let happened_ms = event("place-order")["requestContext"]["timeEpoch"].as_i64().unwrap();
    let early_ms = u64::try_from(happened_ms - START_MS).unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(early_ms)).await;
}

fn work(message: Message) -> Option<WorkMessage> {
    match message {
        Message::Work(work) => Some(work),
        Message::Notice(_) | Message::Public(_) | Message::Webhook(..) | Message::Gateway(..) => None,
    }
}

/// Under its group, and under its deduplication id unless it has died: then it is given another.
#[track_caller]
fn as_sent(message: &Value, group: &str, deduplication: &str) {
    let attributes = &message["attributes"];
    assert_eq!(attributes["MessageGroupId"], group);
    let is_dead = attributes.get("DeadLetterQueueSourceArn").is_some();
    assert_eq!(attributes["MessageDeduplicationId"] == deduplication, !is_dead, "{message}");
}

/// The image in `relay.json` is what the table holds of the order in `place-order.json`, but for the id of the try.
#[tokio::test(start_paused = true)]
async fn the_stream_record_is_of_the_order_that_was_placed() {
    use domain::books::Key;
    use domain::ids::OrderId;
    // Nobody reads the stream, so the order stays as it was placed.
    let system = system_with(|mut options| {
        options.runs_by_itself = false;
        options
    });
    until_the_fixtures_happened().await;
    let placed = system.cloud.invoke("PlaceOrder", event("place-order")).await.unwrap();
    let placed: Value = serde_json::from_str(placed["body"].as_str().unwrap()).unwrap();
    let key = Key::Order(OrderId::parse(placed["id"].as_str().unwrap()).unwrap());

    let kept = system.app().store.table().load(&[key]).await.unwrap().remove(&key).flatten().unwrap();
    let batch = stream::Batch::from_event(event("relay")).unwrap();
    let Ok(Some(recorded)) = &batch.records[0].stored else { panic!("{batch:?}") };
    assert_eq!((&recorded.found, &recorded.events), (&kept.found, &kept.events));
}

#[tokio::test(start_paused = true)]
async fn a_token_that_is_believed_says_who_calls_as_the_fixtures_have_it() {
    let key = SigningKey::from_pkcs8(&SigningKey::generate().unwrap()).unwrap();
    let set = key.key_set();
    let system = system_with(|mut options| {
        options.parameters.insert("TokenKeys".to_owned(), set);
        options
    });
    let claims = support::claims(&system, START_MS / 1_000 + 600, "stock");
    let mut request = event("authorize");
    let token = json!(format!("Bearer {}", key.sign(&claims).unwrap()));
    request["headers"]["authorization"] = token.clone();
    let answer = system.cloud.invoke("Authorize", request.clone()).await.unwrap();
    assert_eq!(answer["isAuthorized"], true, "{answer}");
    // `sam local start-api` hands names over as they came.
    request["headers"].as_object_mut().unwrap().remove("authorization");
    request["headers"]["Authorization"] = token;
    assert_eq!(system.cloud.invoke("Authorize", request).await.unwrap(), answer);
    let said = &answer["context"];
    assert_eq!(
        (&said[context::SUBJECT], &said[context::EXPIRES_AT]),
        (&json!("alice"), &json!(claims.believed_until()))
    );
    let handed_over = &event("get-account")["requestContext"]["authorizer"]["lambda"];
    let names = |context: &Value| context.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    assert_eq!(names(said), names(handed_over));
}

#[test]
fn rights_name_what_they_are_for() {
    let template: Yaml = serde_norway::from_str(local_system::TEMPLATE).unwrap();
    for function in declared() {
        let of = &function.logical_id;
        for statement in &function.statements {
            assert_eq!(statement["Effect"], "Allow", "{of}");
            for field in ["NotAction", "NotResource", "Principal"] {
                assert!(statement.get(field).is_none(), "{of} has a {field}");
            }
            for action in several(&statement["Action"]) {
                let action = text(&action);
                assert!(action.contains(':') && !action.contains('*'), "{of} may do {action}");
            }
            for resource in several(&statement["Resource"]) {
                let Yaml::Tagged(tagged) = &resource else {
                    panic!("{of} may act on {resource:?}, not on a resource of ours")
                };
                let place = text(&tagged.value);
                let place = place.trim_start_matches("${").replace('}', "");
                let (id, rest) = place.split_once(".Arn").unwrap_or_else(|| panic!("{of} may act on {place}"));
                let kind = template["Resources"][id]["Type"].as_str().unwrap_or_else(|| panic!("there is no {id}"));
                // The only thing without a name of its own beforehand is an object in a bucket.
                let is_narrow = match rest {
                    "" => true,
                    "/*" => kind == "AWS::S3::Bucket",
                    index => index.starts_with("/index/") && kind == "AWS::DynamoDB::Table" && !index.contains('*'),
                };
                assert!(is_narrow, "{of} may act on {place}");
            }
        }
    }
}

/// The local cloud asks nobody for rights, so this does: every call that a function makes is in its policy.
#[tokio::test(start_paused = true)]
async fn nobody_calls_what_they_have_no_right_to() {
    let calls: Arc<Mutex<Vec<CallRecord>>> = Arc::default();
    let system = system_with(|mut options| {
        options.runs_by_itself = false;
        let calls = calls.clone();
        options.cloud.on_call = Some(Arc::new(move |call| calls.lock().unwrap().push(call.clone())));
        options
    });
    let policies: BTreeMap<String, BTreeSet<String>> = declared()
        .into_iter()
        .map(|function| {
            let actions = function.statements.iter().flat_map(|statement| several(&statement["Action"]));
            (function.logical_id, actions.map(|action| text(&action)).collect())
        })
        .collect();

    // What there is for sweep to look at, and in the bucket for recover.
    until_the_fixtures_happened().await;
    user(&system, "bob").order("k", "1").await.expect(201);
    tokio::time::sleep(std::time::Duration::from_secs(180)).await;
    let failed = json!({ "payload": event("relay").to_string() }).to_string();
    let stack = system.cloud.stack();
    let host = format!("{}.s3.{}.amazonaws.com", stack.buckets[0].name, stack.region);
    let put = http::Request::put("/failed").header("host", host).body(failed.into()).unwrap();
    assert_eq!(system.cloud.connector().answer(put).await.status(), 200);

    for (function, fixture) in [
        ("OpenAccount", "open-account"),
        ("Deposit", "deposit"),
        ("PlaceOrder", "place-order"),
        ("PlaceOrder", "place-order"),
        ("Relay", "relay"),
        ("AdvanceOrders", "advance-orders"),
        ("PutWebhook", "put-webhook"),
        ("GetWebhook", "get-webhook"),
        ("RotateWebhookSecret", "rotate-webhook-secret"),
        ("Notify", "notify"),
        ("DeliverWebhook", "deliver-webhook"),
        ("TakeInventory", "take-inventory"),
        ("CallGateway", "call-gateway"),
        ("Sweep", "sweep"),
        ("DeleteWebhook", "delete-webhook"),
        ("GetAccount", "get-account"),
        ("ListEntries", "list-entries"),
        ("ListOrders", "list-orders"),
        ("GetOrder", "get-order"),
        ("GetTimeline", "get-timeline"),
        ("ListNotifications", "list-notifications"),
        ("PutProduct", "put-product"),
        ("ReceiveStock", "receive-stock"),
        ("GetProduct", "get-product"),
        ("ListProducts", "list-products"),
        ("PutSlot", "put-slot"),
        ("ListSlots", "list-slots"),
        ("PlaceOrder", "place-order.goods"),
        ("AdvanceOrders", "advance-orders.goods"),
        ("GetTimeline", "get-timeline.goods"),
        ("AcceptDelivery", "accept-delivery"),
        ("PlaceOrder", "place-order.reserve-first"),
        ("CancelOrder", "cancel-order"),
        ("TakeCallback", "take-callback"),
        ("DismissReport", "dismiss-report"),
        ("MakePayment", "make-payment"),
        ("TakeCallback", "take-callback.refund-failed"),
        ("RefundPayment", "refund-payment"),
        ("EndRefund", "end-refund.complete"),
        ("ListReviews", "list-reviews"),
        ("JudgePayment", "judge-payment.complete"),
        ("GetPayment", "get-payment"),
        ("GetRefund", "get-refund"),
        ("ListPayments", "list-payments"),
        ("PlaceOrder", "place-order.card"),
        ("GetDescription", "get-description"),
        ("SignUp", "sign-up"),
        ("SignIn", "sign-in"),
        ("GetKeys", "get-keys"),
        ("Recover", "recover.dead-updates"),
        ("Recover", "recover.dead-notifications"),
        ("Recover", "recover.dead-webhooks"),
        ("Recover", "recover.dead-calls"),
        ("Recover", "recover.every-hour"),
        ("Authorize", "authorize"),
    ] {
        calls.lock().unwrap().clear();
        let answer = system.cloud.invoke(function, event(fixture)).await.unwrap();
        let did_it_all = fixture != "recover.every-hour" || answer == json!({ "taken_up": 1 });
        assert!(did_it_all, "{fixture}: {answer}");
        let made = std::mem::take(&mut *calls.lock().unwrap());
        assert_eq!(made.is_empty(), policies[function].is_empty(), "{fixture} with {:?}", policies[function]);
        for CallRecord { service, operation, .. } in made {
            let right = match operation.as_str() {
                // Of what it is made of, the calls do not tell; there is a put in each.
                "TransactWriteItems" => "PutItem",
                "SendMessageBatch" => "SendMessage",
                "ListObjectsV2" => "ListBucket",
                same => same,
            };
            let right = format!("{service}:{right}");
            assert!(policies[function].contains(&right), "{function} calls {operation} and has no right to {right}");
        }
    }
}
