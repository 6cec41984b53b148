//! The writing side, used by the keeper.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::pipe::{SpliceFlags, splice};

use super::step::{self, HEADER, Header, Step};
use super::{Entry, Limits, Stream};
use crate::atomic::naming;
use crate::record::now_ns;

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

/// What a writer has taken and not written, since there was no room.
#[derive(Debug, Default)]
pub struct Left {
    /// What was read from a terminal, which gives it once only.
    pub(super) held: Vec<u8>,
    /// Bytes that were thrown away and of which the log does not tell yet.
    pub(super) lost: u64,
}

impl Left {
    /// Takes what `source` has to give, keeps none of it, and counts it.
    ///
    /// # Errors
    /// When the source fails other than by having nothing.
    pub fn throw_away(&mut self, source: Source<'_>) -> io::Result<usize> {
        let length = throw_away(source)?;
        self.lost += length as u64;
        Ok(length)
    }
}

/// Appends to one container's log.
#[derive(Debug)]
pub struct Writer {
    directory: PathBuf,
    limits: Limits,
    pub(super) step: Step,
    /// Length of the raw file.
    pub(super) end: u64,
    /// Length of the index.
    index_end: u64,
    /// What is in the raw file already and could not be indexed: the disk was full.
    owed: Option<Entry>,
    /// What has not been written yet.
    left: Left,
    /// There is more than there should be, for somebody who must have all of it.
    is_too_large: bool,
}

impl Writer {
    /// Opens the log in `directory`, making it when there is none. Bytes that no entry covers (a writer was
    /// killed between the two) are indexed as output of `generation`.
    ///
    /// # Errors
    /// When the files cannot be opened or repaired.
    pub fn open(directory: &Path, limits: Limits, generation: u16) -> io::Result<Self> {
        make(directory)?;
        let numbers = step::numbers(directory)?;
        let last = numbers.last().copied().unwrap_or(1);
        // Only wanted when a step was made and its header was not written any more.
        let base = match last.checked_sub(1).filter(|before| numbers.contains(before)) {
            Some(before) => end_of(directory, before)?,
            None => 0,
        };
        Self::open_step(directory, limits, (last, base), generation)
    }

    /// Opens this step; one that is not there yet begins after `base` bytes.
    pub(super) fn open_step(
        directory: &Path,
        limits: Limits,
        (number, base): (u64, u64),
        generation: u16,
    ) -> io::Result<Self> {
        let step = Step::open_for_writing(directory, number, base)?;
        let directory = directory.to_owned();
        let mut writer = Self {
            directory,
            limits,
            step,
            end: 0,
            index_end: 0,
            owed: None,
            left: Left::default(),
            is_too_large: false,
        };
        writer.recover(generation)?;
        Ok(writer)
    }

    /// Goes on with what another writer has left.
    pub fn resume(&mut self, left: Left) {
        self.left.held.splice(0..0, left.held);
        self.left.lost += left.lost;
    }

    /// Gives up: what is left is somebody else's to write.
    ///
    /// # Errors
    /// When the file cannot be cut to what is whole in it.
    pub fn leave(&mut self) -> io::Result<Left> {
        self.step.raw.set_len(self.end)?;
        Ok(std::mem::take(&mut self.left))
    }

    /// Bytes of the log.
    pub(super) fn position(&self) -> u64 {
        self.step.header.base + self.end
    }

    /// Begins the log of a new container in `directory`: what is there of earlier ones is removed, but for what
    /// somebody is just reading, which goes later.
    ///
    /// # Errors
    /// When the files cannot be made or removed.
    pub fn begin(directory: &Path) -> io::Result<()> {
        make(directory)?;
        let numbers = step::numbers(directory)?;
        let last = numbers.last().copied().unwrap_or_default();
        let base = if last > 0 { end_of(directory, last)? } else { 0 };
        let header = Header { base, is_first: true, hint: Stream::Stdout };
        Step::create(directory, last + 1, header)?;
        let window = Limits { steps: 1, ..Limits::default() };
        prune(directory, last + 1, window).map(drop)
    }

    /// Removes the log in `directory`.
    ///
    /// # Errors
    /// When it is there and cannot be removed.
    pub fn clear(directory: &Path) -> io::Result<()> {
        match fs_err::remove_dir_all(directory) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Whether the log is as large as it may become while somebody has not read what would be removed next and must have
    /// it ([`Exact`](super::Exact)): what comes has to wait where it is.
    pub fn must_wait(&mut self) -> bool {
        if self.is_too_large {
            let pruned = prune(&self.directory, self.step.number, self.limits);
            self.is_too_large = pruned.unwrap_or(true);
        }
        self.is_too_large
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
        self.with_room(|writer| writer.try_take(source, stream, generation))
    }

    /// Writes what is left of earlier, where nothing more comes.
    ///
    /// # Errors
    /// When there is no room for it.
    pub fn finish(&mut self, generation: u16) -> io::Result<()> {
        self.settle()?;
        self.write_held(Stream::Stdout, generation)?;
        self.tell_of_lost(Stream::Stdout, generation)
    }

    /// Does something again and again, as long as room can be made for it.
    pub(super) fn with_room<T>(
        &mut self,
        mut act: impl FnMut(&mut Self) -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match act(self) {
                Err(error) if is_full(&error) && self.make_room()? => {}
                done => return done,
            }
        }
    }

