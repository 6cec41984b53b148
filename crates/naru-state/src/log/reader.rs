//! The reading side: `naru logs` and `naru up`. It puts lines together and never writes.

use std::collections::VecDeque;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};

use super::{Entry, MAX_LINE, Stream};

/// One line of a container's output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// When its first byte came, nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// Where it came from.
    pub stream: Stream,
    /// Which start of the container wrote it.
    pub generation: u16,
    /// The bytes without the line feed.
    pub bytes: Vec<u8>,
    /// Whether a line feed ended it; the last line of a run may lack it.
    pub complete: bool,
}

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

/// About how much [`Reader::pieces`] gives at once.
const ENOUGH: usize = 1 << 20;

/// Reads one container's log from its beginning and, call by call, what comes.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    files: Option<(fs::File, fs::File)>,
    /// Read bytes of the index file that is open.
    position: u64,
    /// Which file the open one is, to notice a rotation or a new container's log.
    inode: u64,
    partial: [Option<Line>; 2],
    ready: VecDeque<Line>,
    /// What was read for somebody who wants it as it came, instead of as lines.
    exact: Option<Vec<Piece>>,
}

impl Reader {
    /// A reader of the log in `directory`, which need not exist yet.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            files: None,
            position: 0,
            inode: 0,
            partial: [None, None],
            ready: VecDeque::new(),
            exact: None,
        }
    }

    /// A reader that gives every byte as it came, by [`Reader::pieces`]. The writer keeps what this one has not read:
    /// where that would become too much, it waits.
    pub fn exact(directory: &Path) -> Self {
        Self { exact: Some(Vec::new()), ..Self::new(directory) }
    }

    /// Passes over what is there: only what comes from now on is given.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn skip_to_end(&mut self) -> io::Result<()> {
        self.open("")?;
        if let Some((_, index)) = &self.files {
            let size = Entry::SIZE as u64;
            self.position = index.metadata()?.len() / size * size;
        }
        Ok(())
    }

    /// What came since the last call, of a reader made by [`Reader::exact`], at most about 1 MiB of it; nothing when
    /// all has been given.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn pieces(&mut self) -> io::Result<Vec<Piece>> {
        self.read_rotated()?;
        loop {
            self.read_open_to(ENOUGH)?;
            if self.length() >= ENOUGH || !self.follow_rotation()? {
                return Ok(self.exact.as_mut().map(std::mem::take).unwrap_or_default());
            }
        }
    }

    /// How many bytes wait to be given as they came.
    fn length(&self) -> usize {
        self.exact.iter().flatten().map(|piece| piece.bytes.len()).sum()
    }

    /// The lines that were completed since the last call, in the order they came.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<Line>> {
        self.read_rotated()?;
        loop {
            self.read_open()?;
            if !self.follow_rotation()? {
                return Ok(self.ready.drain(..).collect());
            }
        }
    }

    /// What was written without a line feed at the end: for when nothing more will come.
    pub fn finish(&mut self) -> Vec<Line> {
        let mut rest: Vec<_> = self.partial.iter_mut().filter_map(Option::take).collect();
        rest.sort_by_key(|line| line.time_ns);
        rest
    }

    /// Before the first read: the step that was rotated away comes first.
    fn read_rotated(&mut self) -> io::Result<()> {
        if self.files.is_some() {
            return Ok(());
        }
        if self.open(".1")? {
            self.read_open()?;
        }
        self.open_next().map(|_found| ())
    }

    /// Opens the step that follows the one that was read. Until then that one stays open, so that the writer
    /// keeps what comes after it. Where another log has begun meanwhile, that is read from its beginning, and
    /// what the one before it left unfinished stays so.
    fn open_next(&mut self) -> io::Result<bool> {
        if self.files.is_some() && self.inode_of("index.1") != Some(self.inode) {
            let rest = self.finish();
            self.ready.extend(rest);
            if self.open(".1")? {
                self.read_open()?;
            }
        }
        self.open("")
    }

    fn inode_of(&self, name: &str) -> Option<u64> {
        use std::os::unix::fs::MetadataExt;
        fs::metadata(self.directory.join(name)).ok().map(|file| file.ino())
    }

    fn open(&mut self, suffix: &str) -> io::Result<bool> {
        use std::os::unix::fs::MetadataExt;
        let open = |name: &str| match fs::File::open(self.directory.join(format!("{name}{suffix}")))
        {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        };
        let inode = |name: &str| self.inode_of(&format!("{name}{suffix}"));
        let (raw, index) = loop {
            let (Some(raw), Some(index)) = (open("raw")?, open("index")?) else { return Ok(false) };
            let is_pair = inode("raw") == Some(raw.metadata()?.ino())
                && inode("index") == Some(index.metadata()?.ino());
            // Otherwise a rotation came between the two.
            if is_pair {
                break (raw, index);
            }
        };
        // Tells the writer that this step is read; where that cannot be said it is read all the same.
        let _told = flock(&index, FlockOperation::NonBlockingLockShared);
        if self.exact.is_some() {
            // And that it must not go before it has been read.
            let _told = flock(&raw, FlockOperation::NonBlockingLockShared);
        }
        self.inode = index.metadata()?.ino();
        self.position = 0;
        self.files = Some((raw, index));
        Ok(true)
    }

    /// True when the open files were replaced by new ones, which are now open.
    fn follow_rotation(&mut self) -> io::Result<bool> {
        match self.inode_of("index") {
            Some(now) if self.files.is_some() && now != self.inode => {}
            _ => return Ok(false),
        }
        // What came after the last look and before the rotation.
        self.read_open()?;
        self.open_next()
    }

    fn read_open(&mut self) -> io::Result<()> {
        self.read_open_to(usize::MAX)
    }

    /// Reads what is new in the open files, until about so many bytes wait to be given as they came.
    fn read_open_to(&mut self, enough: usize) -> io::Result<()> {
        let mut length = self.length();
        let Some((raw, index)) = &mut self.files else { return Ok(()) };
        let mut entries = Vec::new();
        index.seek(SeekFrom::Start(self.position))?;
        index.read_to_end(&mut entries)?;
        for bytes in entries.chunks_exact(Entry::SIZE) {
            if length >= enough {
                return Ok(());
            }
            self.position += Entry::SIZE as u64;
            let Some(entry) = bytes.try_into().ok().and_then(Entry::from_bytes) else { continue };
            let mut piece = Vec::with_capacity(entry.length as usize);
            raw.seek(SeekFrom::Start(entry.offset))?;
            raw.take(u64::from(entry.length)).read_to_end(&mut piece)?;
            if let Some(pieces) = &mut self.exact {
                length += piece.len();
                let Entry { stream, generation, .. } = entry;
                pieces.push(Piece { stream, generation, bytes: piece });
                continue;
            }
            split(
                &mut self.partial[usize::from(entry.stream == Stream::Stderr)],
                &mut self.ready,
                &entry,
                &piece,
            );
        }
        Ok(())
    }
}

