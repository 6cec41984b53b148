//! After an `up` in the background has failed: the last lines of the containers that are to blame, which
//! nobody has seen.

use naru_supervisor::protocol::Failure;

use crate::commands::logs::{last_of_each, write};
use crate::error::{Blame, CommandError};
use crate::follow::{Logs, Selection, shown_name};
use crate::settings::Target;
use crate::ui::{Layout, Output, Printer};

/// Lines of each container.
const LINES: usize = 10;

/// Shows the last lines since `since_ns` of the containers that `failure` is about.
///
/// # Errors
/// When the logs cannot be read or nobody takes the lines.
pub(super) fn show(
    failure: &Failure,
    target: &Target,
    since_ns: u64,
    printer: &Printer,
) -> Result<(), CommandError> {
    let selection = Selection { since_ns: Some(since_ns), ..Selection::default() };
    let mut logs = Logs::new(target.directories.clone(), selection);
    let mut entries = logs.read().host("read the logs")?;
    entries.extend(logs.finish(None));
    let project = target.name.as_str();
    entries.retain(|entry| is_about(failure, &entry.name, &entry.service, project));
    let layout = Layout { prefix: true, colour: true, timestamps: false };
    // All of it is about a failure: none of it is what the user asked for.
    entries.iter_mut().for_each(|entry| entry.line.stream = naru_state::log::Stream::Stderr);
    write(&mut Output::new(printer, layout), &last_of_each(entries, LINES))?;
    Ok(())
}

/// Whether the failure names the container or the service.
fn is_about(failure: &Failure, name: &str, service: &str, project: &str) -> bool {
    let is_key = |key: &String| {
        let rest = key.strip_prefix("services.").and_then(|key| key.strip_prefix(service));
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let words = |text: &String| {
        let separators = |c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.'));
        text.split(separators).any(|word| shown_name(word, project) == name)
    };
    failure.key.iter().any(is_key)
        || std::iter::once(&failure.message).chain(&failure.causes).any(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_about_the_containers_and_the_service_that_it_names() {
        let message = "dependency failed to start: container shop-db-1 is unhealthy".to_owned();
        let failure = Failure { message, ..Failure::default() };
        assert!(is_about(&failure, "db-1", "db", "shop"));
        assert!(!is_about(&failure, "db-11", "db", "shop"));
        let failure = Failure::default().at("services.web.command");
        assert!(is_about(&failure, "web-1", "web", "shop"));
        assert!(!is_about(&failure, "we-1", "we", "shop"));
    }
}
