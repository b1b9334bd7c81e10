//! A payment gateway that is down for minutes while payments keep coming, in virtual time, against the gateway to run
//! against: how often it is called meanwhile, when everything is captured, and that its own book has one charge for each.
//!
//! The time is the product's and not the machine's, so the numbers are the same on every one.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use domain::books::{Kept as _, Key};
use domain::events::Told;
use domain::ids::PaymentId;
use domain::payments::{Limits, NoAnswer, Payment, PaymentState};
use gateway::{Gateway, Mood, Outage, OutageKind, Settings};
use http::{Request, StatusCode};
use local_cloud::{Clock, Storage};
use local_system::{Options, System};
use platform::gateways::{self, Carry, Gateways};
use platform::runtime::BoxFuture;
use serde_json::{Value, json};

use crate::error::{Error, ensure};

/// 2027-01-15, 08:00 UTC.
const START_MS: i64 = 1_800_000_000_000;
const SEED: u64 = 1;
const KEY: &str = "key_of_a_benchmark";
/// Payments that come while all is well, before it begins.
const BEFORE: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct OutageOptions {
    pub per_second: u32,
    pub outage: Duration,
    /// Nothing is said until it is over, rather than 503.
    pub is_silent: bool,
}

impl Default for OutageOptions {
    fn default() -> Self {
        Self { per_second: 20, outage: Duration::from_secs(600), is_silent: false }
    }
}

/// What was seen.
#[derive(Clone, Debug)]
pub struct OutageReport {
    pub options: OutageOptions,
    pub payments: usize,
    /// Calls to the gateway while it was down.
    pub calls: usize,
    /// As many as could be made to find out whether it is back.
    pub probes_allowed: usize,
    /// After the outage, until every payment was captured.
    pub captured_after: Duration,
    /// Charges in the gateway's book, and what it finds wrong with them.
    pub charges: usize,
    pub findings: usize,
}

impl OutageReport {
    /// Hardly called while it is down, all captured within two outages after it, and each once. How often one that keeps
    /// silent is called until anybody can know is not in our hands.
    pub fn within_target(&self) -> bool {
        let is_spared = self.options.is_silent || self.calls * 10 <= self.probes_allowed * 11;
        is_spared
            && self.captured_after <= self.options.outage * 2
            && self.charges == self.payments
            && self.findings == 0
    }

    pub fn to_json(&self) -> Value {
        json!({
            "per_second": self.options.per_second,
            "outage_s": self.options.outage.as_secs(),
            "is_silent": self.options.is_silent,
            "payments": self.payments,
            "calls": self.calls,
            "probes_allowed": self.probes_allowed,
            "captured_after_s": self.captured_after.as_secs(),
            "charges": self.charges,
            "findings": self.findings,
            "within_target": self.within_target(),
        })
    }
}

impl fmt::Display for OutageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let OutageReport { options, payments, calls, probes_allowed, captured_after, charges, findings } = self;
        let how = if options.is_silent { "says nothing" } else { "answers with 503" };
        writeln!(
            f,
            "{payments} payments, {} a second; the gateway {how} for {} s",
            options.per_second,
            options.outage.as_secs()
        )?;
        writeln!(f, "calls while it is down      {calls:>6}   {probes_allowed} probes are allowed")?;
        let outages = captured_after.as_secs().div_ceil(options.outage.as_secs().max(1));
        let after = captured_after.as_secs();
        writeln!(f, "all captured after          {after:>6} s within {outages} outages of its end; the target is two")?;
        writeln!(f, "charges in the gateway's book {charges:>4}   {findings} of them wrong")?;
        write!(f, "{}", if self.within_target() { "as it should be" } else { "NOT as it should be" })
    }
}

/// The gateway, whose time is the system's.
#[derive(Clone)]
struct StandIn {
    gateway: Arc<Mutex<Gateway>>,
    clock: Clock,
}

impl StandIn {
    fn lock(&self) -> MutexGuard<'_, Gateway> {
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn captured(&self) -> usize {
        self.lock().book().charges().filter(|charge| charge.was_captured()).count()
    }
}

impl Carry for StandIn {
    fn carry(&self, request: gateways::Request) -> BoxFuture<'_, Result<gateways::Response, NoAnswer>> {
        Box::pin(async move {
            let sent: Request<Bytes> = request.try_into().map_err(|_| NoAnswer::NotReached)?;
            let reply = self.lock().receive(self.clock.now_ms(), &sent);
            tokio::time::sleep(Duration::from_millis(reply.after_ms)).await;
            reply.response.map(gateways::Response::from).ok_or(NoAnswer::Lost)
        })
    }
}

