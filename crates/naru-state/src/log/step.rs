//! A step of a log on disk: `raw.N` and `index.N`.
//!
//! The raw file is made first and the header written at once, so whoever sees a whole header sees a whole step.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use fs_err as fs;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};

use super::{Entry, Stream};
use crate::atomic::naming;

/// What an index begins with. Bytes 8–15 count the bytes of the log before the step; byte 16 says that a container's
/// log begins here; byte 17 is the stream that the writer turned to last.
const MAGIC: [u8; 8] = *b"narulog2";

/// Bytes of the header: as many as of an entry.
pub(super) const HEADER: u64 = Entry::SIZE as u64;

/// How many bytes of an index are read at once.
const CHUNK: u64 = 128 * Entry::SIZE as u64;

/// The header of an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Bytes of the log before this step.
    pub(super) base: u64,
    /// The first step of a container.
    pub(super) is_first: bool,
    /// Whose bytes those are that no entry covers.
    pub(super) hint: Stream,
}

/// An open step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) number: u64,
    pub(super) header: Header,
    pub(super) raw: OwnedFile,
    pub(super) index: OwnedFile,
}

/// A file of a step, opened without following links.
pub(super) type OwnedFile = std::fs::File;

impl Header {
    fn to_bytes(self) -> [u8; Entry::SIZE] {
        let mut bytes = [0; Entry::SIZE];
        bytes[0..8].copy_from_slice(&MAGIC);
        bytes[8..16].copy_from_slice(&self.base.to_le_bytes());
        bytes[16] = self.is_first.into();
        bytes[17] = self.hint.to_byte();
        bytes
    }

    fn read(index: &OwnedFile) -> io::Result<Option<Self>> {
        let mut bytes = [0; Entry::SIZE];
        match index.read_exact_at(&mut bytes, 0) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
            read => read?,
        }
        if bytes[..8] != MAGIC {
            return Ok(None);
        }
        let mut base = [0; 8];
        base.copy_from_slice(&bytes[8..16]);
        let hint = Stream::from_byte(bytes[17]).unwrap_or(Stream::Stdout);
        Ok(Some(Self { base: u64::from_le_bytes(base), is_first: bytes[16] == 1, hint }))
    }
}

