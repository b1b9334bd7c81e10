//! The cloud as a whole: opened from a stack, spoken to through a connector, started with the functions' handlers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::clock::Clock;
use crate::connector::{CallObserver, Connector};
use crate::deliveries::Deliveries;
use crate::dynamodb::DynamoDb;
use crate::event_bridge::{DEFAULT_BUS, EventBridge, EventObserver};
use crate::function::{FunctionError, Handler};
use crate::invoke::{Functions, InvocationObserver, Trigger};
use crate::mappings::{self, Filters, Stopping};
use crate::random::Random;
use crate::s3::S3;
use crate::signal::Signal;
use crate::sqs::{QueueDepth, Sqs};
use crate::stack::{Destination, Function, Stack, Target};
use crate::store::{Storage, Store};
use crate::{CloudError, deliveries};

/// What a cloud is opened with. `Options::new` leaves the observers out.
#[derive(Clone)]
pub struct Options {
    pub storage: Storage,
    pub clock: Clock,
    pub seed: u64,
    pub on_invocation: Option<InvocationObserver>,
    pub on_call: Option<CallObserver>,
    pub on_event: Option<EventObserver>,
}

impl Options {
    pub fn new(storage: Storage, clock: Clock, seed: u64) -> Self {
        Self { storage, clock, seed, on_invocation: None, on_call: None, on_event: None }
    }
}

/// Every service of a stack. Cheap to clone; the state is let go when the last clone, connector and `Running` are. The
/// handlers belong to `Running`: an SDK client within one keeps nothing alive once that is gone.
#[derive(Clone)]
pub struct Cloud(Arc<Core>);

pub(crate) struct Core {
    pub(crate) stack: Stack,
    pub(crate) clock: Clock,
    pub(crate) random: Arc<Random>,
    pub(crate) store: Arc<Store>,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) sqs: Sqs,
    pub(crate) event_bridge: Arc<EventBridge>,
    pub(crate) s3: S3,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) functions: Functions,
    /// Raised whenever something may have come to rest.
    pub(crate) activity: Signal,
    pub(crate) on_call: Option<CallObserver>,
    is_running: AtomicBool,
}

impl Cloud {
    /// Opens the state and creates what the stack names and the state lacks. Nothing runs before `start`.
    pub fn open(stack: Stack, options: Options) -> Result<Self, CloudError> {
        let store = Store::open(&options.storage)?;
        Self::over(store, stack, options)
    }

    /// Opens over a store that is open already.
    pub(crate) fn over(store: Store, stack: Stack, options: Options) -> Result<Self, CloudError> {
        check(&stack)?;
        let Options { storage: _, clock, seed, on_invocation, on_call, on_event } = options;
        let store = Arc::new(store);
        let random = Arc::new(Random::seeded(seed));
        let activity = Signal::new();
        let deliveries = Arc::new(Deliveries::new(store.clone(), random.clone(), activity.clone()));
        let mut event_bridge =
            EventBridge::new(&stack, store.clone(), deliveries.clone(), random.clone(), clock.clone())?;
        event_bridge.observer = on_event;
        let event_bridge = Arc::new(event_bridge);
        let core = Core {
            dynamodb: DynamoDb::open(&stack, &store, &clock, activity.clone())?,
            sqs: Sqs::new(&stack.queues, store.clone(), random.clone(), clock.clone(), activity.clone())?,
            s3: S3::new(
                &stack.buckets,
                &stack.account,
                &stack.region,
                store.clone(),
                event_bridge.clone(),
                deliveries.clone(),
                random.clone(),
                clock.clone(),
            ),
            functions: Functions::new(&stack.functions, clock.clone(), random.clone(), on_invocation, activity.clone()),
            event_bridge,
            deliveries,
            stack,
            clock,
            random,
            store,
            activity,
            on_call,
            is_running: AtomicBool::new(false),
        };
        Ok(Self(Arc::new(core)))
    }

    pub fn connector(&self) -> Connector {
        Connector(self.0.clone())
    }

    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub fn stack(&self) -> &Stack {
        &self.0.stack
    }

    /// Runs a function and waits for its answer, as `Invoke` with `RequestResponse` does: within its time limit, and
    /// refused with `TooManyRequestsException` when its reserved concurrency is used up.
    pub async fn invoke(&self, logical_id: &str, event: Value) -> Result<Value, FunctionError> {
        self.0.functions.invoke(logical_id, event, Trigger::Call).await
    }

    /// Starts the mappings, the schedules and the deliveries. Call it inside a runtime.
    pub fn start(&self, handler_of: impl Fn(&Function) -> Option<Handler>) -> Result<Running, CloudError> {
        let core = &self.0;
        let handlers: Result<Vec<_>, CloudError> = core
            .stack
            .functions
            .iter()
            .map(|function| {
                let handler = handler_of(function).ok_or_else(|| CloudError::NoHandler {
                    function: function.logical_id.clone(),
                    handler: function.handler.clone(),
                })?;
                Ok((function, handler))
            })
            .collect();
        let handlers = handlers?;
        if core.is_running.swap(true, Ordering::SeqCst) {
            return Err(CloudError::AlreadyRunning);
        }
        for (function, handler) in handlers {
            core.functions.register(&function.logical_id, handler);
        }
        let stop = watch::Sender::new(false);
        let stopping = || Stopping::new(stop.subscribe());
        let mut running = Running { stop: stop.clone(), tasks: JoinSet::new(), core: core.clone(), is_stopped: false };
        mappings::spawn(core, &mut running.tasks, stopping)?;
        running.tasks.spawn(deliveries::deliver(core.clone(), stopping()));
        Ok(running)
    }