/// Plays it. Call it inside a runtime of one thread.
pub async fn outage(options: OutageOptions) -> Result<OutageReport, Error> {
    tokio::time::pause();
    let clock = Clock::starting_at(START_MS);
    // Nobody calls back: whatever is captured was asked for.
    let settings = Settings { api_key: Some(KEY.to_owned()), ..Settings::default() };
    let gateway = Arc::new(Mutex::new(Gateway::new(settings, Mood::calm(), SEED)));
    let stand_in = StandIn { gateway, clock: clock.clone() };
    let system = start(&clock, &stand_in)?;

    let each = Duration::from_secs(1) / options.per_second.max(1);
    let mut payments = Vec::new();
    pay_for(&system, BEFORE, each, &mut payments).await?;
    let until_ms = clock.now_ms() + i64::try_from(options.outage.as_millis()).unwrap_or(i64::MAX);
    let how = if options.is_silent { OutageKind::Silence } else { OutageKind::Errors };
    stand_in.lock().set_outage(Some(Outage { until_ms, how }));
    pay_for(&system, options.outage, each, &mut payments).await?;

    let longest = options.outage * 4;
    let mut waited = Duration::ZERO;
    while stand_in.captured() < payments.len() && waited < longest {
        waited += Duration::from_secs(10);
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    system.settled().await;
    let captured_at_ms = captured_at_ms(&system, &payments).await?;
    let limits = Limits::default();
    let rounds = options.outage.as_secs().div_ceil(limits.open.in_seconds_at_least().unsigned_abs());
    let (calls, findings) = {
        let gateway = stand_in.lock();
        (gateway.book().calls().filter(|call| call.in_outage).count(), gateway.book().findings().len())
    };
    let report = OutageReport {
        options,
        payments: payments.len(),
        calls,
        probes_allowed: usize::try_from(rounds).unwrap_or(usize::MAX).saturating_mul(limits.permits),
        captured_after: Duration::from_millis(u64::try_from(captured_at_ms - until_ms).unwrap_or_default()),
        charges: stand_in.captured(),
        findings,
    };
    system.stop().await;
    Ok(report)
}

fn start(clock: &Clock, stand_in: &StandIn) -> Result<System, Error> {
    let mut options = Options::new(local_cloud::Options::new(Storage::Memory, clock.clone(), SEED));
    for (name, value) in
        [("Gateway", "plain"), ("PlainGatewayUrl", "https://gateway.example"), ("PlainGatewayKey", KEY)]
    {
        options.parameters.insert(name.to_owned(), value.to_owned());
    }
    options.gateways = Gateways::answered_by(stand_in.clone());
    Ok(System::start(options)?)
}

/// Makes payments at a steady pace for so long.
async fn pay_for(system: &System, length: Duration, each: Duration, made: &mut Vec<PaymentId>) -> Result<(), Error> {
    let end = tokio::time::Instant::now() + length;
    while tokio::time::Instant::now() < end {
        made.push(pay(system, made.len()).await?);
        tokio::time::sleep(each).await;
    }
    Ok(())
}

async fn pay(system: &System, number: usize) -> Result<PaymentId, Error> {
    let body = json!({ "amount": "12.50", "currency": "EUR", "reference": format!("their order {number}") });
    let request = Request::post("/payments")
        .header("host", "localhost")
        .header("x-user-id", format!("customer-{}", number % 100))
        .header("content-type", "application/json")
        .header("idempotency-key", format!("payment-{number}"))
        .body(Bytes::from(body.to_string()))
        .map_err(|error| Error::Unexpected(error.to_string()))?;
    let answer = system.call(request).await;
    let said: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let id = said["id"].as_str().and_then(PaymentId::parse).filter(|_| answer.status() == StatusCode::ACCEPTED);
    id.ok_or_else(|| Error::Answered {
        call: "POST /payments".to_owned(),
        status: answer.status().as_u16(),
        body: said.to_string(),
    })
}

/// When the last of them was captured, each of which has been.
async fn captured_at_ms(system: &System, payments: &[PaymentId]) -> Result<i64, Error> {
    const AT_ONCE: usize = 100;
    let mut last = 0;
    for some in payments.chunks(AT_ONCE) {
        let keys: Vec<Key> = some.iter().copied().map(Key::Payment).collect();
        let loaded = system.app().store.table().load(&keys).await;
        let loaded = loaded.map_err(|error| Error::Unexpected(error.to_string()))?;
        for (key, stored) in loaded {
            let payment = stored.as_ref().and_then(|stored| Payment::of_item(&stored.found.item));
            let Some(payment) = payment else { return Err(Error::Unexpected(format!("{key:?} is not there"))) };
            ensure(payment.state == PaymentState::Captured, || {
                format!("payment {} is {}", payment.id, payment.state.name())
            })?;
            let captured = payment.timeline.iter().find(|passage| matches!(passage.told, Told::MoneyCaptured { .. }));
            last = last.max(captured.map_or(0, |passage| passage.at.as_millis()));
        }
    }
    Ok(last)
}
