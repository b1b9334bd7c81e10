//! What happened: a hash over all of it, and lines for people where they are asked for.

use crate::chance;
use crate::telling::Line;

#[derive(Debug)]
pub(crate) struct Trace {
    hash: u64,
    lines: Option<Vec<(i64, Line)>>,
    start_ms: i64,
}

impl Trace {
    pub(crate) fn new(start_ms: i64, readable: bool) -> Self {
        Self { hash: chance::hash(b""), lines: readable.then(Vec::new), start_ms }
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) const fn is_readable(&self) -> bool {
        self.lines.is_some()
    }

    /// Each with the time since the run began.
    pub(crate) fn into_lines(self) -> Vec<(i64, Line)> {
        self.lines.unwrap_or_default()
    }

    /// Takes down what happened: for the hash everything, each part by itself.
    pub(crate) fn note(&mut self, now_ms: i64, parts: &[&[u8]]) {
        self.hash = chance::extended(self.hash, &now_ms.to_be_bytes());
        for part in parts {
            self.hash = chance::extended(self.hash, &part.len().to_be_bytes());
            self.hash = chance::extended(self.hash, part);
        }
    }

    /// A line for people, which the hash does not see.
    pub(crate) fn say(&mut self, now_ms: i64, line: impl FnOnce() -> Line) {
        if let Some(lines) = &mut self.lines {
            lines.push((now_ms - self.start_ms, line()));
        }
    }
}

/// Days, hours, minutes, seconds and milliseconds since the run began, as many as there are.
pub(crate) fn stamp(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (hours, minutes, seconds, millis) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60, rest % 1_000);
    let day = if days > 0 { format!("{days}d ") } else { String::new() };
    format!("{day}{hours:02}:{minutes:02}:{seconds:02}.{millis:03}")
}
