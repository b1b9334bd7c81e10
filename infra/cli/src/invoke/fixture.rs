//! Which function is meant, and which event.

use std::io::Read;
use std::path::{Path, PathBuf};

use local_cloud::stack::{Function, Stack};
use serde_json::Value;

use crate::failure::Failure;

/// Where the fixtures are, seen from the root of the repository.
const EVENTS: &str = "events";

pub(super) fn function<'a>(stack: &'a Stack, name: &str) -> Result<&'a Function, Failure> {
    let named = |function: &&Function| function.handler == name || function.logical_id == name;
    stack.functions.iter().find(named).ok_or_else(|| {
        let known: Vec<_> = stack.functions.iter().map(|function| function.handler.as_str()).collect();
        Failure::Usage(format!("there is no function {name:?}; there are {}", known.join(", ")))
    })
}

pub(super) fn read(file: Option<&Path>, handler: &str) -> Result<Value, Failure> {
    let only;
    let file = match file {
        Some(file) => file,
        None => {
            only = only_one(Path::new(EVENTS), handler)?;
            &only
        }
    };
    let (name, bytes) = if file == Path::new("-") {
        let mut bytes = Vec::new();
        let read = std::io::stdin().lock().read_to_end(&mut bytes).map(|_| bytes);
        ("standard input".to_owned(), read)
    } else {
        (file.display().to_string(), std::fs::read(file))
    };
    let bytes = bytes.map_err(|error| {
        Failure::Usage(format!("{name} cannot be read: {error}\nname a file with an event, or - for standard input"))
    })?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::Usage(format!("{name} is no JSON: {error}")))
}

/// `place-order.json`; or the one `sweep.something.json` where there is one alone.
fn only_one(folder: &Path, handler: &str) -> Result<PathBuf, Failure> {
    let exactly = folder.join(format!("{handler}.json"));
    if exactly.is_file() {
        return Ok(exactly);
    }
    let beginning = format!("{handler}.");
    let files = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<PathBuf> = files
        .filter(|file| {
            let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.starts_with(&beginning) && name.ends_with(".json")
        })
        .collect();
    files.sort();
    match &files[..] {
        [file] => Ok(file.clone()),
        [] => Err(Failure::Usage(format!(
            "there is no {} here\nname a file with an event, or - for standard input",
            exactly.display()
        ))),
        several => {
            let several: Vec<_> = several.iter().map(|file| format!("  {}", file.display())).collect();
            Err(Failure::Usage(format!("{handler} has several events; name one of them:\n{}", several.join("\n"))))
        }
    }
}