    /// Resolves when nothing is left to do: no stream record that its mapping has not read, no message in a queue that
    /// a mapping reads (visible, in flight or delayed), no event owed to a target, and no invocation.
    pub async fn settled(&self) {
        let mut listener = self.0.activity.listen();
        loop {
            listener.about_to_look();
            match mappings::is_settled(&self.0) {
                Ok(true) => return,
                Ok(false) => {}
                Err(reason) => tracing::error!(%reason, "whether the cloud has settled cannot be told"),
            }
            listener.raised().await;
        }
    }

    /// Every queue by its name.
    pub fn queue_depths(&self) -> BTreeMap<String, QueueDepth> {
        let now_ms = self.0.clock.now_ms();
        self.0
            .sqs
            .all()
            .map(|kept| (kept.queue.name.clone(), self.0.sqs.depth(kept, now_ms).unwrap_or_default()))
            .collect()
    }

    /// Changes of tables that their stream's mappings want to know of and have not worked off.
    pub fn unread_changes(&self) -> Result<usize, CloudError> {
        mappings::unread_changes(&self.0)
    }
}

/// The tasks of a started cloud. Dropped without `stop`, they and every invocation end where they stand, as in a
/// process that is killed.
#[must_use = "a cloud runs for as long as this is kept"]
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    core: Arc<Core>,
    is_stopped: bool,
}

impl Running {
    /// Takes up nothing new, lets what is under way finish, and ends.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
        let mut listener = self.core.activity.listen();
        loop {
            listener.about_to_look();
            if self.core.functions.is_idle() {
                break;
            }
            listener.raised().await;
        }
        self.is_stopped = true;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_stopped {
            self.core.functions.kill();
        }
        self.core.functions.forget_handlers();
        self.core.is_running.store(false, Ordering::SeqCst);
    }
}

/// Everything that names something names something that is there, and every pattern is understood.
fn check(stack: &Stack) -> Result<(), CloudError> {
    let need = |found: bool, place: String, missing: &str| {
        if found { Ok(()) } else { Err(CloudError::Dangling { place, missing: missing.into() }) }
    };
    let has_function = |id: &str| stack.function(id).is_some();
    let has_queue = |arn: &str| stack.queue_by_arn(arn).is_some();
    let has_bucket = |arn: &str| stack.buckets.iter().any(|bucket| bucket.arn == arn);
    for queue in &stack.queues {
        if let Some(redrive) = &queue.redrive {
            need(
                has_queue(&redrive.dead_letter_arn),
                format!("the redrive policy of {}", queue.name),
                &redrive.dead_letter_arn,
            )?;
        }
    }
    for mapping in &stack.queue_mappings {
        let place = format!("the mapping of {} to {}", mapping.queue_arn, mapping.function);
        need(has_function(&mapping.function), place.clone(), &mapping.function)?;
        need(has_queue(&mapping.queue_arn), place.clone(), &mapping.queue_arn)?;
        Filters::read(&mapping.filters, &place)?;
    }
    for mapping in &stack.stream_mappings {
        let place = format!("the mapping of {} to {}", mapping.stream_arn, mapping.function);
        need(has_function(&mapping.function), place.clone(), &mapping.function)?;
        let has_stream = stack.tables.iter().any(|table| table.stream_arn.as_ref() == Some(&mapping.stream_arn));
        need(has_stream, place.clone(), &mapping.stream_arn)?;
        if let Some(arn) = &mapping.on_failure {
            need(has_queue(arn) || has_bucket(arn), place.clone(), arn)?;
        }
        Filters::read(&mapping.filters, &place)?;
    }
    for (function, settings) in &stack.asynchronous {
        let place = format!("the asynchronous invocations of {function}");
        for destination in settings.on_success.iter().chain(&settings.on_failure) {
            match destination {
                Destination::Function(id) => need(has_function(id), place.clone(), id)?,
                Destination::Queue(arn) => need(has_queue(arn), place.clone(), arn)?,
                Destination::Bucket(arn) => need(has_bucket(arn), place.clone(), arn)?,
                Destination::Bus(arn) => {
                    let name = destination.bus_name();
                    need(name == DEFAULT_BUS || stack.buses.iter().any(|bus| bus == name), place.clone(), arn)?;
                }
            }
        }
        if let Some(arn) = &settings.dead_letters {
            need(has_queue(arn), place, arn)?;
        }
    }
    for schedule in &stack.schedules {
        need(has_function(&schedule.function), format!("schedule {}", schedule.name), &schedule.function)?;
    }
    for rule in &stack.rules {
        for target in &rule.targets {
            let place = format!("a target of rule {}", rule.name);
            match target {
                Target::Function(id) => need(has_function(id), place, id)?,
                Target::Queue { arn, .. } => need(has_queue(arn), place, arn)?,
            }
        }
    }
    Ok(())
}
