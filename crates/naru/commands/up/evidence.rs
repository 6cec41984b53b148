//! After an `up` has failed: what the containers that are to blame have said, and what their health checks have.

use std::collections::BTreeSet;

use naru_state::log::{Item, Stream};
use naru_state::record::{HealthStatus, Probe, State};
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::Failure;

use crate::error::{Blame, CommandError};
use crate::follow::{Entry, Logs, Selection, shown_name};
use crate::settings::Target;
use crate::ui::{Layout, Output, Printer};

/// Lines of each container.
const LINES: u64 = 20;

/// Different results of each health check.
const PROBES: usize = 3;

/// Shows the last lines of the containers that `failure` is about and whose services are not `shown` already, and what
/// their health checks have found.
///
/// # Errors
/// When the project cannot be looked at or nobody takes the lines.
pub(crate) fn show(
    failure: &Failure,
    target: &Target,
    shown: &BTreeSet<String>,
    printer: &Printer,
) -> Result<(), CommandError> {
    let selection = Selection { tail: Some(LINES), passing: true, ..Selection::default() };
    let mut logs = Logs::new(target.directories.clone(), selection);
    let project = target.name.as_str();
    let layout = Layout { prefix: true, colour: true, timestamps: false, raw: false };
    let mut output = Output::new(printer, layout);
    let mut show = |mut entry: Entry<'_>| {
        let is_wanted =
            !shown.contains(entry.service) && is_about(failure, entry.name, entry.service, project);
        if !is_wanted {
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
    output.end()?;
    let containers = observe::containers(&target.directories).host("look at the containers")?;
    for Seen { record, state } in containers {
        let name = shown_name(&record.name, project);
        if is_about(failure, name, &record.service, project) {
            show_health(name, &state, printer);
        }
    }
    Ok(())
}

/// Shows why a container is not healthy, where it should be.
fn show_health(name: &str, state: &State, printer: &Printer) {
    let Some(health) = state.health.as_ref().filter(|it| it.status != HealthStatus::Healthy) else {
        return;
    };
    if let Some(missing) = state.not_ready.as_ref().filter(|missing| !missing.is_empty()) {
        printer.say(&format!("{name} is not ready: {missing}"));
    }
    if health.log.is_empty() {
        return;
    }
    let standing = match (health.status, health.failing_streak) {
        (HealthStatus::Unhealthy, failures) => format!("is unhealthy, {failures} checks failed"),
        (_, 0) => "is still starting, no failure has counted yet".to_owned(),
        (_, failures) => format!("is still starting, {failures} failures have counted"),
    };
    printer.say(&format!("{name} {standing}; the last health checks:"));
    for (text, times) in last_results(health.log.iter().map(words)) {
        let times = if times > 1 { format!(" ({times} times)") } else { String::new() };
        let mut lines = text.lines();
        let first = lines.next().unwrap_or_default();
        printer.say(&format!("{name} health check {first}{times}"));
        for line in lines {
            printer.say(&format!("    {}", line.replace('\t', "    ")));
        }
    }
}

/// The last [`PROBES`] results that differ, each with how often it came in a row.
fn last_results(all: impl Iterator<Item = String>) -> Vec<(String, usize)> {
    let mut results: Vec<(String, usize)> = Vec::new();
    for text in all {
        match results.last_mut() {
            Some((last, times)) if *last == text => *times += 1,
            _ => results.push((text, 1)),
        }
    }
    results.split_off(results.len().saturating_sub(PROBES))
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
    fn a_result_that_came_again_and_again_is_told_once() {
        let all = ["no", "no", "what", "no", "gone", "gone", "gone"].map(str::to_owned);
        let expected = [("what", 1), ("no", 1), ("gone", 3)];
        let expected = expected.map(|(text, times)| (text.to_owned(), times));
        assert_eq!(last_results(all.into_iter()), expected);
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
