//! What came to endpoints and what was answered there, held against what the table says of it: whether it was anybody's
//! business to call, with which secret, how often, and what was made of the answer.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::BASE64;
use domain::Timestamp;
use domain::books::{Item, Key};
use domain::events::EventId;
use domain::ids::CustomerId;
use domain::messages::Notification;
use domain::promises::watch::{Action, Watch};
use domain::webhooks::{Answer, Delivery, DeliveryState, GaveUp, NoAnswer, Secret, Target};
use platform::outside::Call;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::coverage::Path;
use crate::fault::Fault;
use crate::model::{Judged, must};
use crate::plan::Point;

/// How long whoever calls may take from what it read to its call: its time limit, and a moment.
const UNDER_WAY_MS: i64 = 31_000;
/// How long whoever tells may take from what it read to its write, by its time limit and by the way of the write.
const TOLD_MS: i64 = 75_000;
/// What is promised of replaced secrets, of the longest wish to be left alone, and of endpoints that take nothing.
const OVERLAP_MS: i64 = 24 * 3_600_000;
const LONGEST_PUT_OFF_MS: i64 = 24 * 3_600_000;
const LONG_MS: i64 = 72 * 3_600_000;
const ATTEMPTS: u32 = 10;
const PAUSES_S: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

#[derive(Debug, Default)]
pub(crate) struct Book {
    /// By the id on the wire.
    posted: BTreeMap<String, Posted>,
    endpoints: BTreeMap<CustomerId, Vec<Era>>,
    /// Whose each notification is, and when it was kept.
    told: BTreeMap<EventId, (CustomerId, i64)>,
    gone: Vec<Gone>,
    reached: Vec<Path>,
}

/// One notification on its way.
#[derive(Debug)]
struct Posted {
    event: EventId,
    customer: CustomerId,
    created_ms: i64,
    body: Option<String>,
    calls: Vec<Arrival>,
    /// Attempts of which it was kept what became of them.
    settled: BTreeSet<u32>,
    over_ms: Option<i64>,
}

#[derive(Debug)]
struct Arrival {
    point: Point,
    attempt: u32,
    url: String,
    is_taken: bool,
    /// What the caller heard, and when.
    heard: Option<(i64, Answer)>,
}

/// Where a call stands in the book.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    id: String,
    number: usize,
}

/// An endpoint as it was from one commit to the next.
#[derive(Clone, Debug)]
struct Era {
    from_ms: i64,
    by: String,
    target: Option<Target>,
    /// The secret before this one, and when it was replaced.
    former: Option<(Secret, i64)>,
}

static NEVER_SET: Era = Era { from_ms: i64::MIN, by: String::new(), target: None, former: None };

impl Era {
    fn active(&self) -> Option<&Target> {
        self.target.as_ref().filter(|target| target.given_up.is_none())
    }
}

#[derive(Debug)]
struct Gone {
    customer: CustomerId,
    url: String,
    at_ms: i64,
}

/// Under which sky something is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sky<'a> {
    pub(crate) now_ms: i64,
    pub(crate) skew_ms: i64,
    pub(crate) struck: &'a [(Point, Fault)],
}

impl Book {
    pub(crate) fn reached(&mut self) -> Vec<Path> {
        std::mem::take(&mut self.reached)
    }

    pub(crate) fn taken(&mut self, place: &Place) {
        if let Some(call) = self.posted.get_mut(&place.id).and_then(|posted| posted.calls.get_mut(place.number)) {
            call.is_taken = true;
        }
    }

    pub(crate) fn heard(&mut self, place: &Place, answer: Answer, now_ms: i64) {
        if let Some(call) = self.posted.get_mut(&place.id).and_then(|posted| posted.calls.get_mut(place.number)) {
            call.heard = Some((now_ms, answer));
        }
    }

    /// The eras of an endpoint that reach into this time.
    fn eras(&self, customer: CustomerId, from_ms: i64, to_ms: i64) -> impl Iterator<Item = &Era> {
        let eras = self.endpoints.get(&customer).map_or(&[][..], Vec::as_slice);
        let all = || std::iter::once(&NEVER_SET).chain(eras);
        let ends = all().skip(1).map(|next| next.from_ms).chain([i64::MAX]);
        all().zip(ends).filter(move |(era, end)| era.from_ms <= to_ms && *end >= from_ms).map(|(era, _)| era)
    }

