//! What of a project comes back after a restart of the machine, without starting anything.

use naru_compose::project::Project;
use naru_plan::{boot, restart};
use naru_state::{ProjectDirectories, atomic, record};

use crate::observe;

/// Whether a container's policy brings it back.
pub(crate) fn comes_back(policy: &restart::Policy, state: &record::State) -> bool {
    let record::Attempts { total, streak } = state.attempts;
    let left = boot::Left {
        started: state.started_ns.is_some() || state.was_lost(),
        was_active: state.was_lost(),
        stopped_by_user: state.stopped_by_user,
        attempts: restart::Attempts { total, streak },
    };
    boot::comes_back(policy, &left)
}

/// The names of the containers that policies bring back: they do not run, and should.
///
/// # Errors
/// When records cannot be read.
pub fn returning(own: &ProjectDirectories) -> Result<Vec<String>, atomic::Error> {
    let Some(project) = atomic::load::<record::Project>(&own.project_file())? else {
        return Ok(Vec::new());
    };
    let damaged =
        |source| atomic::Error::Damaged { path: own.project_file().display().to_string(), source };
    let model: Project = serde_json::from_value(project.model).map_err(damaged)?;
    let comes = |seen: &observe::Seen| {
        let service = model.services.get(&seen.record.service)?;
        let policy = restart::Policy::of(service).ok()?;
        let rests = matches!(seen.state.phase, record::Phase::Exited | record::Phase::Created);
        (rests && !seen.record.is_one_off() && comes_back(&policy, &seen.state))
            .then(|| seen.record.name.clone())
    };
    Ok(observe::containers(own)?.iter().filter_map(comes).collect())
}
