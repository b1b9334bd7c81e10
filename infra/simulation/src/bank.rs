//! The payment gateway of a run: the one that `serve` has too, on virtual time, with a book of its own that judges what
//! is in ours. What goes wrong with it is not thrown by its own mood but drawn here, one thing at a time and each at a
//! place with a name, so that it can be forced, muted and swept like everything else.

pub(crate) mod book;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::ids::PaymentId;
use domain::payments::{Gateway, GatewayKey, NoAnswer};
use gateway::{Callback, Mischief, Mood, Order, Protocol, Reply, Settings, WebhookSecret};
use local_system::System;
use platform::gateways::{Carry, Request, Response};
use platform::runtime::BoxFuture;
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::fault::{Class, Fault};
use crate::plan::Point;
use crate::speaker::{Ending, Speaker};
use crate::telling::{Line, Mark};
use crate::world::World;

/// What the template's parameters say of the gateway: who is who, in a run.
pub(crate) const KEY: &str = "sk_of_the_simulator";
pub(crate) const STANDARD_SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
pub(crate) const STRIPE_SECRET: &str = "whsec_of_the_simulator_at_stripe";
pub(crate) const URL: &str = "http://127.0.0.1:4242";
pub(crate) const METHOD: &str = "pm_card_visa";
const CALLBACK_URL: &str = "http://127.0.0.1/payments/callback";
const CALLBACK_PATH: &str = "/payments/callback";

/// Who makes what the gateway is asked for, and who calls back, where a place is named.
pub(crate) const MAKES: &str = "charge";
pub(crate) const TELLS: &str = "callbacks";
pub(crate) const CALLS_BACK: &str = "gateway";

pub(crate) struct Bank {
    core: Mutex<gateway::Gateway>,
    /// Something may be due earlier than it was.
    woken: Notify,
    made: AtomicU64,
    called_back: AtomicU64,
}

impl Bank {
    pub(crate) fn new(seed: u64) -> Self {
        let settings = Settings {
            api_key: Some(KEY.to_owned()),
            callback_url: gateway::callback_url(CALLBACK_URL).ok(),
            webhook_secrets: WebhookSecret::parse(STANDARD_SECRET).into_iter().collect(),
            stripe_secrets: vec![STRIPE_SECRET.to_owned()],
            ..Settings::default()
        };
        Self {
            core: Mutex::new(gateway::Gateway::new(settings, Mood::calm(), seed)),
            woken: Notify::new(),
            made: AtomicU64::new(0),
            called_back: AtomicU64::new(0),
        }
    }

    pub(crate) fn core(&self) -> MutexGuard<'_, gateway::Gateway> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When it does something next by itself.
    pub(crate) fn next_due_ms(&self) -> Option<i64> {
        self.core().next_due_ms()
    }
}

/// Carries what is sent to the gateway there, or does not.
#[derive(Clone)]
pub(crate) struct Till {
    world: Arc<World>,
}

impl Till {
    pub(crate) const fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    async fn take(self, request: Request) -> Result<Response, NoAnswer> {
        let Some(speaker) = Speaker::current() else {
            self.world.find(format!("{} was called by nobody", request.url));
            return Err(NoAnswer::NotReached);
        };
        let point = Point::new(&speaker.who, speaker.next_call());
        let about = in_short(&request);
        self.world.count_call();
        self.world.meet(&point, Class::Gateway, speaker.is_asked, || about.clone());
        self.note(&point, &request);
        let place = self.world.asked_gateway(&point, &request);
        let (there, back) = self.world.latency_ms(&point);
        sleep(Duration::from_millis(there)).await;
        let struck = self.world.strike(&point, Class::Gateway, speaker.is_asked);
        if let Some((fault, _)) = &struck {
            self.world.say(|| Line::new(Mark::Struck, &point, about.clone()).to(fault.name().to_uppercase()));
        }
        let answer = match struck {
            None => {
                let answer = self.reply(&request, None).await;
                sleep(Duration::from_millis(back)).await;
                answer
            }
            Some((fault, mut numbers)) => self.go_wrong(&speaker, &request, fault, &mut numbers).await,
        };
        let said = match &answer {
            Ok(response) => response.status.to_string(),
            Err(why) => format!("{why:?}"),
        };
        let body: &[u8] = answer.as_ref().map_or(&[], |response| &response.body);
        self.world.note(&[b"gateway", point.to_string().as_bytes(), said.as_bytes(), body]);
        self.world.say(|| Line::new(Mark::Plain, &point, about).to(said));
        self.world.heard_gateway(place.as_ref(), &answer);
        answer
    }

