//! Output of containers, several at once: `web-1  | line`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use naru_state::log::{Item, Line, Lost, MAX_LINE, Stream};

use super::{Colour, Printer, line_of_container};
use crate::follow::Entry;
use crate::time;

/// How lines are shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// The container's name before each line.
    pub(crate) prefix: bool,
    /// In the service's colour.
    pub(crate) colour: bool,
    /// The time before each line.
    pub(crate) timestamps: bool,
    /// What a terminal would obey is not shown in caret form.
    pub(crate) raw: bool,
}

/// Writes lines: what came from stdout to stdout, the rest to stderr. Call [`Output::flush`] after a batch.
#[derive(Debug)]
pub(crate) struct Output {
    layout: Layout,
    terminals: (bool, bool),
    colours: (bool, bool),
    /// Characters of the longest name.
    width: usize,
    prefixes: BTreeMap<String, [String; 2]>,
    pending: Vec<u8>,
    pending_stream: Stream,
    /// The last line was cut for its length: whose it was. Its line feed waits for what follows.
    cut: Option<String>,
}

impl Output {
    /// Output in this layout.
    pub(crate) fn new(printer: &Printer, layout: Layout) -> Self {
        Self {
            layout,
            terminals: (printer.stdout_terminal, printer.stderr_terminal),
            colours: (
                printer.stdout_colour && layout.colour,
                printer.stderr_colour && layout.colour,
            ),
            width: 0,
            prefixes: BTreeMap::new(),
            pending: Vec::new(),
            pending_stream: Stream::Stdout,
            cut: None,
        }
    }

    /// Makes room for a name.
    pub(crate) fn widen(&mut self, name: &str) {
        let width = name.chars().count();
        if width > self.width {
            self.width = width;
            self.prefixes.clear();
        }
    }

    /// Adds an entry to the batch.
    ///
    /// # Errors
    /// When nobody takes what the batch held before.
    pub(crate) fn write(&mut self, entry: &Entry<'_>) -> io::Result<()> {
        match &entry.item {
            Item::Line(line) => self.line(entry, line),
            Item::Lost(lost) => self.lost(entry, *lost),
        }
    }

    fn line(&mut self, entry: &Entry<'_>, line: &Line) -> io::Result<()> {
        let is_rest = line.continues
            && self.pending_stream == line.stream
            && self.cut.as_deref() == Some(entry.name);
        // Without a prefix the parts of a very long line are put together again.
        let joins = is_rest && !self.layout.prefix && !self.layout.timestamps;
        if joins {
            self.cut = None;
        } else {
            self.turn_to(line.stream)?;
            // The line feed alone was wanting.
            if is_rest && line.bytes.is_empty() {
                return Ok(());
            }
            self.begin(entry, line.stream, line.time_ns);
        }
        self.push(&line.bytes, line.stream);
        // One that was cut for its length may go on, whenever that comes.
        match line.complete || line.bytes.len() < MAX_LINE {
            true => self.pending.push(b'\n'),
            false => self.cut = Some(entry.name.to_owned()),
        }
        if self.pending.len() > 1 << 16 { self.flush() } else { Ok(()) }
    }

    /// Ends a line that was cut, and turns to a stream.
    fn turn_to(&mut self, stream: Stream) -> io::Result<()> {
        if self.cut.take().is_some() {
            self.pending.push(b'\n');
        }
        if stream != self.pending_stream {
            self.flush()?;
            self.pending_stream = stream;
        }
        Ok(())
    }

    fn begin(&mut self, entry: &Entry<'_>, stream: Stream, time_ns: u64) {
        if self.layout.prefix {
            self.widen(entry.name);
            self.push_prefix(entry, stream);
        }
        if self.layout.timestamps {
            self.pending.extend_from_slice(time::rfc3339_nano(time_ns).as_bytes());
            self.pending.push(b' ');
        }
    }

    fn push(&mut self, bytes: &[u8], stream: Stream) {
        let terminal = if stream == Stream::Stdout { self.terminals.0 } else { self.terminals.1 };
        if terminal && !self.layout.raw {
            self.pending.extend_from_slice(line_of_container(bytes).as_bytes());
        } else {
            self.pending.extend_from_slice(bytes);
        }
    }

