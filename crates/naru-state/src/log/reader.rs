//! The reading side. It puts lines together, never writes, and holds a piece of at most 64 KiB at a time.

use std::collections::VecDeque;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lines::Lines;
use super::step::{self, HEADER, Step};
use super::{Entry, Line, Stream};

/// How much of the raw file is read at once.
const BUFFER: usize = 64 * 1024;

/// What a log consists of for its readers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A line.
    Line(Line),
    /// Something that cannot be shown any more.
    Lost(Lost),
}

impl Item {
    /// When it came, nanoseconds since 1970-01-01 UTC.
    pub fn time_ns(&self) -> u64 {
        match self {
            Self::Line(line) => line.time_ns,
            Self::Lost(lost) => lost.time_ns,
        }
    }
}

/// Output that is missing at this place: the reader was too slow, or the disk was full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// When what follows it came, nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// How much it was.
    pub bytes: u64,
}

/// Which part of a log is wanted, ends included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Range {
    /// From this time on, nanoseconds since 1970-01-01 UTC.
    pub since_ns: Option<u64>,
    /// Until this time.
    pub until_ns: Option<u64>,
}

impl Range {
    /// Whether a time is within.
    pub fn has(&self, time_ns: u64) -> bool {
        self.since_ns.is_none_or(|since| time_ns >= since)
            && self.until_ns.is_none_or(|until| time_ns <= until)
    }
}

/// Where somebody who has read up to some line goes on ([`Reader::at`]).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The step.
    pub(super) step: u64,
    /// The position in its index.
    pub(super) position: u64,
    /// How many of the lines that end from there on have been read.
    pub(super) lines: u64,
}

/// Reads one container's log, line by line.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    range: Range,
    step: Option<Step>,
    /// Where in the index the next entry of `entries` is.
    position: u64,
    entries: VecDeque<Option<Entry>>,
    piece: Option<Piece>,
    streams: [Half; 2],
    ready: VecDeque<Item>,
    /// Lines that are still to be passed over.
    skip: u64,
    /// Lines given or passed over.
    passed: u64,
    /// Lines that end and are not given count among those to be passed over: who made the mark was given them.
    counts_discarded: bool,
    /// Nothing from here on: the step, and the position in its index.
    end: Option<(u64, u64)>,
    buffer: Vec<u8>,
}

/// A piece that is being read.
#[derive(Debug, Clone, Copy)]
struct Piece {
    entry: Entry,
    done: u32,
    place: Place,
    /// Only up to its first line feed: what follows is not wanted.
    ends_line: bool,
}

/// Where a piece begins, and how many lines were passed before it.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    step: u64,
    position: u64,
    passed: u64,
}

/// One stream.
#[derive(Debug, Clone, Default)]
struct Half {
    lines: Lines,
    /// Where its unfinished line begins.
    begun: Place,
    before: Before,
}

/// What is known of the piece before the next one of a stream.
#[derive(Debug, Clone, Copy, Default)]
enum Before {
    /// It was read, or there is none.
    #[default]
    Read,
    /// It was passed over.
    Skipped(Entry),
    /// Nobody has looked: reading began in the middle.
    Unknown,
}