    fn note(&self, point: &Point, request: &Request) {
        let headers: Vec<String> = request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
        let (who, headers) = (point.to_string(), headers.join("\n"));
        let parts: [&[u8]; 5] =
            [b"gateway", who.as_bytes(), request.url.as_bytes(), headers.as_bytes(), request.body.as_bytes()];
        self.world.note(&parts);
    }

    /// What the gateway answers, once that has come.
    async fn reply(&self, request: &Request, call: Option<Mischief>) -> Result<Response, NoAnswer> {
        let Reply { after_ms, response } = self.serve(request, call);
        sleep(Duration::from_millis(after_ms)).await;
        response.map(Response::from).ok_or(NoAnswer::Lost)
    }

    /// Hands the request to the gateway. What is made of it goes wrong in its own way.
    fn serve(&self, request: &Request, call: Option<Mischief>) -> Reply {
        let new = header(request, "idempotency-key").filter(|_| request.method == "POST");
        let new = new.map(|key| New { protocol: protocol(request.gateway), key, is_asked_for: true });
        let sent = request.clone().try_into().expect("what is sent to a gateway is a request");
        self.world.handed_over(&sent, new, call)
    }

    /// It arrives, and nobody waits for it any more.
    fn serve_later(&self, request: &Request, late_ms: u64) {
        let (this, request) = (self.clone(), request.clone());
        tokio::spawn(async move {
            let _owed = this.world.owes();
            sleep(Duration::from_millis(late_ms)).await;
            this.serve(&request, None);
            this.world.say(|| Line::new(Mark::Struck, CALLS_BACK, in_short(&request)).to("arrives"));
        });
    }

    async fn go_wrong(
        &self,
        speaker: &Speaker,
        request: &Request,
        fault: Fault,
        numbers: &mut fastrand::Rng,
    ) -> Result<Response, NoAnswer> {
        match fault {
            Fault::LostBefore => Err(NoAnswer::NotReached),
            Fault::LostAfter => {
                self.serve(request, None);
                Err(NoAnswer::Lost)
            }
            // Ten times as late as with a service: it may be done long after it was asked for.
            Fault::Late => {
                let (late_ms, is_silent) = (10 * numbers.u64(50..12_000), numbers.bool());
                self.serve_later(request, late_ms);
                if is_silent { std::future::pending().await } else { Err(NoAnswer::Lost) }
            }
            Fault::SlowBefore => self.reply(request, Some(Mischief::TimeoutBefore)).await,
            Fault::SlowAfter => self.reply(request, Some(Mischief::TimeoutAfter)).await,
            Fault::Throttled => self.reply(request, Some(Mischief::TooMany)).await,
            Fault::ErrorBefore => self.reply(request, Some(Mischief::ErrorBefore)).await,
            Fault::ErrorAfter => self.reply(request, Some(Mischief::ErrorAfter)).await,
            Fault::ErrorKept => self.reply(request, Some(Mischief::ErrorKept)).await,
            // It serves others first. Whoever sends the same meanwhile is told that it is busy with that.
            Fault::Rival => self.reply(request, Some(Mischief::Slow)).await,
            Fault::Overtaken => {
                if let Some(again) = speaker.again()
                    && let Err(error) = tokio::spawn(again).await
                {
                    self.world.find(format!("what overtook {} ended badly: {error}", speaker.who));
                }
                self.reply(request, None).await
            }
            Fault::CrashBefore | Fault::HangBefore => {
                speaker.end(if fault == Fault::CrashBefore { Ending::Crashed } else { Ending::Hung });
                std::future::pending().await
            }
            Fault::CrashAfter | Fault::HangAfter => {
                self.serve(request, None);
                speaker.end(if fault == Fault::CrashAfter { Ending::Crashed } else { Ending::Hung });
                std::future::pending().await
            }
            // These strike elsewhere.
            _ => self.reply(request, None).await,
        }
    }
}

