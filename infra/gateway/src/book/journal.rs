//! The book as lines of text, one for each thing that changed, so that a gateway that was stopped, or killed, goes on
//! with all that it had answered.
//!
//! The last line that says something of a thing is what it is.

use serde::{Deserialize, Serialize};

use super::{Book, Charge, Event, KeptKey, Refund};

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    Charge(Charge),
    Refund(Refund),
    Event(Event),
    Key(KeptKey),
}

#[derive(Debug, thiserror::Error)]
#[error("line {line} of the gateway's book cannot be read: {source}")]
pub struct Unreadable {
    line: usize,
    source: serde_json::Error,
}

impl Book {
    pub(super) fn write(&mut self, what: &str, thing: &impl Serialize) {
        if let Some(journal) = &mut self.journal {
            let thing = serde_json::to_string(thing).expect("what the book holds can be written as JSON");
            journal.push(format!("{{\"{what}\":{thing}}}"));
        }
    }

    /// Reads a book back. A last line that was cut off while it was written said nothing yet.
    pub(crate) fn read(text: &str) -> Result<Self, Unreadable> {
        let mut book = Self::default();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for (place, line) in whole.lines().enumerate() {
            let line = serde_json::from_str(line).map_err(|source| Unreadable { line: place + 1, source })?;
            let number = match line {
                Line::Charge(charge) => {
                    let number = charge.number;
                    book.keep_charge(charge);
                    Some(number)
                }
                Line::Refund(refund) => {
                    let number = refund.number;
                    book.keep_refund(refund);
                    Some(number)
                }
                Line::Event(event) => {
                    let number = event.number;
                    book.keep_event(event);
                    Some(number)
                }
                Line::Key(key) => {
                    book.keep_key(key);
                    None
                }
            };
            book.numbers = number.map_or(book.numbers, |number| book.numbers.max(number + 1));
        }
        Ok(book)
    }

    /// All of it, as few lines as say it.
    pub(crate) fn written(&self) -> Vec<String> {
        let mut fresh = Self { journal: Some(Vec::new()), ..Self::default() };
        // In the order in which they were made, so that what is ordered by that stays so.
        let mut charges: Vec<_> = self.charges.values().collect();
        charges.sort_by_key(|charge| charge.number);
        charges.into_iter().for_each(|charge| fresh.write("charge", charge));
        let mut refunds: Vec<_> = self.refunds.values().collect();
        refunds.sort_by_key(|refund| refund.number);
        refunds.into_iter().for_each(|refund| fresh.write("refund", refund));
        let mut events: Vec<_> = self.events.values().collect();
        events.sort_by_key(|event| event.number);
        events.into_iter().for_each(|event| fresh.write("event", event));
        self.keys.values().for_each(|key| fresh.write("key", key));
        fresh.journal.unwrap_or_default()
    }
}
