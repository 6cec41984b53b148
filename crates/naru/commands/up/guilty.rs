//! After a foreground `up` that ended with a service's failure: who is to blame, for the page of a CI run, and the last
//! words of those whose output was not shown.

use naru_state::record::Phase;
use naru_supervisor::observe::{self, Seen};
use naru_supervisor::protocol::Failure;

use super::foreground::Session;
use super::{attached, evidence};
use crate::error::{Blame, CommandError};
use crate::follow::shown_name;
use crate::github::{Annotation, GitHub};
use crate::settings::Settings;

/// Tells who has made `up` end with `code`.
///
/// # Errors
/// When the containers cannot be looked at.
pub(super) fn tell(
    code: u8,
    session: &Session<'_>,
    settings: &Settings,
) -> Result<(), CommandError> {
    let Session { args, loaded, target, printer } = session;
    let containers = observe::containers(&target.directories).host("look at the containers")?;
    let shown = attached::services(args, &loaded.project.services);
    let mut annotations = Vec::new();
    for seen in
        containers.iter().filter(|seen| is_guilty(seen, code, args.exit_code_from.as_deref()))
    {
        let service = &seen.record.service;
        let key = format!("services.{service}");
        evidence::show(&Failure::default().at(&key), target, &shown, printer)?;
        let name = shown_name(&seen.record.name, target.name.as_str());
        let ended = seen.exit_code().map_or_else(|| "unknown".to_owned(), |code| code.to_string());
        let message = format!("{name} exited with code {ended}");
        let place = loaded.problem_at(&key, &message).and_then(|problem| problem.location);
        annotations.push(Annotation { place, message });
    }
    if let Some(github) = GitHub::of(&settings.environment) {
        github.annotate(&annotations, printer);
    }
    Ok(())
}

/// Whether a container has failed of its own accord, or is the one whose code was asked for.
fn is_guilty(seen: &Seen, code: u8, asked_for: Option<&str>) -> bool {
    let is_asked_for = asked_for == Some(seen.record.service.as_str());
    let has_failed = seen.state.phase == Phase::Exited && seen.exit_code() != Some(0);
    has_failed && (!seen.state.stopped_by_user || (is_asked_for && seen.exit_code() == Some(code)))
}
