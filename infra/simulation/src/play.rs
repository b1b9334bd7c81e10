//! One run, from its seed to its outcome: chaos, then calm, then a jump in time, with everything judged in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use domain::Timestamp;
use domain::books::Key;
use domain::orders::{Order, What};
use domain::payments::{Payment, PaymentState, Refund, RefundState};
use domain::promises::watch::Watch;
use domain::webhooks::Reach;
use futures_util::FutureExt as _;
use http::Request;
use local_cloud::stack::Stack;
use local_cloud::{Clock, InvocationRecord, Storage};
use local_system::{Options, StartError, System};
use platform::chance::Chance;
use platform::gateways::Gateways;
use platform::outside::Outside;
use platform::verify::{Now, audit};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{advance, sleep};

use crate::around::around;
use crate::bank::{self, Till};
use crate::cards;
use crate::chance::{self, Stream};
use crate::coverage::Path;
use crate::hearing;
use crate::network::Network;
use crate::outcome::{Met, Outcome};
use crate::outside::Receivers;
use crate::plan::{Part, Plan};
use crate::script::{Jump, Script};
use crate::speaker::Speaker;
use crate::telling::{self, Line, Mark};
use crate::workload::{Customer, Known};
use crate::world::{State, World};

/// 2026-11-21T05:53:03Z
const START_MS: i64 = 1_795_240_383_000;
const MINUTE: Duration = Duration::from_secs(60);
/// Within this everything has come to rest in the calm: what a dead process held is visible again, dead letters are
/// taken up, the bucket is looked through, and who was stalled is tried again.
const REST: Duration = Duration::from_secs(26 * 60 * 60);
/// And within this every delivery to an endpoint where nobody is: what is told at the last deadline of an order is tried
/// for three days more.
const REST_OF_DELIVERIES: Duration = Duration::from_secs(8 * 24 * 60 * 60);

const DEAD_INVENTORY: &str = "-inventory-dead";

/// A run could not even begin.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error("there is no runtime: {0}")]
    Runtime(#[from] std::io::Error),
    #[error("the template cannot be served: {0}")]
    Template(String),
}

/// Plays a plan. It is the same every time, on whichever thread.
pub fn play(plan: &Plan) -> Result<Outcome, PlayError> {
    #[cfg(feature = "planted")]
    let _planted = domain::planted::Plot::with(plan.planted);
    // The SDK's jitter draws from the thread.
    fastrand::seed(chance::stream(plan.seed, Stream::Sdk));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build()?;
    hearing::listening(|| runtime.block_on(run(plan)))
}

/// The stack, read once for each waiting time that is drawn.
fn stack(hours: u32, is_stripe: bool) -> Result<Stack, PlayError> {
    static STACKS: OnceLock<Mutex<BTreeMap<(u32, bool), Stack>>> = OnceLock::new();
    let mut stacks = STACKS.get_or_init(Mutex::default).lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(stack) = stacks.get(&(hours, is_stripe)) {
        return Ok(stack.clone());
    }
    let hours_text = hours.to_string();
    let parameters = [
        ("WaitHours", hours_text.as_str()),
        ("Gateway", if is_stripe { "stripe" } else { "plain" }),
        ("PlainGatewayUrl", bank::URL),
        ("PlainGatewayKey", bank::KEY),
        ("PlainWebhookSecrets", bank::STANDARD_SECRET),
        ("StripeUrl", bank::URL),
        ("StripeKey", bank::KEY),
        ("StripePaymentMethod", bank::METHOD),
        ("StripeWebhookSecrets", bank::STRIPE_SECRET),
    ];
    let parameters = parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let stack = local_system::stack(local_system::TEMPLATE, local_system::STACK_NAME, parameters)
        .map_err(|error| PlayError::Template(error.to_string()))?;
    stacks.insert((hours, is_stripe), stack.clone());
    Ok(stack)
}

