//! What has come of an `up` or `start` as one JSON document, for CI: docs/results.md describes it.

use std::time::Duration;

use naru_state::record::{Phase, now_ns};
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::Cause;
use serde::Serialize;

use crate::commands::status;
use crate::error::{Blame, CommandError, INTERRUPTED};
use crate::settings::Settings;
use crate::time;
use crate::ui::Printer;

/// The version of the document's form.
const VERSION: u32 = 1;

/// How many of the last health checks are told.
const PROBES: usize = 3;

#[derive(Debug, Serialize)]
struct Document {
    version: u32,
    project: Option<String>,
    outcome: &'static str,
    exit_code: u8,
    cause: Option<Cause>,
    message: Option<String>,
    place: Option<Place>,
    duration_ms: u128,
    containers: Vec<Container>,
}

#[derive(Debug, Serialize)]
struct Place {
    file: String,
    line: u32,
    column: u32,
}

#[derive(Debug, Serialize)]
struct Container {
    name: String,
    service: String,
    state: &'static str,
    health: &'static str,
    /// Of the last run that has ended; nothing where there was none or nobody knows.
    exit_code: Option<u8>,
    out_of_memory: bool,
    restarts: u32,
    /// Why it could not be started.
    error: Option<String>,
    /// What is missing for it to be ready.
    not_ready: Option<String>,
    started_at: Option<String>,
    finished_at: Option<String>,
    /// How long the last run took, or has taken until now.
    ran_for_ms: Option<u128>,
    probes: Vec<Probe>,
}

#[derive(Debug, Serialize)]
struct Probe {
    started_at: String,
    took_ms: u128,
    exit_code: Option<u8>,
    output: String,
}

/// Prints the document of a command with this outcome.
///
/// # Errors
/// When the containers cannot be looked at, or nobody takes the document.
pub(crate) fn print(
    outcome: &Result<u8, CommandError>,
    took: Duration,
    services: &[String],
    (settings, printer): (&Settings, &Printer),
) -> Result<(), CommandError> {
    // What is wrong with the files is the outcome already.
    let target = settings.target(services).ok();
    let containers = match &target {
        Some(target) => observe::containers(&target.directories).host("look at the containers")?,
        None => Vec::new(),
    };
    let now = now_ns();
    let (exit_code, cause) = match outcome {
        Ok(0) => (0, None),
        Ok(INTERRUPTED) => (INTERRUPTED, None),
        Ok(code) => (*code, Some(Cause::Exited)),
        Err(error) => (1, Some(error.cause())),
    };
    let place = outcome.as_ref().err().and_then(CommandError::place);
    let place = place.map(|place| Place {
        file: place.file.display().to_string(),
        line: place.line,
        column: place.column,
    });
    let document = Document {
        version: VERSION,
        project: target.map(|target| target.name.to_string()),
        outcome: match exit_code {
            0 => "ok",
            INTERRUPTED => "interrupted",
            _ => "failed",
        },
        exit_code,
        cause,
        message: outcome.as_ref().err().map(CommandError::message),
        place,
        duration_ms: took.as_millis(),
        containers: containers.iter().map(|seen| container(seen, now)).collect(),
    };
    let text = serde_json::to_string_pretty(&document).fault("print the result")?;
    printer.data_line(&text)?;
    Ok(())
}

fn container(seen: &Seen, now_ns: u64) -> Container {
    let Seen { record, state } = seen;
    let runs = state.phase == Phase::Running;
    let ended = state.exit.as_ref().filter(|_| !runs);
    let until = if runs { Some(now_ns) } else { state.finished_ns };
    let ran_for = state.started_ns.zip(until).map(|(from, to)| status::elapsed(from, to));
    let log = state.health.iter().flat_map(|health| health.log.iter().rev().take(PROBES).rev());
    Container {
        name: record.name.clone(),
        service: record.service.clone(),
        state: status::word(state.phase),
        health: status::health(state),
        exit_code: ended.and_then(|exit| exit.code),
        out_of_memory: ended.is_some_and(|exit| exit.out_of_memory),
        restarts: state.restarts,
        error: state.error.clone(),
        not_ready: state.not_ready.clone(),
        started_at: state.started_ns.map(time::rfc3339_nano),
        finished_at: state.finished_ns.filter(|_| !runs).map(time::rfc3339_nano),
        ran_for_ms: ran_for.map(|time| time.as_millis()),
        probes: log
            .map(|probe| Probe {
                started_at: time::rfc3339_nano(probe.started_ns),
                took_ms: probe.took.as_millis(),
                exit_code: probe.code,
                output: probe.output.clone(),
            })
            .collect(),
    }
}
