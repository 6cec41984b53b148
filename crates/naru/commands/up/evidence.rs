//! After an `up` has failed: what the containers that are to blame have said, and what their health checks have.

use naru_state::log::{Item, Stream};
use naru_state::record::{HealthStatus, Probe};
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::Failure;

use crate::error::{Blame, CommandError};
use crate::follow::{Entry, Logs, Selection, shown_name};
use crate::settings::Target;
use crate::ui::{Layout, Output, Printer};

/// Lines of each container.
const LINES: u64 = 10;

/// Shows the last lines of the containers that `failure` is about, which nobody has seen.
///
/// # Errors
/// When the logs cannot be read or nobody takes the lines.
pub(super) fn show_lines(
    failure: &Failure,
    target: &Target,
    printer: &Printer,
) -> Result<(), CommandError> {
    let selection = Selection { tail: Some(LINES), passing: true, ..Selection::default() };
    let mut logs = Logs::new(target.directories.clone(), selection);
    let project = target.name.as_str();
    let layout = Layout { prefix: true, colour: true, timestamps: false, raw: false };
    let mut output = Output::new(printer, layout);
    let mut show = |mut entry: Entry<'_>| {
        if !is_about(failure, entry.name, entry.service, project) {
            return Ok(());
        }
        // All of it is about a failure: none of it is what the user asked for.
        if let Item::Line(line) = &mut entry.item {
            line.stream = Stream::Stderr;
        }
        output.write(&entry)
    };
    while logs.read(&mut show).host("read the logs")? {}
    logs.finish(None, &mut show).host("read the logs")?;
    output.flush()?;
    Ok(())
}

/// Shows the last health check of each unhealthy container that `failure` is about.
///
/// # Errors
/// When the project cannot be looked at.
pub(super) fn show_probes(
    failure: &Failure,
    target: &Target,
    printer: &Printer,
) -> Result<(), CommandError> {
    let project = target.name.as_str();
    let containers = observe::containers(&target.directories).host("look at the containers")?;
    for Seen { record, state } in containers {
        let name = shown_name(&record.name, project);
        let health = state.health.filter(|health| health.status == HealthStatus::Unhealthy);
        let probe = health.and_then(|health| health.log.last().cloned());
        if let Some(probe) = probe.filter(|_| is_about(failure, name, &record.service, project)) {
            printer.say(&format!("{name} health check {}", words(&probe)));
        }
    }
    Ok(())
}

/// "exited with code 3: probe says no".
fn words(probe: &Probe) -> String {
    let how = match probe.code {
        Some(code) => format!("exited with code {code}"),
        None => "did not end in time or could not be run".to_owned(),
    };
    match probe.output.trim() {
        "" => how,
        output => format!("{how}: {output}"),
    }
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
    fn a_health_check_is_told_with_its_code_and_what_it_printed() {
        let probe = |code, output: &str| Probe {
            started_ns: 0,
            took: std::time::Duration::ZERO,
            code,
            output: output.into(),
        };
        assert_eq!(words(&probe(Some(3), "no\n")), "exited with code 3: no");
        assert_eq!(words(&probe(None, "")), "did not end in time or could not be run");
    }

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
