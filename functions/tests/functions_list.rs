//! The list of functions, the template and the fixtures under `events/` name the same functions and triggers; every
//! fixture is taken by its function; and no function may do more than its policy names one by one.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use domain::ids::CustomerId;
use domain::messages::{Message, Notification, WorkMessage};
use local_cloud::CallRecord;
use platform::http::context;
use platform::stream;
use platform::tokens::{Audience, Claims, SigningKey};
use serde_json::{Value, json};
use serde_norway::Value as Yaml;
use support::{START_MS, promises_hold, system, system_with, user};

/// What each fixture comes to in a system where nothing has happened yet.
const ANSWERS: &[(&str, Expected)] = &[
    ("open-account", Expected::Status(201)),
    ("get-account", Expected::Status(404)),
    ("list-entries", Expected::Status(200)),
    ("deposit", Expected::Status(201)),
    ("place-order", Expected::Status(201)),
    ("list-orders", Expected::Status(200)),
    ("get-order", Expected::Status(404)),
    ("get-timeline", Expected::Status(404)),
    ("list-notifications", Expected::Status(200)),
    ("get-description", Expected::Status(200)),
    ("authorize", Expected::Answer(r#"{"isAuthorized":false}"#)),
    ("relay", Expected::Answer(r#"{"batchItemFailures":[]}"#)),
    ("advance-orders", Expected::Answer(r#"{"batchItemFailures":[]}"#)),
    ("notify", Expected::Answer(r#"{"batchItemFailures":[]}"#)),
    ("sweep", Expected::Answer(r#"{"looked":0}"#)),
    ("recover.dead-updates", Expected::Answer(r#"{"batchItemFailures":[]}"#)),
    ("recover.dead-notifications", Expected::Answer(r#"{"batchItemFailures":[]}"#)),
    ("recover.failed-record", Expected::Answer(r#"{"taken_up":0}"#)),
    ("recover.every-hour", Expected::Answer(r#"{"taken_up":0}"#)),
];

#[derive(Clone, Copy)]
enum Expected {
    /// Of an answer over HTTP.
    Status(u16),
    /// The whole answer.
    Answer(&'static str),
}

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
        .map(|file| file.strip_suffix(".json").unwrap_or_else(|| panic!("{file} is no fixture")).to_owned())
        .collect();
    assert_eq!(there, wanted, "left: the files under events/; right: the template's triggers");
    let answered: BTreeSet<String> = ANSWERS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(answered, wanted, "left: the table in this test; right: the template's triggers");
}

#[test]
fn a_call_is_of_the_route_that_the_template_gives_its_function() {
    let template: Yaml = serde_norway::from_str(local_system::TEMPLATE).unwrap();
    for function in declared() {
        for (trigger, fixture) in function.triggers.iter().zip(fixtures_of(&function)) {
            let declared =
                &template["Resources"][function.logical_id.as_str()]["Properties"]["Events"][trigger.as_str()];
            if declared["Type"] != "HttpApi" {
                continue;
            }
            let route =
                format!("{} {}", text(&declared["Properties"]["Method"]), text(&declared["Properties"]["Path"]));
            let event = event(&fixture);
            assert_eq!((&event["routeKey"], &event["requestContext"]["routeKey"]), (&json!(route), &json!(route)));
            let path = event["pathParameters"]
                .as_object()
                .into_iter()
                .flatten()
                .fold(route, |path, (name, value)| path.replace(&format!("{{{name}}}"), value.as_str().unwrap()));
            let (_, path) = path.split_once(' ').unwrap();
            assert_eq!(event["rawPath"], path, "{fixture}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_fixture_is_taken_by_its_function() {
    for function in declared() {
        for fixture in fixtures_of(&function) {
            let system = system();
            let answer = system.cloud.invoke(&function.logical_id, event(&fixture)).await;
            let answer = answer.unwrap_or_else(|error| panic!("{fixture}: {error}"));
            let (_, expected) = ANSWERS.iter().find(|(name, _)| *name == fixture).unwrap();
            match expected {
                Expected::Status(status) => assert_eq!(answer["statusCode"], *status, "{fixture}: {answer}"),
                Expected::Answer(whole) => {
                    assert_eq!(answer, serde_json::from_str::<Value>(whole).unwrap(), "{fixture}");
                }
            }
            system.settled().await;
        }
    }
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
    for fixture in ["notify", "recover.dead-notifications"] {
        for message in event(fixture)["Records"].as_array().unwrap() {
            let body = message["body"].as_str().unwrap();
            let told: Notification = serde_json::from_str(body).unwrap();
            assert_eq!(serde_json::to_string(&told).unwrap(), body, "{fixture}");
            assert_eq!(told.customer, customer);
            as_sent(message, &told.group(), &told.deduplication_id());
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
        Message::Notice(_) | Message::Public(_) => None,
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
    let config = &system.app().config.tokens;
    let claims = Claims {
        iss: config.issuer.clone(),
        sub: "alice".to_owned(),
        aud: Audience::One(config.audience.clone()),
        exp: START_MS / 1_000 + 600,
        nbf: None,
        scope: "stock".to_owned(),
    };
    let mut request = event("authorize");
    request["headers"]["authorization"] = json!(format!("Bearer {}", key.sign(&claims).unwrap()));
    let answer = system.cloud.invoke("Authorize", request).await.unwrap();
    assert_eq!(answer["isAuthorized"], true, "{answer}");
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
        ("Notify", "notify"),
        ("Sweep", "sweep"),
        ("GetAccount", "get-account"),
        ("ListEntries", "list-entries"),
        ("ListOrders", "list-orders"),
        ("GetOrder", "get-order"),
        ("GetTimeline", "get-timeline"),
        ("ListNotifications", "list-notifications"),
        ("GetDescription", "get-description"),
        ("Recover", "recover.dead-updates"),
        ("Recover", "recover.dead-notifications"),
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