impl Step {
    /// Opens a step for reading; nothing when it is not there, or not yet.
    pub(super) fn open(directory: &Path, number: u64) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY;
        let (raw, index) =
            (file(directory, "raw", number, flags), file(directory, "index", number, flags));
        let (Some(raw), Some(index)) = (found(raw)?, found(index)?) else { return Ok(None) };
        let Some(header) = Header::read(&index)? else { return Ok(None) };
        Ok(Some(Self { number, header, raw, index }))
    }

    /// Opens a step for writing. One whose header was never written begins after `base` bytes.
    pub(super) fn open_for_writing(directory: &Path, number: u64, base: u64) -> io::Result<Self> {
        // Not in append mode: splice(2) refuses such files.
        let flags = OFlags::RDWR | OFlags::CREATE;
        let raw = file(directory, "raw", number, flags)?;
        let index = file(directory, "index", number, flags)?;
        let header = match Header::read(&index)? {
            Some(header) => header,
            None => {
                Self::begin(&index, Header { base, is_first: number == 1, hint: Stream::Stdout })?
            }
        };
        Ok(Self { number, header, raw, index })
    }

    /// Makes a step, or makes anew one that was never finished.
    pub(super) fn create(directory: &Path, number: u64, header: Header) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC;
        let raw = file(directory, "raw", number, flags)?;
        let index = file(directory, "index", number, flags)?;
        let header = Self::begin(&index, header).map_err(|error| naming(directory, error))?;
        Ok(Self { number, header, raw, index })
    }

    fn begin(index: &OwnedFile, header: Header) -> io::Result<Header> {
        index.write_all_at(&header.to_bytes(), 0)?;
        Ok(header)
    }

    /// Writes down whose bytes come next.
    pub(super) fn set_hint(&mut self, hint: Stream) -> io::Result<()> {
        if self.header.hint != hint {
            self.index.write_all_at(&[hint.to_byte()], 17)?;
            self.header.hint = hint;
        }
        Ok(())
    }

    /// Tells the writer that this step is being read, for as long as it is open.
    pub(super) fn hold(&self) {
        // Where that cannot be said it is read all the same.
        let _told = flock(self.index.as_fd(), FlockOperation::NonBlockingLockShared);
    }

    /// Tells the writer too that this step, and what comes after it, must not go before it has been read.
    pub(super) fn hold_fast(&self) {
        let _told = flock(self.raw.as_fd(), FlockOperation::NonBlockingLockShared);
    }

    /// Whether the step is still in the log, under its name.
    pub(super) fn is_in(&self, directory: &Path) -> bool {
        let (Ok(own), Ok(there)) = (
            self.index.metadata(),
            fs::symlink_metadata(directory.join(name("index", self.number))),
        ) else {
            return false;
        };
        (own.dev(), own.ino()) == (there.dev(), there.ino())
    }

    /// Where the last whole entry of the index ends.
    pub(super) fn index_end(&self) -> io::Result<u64> {
        Ok(self.index.metadata()?.len().max(HEADER) / HEADER * HEADER)
    }

    /// Some entries from `position` on, none at the end. What is no entry is passed over.
    pub(super) fn entries(&self, position: u64) -> io::Result<Vec<Option<Entry>>> {
        let mut bytes = vec![0; usize::try_from(CHUNK).unwrap_or(usize::MAX)];
        let mut length = 0;
        while length < bytes.len() {
            match self.index.read_at(&mut bytes[length..], position + length as u64)? {
                0 => break,
                read => length += read,
            }
        }
        Ok(Entry::all(&bytes[..length]).collect())
    }

    /// The entries before `end`, the last one first, each with its position in the index. An error ends them.
    pub(super) fn entries_before(
        &self,
        end: u64,
    ) -> impl Iterator<Item = io::Result<(u64, Entry)>> {
        let mut end = end;
        let mut chunk: Vec<(u64, Option<Entry>)> = Vec::new();
        std::iter::from_fn(move || {
            loop {
                match chunk.pop() {
                    Some((position, Some(entry))) => return Some(Ok((position, entry))),
                    Some((_, None)) => {}
                    None if end <= HEADER => return None,
                    None => {
                        let begin = end.saturating_sub(CHUNK).max(HEADER);
                        let entries = match self.entries(begin) {
                            Ok(entries) => entries,
                            Err(error) => {
                                end = HEADER;
                                return Some(Err(error));
                            }
                        };
                        let positions = (begin..end).step_by(Entry::SIZE);
                        chunk = positions.zip(entries).collect();
                        end = begin;
                    }
                }
            }
        })
    }

    /// The last byte of an entry's piece; nothing when it is not in the file.
    pub(super) fn last_byte(&self, entry: &Entry) -> io::Result<Option<u8>> {
        let mut byte = [0];
        let Some(last) = entry.end().checked_sub(1).filter(|_| !entry.is_lost && entry.length > 0)
        else {
            return Ok(None);
        };
        Ok((self.raw.read_at(&mut byte, last)? == 1).then_some(byte[0]))
    }
}

/// Whether somebody reads this step.
pub(super) fn is_read(directory: &Path, number: u64) -> bool {
    is_locked(file(directory, "index", number, OFlags::RDONLY))
}

/// Whether somebody does who must have all of it.
pub(super) fn is_held_fast(directory: &Path, number: u64) -> bool {
    is_locked(file(directory, "raw", number, OFlags::RDONLY))
}

fn is_locked(file: io::Result<OwnedFile>) -> bool {
    file.is_ok_and(|file| {
        flock(file.as_fd(), FlockOperation::NonBlockingLockExclusive)
            == Err(rustix::io::Errno::WOULDBLOCK)
    })
}

/// Removes a step: first what makes it one.
pub(super) fn remove(directory: &Path, number: u64) -> io::Result<()> {
    for kind in ["index", "raw"] {
        match fs::remove_file(directory.join(name(kind, number))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The numbers of the steps in `directory`, in their order; none when it is not there.
pub(super) fn numbers(directory: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix("index."));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn name(kind: &str, number: u64) -> String {
    format!("{kind}.{number}")
}

fn file(directory: &Path, kind: &str, number: u64, flags: OFlags) -> io::Result<OwnedFile> {
    let path = directory.join(name(kind, number));
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = rustix::fs::open(&path, flags, Mode::RUSR | Mode::WUSR);
    let opened: OwnedFd = opened.map_err(|errno| naming(&path, errno))?;
    Ok(opened.into())
}

fn found(file: io::Result<OwnedFile>) -> io::Result<Option<OwnedFile>> {
    match file {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