    /// What a commit says of endpoints and deliveries, held against what came and what was answered.
    pub(crate) fn see(&mut self, now_ms: i64, function: &str, actions: &[Action]) -> Vec<String> {
        let mut findings = Vec::new();
        for action in actions {
            let Action::Put { item, .. } = action else { continue };
            let judged = match item {
                Item::Notification(told) => {
                    self.told.insert(told.event, (told.customer, now_ms));
                    Ok(())
                }
                Item::Endpoint(endpoint) => {
                    let judged = self.judge_change(now_ms, function, endpoint.customer, endpoint.target.as_ref());
                    self.change(now_ms, function, endpoint.customer, endpoint.target.clone());
                    judged.map_err(|says| format!("the endpoint of {}: {says}", endpoint.customer))
                }
                Item::Delivery(delivery) => self
                    .step(now_ms, function, delivery)
                    .map_err(|says| format!("delivery of {}: {says}", delivery.event)),
                _ => Ok(()),
            };
            findings.extend(judged.err());
        }
        findings
    }

    fn change(&mut self, now_ms: i64, function: &str, customer: CustomerId, target: Option<Target>) {
        let eras = self.endpoints.entry(customer).or_default();
        let before = eras.last().and_then(|era| era.target.as_ref());
        if let (Some(before), Some(target)) = (before, &target) {
            let paths = [
                (before.url != target.url, Path::WebhookMoved),
                (before.given_up.is_some() && target.given_up.is_none(), Path::WebhookSetAgain),
            ];
            self.reached.extend(paths.into_iter().filter(|(is_so, _)| *is_so).map(|(_, path)| path));
        }
        let former = match (before, &target) {
            (Some(before), Some(target)) if before.secret != target.secret => {
                self.reached.push(Path::SecretReplaced);
                Some((before.secret, now_ms))
            }
            (Some(_), Some(_)) => eras.last().and_then(|era| era.former),
            _ => None,
        };
        eras.push(Era { from_ms: now_ms, by: function.to_owned(), target, former });
    }

    /// Whether it was this function's to change this.
    fn judge_change(&self, now_ms: i64, by: &str, customer: CustomerId, target: Option<&Target>) -> Judged {
        let before = self.endpoints.get(&customer).and_then(|eras| eras.last()).and_then(|era| era.target.as_ref());
        match (by, before, target) {
            ("PutWebhook", _, Some(target)) => {
                must(target.given_up.is_none(), || "it is set, and given up already".to_owned())
            }
            ("DeleteWebhook", Some(_), None) => Ok(()),
            ("RotateWebhookSecret", Some(before), Some(target)) => {
                must(before.url == target.url && before.secret != target.secret, || {
                    "its secret was to be replaced, and that is not what happened".to_owned()
                })
            }
            ("DeliverWebhook", Some(before), Some(target)) => {
                let same = |of: &Target| (of.url.clone(), of.secret, of.former, of.set_at);
                must(same(before) == same(target), || "a delivery changed where it is".to_owned())?;
                let mut calls = self.calls(customer, target.url.as_str());
                match (before.failing_since, target.failing_since) {
                    (None, Some(_)) => must(calls.any(|call| !call.is_heard_taken()), || {
                        "it is said to fail, and nothing failed there".to_owned()
                    })?,
                    (Some(_), None) => must(calls.any(Arrival::is_heard_taken), || {
                        "it is said to fail no more, and nothing arrived there".to_owned()
                    })?,
                    _ => {}
                }
                match (before.given_up, target.given_up.map(|given_up| given_up.because)) {
                    (_, None) | (Some(_), _) => Ok(()),
                    (None, Some(because)) => self.judge_given_up(now_ms, customer, target.url.as_str(), because),
                }
            }
            _ => Err(format!("{by} changed it from {} to {}", is_set(before), is_set(target))),
        }
    }

    fn calls(&self, customer: CustomerId, url: &str) -> impl Iterator<Item = &Arrival> {
        let theirs = self.posted.values().filter(move |posted| posted.customer == customer);
        theirs.flat_map(|posted| &posted.calls).filter(move |call| call.url == url)
    }

