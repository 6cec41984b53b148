//! What the caller does for a process in a user namespace, which has no rights of its own outside.

use rustix::io::Errno;
use rustix::process::Pid;

use crate::limits;
use crate::plan::{IdMaps, ProcessPlan, SchedulePlan, map_text};
use crate::{Error, Stage};

/// `RLIMIT_STACK`.
const STACK: u32 = 3;

/// Everything that takes rights on the host, for one process.
#[derive(Debug, Clone)]
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
    /// The maps come first: until they are written, the process is nobody. The limit of the stack is left
    /// to [`apply_late`](Self::apply_late).
    pub(crate) fn apply(&self, pid: i32) -> Result<Vec<String>, Error> {
        if let Some(ids) = &self.ids {
            write_maps(pid, ids)?;
        }
        let mut warnings = Vec::new();
        for limit in self.rlimits.iter().filter(|limit| limit.0 != STACK) {
            warnings.extend(set_limit(pid, *limit)?);
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

impl Privileges {
    /// Does the rest when the process has set itself up. execve(2), which it is in until it asks for its
    /// plan, ends by setting the limit of the stack to what it was at the beginning.
    pub(crate) fn apply_late(&self, pid: i32) -> Result<Option<String>, Error> {
        let stack = self.rlimits.iter().find(|limit| limit.0 == STACK);
        stack.map_or(Ok(None), |limit| set_limit(pid, *limit))
    }
}

fn set_limit(pid: i32, limit: (u32, u64, u64)) -> Result<Option<String>, Error> {
    let failed = |errno: Errno| Error::Setup {
        stage: Stage::Limits,
        text: format!("cannot set the resource limit {}", limits::name(limit.0)),
        source: errno.into(),
    };
    limits::set(Pid::from_raw(pid), limit).map_err(failed)
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
