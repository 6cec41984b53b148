//! Reading every byte as it came: for who is attached to a container.

use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::reader::first_step;
use super::step::{HEADER, Step};
use super::{Entry, Stream};

/// About how much is given at once.
const ENOUGH: usize = 1 << 20;

/// What came from one stream, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where it came from.
    pub stream: Stream,
    /// Which start of the container wrote it.
    pub generation: u16,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Reads one container's log byte for byte. The writer keeps what this one has not read: where that would become too
/// much, it waits ([`Writer::must_wait`](super::Writer::must_wait)).
#[derive(Debug)]
pub struct Exact {
    directory: PathBuf,
    step: Option<Step>,
    position: u64,
}

impl Exact {
    /// A reader of the log in `directory`, which need not exist yet, from the beginning of the last container's.
    pub fn new(directory: &Path) -> Self {
        Self { directory: directory.to_owned(), step: None, position: HEADER }
    }

    /// Passes over what is there: only what comes from now on is given.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn skip_to_end(&mut self) -> io::Result<()> {
        while self.turn_over()? {}
        if let Some(step) = &self.step {
            self.position = step.index_end()?;
        }
        Ok(())
    }

    /// What came since the last call, at most about 1 MiB of it; nothing when all has been given.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn pieces(&mut self) -> io::Result<Vec<Piece>> {
        let (mut pieces, mut length) = (Vec::new(), 0);
        loop {
            // Looked for first: what came before the next step was there belongs to this one.
            let next = self.next_step()?;
            length += self.read(&mut pieces, ENOUGH - length)?;
            match next {
                _ if length >= ENOUGH => return Ok(pieces),
                Some(next) if self.is_at_end()? => self.go_to(next),
                Some(_) => {}
                None => return Ok(pieces),
            }
        }
    }

    fn read(&mut self, pieces: &mut Vec<Piece>, enough: usize) -> io::Result<usize> {
        let Some(step) = &self.step else { return Ok(0) };
        let mut length = 0;
        loop {
            let entries = step.entries(self.position)?;
            if entries.is_empty() {
                return Ok(length);
            }
            for entry in entries {
                if length >= enough {
                    return Ok(length);
                }
                self.position += Entry::SIZE as u64;
                let Some(entry) = entry.filter(|entry| !entry.is_lost) else { continue };
                let mut bytes = vec![0; entry.length as usize];
                step.raw.read_exact_at(&mut bytes, entry.offset)?;
                length += bytes.len();
                let Entry { stream, generation, .. } = entry;
                pieces.push(Piece { stream, generation, bytes });
            }
        }
    }

    fn is_at_end(&self) -> io::Result<bool> {
        let Some(step) = &self.step else { return Ok(true) };
        Ok(self.position >= step.index_end()?)
    }

    fn next_step(&self) -> io::Result<Option<Step>> {
        match &self.step {
            Some(step) => Step::open(&self.directory, step.number + 1),
            None => first_step(&self.directory),
        }
    }

    fn turn_over(&mut self) -> io::Result<bool> {
        let Some(next) = self.next_step()? else { return Ok(false) };
        self.go_to(next);
        Ok(true)
    }

    fn go_to(&mut self, next: Step) {
        next.hold();
        next.hold_fast();
        self.position = HEADER;
        self.step = Some(next);
    }
}
