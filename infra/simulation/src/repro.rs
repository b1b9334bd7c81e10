//! A run in a file: a plan that failed once and must not fail again, or one that shows a rare path and must go on to.

use std::collections::BTreeSet;
use std::path::{Path as File, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::coverage::Path;
use crate::fault::Fault;
use crate::outcome::Outcome;
use crate::plan::{Plan, Point};
use crate::script::Script;

const VERSION: u32 = 1;

/// A plan, and why it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repro {
    /// One sentence for people.
    pub shows: String,
    /// Told, and not drawn.
    plan: Plan,
    /// What did not hold when it was written.
    pub findings: Vec<String>,
    /// What it reaches.
    pub reaches: Vec<Path>,
}

/// As it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(rename = "version")]
    _version: u32,
    shows: String,
    /// A known-wrong variant of the code that the run was played with.
    planted: Option<String>,
    /// How long everything takes, and what happens to be drawn besides.
    seed: u64,
    #[serde(default)]
    findings: Vec<String>,
    #[serde(default)]
    reaches: Vec<Path>,
    #[serde(default)]
    forced: Vec<Forced>,
    #[serde(default)]
    shape: u64,
    #[serde(default)]
    muted: BTreeSet<Point>,
    script: Script,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Forced {
    at: Point,
    fault: Fault,
}

/// Read before the rest, since a file of another version may have other fields.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// A file that cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ReproError {
    #[error("{file}: {error}")]
    File { file: String, error: io::Error },
    #[error("{file} is no repro file: {error}")]
    Json { file: String, error: serde_json::Error },
    #[error("{file} is of version {version}, and this build reads version {VERSION}; shrink the seed again")]
    Version { file: String, version: u32 },
    #[error("{file} was played with the planted bug {name:?}, which this build does not have")]
    Planted { file: String, name: String },
}

impl Repro {
    /// A run that was played, told by what it came to.
    pub fn of(shows: String, plan: &Plan, outcome: &Outcome, reaches: Vec<Path>) -> Self {
        Self { shows, plan: plan.told(outcome), findings: outcome.findings.clone(), reaches }
    }

    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    pub fn read(file: &File) -> Result<Self, ReproError> {
        let name = file.display().to_string();
        let text = fs::read_to_string(file).map_err(|error| ReproError::File { file: name.clone(), error })?;
        Self::parse(&name, &text)
    }

    /// Reads what is written in a file of this name.
    pub fn parse(file: &str, text: &str) -> Result<Self, ReproError> {
        let json = |error| ReproError::Json { file: file.to_owned(), error };
        let Versioned { version } = serde_json::from_str(text).map_err(json)?;
        if version != VERSION {
            return Err(ReproError::Version { file: file.to_owned(), version });
        }
        let written: Written = serde_json::from_str(text).map_err(json)?;
        let Written { shows, planted, seed, findings, reaches, forced, shape, muted, script, .. } = written;
        let forced = forced.into_iter().map(|Forced { at, fault }| (at, fault)).collect();
        let plan = Plan { script: Some(Arc::new(script)), muted, forced, shape, ..Plan::of(seed) };
        let plan = match planted {
            None => plan,
            Some(name) => plan.with_bug(&name).ok_or_else(|| ReproError::Planted { file: file.to_owned(), name })?,
        };
        Ok(Self { shows, plan, findings, reaches })
    }

    /// In the order in which it is read best, and what fits into a line in one.
    pub fn to_json(&self) -> String {
        let Plan { seed, muted, forced, shape, script, .. } = &self.plan;
        let forced: Vec<Value> = forced.iter().map(|(at, fault)| json!({ "at": at, "fault": fault })).collect();
        let script = script.as_deref().cloned().unwrap_or_default();
        let fields = [
            ("version", json!(VERSION), true),
            ("shows", json!(self.shows), true),
            ("planted", json!(self.plan.bug()), self.plan.bug().is_some()),
            ("seed", json!(seed), true),
            ("findings", json!(self.findings), !self.findings.is_empty()),
            ("reaches", json!(self.reaches), !self.reaches.is_empty()),
            ("forced", json!(forced), !forced.is_empty()),
            ("shape", json!(shape), *shape > 0),
            ("muted", json!(muted), !muted.is_empty()),
            ("script", json!(script), true),
        ];
        let lines = fields.iter().filter(|(.., is_said)| *is_said);
        let lines: Vec<String> = lines.map(|(name, value, _)| format!("  {name:?}: {}", laid_out(value, 1))).collect();
        format!("{{\n{}\n}}\n", lines.join(",\n"))
    }

    /// Writes it into the directory, beside what is there already: a regression is never overwritten.
    pub fn write(&self, directory: &File) -> Result<PathBuf, ReproError> {
        let text = self.to_json();
        let failed = |file: &File| {
            let file = file.display().to_string();
            move |error| ReproError::File { file, error }
        };
        fs::create_dir_all(directory).map_err(failed(directory))?;
        let stem = match self.reaches.first() {
            Some(path) => path.name().replace(|c: char| !c.is_ascii_alphanumeric(), "-"),
            None => self.plan.seed.to_string(),
        };
        let mut file = directory.join(format!("{stem}.json"));
        let mut number = 1;
        while file.exists() && fs::read_to_string(&file).map_err(failed(&file))? != text {
            number += 1;
            file = directory.join(format!("{stem}-{number}.json"));
        }
        fs::write(&file, text).map_err(failed(&file))?;
        Ok(file)
    }
}

fn laid_out(value: &Value, depth: usize) -> String {
    const WIDTH: usize = 100;
    let in_one = value.to_string();
    let (open, close, inner): (char, char, Vec<String>) = match value {
        _ if in_one.len() + 2 * depth <= WIDTH => return in_one,
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name:?}: {}", laid_out(value, depth + 1));
            ('{', '}', fields.iter().map(field).collect())
        }
        Value::Array(list) => ('[', ']', list.iter().map(|one| laid_out(one, depth + 1)).collect()),
        _ => return in_one,
    };
    let (margin, end) = ("  ".repeat(depth + 1), "  ".repeat(depth));
    format!("{open}\n{margin}{}\n{end}{close}", inner.join(&format!(",\n{margin}")))
}

/// All files of a directory, in the order of their names.
pub fn all(directory: &File) -> Result<Vec<(PathBuf, Repro)>, ReproError> {
    let failed = |error| ReproError::File { file: directory.display().to_string(), error };
    let entries: Vec<PathBuf> =
        fs::read_dir(directory).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect()).map_err(failed)?;
    let files: BTreeSet<PathBuf> =
        entries.into_iter().filter(|file| file.extension().is_some_and(|e| e == "json")).collect();
    files.into_iter().map(|file| Repro::read(&file).map(|repro| (file, repro))).collect()
}
