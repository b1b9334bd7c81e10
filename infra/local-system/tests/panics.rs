//! A function that panics: its caller is answered, the system goes on, and it is told what panicked and where.

#![allow(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::Request;
use local_cloud::{Clock, InvocationRecord, Outcome, Storage};
use local_system::{Options, System};
use platform::{Function, Handler};

static WRONG: Function =
    Function { name: "place-order", handler: Handler::Http(|_, _| Box::pin(async { panic!("no {}", "bicycle") })) };

fn with_a_flaw(handler: &str) -> Option<&'static Function> {
    if handler == WRONG.name { Some(&WRONG) } else { functions::by_handler(handler) }
}

#[tokio::test(start_paused = true)]
async fn a_function_that_panics_is_told_by_name_and_place_and_the_rest_goes_on() {
    local_system::panics::remember_places();
    let records: Arc<Mutex<Vec<InvocationRecord>>> = Arc::default();
    let mut cloud = local_cloud::Options::new(Storage::Memory, Clock::wall(), 7);
    let noted = records.clone();
    cloud.on_invocation = Some(Arc::new(move |record| noted.lock().unwrap().push(record.clone())));
    let system = System::start(Options { by_handler: with_a_flaw, ..Options::new(cloud) }).unwrap();
    let request = |method, path| {
        let request = Request::builder().method(method).uri(path).header("host", "localhost").header("x-user-id", "a");
        request.header("content-type", "application/json").header("idempotency-key", "k")
    };

    let answer = system.call(request("POST", "/orders").body(Bytes::from_static(b"{}")).unwrap()).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(answer.body(), r#"{"message":"Internal Server Error"}"#);
    let record = records.lock().unwrap().pop().unwrap();
    assert_eq!((record.function.as_str(), record.outcome), ("PlaceOrder", Outcome::Panicked));
    let said = record.error.unwrap().message;
    let place = said.strip_prefix("no bicycle, at ").unwrap_or_else(|| panic!("{said}"));
    assert!(place.contains("panics.rs:"), "{said}");

    let answer = system.call(request("POST", "/deposits").body(Bytes::from_static(br#"{"amount":1}"#)).unwrap()).await;
    assert_eq!(answer.status(), 201);
}