impl Carry for Till {
    fn carry(&self, request: Request) -> BoxFuture<'_, Result<Response, NoAnswer>> {
        Box::pin(self.clone().take(request))
    }
}

/// A request that may be a new one.
struct New<'a> {
    protocol: Protocol,
    key: &'a str,
    /// By one of ours, who hears of it or asks.
    is_asked_for: bool,
}

impl World {
    /// What is to come of a request, and how it is to be told, if it is a new one.
    fn drawn_for(&self, new: &New<'_>) -> Vec<Mischief> {
        let New { protocol, key, is_asked_for } = *new;
        let is_known = {
            let core = self.bank.core();
            let book = core.book();
            book.charges_under(protocol, key).next().is_some() || book.refunds_under(protocol, key).next().is_some()
        };
        if is_known {
            return Vec::new();
        }
        let number = self.bank.made.fetch_add(1, Ordering::SeqCst) + 1;
        let drawn = [(MAKES, Class::Money), (TELLS, Class::Telling)].map(|(who, class)| {
            let point = Point::new(who, number);
            self.meet(&point, class, false, || key.to_owned());
            let (fault, _) = self.strike(&point, class, false)?;
            // Of what nobody here asked for, nobody here would ever know; the gateway's report tells of that.
            if fault == Fault::NeverTold && !is_asked_for {
                return None;
            }
            self.say(|| Line::new(Mark::Struck, &point, key).to(fault.name().to_uppercase()));
            mischief(fault)
        });
        drawn.into_iter().flatten().collect()
    }

    /// Somebody has the gateway charge before anybody here knows what for: a process that committed nothing and is gone,
    /// or whose table was set back.
    pub(crate) fn charge_before(&self, payment: PaymentId, minor: i64) {
        let key = GatewayKey::Charge(payment).to_string();
        let body = json!({ "amount": minor, "currency": "EUR", "reference": payment.to_string() });
        let request = http::Request::post(format!("{URL}/charges"))
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .header("idempotency-key", &key)
            .body(Bytes::from(body.to_string()));
        match request {
            Ok(request) => {
                let new = New { protocol: Protocol::Plain, key: &key, is_asked_for: false };
                drop(self.handed_over(&request, Some(new), None));
            }
            Err(error) => self.find(format!("a request that cannot be sent: {error}")),
        }
    }

    /// What the gateway does with a request that has arrived.
    fn handed_over(&self, request: &http::Request<Bytes>, new: Option<New<'_>>, call: Option<Mischief>) -> Reply {
        let mut order: BTreeSet<Mischief> = call.into_iter().collect();
        if let Some(new) = new {
            order.extend(self.drawn_for(&new));
        }
        let reply = {
            let mut core = self.bank.core();
            core.order(Order::next(order));
            core.receive(self.now_ms(), request)
        };
        self.bank.woken.notify_one();
        self.judge_gateway();
        reply
    }
}

/// Lets the gateway call back for as long as the run lasts.
pub(crate) async fn calls_back(world: Arc<World>, system: Arc<System>) {
    loop {
        let now_ms = world.now_ms();
        let due = world.bank.core().due(now_ms);
        for callback in due {
            let number = world.bank.called_back.fetch_add(1, Ordering::SeqCst) + 1;
            let teller = Teller { world: world.clone(), system: system.clone(), callback: Arc::new(callback) };
            tokio::spawn(async move { teller.tell(number).await });
        }
        let next_ms = world.bank.next_due_ms().map(|next_ms| u64::try_from(next_ms - now_ms).unwrap_or_default());
        match next_ms {
            Some(ms) => {
                tokio::select! {
                    () = sleep(Duration::from_millis(ms)) => {}
                    () = world.bank.woken.notified() => {}
                }
            }
            None => world.bank.woken.notified().await,
        }
    }
}

/// One callback on its way.
#[derive(Clone)]
struct Teller {
    world: Arc<World>,
    system: Arc<System>,
    callback: Arc<Callback>,
}

