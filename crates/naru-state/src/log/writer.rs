//! The writing side, used by the keeper.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use rustix::pipe::{SpliceFlags, splice};

use super::{Entry, Stream};
use crate::record::now_ns;

/// A raw file that has grown past this many bytes is rotated away.
pub const ROTATE_AT: u64 = 10 << 20;

/// A log that somebody reads and is behind with grows to so many times that size before it is rotated.
const PATIENCE: u64 = 8;

/// The most that one call moves; a pipe holds 64 KiB by default.
const PIECE: usize = 1 << 20;

/// Where bytes come from.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a> {
    /// A FIFO: bytes are spliced.
    Pipe(BorrowedFd<'a>),
    /// A terminal's master, which cannot be spliced: bytes are read and written.
    Terminal(BorrowedFd<'a>),
}

/// Appends to one container's log.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    raw: fs::File,
    index: fs::File,
    /// Length of the raw file.
    end: u64,
    /// Length of the index.
    index_end: u64,
    /// What is in the raw file already and could not be indexed: the disk was full.
    owed: Option<Entry>,
}

impl Writer {
    /// Opens the log in `directory`, making it when there is none. Bytes that no entry covers (a writer was
    /// killed between the two) are indexed as output of `generation`.
    ///
    /// # Errors
    /// When the files cannot be opened or repaired.
    pub fn open(directory: &Path, generation: u16) -> io::Result<Self> {
        fs::create_dir_all(directory)?;
        let open = |name| {
            // Not in append mode: splice(2) refuses such files.
            fs::OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(directory.join(name))
        };
        let (raw, index) = (open("raw")?, open("index")?);
        let directory = directory.to_owned();
        let mut writer = Self { directory, raw, index, end: 0, index_end: 0, owed: None };
        writer.recover(generation)?;
        Ok(writer)
    }

    /// Removes the log of an earlier container in `directory`.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn clear(directory: &Path) -> io::Result<()> {
        match fs::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves what `source` has to give, without waiting. `Ok(0)` means that it had nothing or has ended.
    ///
    /// # Errors
    /// When the source fails other than by having nothing, or the disk does.
    pub fn take(
        &mut self,
        source: Source<'_>,
        stream: Stream,
        generation: u16,
    ) -> io::Result<usize> {
        self.settle()?;
        let length = match source {
            Source::Pipe(pipe) => self.splice(pipe)?,
            Source::Terminal(master) => self.copy(master)?,
        };
        if length > 0 {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.append(length, stream, generation)?;
            let is_too_large = self.end > ROTATE_AT * PATIENCE;
            if self.end > ROTATE_AT
                && (!self.is_read("index.1") || (is_too_large && !self.is_read("raw.1")))
            {
                self.rotate()?;
            }
        }
        Ok(length)
    }

    fn splice(&self, pipe: BorrowedFd<'_>) -> io::Result<usize> {
        let mut offset = self.end;
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(pipe, None, self.raw.as_fd(), Some(&mut offset), PIECE, flags) {
            Ok(length) => Ok(length),
            Err(rustix::io::Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn copy(&self, master: BorrowedFd<'_>) -> io::Result<usize> {
        let mut buffer = [0; 4096];
        let length = match rustix::io::read(master, &mut buffer) {
            Ok(length) => length,
            // EIO: no process has the terminal's other side open.
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::IO) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        let mut written = 0;
        while written < length {
            let at = self.end + written as u64;
            written += rustix::io::pwrite(self.raw.as_fd(), &buffer[written..length], at)?;
        }
        Ok(length)
    }

    fn append(&mut self, length: u32, stream: Stream, generation: u16) -> io::Result<()> {
        let entry = Entry { time_ns: now_ns(), offset: self.end, length, stream, generation };
        // The bytes are out of the pipe, whatever becomes of their entry.
        self.end = entry.end();
        self.owed = Some(entry);
        self.settle()
    }

    /// Writes the entry that is owed, over what an earlier try may have left of it.
    fn settle(&mut self) -> io::Result<()> {
        if let Some(entry) = &self.owed {
            self.index.file().write_all_at(&entry.to_bytes(), self.index_end)?;
            self.index_end += Entry::SIZE as u64;
            self.owed = None;
        }
        Ok(())
    }

    /// Whether the log is as large as it may become while somebody has not read what the next rotation would take away
    /// and must have it ([`Reader::exact`](super::Reader::exact)): what comes has to wait where it is.
    pub fn must_wait(&self) -> bool {
        self.end > ROTATE_AT * PATIENCE && self.is_read("raw.1")
    }

    /// Whether somebody still reads this file of the step that the next rotation would take away.
    fn is_read(&self, name: &str) -> bool {
        let last = fs::File::open(self.directory.join(name));
        last.is_ok_and(|last| {
            flock(&last, FlockOperation::NonBlockingLockExclusive)
                == Err(rustix::io::Errno::WOULDBLOCK)
        })
    }

    fn rotate(&mut self) -> io::Result<()> {
        for name in ["raw", "index"] {
            fs::rename(self.directory.join(name), self.directory.join(format!("{name}.1")))?;
        }
        *self = Self::open(&self.directory.clone(), 0)?;
        Ok(())
    }

    /// Positions the index behind its last whole entry, and covers what lies beyond it in the raw file.
    fn recover(&mut self, generation: u16) -> io::Result<()> {
        use std::io::{Read, Seek, SeekFrom};
        let size = Entry::SIZE as u64;
        let whole = self.index.metadata()?.len() / size * size;
        let length = self.raw.metadata()?.len();
        let mut indexed = 0;
        if whole > 0 {
            let mut bytes = [0; Entry::SIZE];
            self.index.seek(SeekFrom::Start(whole - size))?;
            self.index.read_exact(&mut bytes)?;
            indexed = Entry::from_bytes(&bytes).map_or(0, |entry| entry.end());
        }
        self.index.set_len(whole)?;
        self.index_end = whole;
        self.end = indexed.min(length);
        while self.end < length {
            let piece = u32::try_from(length - self.end).unwrap_or(u32::MAX);
            self.append(piece, Stream::Stdout, generation)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::log::Reader;

    #[test]
    fn what_cannot_be_indexed_on_a_full_disk_is_indexed_when_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path(), 1).unwrap();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let mut write = std::fs::File::from(write);
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let index = std::mem::replace(&mut writer.index, full);
        write.write_all(b"one\n").unwrap();
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap_err();
        write.write_all(b"two\n").unwrap();
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap_err();
        writer.index = index;
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
        let lines = Reader::new(directory.path()).read().unwrap();
        let texts: Vec<_> = lines.iter().map(|line| line.bytes.as_slice()).collect();
        assert_eq!(texts, [b"one", b"two"]);
    }
}
