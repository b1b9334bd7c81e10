//! Writing for eyes: a little colour where there is a terminal and nobody asked for none, and nothing of a pipe that
//! was closed early.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

/// Colours, or none.
#[derive(Clone, Copy)]
pub(crate) struct Paint {
    is_on: bool,
}

impl Paint {
    pub(crate) fn for_stdout() -> Self {
        Self { is_on: stdout().is_terminal() && wants_colour() }
    }

    #[cfg(test)]
    pub(crate) const fn for_pipes() -> Self {
        Self { is_on: false }
    }

    fn for_stderr() -> Self {
        Self { is_on: stderr().is_terminal() && wants_colour() }
    }

    pub(crate) fn bold(self, text: impl Display) -> String {
        self.with("1", text)
    }

    pub(crate) fn faint(self, text: impl Display) -> String {
        self.with("2", text)
    }

    pub(crate) fn red(self, text: impl Display) -> String {
        self.with("31", text)
    }

    pub(crate) fn green(self, text: impl Display) -> String {
        self.with("32", text)
    }

    pub(crate) fn yellow(self, text: impl Display) -> String {
        self.with("33", text)
    }

    fn with(self, code: &str, text: impl Display) -> String {
        if self.is_on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_string() }
    }
}

fn wants_colour() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|kind| kind != "dumb")
}

/// A line on standard output. Whoever reads it may have gone away; that is no failure.
pub(crate) fn say(line: impl Display) {
    let mut out = stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

pub(crate) fn complain(why: &str) {
    let error = Paint::for_stderr().red("error:");
    let _ = writeln!(stderr().lock(), "{error} {why}");
}

/// A line on a terminal that the next one replaces; nothing where standard error is no terminal.
pub(crate) struct Progress {
    is_shown: bool,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self { is_shown: stderr().is_terminal() }
    }

    pub(crate) fn at(&self, what: impl Display) {
        if self.is_shown {
            let _ = write!(stderr().lock(), "\r\u{1b}[K{what}");
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.at("");
    }
}
