//! Some paths show in nothing but a line of the log: whoever listens to the functions' own words counts them.

use std::cell::RefCell;
use std::fmt;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Event, Metadata, Subscriber};

use crate::coverage::Path;

/// What is said, and the path on which it is.
const SAID: &[(&str, Path)] = &[
    ("a batch is taken one by one", Path::BatchTakenApart),
    ("waiters are taken in smaller batches", Path::WaitersSplit),
];

thread_local! {
    static HEARD: RefCell<Vec<Path>> = const { RefCell::new(Vec::new()) };
}

/// Listens on this thread for as long as `work` runs.
pub(crate) fn listening<T>(work: impl FnOnce() -> T) -> T {
    HEARD.with_borrow_mut(Vec::clear);
    tracing::subscriber::with_default(Ear, work)
}

/// What was heard on this thread since it was asked last.
pub(crate) fn heard() -> Vec<Path> {
    HEARD.with_borrow_mut(std::mem::take)
}

struct Ear;

impl Ear {
    fn is_of_interest(metadata: &Metadata<'_>) -> bool {
        metadata.is_event() && metadata.target().starts_with("functions")
    }
}

impl Subscriber for Ear {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::is_of_interest(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        Self::is_of_interest(metadata)
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Words);
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Words;

impl Visit for Words {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            let said = format!("{value:?}");
            let path = SAID.iter().find(|(words, _)| *words == said).map(|(_, path)| *path);
            HEARD.with_borrow_mut(|heard| heard.extend(path));
        }
    }
}
