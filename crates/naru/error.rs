//! Why a command failed, whose matter that is, and how it is told: once, by `main`.

use std::fmt::Display;
use std::io;

use crate::ui::Printer;

/// Exit code after Ctrl-C.
pub(crate) const INTERRUPTED: u8 = 130;

/// Exit code when nobody reads stdout any more: 128 + SIGPIPE, as programs that the signal ends.
const BROKEN_PIPE: u8 = 141;

/// Whose matter a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// What was asked for cannot be.
    User,
    /// The Compose files are wrong.
    Config,
    /// The machine, its kernel or its files said no.
    Host,
    /// naru is wrong.
    Internal,
}

/// A command's failure.
#[derive(Debug)]
pub(crate) struct CommandError {
    kind: Kind,
    error: anyhow::Error,
    hints: Vec<String>,
}

impl CommandError {
    /// The command was asked for something that cannot be. `what` is readable after "naru: ".
    pub(crate) fn user(what: impl Display) -> Self {
        Self::new(Kind::User, anyhow::anyhow!("{what}"))
    }

    /// Compose problems, rendered: they name file, line and column themselves.
    pub(crate) fn config(rendered: impl Display) -> Self {
        Self::new(Kind::Config, anyhow::anyhow!("{rendered}"))
    }

    fn new(kind: Kind, error: anyhow::Error) -> Self {
        Self { kind, error, hints: Vec::new() }
    }

    /// The same with something that the user can do.
    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Tells the user and gives the exit code.
    pub(crate) fn explain(&self, printer: &Printer) -> u8 {
        if self.is_broken_pipe() {
            return BROKEN_PIPE;
        }
        match self.kind {
            Kind::Config => printer.problem(&self.error.to_string()),
            Kind::User | Kind::Host => printer.error(&format!("{:#}", self.error)),
            Kind::Internal => {
                printer
                    .error(&format!("{:#}; this is a fault of naru, please report it", self.error));
            }
        }
        self.hints.iter().for_each(|hint| printer.hint(hint));
        1
    }

    fn is_broken_pipe(&self) -> bool {
        let io = |cause: &&(dyn std::error::Error + 'static)| cause.is::<io::Error>();
        let error = self.error.chain().find(io).and_then(|cause| cause.downcast_ref::<io::Error>());
        error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// stdout could not be written.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        Self::new(Kind::Host, anyhow::Error::new(error).context("cannot write to stdout"))
    }
}

/// Says what naru could not do, and whose matter that is.
pub(crate) trait Blame<T> {
    /// A matter of the machine; `what` follows "naru: cannot ".
    fn host(self, what: impl Display) -> Result<T, CommandError>;
    /// A matter of what was asked for; `what` follows "naru: cannot ".
    fn asked(self, what: impl Display) -> Result<T, CommandError>;
    /// A fault of naru; `what` follows "naru: cannot ".
    fn fault(self, what: impl Display) -> Result<T, CommandError>;
}

impl<T, E: Into<anyhow::Error>> Blame<T> for Result<T, E> {
    fn host(self, what: impl Display) -> Result<T, CommandError> {
        blame(self, Kind::Host, what)
    }

    fn asked(self, what: impl Display) -> Result<T, CommandError> {
        blame(self, Kind::User, what)
    }

    fn fault(self, what: impl Display) -> Result<T, CommandError> {
        blame(self, Kind::Internal, what)
    }
}

fn blame<T, E: Into<anyhow::Error>>(
    result: Result<T, E>,
    kind: Kind,
    what: impl Display,
) -> Result<T, CommandError> {
    result.map_err(|error| CommandError::new(kind, error.into().context(format!("cannot {what}"))))
}