/// Adds the lines of `piece` to `ready`; what follows its last line feed stays in `partial`.
fn split(partial: &mut Option<Line>, ready: &mut VecDeque<Line>, entry: &Entry, piece: &[u8]) {
    // A restart ends the line of the run before it.
    if partial.as_ref().is_some_and(|line| line.generation != entry.generation) {
        ready.extend(partial.take());
    }
    let new_line = || Line {
        time_ns: entry.time_ns,
        stream: entry.stream,
        generation: entry.generation,
        bytes: Vec::new(),
        complete: false,
    };
    for part in piece.split_inclusive(|&byte| byte == b'\n') {
        let (text, ended) = match part.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (part, false),
        };
        for chunk in chunks(text) {
            let line = partial.get_or_insert_with(new_line);
            line.bytes.extend_from_slice(chunk);
            if line.bytes.len() >= MAX_LINE {
                ready.extend(partial.take());
            }
        }
        if ended {
            let mut line = partial.take().unwrap_or_else(new_line);
            line.complete = true;
            ready.push_back(line);
        }
    }
}

fn chunks(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.chunks(MAX_LINE)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;
    use crate::log::{ROTATE_AT, Source, Writer};

    fn pipe() -> (std::os::fd::OwnedFd, fs::File, tempfile::TempDir) {
        use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let read =
            open(&path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let write = fs::OpenOptions::new().write(true).open(&path).unwrap();
        (read, write, directory)
    }

    fn texts(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
    }

    #[test]
    fn lines_are_put_together_per_stream_from_pieces_that_interleave() {
        use std::io::Write;
        let (out_read, mut out, directory) = pipe();
        let (err_read, mut err, _other) = pipe();
        let log = directory.path().join("log");
        let mut writer = Writer::open(&log, 1).unwrap();
        let mut reader = Reader::new(&log);
        out.write_all(b"one\ntw").unwrap();
        writer.take(Source::Pipe(out_read.as_fd()), Stream::Stdout, 1).unwrap();
        err.write_all(b"oops\n").unwrap();
        writer.take(Source::Pipe(err_read.as_fd()), Stream::Stderr, 1).unwrap();
        assert_eq!(texts(&reader.read().unwrap()), ["one", "oops"]);
        out.write_all(b"o\nrest").unwrap();
        writer.take(Source::Pipe(out_read.as_fd()), Stream::Stdout, 1).unwrap();
        assert_eq!(texts(&reader.read().unwrap()), ["two"]);
        assert_eq!(texts(&reader.finish()), ["rest"]);
        assert_eq!(writer.take(Source::Pipe(out_read.as_fd()), Stream::Stdout, 1).unwrap(), 0);
    }

    #[test]
    fn bytes_that_a_killed_writer_left_without_an_entry_are_not_lost() {
        use std::io::Write;
        let directory = tempfile::tempdir().unwrap();
        drop(Writer::open(directory.path(), 1).unwrap());
        let mut raw =
            fs::OpenOptions::new().append(true).open(directory.path().join("raw")).unwrap();
        raw.write_all(b"lost and found\n").unwrap();
        let mut index =
            fs::OpenOptions::new().append(true).open(directory.path().join("index")).unwrap();
        index.write_all(b"half an ent").unwrap();
        drop(Writer::open(directory.path(), 1).unwrap());
        assert_eq!(texts(&Reader::new(directory.path()).read().unwrap()), ["lost and found"]);
    }

    #[test]
    fn a_reader_follows_rotation_without_losing_or_repeating_a_line() {
        use std::io::Write;
        let (read, mut write, directory) = pipe();
        let log = directory.path().join("log");
        let mut writer = Writer::open(&log, 1).unwrap();
        let mut reader = Reader::new(&log);
        let mut seen = Vec::new();
        let line = |n: u64| format!("{n:0>1023}\n");
        let count = ROTATE_AT / 1024 + 200;
        for n in 0..count {
            write.write_all(line(n).as_bytes()).unwrap();
            writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
            if n % 100 == 0 {
                seen.extend(texts(&reader.read().unwrap()));
            }
        }
        seen.extend(texts(&reader.read().unwrap()));
        let expected: Vec<_> = (0..count).map(|n| line(n).trim_end().to_owned()).collect();
        assert_eq!(seen.len(), expected.len());
        assert_eq!(seen, expected);
        assert!(log.join("raw.1").exists());
    }

    #[test]
    fn a_reader_that_is_behind_loses_nothing_and_a_log_that_nobody_reads_stays_small() {
        use std::io::Write;
        let (read, mut write, directory) = pipe();
        let log = directory.path().join("log");
        let mut writer = Writer::open(&log, 1).unwrap();
        let mut reader = Reader::new(&log);
        let mut write_lines = |from: u64, to: u64| {
            for n in from..to {
                write.write_all(format!("{n:0>16383}\n").as_bytes()).unwrap();
                writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
            }
        };
        let steps = ROTATE_AT / 16384;
        write_lines(0, 1);
        let mut seen = reader.read().unwrap().len() as u64;
        write_lines(1, 3 * steps);
        seen += reader.read().unwrap().len() as u64;
        assert_eq!(seen, 3 * steps);
        drop(reader);
        write_lines(3 * steps, 7 * steps);
        assert!(fs::metadata(log.join("raw")).unwrap().len() <= ROTATE_AT + 16384);
        assert!(fs::metadata(log.join("raw.1")).unwrap().len() <= ROTATE_AT + 16384);
    }

    #[test]
    fn who_must_have_every_byte_is_waited_for_and_gets_them_as_they_came() {
        use std::io::Write;
        let (read, mut write, directory) = pipe();
        let log = directory.path().join("log");
        let mut writer = Writer::open(&log, 1).unwrap();
        let mut reader = Reader::exact(&log);
        write.write_all(b"a\r\nno end").unwrap();
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
        let first = reader.pieces().unwrap();
        assert_eq!((first.len(), first[0].bytes.as_slice()), (1, b"a\r\nno end".as_slice()));
        let mut sent = 0;
        while !writer.must_wait() {
            write.write_all(&[b'x'; 65536]).unwrap();
            sent += writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
        }
        let mut received = 0;
        loop {
            let pieces = reader.pieces().unwrap();
            let length: usize = pieces.iter().map(|piece| piece.bytes.len()).sum();
            assert!(length < 2 << 20, "all at once");
            received += length;
            if pieces.is_empty() {
                break;
            }
        }
        assert_eq!(received, sent);
        assert!(!writer.must_wait());
    }

    #[test]
    fn who_comes_late_gets_what_comes_from_then_on() {
        use std::io::Write;
        let (read, mut write, directory) = pipe();
        let log = directory.path().join("log");
        let mut writer = Writer::open(&log, 1).unwrap();
        write.write_all(b"before").unwrap();
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
        let mut reader = Reader::exact(&log);
        reader.skip_to_end().unwrap();
        write.write_all(b"after").unwrap();
        writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
        assert_eq!(reader.pieces().unwrap()[0].bytes, b"after");
    }

    #[test]
    fn the_log_of_the_next_container_does_not_continue_a_line_of_the_last_one() {
        use std::io::Write;
        let (read, mut write, directory) = pipe();
        let log = directory.path().join("log");
        let mut reader = Reader::new(&log);
        let mut run = |text: &[u8]| {
            Writer::clear(&log).unwrap();
            let mut writer = Writer::open(&log, 1).unwrap();
            write.write_all(text).unwrap();
            writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
        };
        run(b"one\nunfinished");
        assert_eq!(texts(&reader.read().unwrap()), ["one"]);
        run(b"two\n");
        assert_eq!(texts(&reader.read().unwrap()), ["unfinished", "two"]);
    }

    #[test]
    fn the_log_of_the_next_container_is_read_from_its_beginning_also_when_it_has_grown_much() {
        use std::io::Write;
        let (read, mut write, directory) = pipe();
        let log = directory.path().join("log");
        let mut reader = Reader::new(&log);
        let mut run = |count: u64| {
            Writer::clear(&log).unwrap();
            let mut writer = Writer::open(&log, 1).unwrap();
            for n in 0..count {
                write.write_all(format!("{n:0>16383}\n").as_bytes()).unwrap();
                writer.take(Source::Pipe(read.as_fd()), Stream::Stdout, 1).unwrap();
            }
        };
        run(3);
        assert_eq!(reader.read().unwrap().len(), 3);
        let count = ROTATE_AT / 16384 + 20;
        run(count);
        assert_eq!(reader.read().unwrap().len() as u64, count);
    }

    #[test]
    fn a_line_past_the_limit_is_cut_and_a_restart_ends_a_line() {
        let entry = |generation, length: usize| Entry {
            time_ns: 1,
            offset: 0,
            length: u32::try_from(length).unwrap(),
            stream: Stream::Stdout,
            generation,
        };
        let (mut partial, mut ready) = (None, VecDeque::new());
        let long = vec![b'x'; MAX_LINE + 5];
        split(&mut partial, &mut ready, &entry(1, long.len()), &long);
        assert_eq!(ready.iter().map(|line| line.bytes.len()).collect::<Vec<_>>(), [MAX_LINE]);
        split(&mut partial, &mut ready, &entry(2, 2), b"y\n");
        assert_eq!(ready.iter().map(|line| line.bytes.len()).collect::<Vec<_>>(), [MAX_LINE, 5, 1]);
    }
}