impl Reader {
    /// A reader of the log in `directory`, which need not exist yet, from the beginning of the last container's.
    pub fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            range: Range::default(),
            step: None,
            position: HEADER,
            entries: VecDeque::new(),
            piece: None,
            streams: Default::default(),
            ready: VecDeque::new(),
            skip: 0,
            passed: 0,
            counts_discarded: false,
            end: None,
            buffer: Vec::new(),
        }
    }

    /// Only what came at these times.
    #[must_use]
    pub fn within(mut self, range: Range) -> Self {
        self.range = range;
        self
    }

    /// Goes on where a mark was made; from the oldest step there is, with what is missing told, when that is gone.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn at(mut self, mark: Mark) -> io::Result<Self> {
        if let Some(step) = Step::open(&self.directory, mark.step)? {
            self.begin_within(step, mark.position);
            self.skip = mark.lines;
            self.counts_discarded = true;
        }
        Ok(self)
    }

    /// What comes next; nothing when that is not there yet.
    ///
    /// # Errors
    /// When the files cannot be read.
    pub fn next_item(&mut self) -> io::Result<Option<Item>> {
        loop {
            match self.ready.pop_front() {
                Some(Item::Line(_)) if self.skip > 0 => {
                    self.skip -= 1;
                    self.passed += 1;
                }
                Some(item) => {
                    self.passed += u64::from(matches!(item, Item::Line(_)));
                    return Ok(Some(item));
                }
                None if !self.advance()? => return Ok(None),
                None => {}
            }
        }
    }

    /// What was written without a line feed at the end: for when nothing more will come.
    pub fn finish(&mut self) -> Vec<Line> {
        let mut rest: Vec<_> =
            self.streams.iter_mut().filter_map(|half| half.lines.finish()).collect();
        rest.sort_by_key(|line| line.time_ns);
        // Those that are to be passed over are the first of what was counted.
        let skipped = self.skip.min(rest.len() as u64);
        self.skip -= skipped;
        rest.drain(..usize::try_from(skipped).unwrap_or_default());
        rest
    }

    /// Where to go on after the last line given; nothing before the log was there.
    pub fn mark(&self) -> Option<Mark> {
        let step = self.step.as_ref()?.number;
        let next = Place { step, position: self.position, passed: self.passed };
        let current = self.piece.map(|piece| piece.place);
        let unfinished = self.streams.iter().filter(|half| half.lines.is_inside());
        let waiting = (!self.ready.is_empty()).then(|| self.last_begun()).flatten();
        let all = unfinished.map(|half| half.begun).chain(current).chain(waiting);
        let first =
            all.fold(next, |a, b| if (b.step, b.position) < (a.step, a.position) { b } else { a });
        let lines = self.passed - first.passed;
        Some(Mark { step: first.step, position: first.position, lines })
    }

    /// The place of the piece that the waiting lines came from.
    fn last_begun(&self) -> Option<Place> {
        self.streams.iter().map(|half| half.begun).max_by_key(|place| (place.step, place.position))
    }

    /// About how many bytes this reader holds.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let line = |item: &Item| match item {
            Item::Line(line) => line.bytes.capacity() + size_of::<Item>(),
            Item::Lost(_) => size_of::<Item>(),
        };
        let entries = self.entries.capacity() * size_of::<Option<Entry>>();
        self.buffer.capacity() + entries + self.ready.iter().map(line).sum::<usize>()
    }

    pub(super) fn begin_within(&mut self, step: Step, position: u64) {
        step.hold();
        if position > HEADER {
            self.streams.iter_mut().for_each(|half| half.before = Before::Unknown);
        }
        self.position = position;
        self.step = Some(step);
    }

    pub(super) fn skip(&mut self, lines: u64) {
        self.skip = lines;
    }

    pub(super) fn end_at(&mut self, step: u64, position: u64) {
        self.end = Some((step, position));
    }

    /// Reads a little more; false when there is nothing.
    fn advance(&mut self) -> io::Result<bool> {
        if self.piece.is_some() {
            return self.read_piece().map(|()| true);
        }
        if self.is_at_end() {
            return Ok(false);
        }
        match self.entries.pop_front() {
            Some(entry) => {
                let position = self.position;
                self.position += Entry::SIZE as u64;
                if let Some(entry) = entry {
                    self.turn_to(entry, position)?;
                }
                Ok(true)
            }
            None => self.more_entries(),
        }
    }

    fn is_at_end(&self) -> bool {
        let here = self.step.as_ref().map(|step| (step.number, self.position));
        self.end.is_some_and(|end| here.is_some_and(|here| here >= end))
    }

    /// Entries of this step, or of the next one; false when there are none.
    fn more_entries(&mut self) -> io::Result<bool> {
        let Some(step) = &self.step else {
            return match first_step(&self.directory)? {
                Some(step) => self.go_to(step).map(|()| true),
                None => Ok(false),
            };
        };
        self.entries = step.entries(self.position)?.into();
        if !self.entries.is_empty() {
            return Ok(true);
        }
        let Some(next) = self.next_step()? else { return Ok(false) };
        // What came before the next step was there belongs to this one.
        self.entries =
            self.step.as_ref().map_or(Ok(Vec::new()), |s| s.entries(self.position))?.into();
        if self.entries.is_empty() {
            self.go_to(next)?;
        }
        Ok(true)
    }

    /// The step after this one; where that is gone, the oldest that there is, and where the whole log is, a new one's
    /// first.
    fn next_step(&self) -> io::Result<Option<Step>> {
        let Some(step) = &self.step else { return Ok(None) };
        if let Some(next) = Step::open(&self.directory, step.number + 1)? {
            return Ok(Some(next));
        }
        if step.is_in(&self.directory) {
            return Ok(None);
        }
        let numbers = step::numbers(&self.directory)?;
        match numbers.iter().find(|&&number| number > step.number) {
            Some(&number) => Step::open(&self.directory, number),
            None => first_step(&self.directory),
        }
    }

    fn go_to(&mut self, next: Step) -> io::Result<()> {
        next.hold();
        for stream in [Stream::Stdout, Stream::Stderr] {
            // While the file with its last byte is still open.
            self.look_before(stream, None)?;
        }
        if let Some(step) = &self.step {
            let own = step.header.base + step.raw.metadata()?.len();
            let is_later = next.number > step.number;
            let bytes = next.header.base.saturating_sub(own);
            if next.header.is_first || !is_later || bytes > 0 {
                self.end_lines();
            }
            if is_later && bytes > 0 {
                let time_ns = next.entries(HEADER)?.first().copied().flatten();
                let time_ns = time_ns.map_or_else(crate::record::now_ns, |entry| entry.time_ns);
                self.ready.push_back(Item::Lost(Lost { time_ns, bytes }));
            }
        }
        self.position = HEADER;
        self.step = Some(next);
        Ok(())
    }

    fn end_lines(&mut self) {
        let rest = self.streams.iter_mut().filter_map(|half| half.lines.finish());
        self.ready.extend(rest.map(Item::Line));
        for half in &mut self.streams {
            half.lines.discards = false;
        }
    }

    /// Decides about a piece: read, in part, or passed over.
    fn turn_to(&mut self, entry: Entry, position: u64) -> io::Result<()> {
        let step = self.step.as_ref().map_or(0, |step| step.number);
        let place = Place { step, position, passed: self.passed };
        let is_wanted = self.range.has(entry.time_ns);
        if entry.is_lost {
            self.end_lines();
            let (time_ns, bytes) = (entry.time_ns, entry.length.into());
            self.ready.extend(is_wanted.then_some(Item::Lost(Lost { time_ns, bytes })));
            return Ok(());
        }
        let half = &mut self.streams[entry.stream.place()];
        let ends_line = !is_wanted && half.lines.is_inside();
        if !is_wanted && !ends_line {
            half.before = Before::Skipped(entry);
            half.lines.discards = false;
            return Ok(());
        }
        self.look_before(entry.stream, Some((&entry, position)))?;
        self.piece = Some(Piece { entry, done: 0, place, ends_line });
        Ok(())
    }

    /// Finds out whether the stream is in the middle of a line whose beginning was not read. `next` is its next piece
    /// and its position in the index; without one, what is not known stays so.
    fn look_before(&mut self, stream: Stream, next: Option<(&Entry, u64)>) -> io::Result<()> {
        let Some(step) = &self.step else { return Ok(()) };
        let half = &mut self.streams[stream.place()];
        let (last, byte) = match half.before {
            Before::Read => return Ok(()),
            Before::Skipped(entry) => (entry, step.last_byte(&entry)?),
            Before::Unknown => {
                let Some((_, position)) = next else { return Ok(()) };
                match last_of(stream, step, position, &self.directory)? {
                    Some(found) => found,
                    None => {
                        half.before = Before::Read;
                        return Ok(());
                    }
                }
            }
        };
        half.before = Before::Read;
        let is_open = byte.is_some_and(|byte| byte != b'\n');
        if is_open && next.is_some_and(|(next, _)| next.generation != last.generation) {
            // A restart has ended that line.
            self.discarded(1);
        } else {
            half.lines.discards = is_open;
        }
        Ok(())
    }

    fn discarded(&mut self, lines: u64) {
        if self.counts_discarded {
            self.skip = self.skip.saturating_sub(lines);
            self.passed += lines;
        }
    }

    /// Reads the next part of the piece.
    fn read_piece(&mut self) -> io::Result<()> {
        let (Some(mut piece), Some(step)) = (self.piece.take(), &self.step) else { return Ok(()) };
        let entry = piece.entry;
        let left = entry.length - piece.done;
        let length = usize::try_from(left).unwrap_or(BUFFER).min(BUFFER);
        self.buffer.resize(length, 0);
        let read = step.raw.read_at(&mut self.buffer, entry.offset + u64::from(piece.done))?;
        if read == 0 && left > 0 {
            // The machine lost its power between the two files.
            self.end_lines();
            let lost = Lost { time_ns: entry.time_ns, bytes: left.into() };
            self.ready.push_back(Item::Lost(lost));
            return Ok(());
        }
        let mut bytes = &self.buffer[..read];
        let line_feed = || bytes.iter().position(|&byte| byte == b'\n');
        let end = if piece.ends_line { line_feed() } else { None };
        if let Some(end) = end {
            bytes = &bytes[..=end];
        }
        let mut lines = Vec::new();
        let half = &mut self.streams[entry.stream.place()];
        let was_inside = half.lines.is_inside();
        let discarded = half.lines.take(&entry, bytes, &mut lines);
        if !was_inside || !lines.is_empty() || !half.lines.is_inside() {
            half.begun = piece.place;
        }
        piece.done += u32::try_from(read).unwrap_or(u32::MAX);
        if end.is_some() {
            half.before = Before::Skipped(entry);
        } else if piece.done < entry.length {
            self.piece = Some(piece);
        }
        self.ready.extend(lines.into_iter().map(Item::Line));
        self.discarded(discarded);
        Ok(())
    }
}