    /// What is given up has said that it is gone, or has taken nothing for long.
    fn judge_given_up(&self, now_ms: i64, customer: CustomerId, url: &str, because: GaveUp) -> Judged {
        let theirs = || self.posted.values().filter(|posted| posted.customer == customer);
        match because {
            GaveUp::Gone => must(self.calls(customer, url).any(|call| call.status() == Some(410)), || {
                "it was given up as gone, and never said so".to_owned()
            }),
            GaveUp::Failing => {
                let since_ms = now_ms - LONG_MS + UNDER_WAY_MS;
                let arrived = theirs().any(|posted| {
                    let is_late = posted.over_ms.is_some_and(|over_ms| over_ms > since_ms && over_ms < now_ms);
                    is_late && posted.calls.iter().any(|call| call.url == url && call.is_heard_taken())
                });
                let has_failed = theirs().any(|posted| posted.calls.iter().any(|call| call.attempt == ATTEMPTS));
                must(has_failed && !arrived, || "it was given up as failing, and had not failed for long".to_owned())
            }
        }
    }

    fn step(&mut self, now_ms: i64, function: &str, delivery: &Delivery) -> Judged {
        let id = on_the_wire(delivery.event);
        let Delivery { event, customer, attempts, state, answer, .. } = *delivery;
        let posted = self.posted.entry(id).or_insert_with(|| Posted {
            event,
            customer,
            created_ms: now_ms,
            body: None,
            calls: Vec::new(),
            settled: BTreeSet::new(),
            over_ms: None,
        });
        if state == DeliveryState::Waiting && function == "Sweep" {
            self.reached.push(Path::WebhookSwept);
        }
        if state.is_over() {
            posted.over_ms = Some(now_ms);
        }
        let call = posted.calls.iter().rfind(|call| call.attempt == attempts);
        let heard = call.and_then(|call| call.heard).map(|(_, answer)| answer);
        let is_kept = match answer {
            None => attempts == 0 || matches!(state, DeliveryState::Sending | DeliveryState::Withdrawn),
            // While one is on its way, what is kept is of the one before it.
            Some(_) if matches!(state, DeliveryState::Sending) => true,
            Some(Answer::Silence(NoAnswer::Unknown)) => {
                if function == "Sweep" {
                    self.reached.push(Path::WebhookUnknown);
                }
                true
            }
            Some(Answer::Silence(NoAnswer::TimedOut)) => call.is_some() && heard.is_none(),
            Some(answer) => heard == Some(answer),
        };
        if state != DeliveryState::Sending && answer.is_some_and(|answer| answer != unknown()) {
            posted.settled.insert(attempts);
        }
        must(is_kept, || format!("{answer:?} was kept of attempt {attempts}, and {heard:?} was answered"))?;
        let status = match answer {
            Some(Answer::Status { status, .. }) => Some(status),
            _ => None,
        };
        let is_arrived = status.is_some_and(|status| (200..300).contains(&status));
        match state {
            DeliveryState::Waiting => must(!is_arrived, || "it has arrived, and is to be sent again".to_owned()),
            DeliveryState::Sending => Ok(()),
            DeliveryState::Delivered => must(is_arrived, || format!("it is delivered, and {status:?} was answered")),
            DeliveryState::Exhausted => {
                self.reached.push(Path::WebhookExhausted);
                must(attempts == ATTEMPTS && !is_arrived, || format!("it is given up after {attempts} attempts"))
            }
            DeliveryState::Gone => {
                self.reached.push(Path::WebhookGone);
                if let Some(url) = call.map(|call| call.url.clone()) {
                    self.gone.push(Gone { customer, url, at_ms: now_ms });
                }
                must(status == Some(410), || format!("its endpoint is gone, and {status:?} was answered"))
            }
            DeliveryState::Withdrawn => {
                self.reached.push(Path::WebhookWithdrawn);
                let mut eras = self.eras(customer, now_ms - TOLD_MS, now_ms);
                must(eras.any(|era| era.active().is_none()), || "it is withdrawn, and its endpoint is set".to_owned())
            }
        }
    }

