//! The network between the functions and the services: every call of an SDK comes through here, takes its time, and
//! meets its fate.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use local_cloud::Connector;
use serde_json::Value;
use tokio::time::sleep;

use crate::coverage::Path;
use crate::fault::{Class, Fault};
use crate::lag;
use crate::plan::Point;
use crate::speaker::{Ending, Speaker};
use crate::telling::{Line, Mark};
use crate::wire::{self, Call};
use crate::world::World;

#[derive(Clone)]
pub(crate) struct Network {
    connector: Connector,
    world: Arc<World>,
}

/// What the caller hears.
enum Heard {
    Answer(Response<Bytes>),
    Broken,
    /// Nothing, for longer than anybody waits.
    Nothing,
}

impl Network {
    pub(crate) fn new(connector: Connector, world: Arc<World>) -> Self {
        Self { connector, world }
    }

    async fn carry(self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map_err(ConnectorError::io)?.to_bytes();
        let request = Request::from_parts(parts, body);
        let Some(speaker) = Speaker::current() else {
            // The judge itself looks; nothing stands between it and the table.
            return sdk(self.connector.answer(copied(&request)).await);
        };
        let call = Call::read(request);
        let point = Point::new(&speaker.who, speaker.next_call());
        self.world.count_call();
        self.world.meet(&point, call.class, speaker.is_asked, || call.in_short());
        if matches!(call.class, Class::Load | Class::LoadSome) && speaker.is_in_doubt.swap(false, Ordering::SeqCst) {
            self.world.reached(Path::ReadBack);
        }
        let (there, back) = self.world.latency_ms(&point);
        sleep(Duration::from_millis(there)).await;
        let struck = self.world.strike(&point, call.class, speaker.is_asked);
        let mut fate = struck.as_ref().map_or("", |(fault, _)| fault.name());
        if struck.is_some() {
            // Now, since a caller that gives up takes everything down with it that follows.
            self.world.say(|| Line::new(Mark::Struck, &point, call.in_short()).to(fate.to_uppercase()));
        }
        let heard = match struck {
            None => {
                let mut answer = self.apply(&speaker, &call).await;
                if let Some(earlier) = self.lagging(&point, &call, &answer) {
                    (answer, fate) = (earlier, "lagging");
                }
                sleep(Duration::from_millis(back)).await;
                Heard::Answer(answer)
            }
            Some((fault, rng)) => self.go_wrong(&speaker, &call, fault, rng).await,
        };
        self.note(&point, &call, fate, &heard);
        let is_write = matches!(call.class, Class::Put | Class::Transact);
        match heard {
            Heard::Answer(answer) => {
                if is_write && answer.status().is_server_error() {
                    speaker.is_in_doubt.store(true, Ordering::SeqCst);
                }
                sdk(answer)
            }
            Heard::Broken => {
                speaker.is_in_doubt.fetch_or(is_write, Ordering::SeqCst);
                Err(ConnectorError::io("the connection broke".into()))
            }
            Heard::Nothing => {
                speaker.is_in_doubt.fetch_or(is_write, Ordering::SeqCst);
                std::future::pending().await
            }
        }
    }

    /// Hands the request to the service, and lets the judge see what it did.
    async fn apply(&self, speaker: &Speaker, call: &Call) -> Response<Bytes> {
        self.apply_as(speaker, call, copied(&call.request)).await
    }

    async fn apply_as(&self, speaker: &Speaker, call: &Call, request: Request<Bytes>) -> Response<Bytes> {
        let answer = self.connector.answer(request).await;
        if answer.status().is_success() {
            self.world.applied(speaker, &call.operation, &call.body);
            if self.world.swarm.lag_ms > 0 {
                self.world.state().past.keep(call, self.world.now_ms());
            }
        }
        self.world.state().coverage.answered(&speaker.function, call, &answer);
        answer
    }