async fn run(plan: &Plan) -> Result<Outcome, PlayError> {
    let clock = Clock::starting_at(START_MS);
    let world = World::new(plan, clock.clone());
    let mut rng = chance::at(world.workload, "run", 0);
    let drawn = ([1, 2, 72, 72][rng.usize(0..4)], Jump::ALL[rng.usize(0..4)], rng.usize(1..=3));
    let (hours, jump, count) =
        plan.script.as_ref().map_or(drawn, |script| (script.hours, script.jump, script.customers.len()));
    let jump = if plan.has(Part::Jump) { jump } else { Jump::None };
    let mut setting = world.swarm.in_words();
    if jump > Jump::None {
        setting.push(format!("time jumps by {} in the end", jump.in_words()));
    }
    setting.push(format!("an order waits for {hours} hours at most"));
    let system = Arc::new(start(&world, clock, plan.seed, hours)?);
    let calling_back = tokio::spawn(bank::calls_back(world.clone(), system.clone()));
    world.state().watch = Watch::default().with_wait(system.app().config.terms.wait);
    let scene = Scene { world: world.clone(), system: system.clone() };
    let mut customers = scene.chaos(count).await;
    scene.calm(&mut customers).await;
    if jump > Jump::None {
        scene.jump(jump, &mut customers).await;
    }
    let left: usize = customers.iter().map(|customer| customer.model.waiting()).sum();
    if jump == Jump::Month && left > 0 {
        world.find(format!("{left} orders wait for longer than they may"));
    }
    let (calls, calls_in_chaos) = world.calls();
    for path in hearing::heard() {
        world.reached(path);
    }
    calling_back.abort();
    let virtual_ms = world.now_ms() - world.start_ms;
    drop((customers, scene, system));
    let State { trace, names, findings, met, struck, performed, coverage, mut script, .. } = world.close();
    script.customers.resize_with(count, Vec::new);
    let findings = findings.iter().map(|finding| names.put_into(finding, START_MS)).collect();
    let named = |met: Met| Met { about: names.put_into(&met.about, START_MS), ..met };
    let met = met.into_iter().map(named).collect();
    Ok(Outcome {
        seed: plan.seed,
        hash: trace.hash(),
        findings,
        calls,
        calls_in_chaos,
        met,
        struck,
        performed,
        setting,
        script: Script { hours, jump, weather: world.swarm.clone(), is_stripe: world.is_stripe, ..script },
        coverage,
        virtual_ms,
        trace: telling::told(trace.into_lines(), &names, START_MS),
    })
}

fn start(world: &Arc<World>, clock: Clock, seed: u64, hours: u32) -> Result<System, PlayError> {
    let mut cloud = local_cloud::Options::new(Storage::Memory, clock, chance::stream(seed, Stream::Ids));
    let watched = world.clone();
    cloud.on_invocation = Some(Arc::new(move |record: &InvocationRecord| {
        if record.outcome == local_cloud::Outcome::Panicked {
            let why = record.error.as_ref().map(ToString::to_string).unwrap_or_default();
            watched.find(format!("{} panicked: {why}", record.function));
        }
    }));
    let watched = world.clone();
    cloud.on_event = Some(Arc::new(move |event: &Value| watched.announced(event)));
    let mut options = Options::new(cloud);
    let way = world.clone();
    options.network = Arc::new(move |connector| {
        platform::aws::shared(Network::new(connector, way.clone())).with_retries_of_its_own()
    });
    options.around = Some(around(world.clone()));
    options.clock = Some(Arc::new(|clock: &Clock| {
        let clock = clock.clone();
        platform::Clock::new(move || {
            let skew_ms = Speaker::current().map_or(0, |speaker| speaker.skew_ms);
            Timestamp::from_millis(clock.now_ms() + skew_ms)
        })
    }));
    options.gateways = Gateways::answered_by(Till::new(world.clone()));
    options.outside = Outside::answered_by(Receivers::new(world.clone()), Reach::Public);
    options.chance = Chance::seeded(chance::stream(seed, Stream::Secrets));
    Ok(System::start_on(stack(hours, world.is_stripe)?, options)?)
}

/// Whether the gateway is to be called about a payment, or about what goes back of it.
fn is_called_about(payment: &Payment, watch: &Watch) -> bool {
    let mut refunds = payment.open_refunds.iter().filter_map(|id| watch.get::<Refund>(&Key::Refund(*id)));
    matches!(payment.state, PaymentState::Pending | PaymentState::Unknown)
        || refunds.any(|refund| refund.state == RefundState::Pending)
}

