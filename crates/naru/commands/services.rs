//! Services named on the command line.

use std::collections::BTreeSet;

use naru_supervisor::observe;

use crate::error::CommandError;
use crate::settings::Target;

/// Refuses names that are neither in the Compose file nor of a container or log.
///
/// # Errors
/// With the first name that nobody knows.
pub(crate) fn check(named: &[String], target: &Target) -> Result<(), CommandError> {
    if named.is_empty() {
        return Ok(());
    }
    let known = known(target);
    match named.iter().find(|&name| !known.contains(name)) {
        // Without a file and without containers there is nothing to tell a wrong name by.
        Some(name) if target.loaded.is_some() || !known.is_empty() => {
            Err(CommandError::user(format!("no such service: {name}")))
        }
        _ => Ok(()),
    }
}

fn known(target: &Target) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    if let Some(loaded) = &target.loaded {
        known.extend(loaded.project.services.keys().cloned());
        known.extend(loaded.project.disabled_services.keys().cloned());
    }
    // Records that cannot be read are the command's own matter.
    let containers = observe::containers(&target.directories).unwrap_or_default();
    known.extend(containers.into_iter().map(|seen| seen.record.service));
    known
}
