//! What a function that panics says, and where it stood: the place is known to the panic's hook alone, so the hook is
//! what remembers it. Within a function the hook prints nothing, since whoever catches the panic tells of it in words.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind, set_hook, take_hook};
use std::pin::Pin;
use std::task::{Context, Poll};

thread_local! {
    static IS_WATCHED: Cell<bool> = const { Cell::new(false) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// From here on panics within [`caught`] know their place. Call it once, when the process begins.
pub fn remember_places() {
    let usual = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_WATCHED.get() {
            return usual(panic);
        }
        PLACE.set(panic.location().map(ToString::to_string));
        // Whoever asks for the way to the panic, with `RUST_BACKTRACE=1`, gets all of it.
        if Backtrace::capture().status() == BacktraceStatus::Captured {
            usual(panic);
        }
    }));
}

/// What it said, and where in the source.
#[derive(Debug)]
pub struct Panicked {
    pub message: String,
    pub place: Option<String>,
}

impl Panicked {
    /// Goes on panicking, with all of it as the message.
    pub fn go_on<T>(self) -> T {
        resume_unwind(Box::new(self.to_string()))
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{}, at {place}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

/// Runs it to its end or to its panic.
pub async fn caught<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    let mut work = Box::pin(work);
    std::future::poll_fn(move |context| poll(work.as_mut(), context)).await
}

fn poll<T>(work: Pin<&mut impl Future<Output = T>>, context: &mut Context<'_>) -> Poll<Result<T, Panicked>> {
    IS_WATCHED.set(true);
    let polled = catch_unwind(AssertUnwindSafe(|| work.poll(context)));
    IS_WATCHED.set(false);
    match polled {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(panic) => Poll::Ready(Err(Panicked { message: said(panic.as_ref()), place: PLACE.take() })),
    }
}

fn said(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic without a message".to_owned())
}