/// What is not at rest.
struct Left {
    what: String,
    /// Nothing else is left, and this waits until then.
    due_ms: Option<i64>,
}

impl Left {
    fn now(what: impl Into<String>) -> Self {
        Self { what: what.into(), due_ms: None }
    }
}

struct Scene {
    world: Arc<World>,
    system: Arc<System>,
}

impl Scene {
    async fn chaos(&self, count: usize) -> Vec<Customer> {
        let known = Known::default();
        let mut acting = JoinSet::new();
        for number in 0..count {
            let mut customer = Customer::new(number, self.world.clone(), self.system.clone(), known.clone());
            acting.spawn(async move {
                customer.act().await;
                (number, customer)
            });
        }
        let mut customers = Vec::new();
        while let Some(ended) = acting.join_next().await {
            match ended {
                Ok(customer) => customers.push(customer),
                Err(error) => self.world.find(format!("a customer ended badly: {error}")),
            }
        }
        for outage in self.world.outages() {
            let left = outage.to_ms - (self.world.now_ms() - self.world.start_ms);
            // What it left behind is taken up while other things go wrong still.
            let after = chance::at(self.world.workload, "run", 1).i64(0..240_000);
            sleep(Duration::from_millis(u64::try_from(left + after).unwrap_or_default())).await;
        }
        customers.sort_by_key(|(number, _)| *number);
        customers.into_iter().map(|(_, customer)| customer).collect()
    }

    async fn calm(&self, customers: &mut [Customer]) {
        self.world.calm_down();
        self.world.say(|| Line::new(Mark::Phase, "", "calm: nothing goes wrong any more"));
        // What runs still ends, and what is under way still arrives.
        while !self.world.is_idle() {
            sleep(Duration::from_secs(1)).await;
        }
        for customer in customers.iter_mut() {
            customer.find_out().await;
        }
        self.rest().await;
        self.judge(customers).await;
    }

    async fn jump(&self, jump: Jump, customers: &mut [Customer]) {
        self.world.say(|| Line::new(Mark::Phase, "", format!("time jumps by {}", jump.in_words())));
        advance(jump.length()).await;
        let kept = std::mem::take(&mut self.world.state().kept);
        for copy in kept {
            self.world.reached(match jump {
                Jump::None | Jump::Minutes => Path::CopyAfterMinutes,
                Jump::Day => Path::CopyAfterDay,
                Jump::Month => Path::CopyAfterMonth,
            });
            // What it answers, nobody waits for any more.
            if let Err(error) = self.system.cloud.invoke(&copy.function, copy.event).await {
                self.world.find(format!("a copy made {} fail: {error}", copy.function));
            }
        }
        self.rest().await;
        for customer in customers.iter_mut() {
            customer.say_again().await;
        }
        self.judge(customers).await;
    }

    /// Until nothing is left to do that does not wait for a customer or a deadline.
    async fn rest(&self) {
        let began = tokio::time::Instant::now();
        let mut since = began;
        let mut step = MINUTE;
        while let Some(left) = self.what_is_left().await {
            if since.elapsed() > REST || began.elapsed() > REST_OF_DELIVERIES {
                self.world.find(format!("it does not come to rest: {}", left.what));
                return;
            }
            sleep(Duration::from_secs(1)).await;
            // Nothing is running, so all that is left waits for a time to come.
            if self.world.is_idle()
                && let Some(left) = self.what_is_left().await
            {
                let until_due = left.due_ms.map_or(0, |due_ms| due_ms - self.world.now_ms());
                advance(step.max(Duration::from_millis(u64::try_from(until_due).unwrap_or_default()))).await;
                step = (step * 2).min(MINUTE * 16);
                if until_due > 0 {
                    // Nothing could have gone on before.
                    since = tokio::time::Instant::now();
                }
            }
        }
    }