    /// Judges a call as it goes out, and takes it down.
    pub(crate) fn send(
        &mut self,
        point: &Point,
        call: &Call,
        sky: Sky<'_>,
        watch: &Watch,
    ) -> (Option<Place>, Vec<String>) {
        let header =
            |name: &str| call.headers.iter().find(|(given, _)| *given == name).map_or("", |(_, value)| value.as_str());
        let id = header("webhook-id").to_owned();
        let url = call.url.as_str();
        let Some(posted) = self.posted.get(&id) else {
            return (None, vec![format!("{url} was called with {id:?}, which is no notification's")]);
        };
        let delivery = watch.get::<Delivery>(&Key::Delivery(posted.event));
        let attempt = delivery.map_or(0, |delivery| delivery.attempts);
        let mut findings = Vec::new();
        let says = |says: String| format!("webhook {id}: {says}");
        findings.extend(self.judge_body(posted, &call.body, delivery, watch).err().map(says));
        findings.extend(judge_number(posted, attempt, delivery, sky).err().map(says));
        findings.extend(judge_pause(posted, sky).err().map(says));
        let seconds = header("webhook-timestamp");
        let is_now = seconds.parse::<i64>().is_ok_and(|s| (s * 1_000 - sky.now_ms).abs() <= 5_000 + sky.skew_ms);
        findings.extend(must(is_now, || format!("it says that it is {seconds}")).err().map(says));
        let signed = Signed { id: &id, seconds, body: &call.body, signatures: header("webhook-signature") };
        findings.extend(self.judge_endpoint(posted.customer, url, signed, sky).err().map(says));
        if header("webhook-signature").contains(' ') {
            self.reached.push(Path::SignedTwice);
        }
        if attempt > 1 {
            self.reached.push(Path::WebhookAgain);
        }
        let Some(posted) = self.posted.get_mut(&id) else { return (None, findings) };
        if posted.calls.iter().any(|call| call.is_taken) {
            self.reached.push(Path::WebhookTakenTwice);
        }
        posted.body.get_or_insert_with(|| call.body.clone());
        posted.calls.push(Arrival { point: point.clone(), attempt, url: url.to_owned(), is_taken: false, heard: None });
        let number = posted.calls.len() - 1;
        (Some(Place { id, number }), findings)
    }

    /// It says what its notification says, and always the same.
    fn judge_body(&self, posted: &Posted, body: &str, delivery: Option<&Delivery>, watch: &Watch) -> Judged {
        if let Some(before) = &posted.body {
            must(before == body, || format!("it said {before} before, and now {body}"))?;
        }
        let said: Value = serde_json::from_str(body).unwrap_or_default();
        let told = delivery.and_then(|delivery| watch.get::<Notification>(&delivery.notification()));
        let told = told.ok_or("its notification is not there")?;
        let data = json!({
            "id": told.event.to_string(),
            "order": told.order.to_string(),
            "transition": told.transition,
            "text": told.text,
            "created_at": told.at.to_string(),
        });
        let is_right = said["data"] == data
            && said["type"] == format!("order.{}", told.transition)
            && said["timestamp"] == data["created_at"]
            && told.customer == posted.customer;
        must(is_right, || format!("it says {body}, and its notification {data}"))
    }

    /// There is such an endpoint, or was when it was looked for, and it can tell who calls.
    fn judge_endpoint(&self, customer: CustomerId, url: &str, signed: Signed<'_>, sky: Sky<'_>) -> Judged {
        let Sky { now_ms, skew_ms, .. } = sky;
        let from_ms = now_ms - UNDER_WAY_MS;
        let is_there = |era: &&Era| era.active().is_some_and(|target| target.url.as_str() == url);
        let eras: Vec<&Era> = self.eras(customer, from_ms, now_ms).filter(is_there).collect();
        must(!eras.is_empty(), || format!("{url} is called, which is not set, or given up"))?;
        let gone = self.gone.iter().rfind(|gone| gone.customer == customer && gone.url == url);
        if let Some(gone) = gone.filter(|gone| gone.at_ms < from_ms) {
            let mut since = self.eras(customer, gone.at_ms + 1, now_ms);
            must(since.any(|era| era.from_ms >= gone.at_ms && era.by == "PutWebhook"), || {
                format!("{url} is called, which said that it is gone")
            })?;
        }
        let is_signed = |era: &Era| {
            let Some(target) = &era.target else { return false };
            let slack_ms = UNDER_WAY_MS + skew_ms;
            let by_former = era.former.is_none_or(|(former, replaced_ms)| {
                let (is_due, may_be) =
                    (now_ms < replaced_ms + OVERLAP_MS - slack_ms, now_ms <= replaced_ms + OVERLAP_MS + slack_ms);
                if signed.is_by(&former) { may_be } else { !is_due }
            });
            signed.is_by(&target.secret) && by_former
        };
        must(eras.into_iter().any(is_signed), || "its signature does not verify".to_owned())
    }

