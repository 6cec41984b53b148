//! Output of containers, several at once: `web-1  | line`.

use std::collections::BTreeMap;
use std::io::{self, Write};

use naru_state::log::{Line, Stream};

use super::{Colour, Printer, line_of_container};
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
}

/// A line and whose it is.
#[derive(Debug, Clone)]
pub(crate) struct Piece<'a> {
    /// The container's name without the project's.
    pub(crate) name: &'a str,
    /// Its service, which gives the colour.
    pub(crate) service: &'a str,
    /// What it wrote.
    pub(crate) line: &'a Line,
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

    /// Adds a line to the batch.
    ///
    /// # Errors
    /// When nobody takes what the batch held before.
    pub(crate) fn write(&mut self, piece: &Piece<'_>) -> io::Result<()> {
        let stream = piece.line.stream;
        if stream != self.pending_stream || self.pending.len() > 1 << 16 {
            self.flush()?;
            self.pending_stream = stream;
        }
        if self.layout.prefix {
            self.widen(piece.name);
            self.push_prefix(piece);
        }
        if self.layout.timestamps {
            self.pending.extend_from_slice(time::rfc3339_nano(piece.line.time_ns).as_bytes());
            self.pending.push(b' ');
        }
        let terminal = if stream == Stream::Stdout { self.terminals.0 } else { self.terminals.1 };
        if terminal {
            self.pending.extend_from_slice(line_of_container(&piece.line.bytes).as_bytes());
        } else {
            self.pending.extend_from_slice(&piece.line.bytes);
        }
        self.pending.push(b'\n');
        Ok(())
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

    fn push_prefix(&mut self, piece: &Piece<'_>) {
        if !self.prefixes.contains_key(piece.name) {
            let text = format!("{:width$} |", super::metadata(piece.name), width = self.width + 1);
            let colour = Colour::of_service(piece.service);
            let painted = [self.colours.0, self.colours.1].map(|on| colour.paint(&text, on));
            self.prefixes.insert(piece.name.to_owned(), painted);
        }
        let prefix = &self.prefixes[piece.name][usize::from(piece.line.stream == Stream::Stderr)];
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
        let line = Line {
            time_ns: 1_000_000_000,
            stream: Stream::Stdout,
            generation: 1,
            bytes: text.to_vec(),
            complete: true,
        };
        output.write(&Piece { name, service: "web", line: &line }).unwrap();
        String::from_utf8(output.pending).unwrap()
    }

    #[test]
    fn prefixes_are_as_wide_as_the_longest_name_and_stay_intact() {
        let layout = Layout { prefix: true, colour: false, timestamps: false };
        assert_eq!(shown(layout, "web-1", b"hello"), "web-1     | hello\n");
        assert_eq!(shown(layout, "web-1", b"\x1b[1A\rdb-1 | x"), "web-1     | ^[[1A^Mdb-1 | x\n");
    }

    #[test]
    fn the_time_comes_between_prefix_and_line() {
        let layout = Layout { prefix: true, colour: false, timestamps: true };
        assert_eq!(shown(layout, "web-1", b"x"), "web-1     | 1970-01-01T00:00:01.000000000Z x\n");
        let layout = Layout { prefix: false, colour: false, timestamps: false };
        assert_eq!(shown(layout, "web-1", b"x"), "x\n");
    }
}