    fn try_take(
        &mut self,
        source: Source<'_>,
        stream: Stream,
        generation: u16,
    ) -> io::Result<usize> {
        self.settle()?;
        self.tell_of_lost(stream, generation)?;
        self.step.set_hint(stream)?;
        let length = match source {
            Source::Pipe(pipe) => self.splice(pipe)?,
            Source::Terminal(master) => {
                if self.left.held.is_empty() {
                    self.left.held = read_terminal(master)?;
                }
                return self.write_held(stream, generation);
            }
        };
        self.append_new(length, stream, generation)
    }

    /// Writes what was read from a terminal; it stays where it is when there is no room.
    fn write_held(&mut self, stream: Stream, generation: u16) -> io::Result<usize> {
        self.step.raw.write_all_at(&self.left.held, self.end)?;
        let length = std::mem::take(&mut self.left.held).len();
        self.append_new(length, stream, generation)
    }

    /// Throws away what `source` has to give: for a log that cannot be written and a container that must not wait.
    ///
    /// # Errors
    /// When the source fails other than by having nothing.
    pub fn throw_away(&mut self, source: Source<'_>) -> io::Result<usize> {
        self.left.throw_away(source)
    }

    fn splice(&self, pipe: BorrowedFd<'_>) -> io::Result<usize> {
        let mut offset = self.end;
        let flags = SpliceFlags::NONBLOCK | SpliceFlags::MOVE;
        match splice(pipe, None, self.step.raw.as_fd(), Some(&mut offset), PIECE, flags) {
            Ok(length) => Ok(length),
            Err(Errno::AGAIN) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    fn append_new(&mut self, length: usize, stream: Stream, generation: u16) -> io::Result<usize> {
        if length > 0 {
            self.append(entry(length as u64, stream, generation))?;
            self.rotate_if_full()?;
        }
        Ok(length)
    }

    /// Appends an entry for what has just come to the end of the raw file.
    pub(super) fn append(&mut self, entry: Entry) -> io::Result<()> {
        let entry = Entry { offset: self.end, ..entry };
        // The bytes are out of the pipe, whatever becomes of their entry.
        self.end = entry.end();
        self.owed = Some(entry);
        self.settle()
    }

    /// Begins another step when this one is as large as it may be.
    pub(super) fn rotate_if_full(&mut self) -> io::Result<()> {
        if self.end + self.index_end > self.limits.step { self.rotate() } else { Ok(()) }
    }

    /// Writes the entry that is owed, over what an earlier try may have left of it.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        if let Some(entry) = &self.owed {
            self.step.index.write_all_at(&entry.to_bytes(), self.index_end)?;
            self.index_end += Entry::SIZE as u64;
            self.owed = None;
        }
        Ok(())
    }

    fn tell_of_lost(&mut self, stream: Stream, generation: u16) -> io::Result<()> {
        while self.left.lost > 0 {
            let length = u32::try_from(self.left.lost).unwrap_or(u32::MAX);
            let (time_ns, offset) = (now_ns(), self.end);
            let entry = Entry { time_ns, offset, length, stream, is_lost: true, generation };
            self.step.index.write_all_at(&entry.to_bytes(), self.index_end)?;
            self.index_end += Entry::SIZE as u64;
            self.left.lost -= u64::from(length);
        }
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        let base = self.step.header.base + self.end;
        let header = Header { base, is_first: false, hint: self.step.header.hint };
        self.step = Step::create(&self.directory, self.step.number + 1, header)?;
        (self.end, self.index_end) = (0, HEADER);
        self.is_too_large = prune(&self.directory, self.step.number, self.limits)?;
        Ok(())
    }

