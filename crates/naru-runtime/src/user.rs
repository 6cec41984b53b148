//! What the caller does for a process in a user namespace, which has no rights of its own outside.

use rustix::io::Errno;
use rustix::process::Pid;

use crate::limits;
use crate::plan::{IdMaps, ProcessPlan, SchedulePlan, map_text};
use crate::{Error, Stage};

/// Everything that takes rights on the host, for one process.
#[derive(Debug)]
pub(crate) struct Privileges {
    ids: Option<IdMaps>,
    rlimits: Vec<(u32, u64, u64)>,
    oom_score_adj: Option<i32>,
    schedule: SchedulePlan,
}

impl Privileges {
    /// Takes what is the caller's to do out of the plan. Without `ids` the namespace has its maps.
    pub(crate) fn take(ids: Option<IdMaps>, plan: &mut ProcessPlan) -> Self {
        let rlimits = std::mem::take(&mut plan.rlimits);
        let schedule = std::mem::take(&mut plan.schedule);
        Self { ids, rlimits, oom_score_adj: plan.oom_score_adj.take(), schedule }
    }

    /// Does it, before the process has its plan; returns what could not be done in full.
    ///
    /// The maps come first: until they are written, the process is nobody.
    pub(crate) fn apply(&self, pid: i32) -> Result<Vec<String>, Error> {
        if let Some(ids) = &self.ids {
            write_maps(pid, ids)?;
        }
        let mut warnings = Vec::new();
        for limit in &self.rlimits {
            let failed = |errno: Errno| Error::Setup {
                stage: Stage::Limits,
                text: format!("cannot set the resource limit {}", limits::name(limit.0)),
                source: errno.into(),
            };
            warnings.extend(limits::set(Pid::from_raw(pid), *limit).map_err(failed)?);
        }
        if let Some(score) = self.oom_score_adj {
            warnings.extend(set_score(pid, score)?);
        }
        limits::schedule(pid, &self.schedule).map_err(|errno| Error::Setup {
            stage: Stage::Limits,
            text: "cannot set the scheduler".to_owned(),
            source: errno.into(),
        })?;
        Ok(warnings)
    }
}

/// Writes the maps of a new user namespace, whose only process is `pid`
/// ([user_namespaces(7)](https://man7.org/linux/man-pages/man7/user_namespaces.7.html)).
pub(crate) fn write_maps(pid: i32, ids: &IdMaps) -> Result<(), Error> {
    for (file, ranges) in [("uid_map", &ids.uid), ("gid_map", &ids.gid)] {
        fs_err::write(format!("/proc/{pid}/{file}"), map_text(ranges))
            .map_err(|error| Error::host(format!("write the {file} of a user namespace"), error))?;
    }
    Ok(())
}

fn set_score(pid: i32, score: i32) -> Result<Option<String>, Error> {
    let file = format!("/proc/{pid}/oom_score_adj");
    match fs_err::write(file, score.to_string()) {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            Ok(Some(format!("the out-of-memory score cannot be lowered to {score}")))
        }
        Err(error) => Err(Error::host("set the out-of-memory score", error)),
    }
}