    /// Whether an answer shows the endpoint as it was while somebody waited for it.
    pub(crate) fn shown(&self, customer: CustomerId, shown: &Value, asked_ms: i64, heard_ms: i64) -> Judged {
        let mut eras = self.eras(customer, asked_ms, heard_ms);
        let is_it = |target: &Target| {
            let at = |at: Option<Timestamp>| at.map(|at| at.to_string());
            let because = target.given_up.map(|given_up| match given_up.because {
                GaveUp::Gone => "gone",
                GaveUp::Failing => "failing",
            });
            let since = target.given_up.map_or(target.set_at, |given_up| given_up.at);
            shown["url"] == target.url.as_str()
                && shown["secret"] == target.secret.reveal()
                && shown["state"] == if because.is_some() { "given_up" } else { "active" }
                && shown["since"] == since.to_string()
                && shown["given_up_because"].as_str() == because
                && shown["failing_since"].as_str() == at(target.failing_since).as_deref()
                && shown["former_secret_until"].as_str() == at(target.former.map(|former| former.until)).as_deref()
        };
        must(eras.any(|era| era.target.as_ref().is_some_and(is_it)), || "that is not how it was at any time".to_owned())
    }

    /// Whether there was none while somebody waited for the answer.
    pub(crate) fn is_absent(&self, customer: CustomerId, asked_ms: i64, heard_ms: i64) -> bool {
        self.eras(customer, asked_ms, heard_ms).any(|era| era.target.is_none())
    }

    /// Whether this was no secret that could be replaced while somebody waited for the answer.
    pub(crate) fn is_replaced(&self, customer: CustomerId, secret: &str, asked_ms: i64, heard_ms: i64) -> bool {
        let is_known = |target: &Target| {
            target.secret.reveal() == secret || target.former.is_some_and(|former| former.secret.reveal() == secret)
        };
        self.eras(customer, asked_ms, heard_ms).any(|era| !era.target.as_ref().is_some_and(is_known))
    }

    /// In the end: what was told while there was an endpoint has arrived there, or it is known why not.
    pub(crate) fn judge(&self, watch: &Watch, skew_ms: i64) -> Vec<String> {
        let mut findings = Vec::new();
        for (event, (customer, told_ms)) in &self.told {
            let (from_ms, to_ms) = (told_ms - TOLD_MS - skew_ms, *told_ms);
            let is_set = self.eras(*customer, from_ms, to_ms).all(|era| era.active().is_some());
            let is_not = self.eras(*customer, from_ms, to_ms).all(|era| era.active().is_none());
            let judged = match self.posted.get(&on_the_wire(*event)) {
                None => must(!is_set, || "it was told, and there is no delivery of it".to_owned()),
                Some(_) if is_not => Err("it was told when there was no endpoint, and is delivered".to_owned()),
                Some(posted) => judge_over(posted, watch.get::<Delivery>(&Key::Delivery(*event))),
            };
            findings.extend(judged.err().map(|says| format!("notification {event}: {says}")));
        }
        findings
    }

    /// What came of these notifications, by the id that the inbox shows, says what the inbox says.
    pub(crate) fn judge_inbox(&self, customer: CustomerId, inbox: &BTreeMap<String, Value>) -> Judged {
        for posted in self.posted.values().filter(|posted| posted.customer == customer) {
            let Some(body) = &posted.body else { continue };
            let said: Value = serde_json::from_str(body).unwrap_or_default();
            let shown = inbox.get(&posted.event.to_string());
            must(shown == Some(&said["data"]), || format!("{body} was sent, and the inbox has {shown:?}"))?;
        }
        Ok(())
    }
}

impl Arrival {
    const fn status(&self) -> Option<u16> {
        match self.heard {
            Some((_, Answer::Status { status, .. })) => Some(status),
            _ => None,
        }
    }

    /// It was taken, and whoever called heard so.
    fn is_heard_taken(&self) -> bool {
        self.is_taken && self.status().is_some_and(|status| (200..300).contains(&status))
    }
}

