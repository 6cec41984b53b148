//! Output that its log has no room for when its container ends lies aside, where there is room, until there is some.
//!
//! What lies aside has the form of a log of one step, whose header counts the bytes of the log before it. So whoever
//! goes on for somebody who was killed while bringing it back knows from the log's length what has arrived.

use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::step::{self, HEADER, Step};
use super::writer::{self, Left};
use super::{Entry, Limits, Writer};

/// The most that lies aside of one log; what comes on top is counted.
const MOST: u64 = 1 << 20;

/// How many bytes are brought back at once.
const PIECE: usize = 64 << 10;

/// The one step that lies aside.
const STEP: u64 = 1;

/// It has no other.
const LIMITS: Limits = Limits { step: u64::MAX, steps: 1, patience: 0 };

impl Writer {
    /// A writer to `aside` for what the log in `log` cannot take, beginning with what its writer has left.
    ///
    /// # Errors
    /// When there is no room in `aside` either; then nothing is taken of `left`.
    pub fn aside(aside: &Path, log: &Path, generation: u16, left: &mut Left) -> io::Result<Self> {
        writer::make(aside)?;
        let mut writer = Self::open_step(aside, LIMITS, (STEP, end_of_log(log)?), generation)?;
        writer.resume(std::mem::take(left));
        Ok(writer)
    }

    /// Whether as much lies aside as may: what comes from now on is to be thrown away.
    pub fn has_most(&self) -> bool {
        self.end >= MOST
    }

    /// Appends what `entry` tells of in `step`, from `offset` on.
    fn append_from(&mut self, step: &Step, entry: &Entry, mut offset: u64) -> io::Result<()> {
        let mut buffer = vec![0; PIECE];
        while offset < entry.end() {
            let left = usize::try_from(entry.end() - offset).unwrap_or(PIECE).min(PIECE);
            let length = step.raw.read_at(&mut buffer[..left], offset)?;
            if length == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.settle()?;
            self.step.set_hint(entry.stream)?;
            self.step.raw.write_all_at(&buffer[..length], self.end)?;
            let piece = Entry { length: u32::try_from(length).unwrap_or(u32::MAX), ..*entry };
            self.append(piece)?;
            self.rotate_if_full()?;
            offset += length as u64;
        }
        Ok(())
    }
}

/// Bytes that lie in `aside` and have not come to the log in `log`.
pub fn lies_aside(aside: &Path, log: &Path) -> u64 {
    let find = || {
        let Some(step) = Step::open(aside, STEP)? else { return Ok(0) };
        let end = step.header.base + step.raw.metadata()?.len();
        Ok(end.saturating_sub(end_of_log(log)?))
    };
    io::Result::unwrap_or_default(find())
}

/// Bytes of the log in `log`.
fn end_of_log(log: &Path) -> io::Result<u64> {
    step::numbers(log)?.last().map_or(Ok(0), |&last| writer::end_of(log, last))
}

/// Appends what lies in `aside` to the log in `log`, which nobody writes meanwhile, and removes it; nothing where nothing
/// does. It can be called again after it has failed, and by several processes at once.
///
/// # Errors
/// When there is no room yet, or a file cannot be read.
pub fn bring_back(aside: &Path, log: &Path, limits: Limits, generation: u16) -> io::Result<()> {
    let Some(step) = Step::open(aside, STEP)? else { return remove(aside) };
    flock(step.raw.as_fd(), FlockOperation::LockExclusive)?;
    if !step.is_in(aside) {
        // Somebody else was faster.
        return Ok(());
    }
    // Whoever wrote it may have been killed before its last entry.
    drop(Writer::open_step(aside, LIMITS, (STEP, 0), generation)?);
    let mut writer = Writer::open(log, limits, generation)?;
    let mut lost = 0;
    for entry in entries(&step)? {
        if entry.is_lost {
            lost += u64::from(entry.length);
            continue;
        }
        writer.with_room(|writer| {
            let arrived = writer.position().saturating_sub(step.header.base);
            writer.append_from(&step, &entry, entry.offset.max(arrived))
        })?;
    }
    // Last, and at once: it is not to be seen from the log whether it was told already.
    writer.resume(Left { lost, ..Left::default() });
    writer.with_room(|writer| writer.finish(generation))?;
    remove(aside)
}

