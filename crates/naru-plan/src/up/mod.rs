//! `up`: what has to be done so that services run as the file says.
//!
//! The order of the steps, and why:
//! 1. containers on networks and volumes that are made anew stop, since those cannot be taken away under them;
//! 2. orphans and superfluous containers that do not run go, since they may hold names and ports;
//! 3. networks and volumes are made;
//! 4. all new containers are prepared, also those that replace one, under a temporary name: whatever can
//!    fail has failed before anything that works is stopped;
//! 5. containers that are replaced or superfluous stop, dependents first, and go; the new ones get their names;
//! 6. containers start, each when its gates open; a service's `pre_start` hooks run before it, each to its end.
//!
//! `run` is the same for what a service depends on; instead of its replicas there is one more container, the last to be
//! made and to start.

mod containers;
mod decide;
mod resources;
mod selection;
mod start;

use std::collections::{BTreeMap, BTreeSet};

use naru_compose::project::Project;

use crate::stops::Stops;
use crate::{Error, Notice, Observed, Plan};

use containers::Emitter;
use selection::Selection;

/// What `up` was asked to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the command's flags")]
pub struct UpOptions {
    /// The services asked for; all when empty.
    pub services: Vec<String>,
    /// Recreate the services asked for even if nothing has changed.
    pub force_recreate: bool,
    /// Recreate nothing, whatever has changed.
    pub no_recreate: bool,
    /// Leave out the services that the ones asked for depend on.
    pub no_deps: bool,
    /// Recreate those even if nothing has changed.
    pub always_recreate_deps: bool,
    /// Give recreated containers new anonymous volumes; recreates like `force_recreate`.
    pub renew_anon_volumes: bool,
    /// Remove containers of services that are no longer in the file.
    pub remove_orphans: bool,
    /// Do not tell of such containers.
    pub ignore_orphans: bool,
    /// Replicas in place of the file's number.
    pub scale: BTreeMap<String, u32>,
    /// Whether containers are started, or only made.
    pub start: bool,
    /// What is known of the services' images; nothing is concluded for a service that is missing here.
    pub images: BTreeMap<String, ImageFacts>,
    /// Full names of volumes that the user agreed to lose because their definition has changed.
    pub recreate_volumes: BTreeSet<String>,
    /// A container beside the replicas, in place of the replicas of its service: what `run` asks for. Its service is
    /// the only one in `services`.
    pub one_off: Option<OneOff>,
}

/// A container that `run` asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OneOff {
    /// Its service.
    pub service: String,
    /// Its name.
    pub name: String,
    /// The named volumes that it mounts besides those of its service, by their key.
    pub volumes: Vec<String>,
}

/// What the planner needs to know of an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageFacts {
    /// Its digest.
    pub id: String,
    /// Whether it brings a health check of its own.
    pub has_healthcheck: bool,
}

/// Plans to bring services up.
///
/// # Errors
/// When the project cannot be run as it is; nothing has to be undone then.
pub fn up(project: &Project, observed: &Observed, options: &UpOptions) -> Result<Plan, Error> {
    let selection = Selection::new(project, observed, options)?;
    let mut plan = Plan::default();
    let resources = resources::Changes::find(&selection, &mut plan.notices)?;
    let decisions = decide::all(&selection, &resources);

    let graph = crate::stops::graph(Some(project), observed);
    let mut emitter = Emitter {
        selection: &selection,
        plan: &mut plan,
        stops: Stops::new(&graph),
        ready: BTreeMap::new(),
        removed: BTreeMap::new(),
        renamed: BTreeMap::new(),
        units: Vec::new(),
        hooks: BTreeMap::new(),
    };
    emitter.stop_for_resources(&decisions, &resources);
    emitter.remove_hooks(&decisions);
    emitter.remove_idle(&decisions);
    emitter.orphans();
    emitter.resources(&resources);
    emitter.create(&decisions);
    emitter.replace(&decisions);
    if options.start {
        emitter.start(&decisions);
    }
    if !(options.remove_orphans || options.ignore_orphans) {
        let orphans = selection.orphans();
        if !orphans.is_empty() {
            let containers = orphans.iter().map(|c| c.name.clone()).collect();
            plan.notices.push(Notice::Orphans { containers });
        }
    }
    Ok(plan)
}

/// The services that an `up` with these options is about: those asked for and what they depend on.
///
/// # Errors
/// As [`up()`].
pub fn selected_services(
    project: &Project,
    options: &UpOptions,
) -> Result<BTreeSet<String>, Error> {
    let nothing = Observed::default();
    let selection = Selection::new(project, &nothing, options)?;
    Ok(selection.services.iter().map(|&name| name.to_owned()).collect())
}

#[cfg(test)]
mod tests;
