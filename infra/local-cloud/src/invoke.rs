//! Running a function: its time limit, its reserved concurrency, and what becomes of one that panics.
//!
//! An invocation goes on when its caller goes away, as on Lambda. Not here: retries, which belong to whoever invokes.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Duration;

use crate::clock::Clock;
use crate::function::{FunctionError, Handler, Invocation};
use crate::random::Random;
use crate::signal::{Listener, Signal};
use crate::stack::Function;

/// What made a function run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// A caller that waits for the answer: the HTTP edge, a command, a test.
    Call,
    Queue,
    Stream,
    /// A rule on a bus, or a schedule.
    Event,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Failed,
    TimedOut,
    Panicked,
    /// Not run: the reserved concurrency was used up.
    Throttled,
}

/// One invocation, told when it is over.
#[derive(Clone, Debug)]
pub struct InvocationRecord {
    /// The function's logical id.
    pub function: String,
    pub trigger: Trigger,
    pub outcome: Outcome,
    pub duration_ms: i64,
    pub error: Option<FunctionError>,
}

pub type InvocationObserver = Arc<dyn Fn(&InvocationRecord) + Send + Sync>;

pub(crate) struct Functions(Arc<Shared>);

struct Shared {
    registered: BTreeMap<String, Registered>,
    clock: Clock,
    random: Arc<Random>,
    observer: Option<InvocationObserver>,
    activity: Signal,
    running: AtomicUsize,
    killed: Signal,
}

struct Registered {
    function: Function,
    handler: Mutex<Option<Handler>>,
    permits: Option<Arc<Semaphore>>,
}

/// What came of trying to run a function.
pub(crate) enum Attempt {
    Answered(Value),
    /// The function ran and failed: an error, a panic, its time limit.
    Failed(FunctionError),
    /// It never ran: its reserved concurrency was used up for as long as the caller would wait.
    Throttled(FunctionError),
}

impl Attempt {
    pub(crate) fn into_result(self) -> Result<Value, FunctionError> {
        match self {
            Self::Answered(answer) => Ok(answer),
            Self::Failed(error) | Self::Throttled(error) => Err(error),
        }
    }
}

impl Functions {
    pub(crate) fn new(
        functions: &[Function],
        clock: Clock,
        random: Arc<Random>,
        observer: Option<InvocationObserver>,
        activity: Signal,
    ) -> Self {
        let registered = functions
            .iter()
            .map(|function| {
                let permits = function.reserved_concurrency.map(|most| {
                    Arc::new(Semaphore::new(
                        usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS),
                    ))
                });
                let registered = Registered { function: function.clone(), handler: Mutex::default(), permits };
                (function.logical_id.clone(), registered)
            })
            .collect();
        Self(Arc::new(Shared {
            registered,
            clock,
            random,
            observer,
            activity,
            running: AtomicUsize::new(0),
            killed: Signal::new(),
        }))
    }

    pub(crate) fn register(&self, logical_id: &str, handler: Handler) {
        if let Some(registered) = self.0.registered.get(logical_id) {
            *registered.handler.lock().unwrap_or_else(PoisonError::into_inner) = Some(handler);
        }
    }

    /// Lets the handlers go. They hold SDK clients, those a connector, and that the cloud: kept, none would ever end.
    pub(crate) fn forget_handlers(&self) {
        for registered in self.0.registered.values() {
            *registered.handler.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }

    /// Ends every invocation where it stands.
    pub(crate) fn kill(&self) {
        self.0.killed.raise();
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.0.running.load(Ordering::SeqCst) == 0
    }

    /// Runs a function at once, or refuses.
    pub(crate) async fn invoke(
        &self,
        logical_id: &str,
        event: Value,
        trigger: Trigger,
    ) -> Result<Value, FunctionError> {
        self.attempt(logical_id, event, trigger, std::future::ready(())).await.into_result()
    }

    /// Runs a function, after waiting for its reserved concurrency until `patience` ends.
    pub(crate) async fn attempt(
        &self,
        logical_id: &str,
        event: Value,
        trigger: Trigger,
        patience: impl Future<Output = ()>,
    ) -> Attempt {
        self.attempt_as(self.0.random.uuid(), logical_id, event, trigger, patience).await
    }

    /// As `attempt`, for a request that has an id already.
    pub(crate) async fn attempt_as(
        &self,
        request_id: String,
        logical_id: &str,
        event: Value,
        trigger: Trigger,
        patience: impl Future<Output = ()>,
    ) -> Attempt {
        let Some(registered) = self.0.registered.get(logical_id) else {
            let message = format!("the stack has no function {logical_id}");
            return Attempt::Failed(error("ResourceNotFoundException", message));
        };
        let Some(handler) = registered.handler.lock().unwrap_or_else(PoisonError::into_inner).clone() else {
            let message = format!("{logical_id} has no handler while the cloud is not started");
            return Attempt::Failed(error("ResourceNotReadyException", message));
        };
        let running = Running::begin(&self.0);
        let killed = self.0.killed.listen();
        let permit = match &registered.permits {
            None => None,
            Some(permits) => {
                let permit = tokio::select! {
                    biased;
                    permit = permits.clone().acquire_owned() => permit.ok(),
                    () = patience => None,
                };
                if permit.is_none() {
                    let refused = error("TooManyRequestsException", "Rate Exceeded.".into());
                    self.0.tell(logical_id, trigger, Outcome::Throttled, 0, Some(&refused));
                    return Attempt::Throttled(refused);
                }
                permit
            }
        };
        let supervised = supervise(running, registered.function.clone(), handler, request_id, event, trigger, permit);
        let ended = tokio::spawn(unless_killed(supervised, killed))
            .await
            .unwrap_or_else(|reason| Err(error("Runtime.ExitError", format!("the invocation was ended: {reason}"))));
        match ended {
            Ok(answer) => Attempt::Answered(answer),
            Err(failure) => Attempt::Failed(failure),
        }
    }

    /// Whether the reserved concurrency of a function is used up.
    pub(crate) fn is_saturated(&self, logical_id: &str) -> bool {
        let permits = self.0.registered.get(logical_id).and_then(|registered| registered.permits.as_ref());
        permits.is_some_and(|permits| permits.available_permits() == 0)
    }

    /// Whether it can never run: a reserved concurrency of zero.
    pub(crate) fn is_switched_off(&self, logical_id: &str) -> bool {
        self.0.registered.get(logical_id).is_some_and(|registered| registered.function.reserved_concurrency == Some(0))
    }
}

