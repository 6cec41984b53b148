//! Writes to stdout and stderr, and knows what they are.

use std::io::{self, IsTerminal, Write};

use super::{Colour, line_of_container, metadata};

/// `--ansi`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum Ansi {
    /// Control characters are never used.
    Never,
    /// Always, whatever stdout and stderr are.
    Always,
    /// On terminals.
    #[default]
    Auto,
}

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum ProgressMode {
    /// A list that is updated in place on a terminal, lines elsewhere.
    #[default]
    Auto,
    /// A list that is updated in place.
    Tty,
    /// A line for every step.
    Plain,
    /// A line of JSON for every step.
    Json,
    /// Nothing.
    Quiet,
}

/// The two streams and how each is written to.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    /// stdout is a terminal.
    pub(crate) stdout_terminal: bool,
    /// stderr is a terminal.
    pub(crate) stderr_terminal: bool,
    /// stdout takes colours.
    pub(crate) stdout_colour: bool,
    /// stderr takes colours.
    pub(crate) stderr_colour: bool,
    /// How progress is asked for.
    asked: (Ansi, ProgressMode),
    /// How progress is shown; never `Auto`.
    pub(crate) progress: ProgressMode,
    /// Progress goes to stdout.
    pub(crate) status_on_stdout: bool,
}

impl Printer {
    /// Finds out what the streams are. `no_color` is whether NO_COLOR is set.
    pub(crate) fn new(ansi: Ansi, progress: ProgressMode, no_color: bool) -> Self {
        let (stdout_terminal, stderr_terminal) =
            (io::stdout().is_terminal(), io::stderr().is_terminal());
        let colour = |terminal| match ansi {
            Ansi::Never => false,
            Ansi::Always => true,
            Ansi::Auto => terminal && !no_color,
        };
        Self {
            stdout_terminal,
            stderr_terminal,
            stdout_colour: colour(stdout_terminal),
            stderr_colour: colour(stderr_terminal),
            asked: (ansi, progress),
            progress: shown(ansi, progress, stderr_terminal),
            status_on_stdout: false,
        }
    }

    /// The same, with progress on stdout when `on_stdout`, as `COMPOSE_STATUS_STDOUT` asks for.
    pub(crate) fn with_status_on_stdout(mut self, on_stdout: bool) -> Self {
        let terminal = if on_stdout { self.stdout_terminal } else { self.stderr_terminal };
        self.progress = shown(self.asked.0, self.asked.1, terminal);
        self.status_on_stdout = on_stdout;
        self
    }

    /// Whether progress takes colours.
    pub(crate) fn status_colour(&self) -> bool {
        if self.status_on_stdout { self.stdout_colour } else { self.stderr_colour }
    }

    /// Writes progress as it is, to stderr unless it was asked for on stdout.
    pub(crate) fn status(&self, text: &str) {
        if self.status_on_stdout {
            // When nobody listens there is nobody to tell.
            let _written = self.data(text);
        } else {
            self.conversation(text);
        }
    }

    /// Writes data to stdout as it is.
    ///
    /// # Errors
    /// When nobody takes it; the caller ends then.
    pub(crate) fn data(&self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Writes a line of data to stdout.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub(crate) fn data_line(&self, text: &str) -> io::Result<()> {
        self.data(&format!("{text}\n"))
    }

    /// Tells the user something, a line or several.
    pub(crate) fn say(&self, text: &str) {
        let mut shown = String::new();
        for line in text.lines() {
            shown.push_str(&metadata(line));
            shown.push('\n');
        }
        self.conversation(&shown);
    }

    /// Shows a line that a container's hook wrote, as docker compose marks it: `web-1 -> line`.
    pub(crate) fn hook(&self, container: &str, line: &str) {
        let shown = line_of_container(line.as_bytes());
        self.conversation(&format!("{} -> {shown}\n", metadata(container)));
    }

    /// Shows Compose problems as the loader words them: a heading, the place, its line, a mark below it.
    pub(crate) fn problem(&self, text: &str) {
        let mut shown = String::new();
        for line in text.lines() {
            shown.push_str(&paint_problem(&metadata(line), self.stderr_colour));
            shown.push('\n');
        }
        self.conversation(&shown);
    }

    /// Says what the user can do.
    pub(crate) fn hint(&self, text: &str) {
        self.headed("hint: ", Colour::CYAN, text);
    }

    /// Says what went wrong.
    pub(crate) fn error(&self, text: &str) {
        self.headed("naru: ", Colour::RED, text);
    }

    fn headed(&self, heading: &str, colour: Colour, text: &str) {
        let heading = colour.paint(heading, self.stderr_colour);
        let lines: Vec<_> = text.lines().map(metadata).collect();
        self.conversation(&format!("{heading}{}\n", lines.join("\n")));
    }

    /// Writes to stderr as it is.
    pub(crate) fn conversation(&self, text: &str) {
        // When nobody listens there is nobody to tell.
        let _written = io::stderr().lock().write_all(text.as_bytes());
    }
}

/// How progress is shown when it is asked for like this.
fn shown(ansi: Ansi, progress: ProgressMode, terminal: bool) -> ProgressMode {
    match (progress, ansi) {
        (ProgressMode::Auto, Ansi::Never) => ProgressMode::Plain,
        (ProgressMode::Auto, _) if terminal => ProgressMode::Tty,
        (ProgressMode::Auto, _) => ProgressMode::Plain,
        (asked, _) => asked,
    }
}

/// A line of a problem with its heading or its marks in colour.
fn paint_problem(line: &str, colour: bool) -> String {
    let headings = [
        ("error:", Colour::RED),
        ("warning:", Colour::YELLOW),
        ("note:", Colour::CYAN),
        ("  hint:", Colour::CYAN),
    ];
    let heading = headings.iter().find(|(heading, _)| line.starts_with(heading));
    match (heading, line.find('^')) {
        (Some((heading, tint)), _) => tint.paint(heading, colour) + &line[heading.len()..],
        (None, Some(marks)) if line.bytes().all(|byte| matches!(byte, b' ' | b'|' | b'^')) => {
            line[..marks].to_owned() + &Colour::RED.paint(&line[marks..], colour)
        }
        _ => line.to_owned(),
    }
}

/// Passes bytes of a process that the user runs by himself: to stderr or stdout, exactly as they are.
///
/// # Errors
/// When nobody takes them.
pub(crate) fn pass_through(to_stderr: bool, bytes: &[u8]) -> io::Result<()> {
    if to_stderr {
        return io::stderr().lock().write_all(bytes);
    }
    let mut stdout = io::stdout().lock();
    stdout.write_all(bytes)?;
    stdout.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_marks_are_coloured_and_nothing_else() {
        assert_eq!(paint_problem("error: x", true), "\x1b[31merror:\x1b[0m x");
        assert_eq!(paint_problem("   | ^^", true), "   | \x1b[31m^^\x1b[0m");
        assert_eq!(paint_problem(" 3 | a: ^", true), " 3 | a: ^");
        assert_eq!(paint_problem("error: x", false), "error: x");
    }
}
