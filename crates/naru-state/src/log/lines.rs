//! Pieces become lines, each stream's by themselves.

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
    /// Whether a line feed ended it; one that was cut lacks it, and the last line of a run may.
    pub complete: bool,
    /// It goes on where the line before it from the same stream was cut for its length.
    pub continues: bool,
}

impl Line {
    fn begin(entry: &Entry, continues: bool) -> Self {
        Self {
            time_ns: entry.time_ns,
            stream: entry.stream,
            generation: entry.generation,
            bytes: Vec::new(),
            complete: false,
            continues,
        }
    }
}

/// One stream's line that is not at its end, and what to do with what comes.
#[derive(Debug, Clone, Default)]
pub(super) struct Lines {
    partial: Option<Line>,
    /// The last line was cut: what follows belongs to it.
    was_cut: bool,
    /// What comes up to the next line feed belongs to a line that is not wanted.
    pub(super) discards: bool,
}

impl Lines {
    /// Adds the lines that end in `piece`; what follows its last line feed is kept. Gives how many lines ended that
    /// were discarded.
    pub(super) fn take(&mut self, entry: &Entry, piece: &[u8], lines: &mut Vec<Line>) -> u64 {
        // A restart ends the line of the run before it.
        if self.partial.as_ref().is_some_and(|line| line.generation != entry.generation) {
            lines.extend(self.finish());
        }
        let mut discarded = 0;
        for part in piece.split_inclusive(|&byte| byte == b'\n') {
            let (text, ended) = match part.split_last() {
                Some((b'\n', text)) => (text, true),
                _ => (part, false),
            };
            if self.discards {
                discarded += u64::from(ended);
                self.discards = !ended;
                continue;
            }
            self.add(entry, text, lines);
            if ended {
                self.end(entry, lines);
            }
        }
        discarded
    }

    fn add(&mut self, entry: &Entry, mut text: &[u8], lines: &mut Vec<Line>) {
        while !text.is_empty() {
            let was_cut = self.was_cut;
            let line = self.partial.get_or_insert_with(|| Line::begin(entry, was_cut));
            let room = MAX_LINE - line.bytes.len();
            let (now, later) = text.split_at(room.min(text.len()));
            line.bytes.extend_from_slice(now);
            text = later;
            if line.bytes.len() == MAX_LINE {
                lines.extend(self.partial.take());
                self.was_cut = true;
            }
        }
    }

    fn end(&mut self, entry: &Entry, lines: &mut Vec<Line>) {
        let was_cut = std::mem::take(&mut self.was_cut);
        let mut line = match (self.partial.take(), was_cut) {
            (Some(line), _) => line,
            // The line feed that was wanting after the cut.
            (None, true) => Line::begin(entry, true),
            (None, false) => Line::begin(entry, false),
        };
        line.complete = true;
        lines.push(line);
    }

    /// What was written without a line feed at the end.
    pub(super) fn finish(&mut self) -> Option<Line> {
        self.was_cut = false;
        self.partial.take()
    }

    pub(super) fn is_inside(&self) -> bool {
        self.partial.is_some() || self.was_cut
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(generation: u16) -> Entry {
        Entry {
            time_ns: 1,
            offset: 0,
            length: 0,
            stream: Stream::Stdout,
            is_lost: false,
            generation,
        }
    }

    #[test]
    fn a_line_past_the_limit_is_cut_its_rest_says_so_and_a_restart_ends_a_line() {
        let (mut stream, mut lines) = (Lines::default(), Vec::new());
        let long = vec![b'x'; MAX_LINE + 5];
        stream.take(&entry(1), &long, &mut lines);
        stream.take(&entry(2), b"y\n", &mut lines);
        let seen: Vec<_> =
            lines.iter().map(|line| (line.bytes.len(), line.complete, line.continues)).collect();
        assert_eq!(seen, [(MAX_LINE, false, false), (5, false, true), (1, true, false)]);
    }

    #[test]
    fn a_line_of_just_the_limit_is_whole_when_its_line_feed_comes_later() {
        let (mut stream, mut lines) = (Lines::default(), Vec::new());
        stream.take(&entry(1), &vec![b'x'; MAX_LINE], &mut lines);
        stream.take(&entry(1), b"\nnext\n", &mut lines);
        let joined: Vec<u8> = lines.iter().fold(Vec::new(), |mut all, line| {
            all.extend(&line.bytes);
            all.extend(line.complete.then_some(b'\n'));
            all
        });
        assert_eq!(joined.len(), MAX_LINE + 6);
        assert!(joined.ends_with(b"x\nnext\n"));
    }
}