/// The first step of the last container's log.
pub(super) fn first_step(directory: &Path) -> io::Result<Option<Step>> {
    let mut first = None;
    for number in step::numbers(directory)?.into_iter().rev() {
        // One that is gone meanwhile was older than all that are there.
        let Some(step) = Step::open(directory, number)? else { continue };
        let is_first = step.header.is_first;
        first = Some(step);
        if is_first {
            break;
        }
    }
    Ok(first)
}

/// The last piece of a stream before `position`, in this step or those before it, and its last byte.
fn last_of(
    stream: Stream,
    step: &Step,
    position: u64,
    directory: &Path,
) -> io::Result<Option<(Entry, Option<u8>)>> {
    let find = |step: &Step, position: u64| {
        for found in step.entries_before(position) {
            let (_, entry) = found?;
            if entry.stream == stream && !entry.is_lost {
                return Ok(Some((entry, step.last_byte(&entry)?)));
            }
        }
        Ok::<_, io::Error>(None)
    };
    if let Some(found) = find(step, position)? {
        return Ok(Some(found));
    }
    let (mut number, mut is_first) = (step.number, step.header.is_first);
    while !is_first && let Some(step) = Step::open(directory, number - 1)? {
        if let Some(found) = find(&step, step.index_end()?)? {
            return Ok(Some(found));
        }
        (number, is_first) = (step.number, step.header.is_first);
    }
    Ok(None)
}