impl Teller {
    async fn tell(self, number: u64) {
        let world = &*self.world;
        let _owed = world.owes();
        let point = Point::new(CALLS_BACK, number);
        let about = || format!("POST {CALLBACK_PATH} {}", self.about());
        world.meet(&point, Class::Request, false, about);
        let struck = world.strike(&point, Class::Request, false);
        if let Some((fault, _)) = &struck {
            world.say(|| Line::new(Mark::Struck, &point, about()).to(fault.name().to_uppercase()));
        }
        let status = match struck {
            Some((Fault::RequestLost, _)) => None,
            Some((Fault::ResponseLost, _)) => {
                self.deliver(&point).await;
                None
            }
            Some((Fault::RequestLate, mut rng)) => {
                let (this, late_ms) = (self.clone(), rng.u64(100..20_000));
                let point = Point::new(&format!("{CALLS_BACK} (late)"), number);
                tokio::spawn(async move {
                    let _owed = this.world.owes();
                    sleep(Duration::from_millis(late_ms)).await;
                    this.deliver(&point).await;
                });
                None
            }
            Some((Fault::SentTwice, mut rng)) => {
                let late_ms = rng.u64(0..30);
                let second = async {
                    sleep(Duration::from_millis(late_ms)).await;
                    self.deliver(&point).await
                };
                let (first, second) = tokio::join!(self.deliver(&point), second);
                first.or(second)
            }
            _ => self.deliver(&point).await,
        };
        world.bank.core().delivered(world.now_ms(), &self.callback.id, status);
        world.bank.woken.notify_one();
    }

    fn about(&self) -> String {
        let core = self.world.bank.core();
        core.book().event(&self.callback.id.event).map_or_else(String::new, |event| event.kind.clone())
    }

    async fn deliver(&self, point: &Point) -> Option<u16> {
        let (world, who) = (&*self.world, point.to_string());
        let was_calm = world.is_calm();
        world.tells(&self.callback);
        let (parts, body) = self.callback.request.clone().into_parts();
        world.note(&[b"tell", who.as_bytes(), format!("{:?}", parts.headers).as_bytes(), &body]);
        let mut request = http::Request::post(CALLBACK_PATH).header("host", "localhost");
        for (name, value) in &parts.headers {
            request = request.header(name, value);
        }
        let answer = match request.body(body) {
            Ok(request) => self.system.call(request).await,
            Err(error) => {
                world.find(format!("a callback that cannot be sent: {error}"));
                return None;
            }
        };
        let status = answer.status().as_u16();
        world.note(&[b"told", who.as_bytes(), &status.to_be_bytes(), answer.body()]);
        world.say(|| {
            Line::new(Mark::Plain, &who, format!("POST {CALLBACK_PATH} {}", self.about())).to(status.to_string())
        });
        world.answered_gateway(&self.callback, status, was_calm);
        Some(status)
    }
}

pub(crate) const fn protocol(gateway: Gateway) -> Protocol {
    match gateway {
        Gateway::Plain => Protocol::Plain,
        Gateway::Stripe => Protocol::Stripe,
    }
}

fn header<'r>(request: &'r Request, wanted: &str) -> Option<&'r str> {
    request.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
}

/// Without what differs from one run to the next.
fn in_short(request: &Request) -> String {
    let path = request.url.strip_prefix(URL).unwrap_or(&request.url);
    let key = header(request, "idempotency-key").unwrap_or_default();
    format!("{} {path} {key}", request.method).trim_end().to_owned()
}

/// What the gateway does of a fault that is of what it makes, or of how it tells of it.
const fn mischief(fault: Fault) -> Option<Mischief> {
    Some(match fault {
        Fault::Declined => Mischief::Decline,
        Fault::SettledLater => Mischief::SettleLater,
        Fault::ToldEarly => Mischief::CallbackEarly,
        Fault::ToldLate => Mischief::CallbackLate,
        Fault::ToldTwice => Mischief::CallbackTwice,
        Fault::ToldOutOfOrder => Mischief::CallbackOutOfOrder,
        Fault::NeverTold => Mischief::CallbackNever,
        Fault::WrongAmount => Mischief::CallbackWrongAmount,
        Fault::WrongCurrency => Mischief::CallbackWrongCurrency,
        Fault::Altered => Mischief::CallbackAltered,
        Fault::BadSignature => Mischief::CallbackBadSignature,
        Fault::StaleSignature => Mischief::CallbackStale,
        _ => return None,
    })
}