    /// The answer as it was a while ago, where the service may give that one.
    fn lagging(&self, point: &Point, call: &Call, answer: &Response<Bytes>) -> Option<Response<Bytes>> {
        let lag_ms = if lag::may_lag(call) { self.world.lag_ms(point) } else { 0 };
        if lag_ms == 0 {
            return None;
        }
        let earlier = self.world.state().past.answer(call, answer, self.world.now_ms() - lag_ms)?;
        self.world.reached(Path::ReadLagged);
        Some(earlier)
    }

    async fn go_wrong(&self, speaker: &Arc<Speaker>, call: &Call, fault: Fault, mut rng: fastrand::Rng) -> Heard {
        match fault {
            Fault::LostBefore => Heard::Broken,
            Fault::LostAfter => {
                self.apply(speaker, call).await;
                Heard::Broken
            }
            Fault::Late => {
                let (late_ms, is_silent) = (rng.u64(50..12_000), rng.bool());
                self.apply_later(speaker, call, late_ms);
                if is_silent { Heard::Nothing } else { Heard::Broken }
            }
            Fault::SlowBefore => {
                sleep(Duration::from_millis(rng.u64(1_500..5_000))).await;
                Heard::Answer(self.apply(speaker, call).await)
            }
            Fault::SlowAfter => {
                let answer = self.apply(speaker, call).await;
                sleep(Duration::from_millis(rng.u64(1_500..5_000))).await;
                Heard::Answer(answer)
            }
            Fault::Throttled => Heard::Answer(call.throttled(&mut rng)),
            Fault::Conflict => Heard::Answer(call.conflict(&mut rng)),
            Fault::Denied => Heard::Answer(wire::denied()),
            Fault::InProgressBefore => Heard::Answer(wire::in_progress()),
            Fault::InProgressAfter => {
                self.apply(speaker, call).await;
                Heard::Answer(wire::in_progress())
            }
            Fault::Unprocessed => match call.without_some_keys(&mut rng) {
                Some((request, left)) => {
                    let answer = self.apply_as(speaker, call, request).await;
                    Heard::Answer(wire::with_unprocessed(answer, left))
                }
                None => Heard::Answer(self.apply(speaker, call).await),
            },
            Fault::EntriesFailed => {
                let (request, failed) = call.without_some_entries(&mut rng);
                let answer = match request {
                    Some(request) => Some(self.apply_as(speaker, call, request).await),
                    None => None,
                };
                Heard::Answer(call.with_failed_entries(answer, &failed))
            }
            Fault::EntriesFailedAfter => {
                let (_, failed) = call.without_some_entries(&mut rng);
                let answer = self.apply(speaker, call).await;
                Heard::Answer(call.with_failed_entries(Some(call.without_answers_of(answer, &failed)), &failed))
            }
            Fault::ErrorBefore => Heard::Answer(call.internal_error()),
            Fault::ErrorAfter => {
                self.apply(speaker, call).await;
                Heard::Answer(call.internal_error())
            }
            Fault::Rival => {
                sleep(Duration::from_millis(rng.u64(10..1_200))).await;
                Heard::Answer(self.apply(speaker, call).await)
            }
            Fault::Overtaken => {
                if let Some(again) = speaker.again() {
                    // It goes on even if nobody waits for it any more.
                    if let Err(error) = tokio::spawn(again).await {
                        self.world.find(format!("what overtook {} ended badly: {error}", speaker.who));
                    }
                }
                Heard::Answer(self.apply(speaker, call).await)
            }
            Fault::CrashBefore | Fault::HangBefore => {
                speaker.end(if fault == Fault::CrashBefore { Ending::Crashed } else { Ending::Hung });
                Heard::Nothing
            }
            Fault::CrashAfter | Fault::HangAfter => {
                self.apply(speaker, call).await;
                speaker.end(if fault == Fault::CrashAfter { Ending::Crashed } else { Ending::Hung });
                Heard::Nothing
            }
            // These strike elsewhere; a plan that forces one here gets its answer.
            Fault::Twice
            | Fault::AtOnce
            | Fault::Delayed
            | Fault::Split
            | Fault::Merged
            | Fault::AnswerLost
            | Fault::RequestLost
            | Fault::ResponseLost
            | Fault::SentTwice
            | Fault::RequestLate
            | Fault::Gone
            | Fault::ErrorKept
            | Fault::Declined
            | Fault::SettledLater
            | Fault::ToldEarly
            | Fault::ToldLate
            | Fault::ToldTwice
            | Fault::ToldOutOfOrder
            | Fault::NeverTold
            | Fault::WrongAmount
            | Fault::WrongCurrency
            | Fault::Altered
            | Fault::BadSignature
            | Fault::StaleSignature => Heard::Answer(self.apply(speaker, call).await),
        }
    }

