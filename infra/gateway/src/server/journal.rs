//! The file that the book is written to, line by line, each handed to the system before it is answered for: what a
//! process that was killed had said is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Whether something is missing in it, or half a line too many.
    is_behind: bool,
}

/// A file that is not there says nothing.
pub(super) fn read(path: &Path) -> io::Result<String> {
    match std::fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read,
    }
}

impl Journal {
    /// Puts `lines` in the place of all that it held, and takes what comes after them. Whenever it is interrupted, there
    /// is either what was there or what is to be.
    pub(super) fn begin(path: &Path, lines: &[String]) -> io::Result<Self> {
        let fresh = path.with_extension("fresh");
        append(&mut File::create(&fresh)?, lines)?;
        std::fs::rename(&fresh, path)?;
        Ok(Self { path: path.to_owned(), file: OpenOptions::new().append(true).open(path)?, is_behind: false })
    }

    /// Once a write has failed, the next begins anew with the `whole` book.
    pub(super) fn write(&mut self, lines: &[String], whole: impl FnOnce() -> Vec<String>) -> io::Result<()> {
        if self.is_behind {
            *self = Self::begin(&self.path, &whole())?;
            return Ok(());
        }
        let written = append(&mut self.file, lines);
        self.is_behind = written.is_err();
        written
    }
}

fn append(file: &mut File, lines: &[String]) -> io::Result<()> {
    if lines.is_empty() {
        return Ok(());
    }
    let mut text = lines.join("\n");
    text.push('\n');
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn after_a_write_that_failed_the_whole_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("gateway.jsonl");
        let mut journal = Journal::begin(&path, &lines(&["a"])).unwrap();
        journal.write(&lines(&["b"]), || panic!("it has all before")).unwrap();
        assert_eq!(read(&path).unwrap(), "a\nb\n");
        // What is open for reading only takes nothing.
        journal.file = File::open(&path).unwrap();
        assert!(journal.write(&lines(&["c"]), Vec::new).is_err());
        journal.write(&lines(&["d"]), || lines(&["a", "b", "c", "d"])).unwrap();
        journal.write(&lines(&["e"]), || panic!("it has all before")).unwrap();
        assert_eq!(read(&path).unwrap(), "a\nb\nc\nd\ne\n");
        assert_eq!(read(&directory.path().join("none")).unwrap(), "");
    }
}