    async fn what_is_left(&self) -> Option<Left> {
        if !self.world.is_idle() {
            return Some(Left::now("a function runs"));
        }
        if self.system.cloud.settled().now_or_never().is_none() {
            let depths = self
                .system
                .cloud
                .queue_depths()
                .into_iter()
                .filter(|(_, depth)| *depth != local_cloud::QueueDepth::default());
            return Some(Left::now(format!("queues: {:?}", depths.collect::<Vec<_>>())));
        }
        if self.has_failed_records().await {
            return Some(Left::now("records in the bucket of those that could not be relayed"));
        }
        if self.sends_again_what_is_dead().await {
            return Some(Left::now("what an inventory told and nobody could take"));
        }
        let now = Timestamp::from_millis(self.world.now_ms());
        let state = self.world.state();
        let is_left = |order: &&Order| {
            let is_stalled = order.waiting_for.is_some_and(|waiting| waiting.what == What::Stalled);
            !order.state.has_ended()
                && (is_stalled || order.waiting_for.is_none() || order.look_at.is_none_or(|due| due <= now))
        };
        if let Some(order) = state.watch.orders().find(is_left) {
            return Some(Left::now(format!("order {} has not ended and waits for nothing", order.id)));
        }
        // The first of those that are not over: when somebody looks at it, and not before, it goes on.
        let due_ms = |look_at: Option<Timestamp>| look_at.map_or(0, Timestamp::as_millis);
        let posted = state.watch.deliveries().filter(|delivery| !delivery.state.is_over());
        let posted = posted.map(|delivery| {
            let what = format!("delivery of {} is {:?}", delivery.event, delivery.state);
            Left { what, due_ms: Some(due_ms(delivery.look_at)) }
        });
        // Whoever has to decide something is reminded each day, and need not be waited for.
        let is_left = |payment: &&Payment| {
            is_called_about(payment, &state.watch) || payment.look_at.is_some_and(|due| due <= now)
        };
        let payments = state.watch.payments().filter(is_left).map(|payment| {
            let what = format!("payment {} is {}", payment.id, payment.state.name());
            Left { what, due_ms: Some(due_ms(payment.look_at)) }
        });
        let told = self
            .world
            .bank
            .next_due_ms()
            .map(|due_ms| Left { what: "the gateway has something to tell".to_owned(), due_ms: Some(due_ms.max(0)) });
        posted.chain(payments).chain(told).min_by_key(|left| left.due_ms)
    }

    /// What an inventory told in an outage, a person sends again. All else that is dead is taken up by itself.
    async fn sends_again_what_is_dead(&self) -> bool {
        let queues = &self.system.cloud.stack().queues;
        let Some(dead) = queues.iter().find(|queue| queue.name.ends_with(DEAD_INVENTORY)) else { return false };
        let depths = self.system.cloud.queue_depths();
        if !depths.iter().any(|(name, depth)| *name == dead.name && depth.visible > 0) {
            return false;
        }
        let asked = json!({ "SourceArn": dead.arn });
        if let Err(says) = cards::ask_queues(&self.system, &dead.url, "StartMessageMoveTask", &asked).await {
            self.world.find(format!("what is dead of the inventory could not be sent again: {says}"));
        }
        true
    }

    async fn has_failed_records(&self) -> bool {
        let stack = self.system.cloud.stack();
        for bucket in &stack.buckets {
            let host = format!("{}.s3.{}.amazonaws.com", bucket.name, stack.region);
            let Ok(request) = Request::get("/?list-type=2").header("host", host).body(bytes::Bytes::new()) else {
                return true;
            };
            let listed = self.system.cloud.connector().answer(request).await;
            if !listed.status().is_success() || String::from_utf8_lossy(listed.body()).contains("<Key>") {
                return true;
            }
        }
        false
    }

    async fn judge(&self, customers: &mut [Customer]) {
        for customer in customers.iter_mut() {
            customer.look_at_everything().await;
        }
        self.world.judge_announced();
        self.world.judge_outside();
        self.world.judge_books();
        for (name, depth) in self.system.cloud.queue_depths() {
            if depth != local_cloud::QueueDepth::default() {
                self.world.find(format!("{name} is not empty: {depth:?}"));
            }
        }
        let now = Now::Moment(Timestamp::from_millis(self.world.now_ms()));
        match audit(self.system.app().store.table(), now, domain::Millis(0), |_| {}).await {
            Ok(report) => {
                report.findings.iter().for_each(|finding| self.world.find(finding));
                if report.unreadable > 0 {
                    self.world.find(format!("{} messages that nobody could read", report.unreadable));
                }
            }
            Err(error) => self.world.find(format!("the audit failed: {error}")),
        }
    }
}
