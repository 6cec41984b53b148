//! Problems of the Compose files as JSON, for editors and scripts: `naru config --diagnostics json`, and
//! `naru config --format json` when there is no project to print. docs/diagnostics.md describes the form.

use naru_compose::{Problems, Severity};

use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// How problems are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Form {
    /// As sentences, beside the usual output.
    Text,
    /// As JSON on stdout, instead of the usual output.
    Json,
}

/// Checks the project and prints its problems, warnings and notes as JSON. The exit code is 1 when there
/// is an error.
///
/// # Errors
/// When nobody takes the output.
pub(crate) fn run(
    services: &[String],
    settings: &Settings,
    printer: &Printer,
) -> Result<u8, CommandError> {
    let problems = match settings.read(services) {
        Ok(loaded) => {
            let notes = loaded.notes();
            Problems(loaded.warnings.into_iter().chain(notes).collect())
        }
        Err(problems) => problems,
    };
    printer.data_line(&problems.to_json())?;
    Ok(problems.0.iter().any(|problem| problem.severity == Severity::Error).into())
}

/// What a command fails with whose output is JSON: the same problems once more on stdout, so that there is
/// always one document.
///
/// # Errors
/// When nobody takes the output.
pub(crate) fn on_stdout(
    problems: Problems,
    printer: &Printer,
) -> Result<CommandError, CommandError> {
    printer.data_line(&problems.to_json())?;
    Ok(CommandError::config(problems))
}