    /// On a full disk the oldest step makes room for the newest, whoever reads it. False when there is none.
    fn make_room(&self) -> io::Result<bool> {
        match step::numbers(&self.directory)?.first() {
            Some(&oldest)
                if oldest < self.step.number && !step::is_held_fast(&self.directory, oldest) =>
            {
                step::remove(&self.directory, oldest).map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Brings index and raw file together: entries beyond the raw file (the machine lost its power) go, and what no
    /// entry covers gets one.
    fn recover(&mut self, generation: u16) -> io::Result<()> {
        let length = self.step.raw.metadata()?.len();
        let mut whole = self.step.index_end()?;
        while whole > HEADER {
            let mut bytes = [0; Entry::SIZE];
            self.step.index.read_exact_at(&mut bytes, whole - HEADER)?;
            match Entry::from_bytes(&bytes).filter(|entry| entry.end() <= length) {
                Some(entry) => {
                    self.end = entry.end();
                    break;
                }
                None => whole -= HEADER,
            }
        }
        self.step.index.set_len(whole)?;
        self.index_end = whole;
        while self.end < length {
            self.append(entry(length - self.end, self.step.header.hint, generation))?;
        }
        Ok(())
    }
}

/// An entry for what comes now, wherever.
fn entry(length: u64, stream: Stream, generation: u16) -> Entry {
    let length = u32::try_from(length).unwrap_or(u32::MAX);
    Entry { time_ns: now_ns(), offset: 0, length, stream, is_lost: false, generation }
}

/// Takes what `source` has to give, and keeps none of it.
fn throw_away(source: Source<'_>) -> io::Result<usize> {
    match source {
        Source::Terminal(master) => read_terminal(master).map(|bytes| bytes.len()),
        Source::Pipe(pipe) => match rustix::io::read(pipe, &mut [0; 4096]) {
            Err(Errno::AGAIN) => Ok(0),
            read => Ok(read?),
        },
    }
}

fn read_terminal(master: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut buffer = [0; 4096];
    match rustix::io::read(master, &mut buffer) {
        // EIO: no process has the terminal's other side open.
        Err(Errno::AGAIN | Errno::IO) => Ok(Vec::new()),
        read => Ok(buffer[..read?].to_vec()),
    }
}

pub(super) fn make(directory: &Path) -> io::Result<()> {
    // Nobody else has any business with what a container writes.
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|error| naming(directory, error))
}

/// Bytes of the log up to the end of this step.
pub(super) fn end_of(directory: &Path, number: u64) -> io::Result<u64> {
    let Some(step) = Step::open(directory, number)? else { return Ok(0) };
    Ok(step.header.base + step.raw.metadata()?.len())
}

/// Removes the steps that are too many. What somebody reads stays within the limit's patience, and so does all after it;
/// what somebody must have stays in any case. True when there is more than the patience allows for.
fn prune(directory: &Path, last: u64, limits: Limits) -> io::Result<bool> {
    let most = limits.steps + limits.patience / limits.step.max(1);
    let (mut is_read, mut is_held, mut is_too_large) = (false, false, false);
    for number in step::numbers(directory)? {
        let age = last.saturating_sub(number);
        if age < limits.steps {
            break;
        }
        is_held = is_held || step::is_held_fast(directory, number);
        is_read = is_read || is_held || step::is_read(directory, number);
        is_too_large |= is_held && age >= most;
        if !is_read || (age >= most && !is_held) {
            step::remove(directory, number)?;
        }
    }
    Ok(is_too_large)
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::log::{Item, Reader};

    fn texts(reader: &mut Reader) -> Vec<String> {
        let mut texts = Vec::new();
        while let Some(item) = reader.next_item().unwrap() {
            texts.push(match item {
                Item::Line(line) => String::from_utf8(line.bytes).unwrap(),
                Item::Lost(lost) => format!("-{}", lost.bytes),
            });
        }
        texts
    }

    #[test]
    fn what_cannot_be_indexed_on_a_full_disk_is_indexed_when_there_is_room() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path(), Limits::default(), 1).unwrap();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let mut write = std::fs::File::from(write);
        let full = fs_err::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let index = std::mem::replace(&mut writer.step.index, full.into_file());
        write.write_all(b"one\n").unwrap();
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap_err();
        write.write_all(b"two\n").unwrap();
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap_err();
        writer.step.index = index;
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
        assert_eq!(texts(&mut Reader::new(directory.path())), ["one", "two"]);
    }

    #[test]
    fn what_is_thrown_away_is_told_in_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(directory.path(), Limits::default(), 1).unwrap();
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        let mut write = std::fs::File::from(write);
        let source = Source::Pipe(read.as_fd());
        write.write_all(b"one\n").unwrap();
        writer.take(source, Stream::Stdout, 1).unwrap();
        write.write_all(b"not kept\n").unwrap();
        assert_eq!(writer.throw_away(source).unwrap(), 9);
        assert_eq!(writer.throw_away(source).unwrap(), 0);
        write.write_all(b"two\n").unwrap();
        writer.take(source, Stream::Stdout, 1).unwrap();
        assert_eq!(texts(&mut Reader::new(directory.path())), ["one", "-9", "two"]);
    }

    #[test]
    fn the_oldest_step_makes_room_on_a_full_disk() {
        let directory = tempfile::tempdir().unwrap();
        let limits = Limits { step: 4096, steps: 3, patience: 0 };
        let mut writer = Writer::open(directory.path(), limits, 1).unwrap();
        for _ in 0..3 {
            writer.rotate().unwrap();
        }
        assert_eq!(step::numbers(directory.path()).unwrap(), [2, 3, 4]);
        assert!(writer.make_room().unwrap());
        assert!(writer.make_room().unwrap());
        assert!(!writer.make_room().unwrap());
        assert_eq!(step::numbers(directory.path()).unwrap(), [4]);
    }
}
