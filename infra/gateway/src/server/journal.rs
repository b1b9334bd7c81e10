//! The file that the book is written to, line by line, each handed to the system before it is answered for: what a
//! process that was killed had said is there.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

pub(super) struct Journal {
    file: File,
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
        let mut journal = Self { file: File::create(&fresh)? };
        journal.write(lines)?;
        std::fs::rename(&fresh, path)?;
        Ok(Self { file: OpenOptions::new().append(true).open(path)? })
    }

    pub(super) fn write(&mut self, lines: &[String]) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let mut text = lines.join("\n");
        text.push('\n');
        self.file.write_all(text.as_bytes())
    }
}
