//! Who is speaking: which invocation of which function a call belongs to, and how that invocation ends before its time.

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

tokio::task_local! {
    static SPEAKER: Arc<Speaker>;
}

/// How an invocation ends in the middle of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its process dies.
    Crashed,
    /// Its process does nothing more until the time limit.
    Hung,
}

/// The same work from its beginning, for another invocation.
pub(crate) struct Again(Box<dyn Fn() -> Work + Send + Sync>);

pub(crate) type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Again {
    pub(crate) fn new(work: impl Fn() -> Work + Send + Sync + 'static) -> Self {
        Self(Box::new(work))
    }
}

impl fmt::Debug for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Again")
    }
}

#[derive(Debug)]
pub(crate) struct Speaker {
    /// The function and which of its invocations.
    pub(crate) who: String,
    pub(crate) function: String,
    /// How far its clock is from the true time.
    pub(crate) skew_ms: i64,
    /// Somebody waits for its answer.
    pub(crate) is_asked: bool,
    /// None for one that overtakes another itself.
    again: Option<Again>,
    calls: AtomicU64,
    /// It wrote, and does not know what became of it.
    pub(crate) is_in_doubt: AtomicBool,
    ending: Mutex<Option<Ending>>,
    ends: Notify,
}

impl Speaker {
    pub(crate) fn new(who: String, function: String, skew_ms: i64, is_asked: bool, again: Option<Again>) -> Arc<Self> {
        Arc::new(Self {
            who,
            function,
            skew_ms,
            is_asked,
            again,
            calls: AtomicU64::new(0),
            is_in_doubt: AtomicBool::new(false),
            ending: Mutex::new(None),
            ends: Notify::new(),
        })
    }

    /// Whose task this is; nobody's if no function runs in it.
    pub(crate) fn current() -> Option<Arc<Self>> {
        SPEAKER.try_with(Arc::clone).ok()
    }

    pub(crate) async fn speaks<T>(self: Arc<Self>, work: impl Future<Output = T>) -> T {
        SPEAKER.scope(self, work).await
    }

    /// What overtakes it.
    pub(crate) fn again(&self) -> Option<Work> {
        self.again.as_ref().map(|again| again.0())
    }

    /// The number of its next call, from 1.
    pub(crate) fn next_call(&self) -> u64 {
        self.calls.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn end(&self, ending: Ending) {
        *self.ending.lock().unwrap_or_else(PoisonError::into_inner) = Some(ending);
        self.ends.notify_one();
    }

    pub(crate) async fn ended(&self) -> Ending {
        loop {
            let ending = *self.ending.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(ending) = ending {
                return ending;
            }
            self.ends.notified().await;
        }
    }
}
