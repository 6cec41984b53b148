//! Why a command failed, whose matter that is, and how it is told: once, by `main`.

use std::fmt::Display;
use std::io;

use naru_compose::{Location, Problem, Severity};
use naru_supervisor::protocol::Cause;

use crate::github::{Annotation, GitHub};
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
    cause: Cause,
    annotations: Vec<Annotation>,
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

    /// All that is wrong with the Compose files.
    pub(crate) fn problems(problems: &[Problem]) -> Self {
        let text: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        Self { annotations: errors.map(annotation).collect(), ..Self::config(text.join("\n\n")) }
    }

    fn new(kind: Kind, error: anyhow::Error) -> Self {
        let cause = if kind == Kind::Config { Cause::Config } else { Cause::Other };
        Self { kind, error, hints: Vec::new(), cause, annotations: Vec::new() }
    }

    /// The same with its kind for programs.
    #[must_use]
    pub(crate) fn because(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self
    }

    /// Its kind for programs.
    pub(crate) fn cause(&self) -> Cause {
        self.cause
    }

    /// What is wrong, without its place.
    pub(crate) fn message(&self) -> String {
        match self.annotations.first() {
            Some(annotation) => annotation.message.clone(),
            None => format!("{:#}", self.error),
        }
    }

    /// Where it is in the Compose files, if it is.
    pub(crate) fn place(&self) -> Option<&Location> {
        self.annotations.first().and_then(|annotation| annotation.place.as_ref())
    }

    /// Tells a runner of GitHub Actions.
    pub(crate) fn annotate(&self, github: &GitHub, printer: &Printer) {
        if self.is_broken_pipe() {
            return;
        }
        match self.annotations.as_slice() {
            [] => {
                let annotation = Annotation { place: None, message: self.message() };
                github.annotate(&[annotation], printer);
            }
            annotations => github.annotate(annotations, printer),
        }
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

/// A problem without its excerpt, which the page shows itself.
fn annotation(problem: &Problem) -> Annotation {
    let hint = problem.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
    let message = format!("{}{hint}", problem.message);
    Annotation { place: problem.location.clone(), message }
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