async fn unless_killed(
    supervised: impl Future<Output = Result<Value, FunctionError>>,
    mut killed: Listener,
) -> Result<Value, FunctionError> {
    tokio::select! {
        biased;
        () = killed.raised() => Err(error("Runtime.ExitError", "the cloud was ended under the invocation".into())),
        result = supervised => result,
    }
}

async fn supervise(
    running: Running,
    function: Function,
    handler: Handler,
    request_id: String,
    event: Value,
    trigger: Trigger,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<Value, FunctionError> {
    let shared = &running.0;
    let began_ms = shared.clock.now_ms();
    let limit_ms = i64::from(function.timeout_seconds) * 1000;
    let invocation = Invocation {
        event,
        request_id: request_id.clone(),
        function_name: function.name.clone(),
        function_arn: function.arn.clone(),
        memory_mib: function.memory_mib,
        deadline_ms: began_ms + limit_ms,
    };
    let run = AssertUnwindSafe(async move { handler(invocation).await }).catch_unwind();
    let (outcome, result) = match tokio::time::timeout(Duration::from_millis(limit_ms.unsigned_abs()), run).await {
        Ok(Ok(Ok(answer))) => (Outcome::Done, Ok(answer)),
        Ok(Ok(Err(failure))) => (Outcome::Failed, Err(failure)),
        Ok(Err(panic)) => (Outcome::Panicked, Err(error("Runtime.Panic", said(panic.as_ref())))),
        Err(_) => {
            let message =
                format!("RequestId: {request_id} Error: Task timed out after {}.00 seconds", function.timeout_seconds);
            (Outcome::TimedOut, Err(error("Sandbox.Timedout", message)))
        }
    };
    match (&result, outcome) {
        (Err(failure), Outcome::Panicked) => {
            tracing::error!(function = %function.logical_id, %failure, "{} panicked", function.logical_id)
        }
        (Err(failure), _) => {
            tracing::warn!(function = %function.logical_id, %failure, "{} failed", function.logical_id)
        }
        (Ok(_), _) => {}
    }
    let duration_ms = shared.clock.now_ms() - began_ms;
    drop(permit);
    shared.tell(&function.logical_id, trigger, outcome, duration_ms, result.as_ref().err());
    result
}

impl Shared {
    fn tell(
        &self,
        function: &str,
        trigger: Trigger,
        outcome: Outcome,
        duration_ms: i64,
        error: Option<&FunctionError>,
    ) {
        if let Some(observer) = &self.observer {
            observer(&InvocationRecord {
                function: function.into(),
                trigger,
                outcome,
                duration_ms,
                error: error.cloned(),
            });
        }
    }
}

/// Counts an invocation for as long as it lives.
struct Running(Arc<Shared>);

impl Running {
    fn begin(shared: &Arc<Shared>) -> Self {
        shared.running.fetch_add(1, Ordering::SeqCst);
        Self(shared.clone())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
        self.0.activity.raise();
    }
}

fn error(kind: &str, message: String) -> FunctionError {
    FunctionError { kind: kind.into(), message }
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}