    /// What cannot be shown is said beside the data, where it is missing.
    fn lost(&mut self, entry: &Entry<'_>, lost: Lost) -> io::Result<()> {
        self.turn_to(Stream::Stderr)?;
        self.begin(entry, Stream::Stderr, lost.time_ns);
        let text = format!("--- {} bytes of output are missing here ---\n", lost.bytes);
        self.pending.extend_from_slice(text.as_bytes());
        self.flush()
    }

    /// Writes what the batch holds, and ends a line that was cut: nothing more comes.
    ///
    /// # Errors
    /// When nobody takes it.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.turn_to(self.pending_stream)?;
        self.flush()
    }

    /// Writes what the batch holds.
    ///
    /// # Errors
    /// When nobody takes it.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        let written = match self.pending_stream {
            Stream::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(&self.pending).and_then(|()| stdout.flush())
            }
            Stream::Stderr => io::stderr().lock().write_all(&self.pending),
        };
        self.pending.clear();
        written
    }

    fn push_prefix(&mut self, entry: &Entry<'_>, stream: Stream) {
        if !self.prefixes.contains_key(entry.name) {
            let text = format!("{:width$} |", super::metadata(entry.name), width = self.width + 1);
            let colour = Colour::of_service(entry.service);
            let painted = [self.colours.0, self.colours.1].map(|on| colour.paint(&text, on));
            self.prefixes.insert(entry.name.to_owned(), painted);
        }
        let prefix = &self.prefixes[entry.name][usize::from(stream == Stream::Stderr)];
        self.pending.extend_from_slice(prefix.as_bytes());
        self.pending.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::{Ansi, ProgressMode};

    fn shown(layout: Layout, name: &str, text: &[u8]) -> String {
        let mut printer = Printer::new(Ansi::Never, ProgressMode::Plain, true);
        printer.stdout_terminal = true;
        let mut output = Output::new(&printer, layout);
        output.widen("worker-1");
        output.write(&Entry { name, service: "web", item: Item::Line(line(text)) }).unwrap();
        String::from_utf8(output.pending).unwrap()
    }

    fn line(text: &[u8]) -> Line {
        Line {
            time_ns: 1_000_000_000,
            stream: Stream::Stdout,
            generation: 1,
            bytes: text.to_vec(),
            complete: true,
            continues: false,
        }
    }

    const BARE: Layout = Layout { prefix: false, colour: false, timestamps: false, raw: false };

    #[test]
    fn a_line_that_was_cut_for_its_length_is_put_together_where_no_prefix_is_shown() {
        for prefix in [false, true] {
            let printer = Printer::new(Ansi::Never, ProgressMode::Plain, true);
            let mut output = Output::new(&printer, Layout { prefix, ..BARE });
            let part = |text: &[u8], complete, continues| Entry {
                name: "web-1",
                service: "web",
                item: Item::Line(Line { complete, continues, ..line(text) }),
            };
            output.write(&part(&vec![b'x'; MAX_LINE], false, false)).unwrap();
            assert!(!output.pending.ends_with(b"\n"));
            // However late its rest comes.
            output.flush().unwrap();
            output.write(&part(b"rest", true, true)).unwrap();
            output.write(&part(b"unfinished", false, false)).unwrap();
            output.write(&part(b"end", true, false)).unwrap();
            let text = String::from_utf8(std::mem::take(&mut output.pending)).unwrap();
            let expected = match prefix {
                true => "\nweb-1  | rest\nweb-1  | unfinished\nweb-1  | end\n",
                false => "rest\nunfinished\nend\n",
            };
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn a_terminal_gets_what_was_written_when_asked_for() {
        let text = b"\x1b[1A\x1b]52;c;aGk=\x07";
        let shown = shown(Layout { raw: true, ..BARE }, "web-1", text);
        assert_eq!(shown.as_bytes(), [&text[..], b"\n"].concat());
    }

    #[test]
    fn prefixes_are_as_wide_as_the_longest_name_and_stay_intact() {
        let layout = Layout { prefix: true, ..BARE };
        assert_eq!(shown(layout, "web-1", b"hello"), "web-1     | hello\n");
        assert_eq!(shown(layout, "web-1", b"\x1b[1A\rdb-1 | x"), "web-1     | ^[[1A^Mdb-1 | x\n");
    }

    #[test]
    fn the_time_comes_between_prefix_and_line() {
        let layout = Layout { prefix: true, timestamps: true, ..BARE };
        assert_eq!(shown(layout, "web-1", b"x"), "web-1     | 1970-01-01T00:00:01.000000000Z x\n");
        assert_eq!(shown(BARE, "web-1", b"x"), "x\n");
    }
}