    fn apply_later(&self, speaker: &Arc<Speaker>, call: &Call, late_ms: u64) {
        let (this, speaker, call) = (self.clone(), speaker.clone(), call.clone());
        tokio::spawn(async move {
            let _owed = this.world.owes();
            sleep(Duration::from_millis(late_ms)).await;
            let answer = this.apply(&speaker, &call).await;
            let who = format!("{} (late)", speaker.who);
            this.note(&Point::new(&who, 0), &call, "", &Heard::Answer(answer));
        });
    }

    fn note(&self, point: &Point, call: &Call, fate: &str, heard: &Heard) {
        let answer: &[u8] = match heard {
            Heard::Answer(answer) => answer.body(),
            Heard::Broken => b"broken",
            Heard::Nothing => b"nothing",
        };
        let now_ms = self.world.now_ms();
        let mut state = self.world.state();
        state.trace.note(
            now_ms,
            &[
                point.who.as_bytes(),
                &point.call.to_be_bytes(),
                call.operation.as_bytes(),
                call.canonical().as_bytes(),
                fate.as_bytes(),
                answer,
            ],
        );
        if state.trace.is_readable() && !is_dull(point, call, fate, heard) {
            state.trace.say(now_ms, || told(point, call, heard));
        }
    }
}

/// Whether a line would say nothing: what was committed has its own, and most looks of a sweep find nothing.
fn is_dull(point: &Point, call: &Call, fate: &str, heard: &Heard) -> bool {
    match heard {
        Heard::Answer(answer) if answer.status().is_success() => match call.class {
            Class::Put | Class::Transact => true,
            Class::Query => point.who.starts_with("Sweep#") && json(answer.body())["Count"] == 0,
            _ => false,
        },
        Heard::Answer(_) => false,
        // What was lost was said when it was.
        Heard::Broken | Heard::Nothing => !fate.is_empty(),
    }
}

fn told(point: &Point, call: &Call, heard: &Heard) -> Line {
    let is_fine = matches!(heard, Heard::Answer(answer) if answer.status().is_success());
    let is_read = matches!(call.class, Class::Load | Class::LoadSome | Class::Query)
        || call.class == Class::Object && call.request.method() == http::Method::GET;
    let mark = match () {
        () if point.who.ends_with("(late)") => Mark::Struck,
        () if is_fine && is_read => Mark::Aside,
        () => Mark::Plain,
    };
    let heard = match heard {
        Heard::Answer(answer) if is_fine => answer.status().as_u16().to_string(),
        Heard::Answer(answer) => wire::refusal(answer),
        Heard::Broken => "the connection breaks".to_owned(),
        Heard::Nothing => "silence".to_owned(),
    };
    Line::new(mark, point, call.in_short()).to(heard)
}

fn copied(request: &Request<Bytes>) -> Request<Bytes> {
    request.clone()
}

fn sdk(answer: Response<Bytes>) -> Result<HttpResponse, ConnectorError> {
    HttpResponse::try_from(answer.map(SdkBody::from)).map_err(|error| ConnectorError::other(error.into(), None))
}

impl HttpConnector for Network {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::new(self.clone().carry(request))
    }
}

impl HttpClient for Network {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

/// A body as it was sent; `Null` where it is no JSON.
pub(crate) fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap_or_default()
}