/// An attempt is counted before it is made, and made once; and what has arrived is sent again only if whoever heard so
/// could not keep it.
fn judge_number(posted: &Posted, attempt: u32, delivery: Option<&Delivery>, sky: Sky<'_>) -> Judged {
    let calls = u32::try_from(posted.calls.len()).unwrap_or(u32::MAX);
    must(calls < attempt, || format!("it is sent for the {}th time in {attempt} attempts", calls + 1))?;
    if sky.skew_ms > 0 {
        return Ok(());
    }
    let state = delivery.map(|delivery| delivery.state);
    must(state == Some(DeliveryState::Sending), || format!("it is sent, and stands as {state:?}"))?;
    let was_kept = |call: &&Arrival| {
        let mut at_the_caller = sky.struck.iter().filter(|(point, _)| point.who == call.point.who);
        call.is_heard_taken() && at_the_caller.all(|(point, _)| *point == call.point)
    };
    let arrived = posted.calls.iter().find(was_kept);
    must(arrived.is_none(), || {
        format!("it arrived at {}, which nothing happened to, and is sent again", arrived.map_or("", |c| &c.point.who))
    })
}

/// After what failed it pauses, for as long as is promised, or as long as it was asked to.
fn judge_pause(posted: &Posted, sky: Sky<'_>) -> Judged {
    let Some(last) = posted.calls.last().filter(|call| posted.settled.contains(&call.attempt)) else { return Ok(()) };
    let Some((heard_ms, answer)) = last.heard else { return Ok(()) };
    let usual_ms = usize::try_from(last.attempt).ok().and_then(|attempt| PAUSES_S.get(attempt.checked_sub(1)?));
    let asked_ms = match answer {
        Answer::Status { status: 429 | 503, retry_after_ms: Some(asked_ms) } => asked_ms.min(LONGEST_PUT_OFF_MS),
        _ => 0,
    };
    let pause_ms = usual_ms.map_or(0, |usual_s| usual_s * 1_000).max(asked_ms);
    let paused_ms = sky.now_ms - heard_ms;
    must(paused_ms >= pause_ms - 2 * sky.skew_ms, || {
        format!("after attempt {} it pauses for {paused_ms} ms instead of {pause_ms}", last.attempt)
    })
}

/// Whoever waits for something to happen at rest waits for ever.
fn judge_over(posted: &Posted, delivery: Option<&Delivery>) -> Judged {
    let Some(delivery) = delivery else { return Err("its delivery is not there".to_owned()) };
    let is_taken = posted.calls.iter().any(Arrival::is_heard_taken);
    match delivery.state {
        DeliveryState::Waiting | DeliveryState::Sending => {
            Err(format!("it is {:?} since {}", delivery.state, posted.created_ms))
        }
        DeliveryState::Delivered => must(is_taken, || "it is delivered, and nobody took it".to_owned()),
        DeliveryState::Exhausted | DeliveryState::Gone | DeliveryState::Withdrawn => Ok(()),
    }
}

/// As whoever receives it sees it.
#[derive(Clone, Copy)]
struct Signed<'a> {
    id: &'a str,
    seconds: &'a str,
    body: &'a str,
    signatures: &'a str,
}

impl Signed<'_> {
    /// With nothing of the product's: HMAC as RFC 2104 has it.
    fn is_by(&self, secret: &Secret) -> bool {
        let secret = secret.reveal();
        let Some(key) = secret.strip_prefix("whsec_").and_then(|key| BASE64.decode(key.as_bytes()).ok()) else {
            return false;
        };
        let padded = |with: u8| {
            let mut block = [with; 64];
            key.iter().zip(&mut block).for_each(|(key, block)| *block ^= key);
            block
        };
        let content = format!("{}.{}.{}", self.id, self.seconds, self.body);
        let inner = Sha256::new().chain_update(padded(0x36)).chain_update(content).finalize();
        let outer = Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize();
        let wanted = format!("v1,{}", BASE64.encode(&outer));
        self.signatures.split(' ').any(|given| given == wanted)
    }
}

fn on_the_wire(event: EventId) -> String {
    event.to_string().replace('.', "_")
}

const fn unknown() -> Answer {
    Answer::Silence(NoAnswer::Unknown)
}

const fn is_set(target: Option<&Target>) -> &'static str {
    match target {
        None => "none",
        Some(Target { given_up: None, .. }) => "one that is set",
        Some(_) => "one that is given up",
    }
}
