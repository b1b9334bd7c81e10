//! The seeds by which each bug was found before. They stand beside the code, and grow stale as it changes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::planted::{Bug, MARKER};
use serde::{Deserialize, Serialize};

use super::search::{Found, finding};
use super::{Row, say};
use crate::command::Arguments;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Known(BTreeMap<String, Vec<u64>>);

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("planted.json")
}

impl Known {
    pub(super) fn read() -> Result<Self, String> {
        let text = std::fs::read_to_string(path()).map_err(|error| format!("{}: {error}", path().display()))?;
        serde_json::from_str(&text).map_err(|error| format!("{}: {error}", path().display()))
    }

    pub(super) fn read_if_any() -> Result<Self, String> {
        if path().exists() { Self::read() } else { Ok(Self::default()) }
    }

    pub(super) fn keep(&mut self, bug: Bug, seeds: &[u64]) {
        self.0.retain(|name, _| Bug::ALL.iter().any(|bug| bug.name() == name));
        self.0.insert(bug.name().to_owned(), seeds.to_vec());
    }

    pub(super) fn write(&self) -> Result<(), String> {
        let lines: Vec<String> = self.0.iter().map(|(name, seeds)| format!("  \"{name}\": {seeds:?}")).collect();
        let text = format!("{{\n{}\n}}\n", lines.join(",\n"));
        std::fs::write(path(), text).map_err(|error| format!("{}: {error}", path().display()))
    }

    fn of(&self, bug: Bug) -> &[u64] {
        self.0.get(bug.name()).map_or(&[], Vec::as_slice)
    }
}

/// Plays the known seeds of each bug, until one of them finds it.
pub(super) fn replay(arguments: &Arguments, bugs: &[Bug]) -> Result<Vec<Row>, String> {
    is_marked()?;
    let known = Known::read()?;
    let mut rows = Vec::new();
    for bug in bugs {
        let mut row = Row { bug: *bug, seeds: 0, found: None };
        for seed in known.of(*bug) {
            row.seeds += 1;
            if let Some(says) = finding(*bug, *seed)? {
                row.found = Some(Found { by: vec![*seed], says });
                break;
            }
        }
        say(arguments, || match (&row.found, known.of(*bug)) {
            (Some(found), _) => format!("{} by seed {}", bug.name(), found.by[0]),
            (None, []) => format!("{} has NO KNOWN SEED", bug.name()),
            (None, seeds) => format!("{} is NOT FOUND by {seeds:?}", bug.name()),
        });
        rows.push(row);
    }
    Ok(rows)
}

/// Other builds are shown to have no bugs by looking for these words in their binary. That says something only because
/// they are in this one.
fn is_marked() -> Result<(), String> {
    let program = std::env::current_exe().and_then(std::fs::read);
    let program = program.map_err(|error| format!("this program cannot read itself: {error}"))?;
    let text = String::from_utf8_lossy(&program);
    let holds = |words: &str| text.contains(words);
    match std::iter::once(MARKER).chain(Bug::ALL.iter().map(|bug| bug.name())).find(|words| !holds(words)) {
        None => Ok(()),
        Some(words) => Err(format!("{words:?} is not in this program, so that it is not in another says nothing")),
    }
}