/// There are few: what lies aside has come in large pieces.
fn entries(step: &Step) -> io::Result<Vec<Entry>> {
    let mut all = Vec::new();
    let mut position = HEADER;
    loop {
        let some = step.entries(position)?;
        if some.is_empty() {
            return Ok(all);
        }
        position += some.len() as u64 * Entry::SIZE as u64;
        all.extend(some.into_iter().flatten());
    }
}

fn remove(aside: &Path) -> io::Result<()> {
    match fs_err::remove_dir_all(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;
    use crate::log::{Item, Reader, Source, Stream};

    /// A log with `one`, and what is to come after it lies aside.
    struct Place {
        _folder: tempfile::TempDir,
        log: std::path::PathBuf,
        aside: std::path::PathBuf,
    }

    fn filled(text: &str) -> OwnedFd {
        let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::NONBLOCK).unwrap();
        rustix::io::write(&write, text.as_bytes()).unwrap();
        read
    }

    impl Place {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (log, aside) = (folder.path().join("log"), folder.path().join("aside"));
            let mut writer = Writer::open(&log, Limits::default(), 1).unwrap();
            let pipe = filled("one\n");
            writer.take(Source::Pipe(pipe.as_fd()), Stream::Stdout, 1).unwrap();
            let mut left = Left { held: b"two\n".to_vec(), lost: 0 };
            let mut writer = Writer::aside(&aside, &log, 1, &mut left).unwrap();
            writer.finish(1).unwrap();
            for (text, stream) in [("three\n", Stream::Stderr), ("four\n", Stream::Stdout)] {
                let pipe = filled(text);
                writer.take(Source::Pipe(pipe.as_fd()), stream, 1).unwrap();
            }
            let pipe = filled("not kept\n");
            writer.throw_away(Source::Pipe(pipe.as_fd())).unwrap();
            writer.finish(1).unwrap();
            Self { _folder: folder, log, aside }
        }

        fn bring_back(&self) {
            bring_back(&self.aside, &self.log, Limits::default(), 1).unwrap();
        }

        fn says(&self) -> Vec<String> {
            let mut reader = Reader::new(&self.log);
            let mut texts = Vec::new();
            while let Some(item) = reader.next_item().unwrap() {
                texts.push(match item {
                    Item::Line(line) => String::from_utf8(line.bytes).unwrap(),
                    Item::Lost(lost) => format!("-{}", lost.bytes),
                });
            }
            texts
        }
    }

    const ALL: [&str; 5] = ["one", "two", "three", "four", "-9"];

    #[test]
    fn what_lies_aside_comes_back_in_its_order_and_with_its_streams() {
        let place = Place::new();
        assert_eq!(lies_aside(&place.aside, &place.log), 15);
        place.bring_back();
        assert_eq!(place.says(), ALL);
        assert!(!place.aside.exists());
        place.bring_back();
        assert_eq!(place.says(), ALL);
    }

    #[test]
    fn who_was_killed_while_bringing_back_has_doubled_nothing_for_who_goes_on() {
        let whole = "one\ntwo\nthree\nfour\n";
        for arrived in 4..=whole.len() {
            let place = Place::new();
            // The bytes come before their entry.
            fs_err::write(place.log.join("raw.1"), &whole[..arrived]).unwrap();
            place.bring_back();
            let raw = fs_err::read_to_string(place.log.join("raw.1")).unwrap();
            assert_eq!(raw, whole, "after {arrived} bytes");
            assert_eq!(lies_aside(&place.aside, &place.log), 0);
        }
    }
}
