//! A run in a file: a plan that failed once and must not fail again, or one that shows a rare path and must go on to.

use std::collections::BTreeSet;
use std::path::{Path as File, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::coverage::Path;
use crate::fault::Fault;
use crate::plan::{Part, Plan, Point};

const VERSION: u32 = 1;

/// A plan, and why it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repro {
    /// One sentence for people.
    pub shows: String,
    pub plan: Plan,
    /// What did not hold when it was written.
    pub findings: Vec<String>,
    /// What it reaches.
    pub reaches: Vec<Path>,
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    shows: String,
    seed: u64,
    /// A known-wrong variant of the code that the run was played with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    planted: Option<String>,
    #[serde(default, skip_serializing_if = "is_not")]
    calm: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    off: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    muted: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    forced: Vec<Forced>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dropped: Vec<(usize, u64)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    thinned: Vec<(usize, u64, usize)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    findings: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reaches: Vec<String>,
}

/// In the order in which they are read best.
const FIELDS: [&str; 12] = [
    "version", "shows", "seed", "planted", "calm", "off", "muted", "forced", "dropped", "thinned", "findings",
    "reaches",
];

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Forced {
    at: String,
    fault: String,
}

/// Read before the rest, since a file of another version may have other fields.
#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
const fn is_not(flag: &bool) -> bool {
    !*flag
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
    #[error("{file}: {name:?} is no {what}; this build knows {known}")]
    Unknown { file: String, what: &'static str, name: String, known: String },
    #[error("{file} was played with the planted bug {name:?}, which this build does not have")]
    Planted { file: String, name: String },
}

impl Repro {
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
        if let Some(name) = written.planted {
            return Err(ReproError::Planted { file: file.to_owned(), name });
        }
        let unknown = |what, name: &str, known: Vec<&str>| ReproError::Unknown {
            file: file.to_owned(),
            what,
            name: name.to_owned(),
            known: known.join(", "),
        };
        let part = |name: &String| {
            Part::named(name).ok_or_else(|| unknown("part of a run", name, Part::ALL.map(Part::name).to_vec()))
        };
        let fault = |forced: &Forced| {
            let known = || Fault::ALL.iter().map(|fault| fault.name()).collect();
            let fault = Fault::named(&forced.fault).ok_or_else(|| unknown("fault", &forced.fault, known()))?;
            Ok((Point::read(&forced.at), fault))
        };
        let path = |name: &String| {
            let known = || Path::ALL.iter().map(|path| path.name()).collect();
            Path::named(name).ok_or_else(|| unknown("path", name, known()))
        };
        let plan = Plan {
            seed: written.seed,
            off: written.off.iter().map(part).collect::<Result<_, _>>()?,
            muted: written.muted.iter().map(|at| Point::read(at)).collect(),
            dropped: written.dropped.into_iter().collect(),
            thinned: written.thinned.into_iter().collect(),
            forced: written.forced.iter().map(fault).collect::<Result<_, _>>()?,
            is_calm: written.calm,
            traced: false,
        };
        let reaches = written.reaches.iter().map(path).collect::<Result<_, _>>()?;
        Ok(Self { shows: written.shows, plan, findings: written.findings, reaches })
    }

    pub fn to_json(&self) -> String {
        let Plan { seed, off, muted, dropped, thinned, forced, is_calm, traced: _ } = &self.plan;
        let written = Written {
            version: VERSION,
            shows: self.shows.clone(),
            seed: *seed,
            planted: None,
            calm: *is_calm,
            off: off.iter().map(|part| part.name().to_owned()).collect(),
            muted: muted.iter().map(Point::to_string).collect(),
            forced: forced
                .iter()
                .map(|(at, fault)| Forced { at: at.to_string(), fault: fault.name().to_owned() })
                .collect(),
            dropped: dropped.iter().copied().collect(),
            thinned: thinned.iter().copied().collect(),
            findings: self.findings.clone(),
            reaches: self.reaches.iter().map(|path| path.name().to_owned()).collect(),
        };
        let fields = serde_json::to_value(&written).expect("text and numbers are JSON");
        let line = |name: &&str| Some(format!("  {name:?}: {}", in_lines(fields.get(*name)?)));
        let lines: Vec<String> = FIELDS.iter().filter_map(line).collect();
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

/// A list with what has a name line by line, and numbers in one.
fn in_lines(value: &Value) -> String {
    match value {
        Value::Array(list) if list.iter().any(|one| !one.is_array()) => {
            let lines: Vec<String> = list.iter().map(|one| format!("    {one}")).collect();
            format!("[\n{}\n  ]", lines.join(",\n"))
        }
        value => value.to_string(),
    }
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
