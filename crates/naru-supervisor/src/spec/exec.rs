//! A further process in a container: what `exec` and health checks start from.

use oci_spec::runtime::{Process, Spec};

use super::Error;

/// A process like the container's first one, but without a terminal, that runs another command.
///
/// # Errors
/// When the container's specification has no process or the command is empty.
pub fn process_of(spec: &Spec, command: Vec<String>) -> Result<Process, Error> {
    let Some(first) = spec.process() else {
        return Err(Error::invalid("process", "is missing in the container's specification"));
    };
    if command.first().is_none_or(String::is_empty) {
        return Err(Error::NoCommand);
    }
    let mut process = first.clone();
    process.set_args(Some(command));
    process.set_terminal(Some(false));
    process.set_console_size(None);
    Ok(process)
}
