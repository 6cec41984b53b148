//! Health checks: each probe is a fresh process inside the container, ended at its time limit.

use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use naru_plan::health::{Entry, Outcome, Probe, Probes};
use naru_runtime::{Binary, Cgroup, Exec, Parent, Stdio};
use naru_state::{ContainerId, ProjectDirectories};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, pidfd_send_signal};

use super::Supervisor;
use super::container::Probing;
use super::event::Event;
use super::timers::Due;
use crate::spec::Check;

/// How much of a probe's output is read; the rest is thrown away.
const OUTPUT_LIMIT: usize = 4096;

/// How a probe ended.
#[derive(Debug)]
pub(super) struct Probed {
    generation: u16,
    early: bool,
    began: tokio::time::Instant,
    outcome: Outcome,
    output: String,
}

/// What a probe needs, taken along by its thread.
struct Job {
    own: ProjectDirectories,
    id: ContainerId,
    pidfd: Arc<OwnedFd>,
    cgroup: Cgroup,
    binary: Arc<Binary>,
    command: Vec<String>,
    timeout: Duration,
}

impl Supervisor {
    /// A container with a health check has started: the first probe is due.
    pub(super) fn begin_probing(&mut self, id: &ContainerId, check: Option<Check>) {
        let Some(Check { settings, command }) = check else { return };
        let Some(live) = self.containers.get_mut(id) else { return };
        let Some(running) = &mut live.running else { return };
        running.probing =
            Some(Probing { probes: Probes::new(settings), command, under_way: false });
        live.note_health(live.state.started_ns.unwrap_or_default());
        self.schedule_probe(id);
    }

    fn schedule_probe(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let Some(running) = &live.running else { return };
        let Some(probing) = &running.probing else { return };
        let at = running.since + probing.probes.next().at;
        self.timers.add(at, Due::Probe(id.clone(), live.state.generation));
    }

    /// A probe is due: run it in a thread of its own, which waits for it.
    pub(super) fn probe_due(&mut self, id: &ContainerId, generation: u16) {
        let cgroup = self.cgroup(id);
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.generation != generation || live.stopping.is_some() {
            return;
        }
        let Some(running) = &mut live.running else { return };
        let Some(probing) = &mut running.probing else { return };
        if std::mem::replace(&mut probing.under_way, true) {
            return;
        }
        let Probe { timeout, early, .. } = probing.probes.next();
        let job = Job {
            own: self.own.clone(),
            id: id.clone(),
            pidfd: Arc::clone(&running.pidfd),
            cgroup,
            binary: Arc::clone(&self.binary),
            command: probing.command.clone(),
            timeout,
        };
        let (events, id) = (self.events.clone(), id.clone());
        let began = tokio::time::Instant::now();
        std::thread::spawn(move || {
            let (outcome, output) = probe(&job);
            let probed = Probed { generation, early, began, outcome, output };
            drop(events.send(Event::Probed(id, probed)));
        });
    }

    /// A probe has ended.
    pub(super) fn probed(&mut self, id: &ContainerId, probed: Probed) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.state.generation != probed.generation {
            return;
        }
        let Some(running) = &mut live.running else { return };
        let since = running.since;
        let Some(probing) = &mut running.probing else { return };
        probing.under_way = false;
        let changed = probing.probes.record(Entry {
            began: probed.began.saturating_duration_since(since),
            ended: since.elapsed(),
            outcome: probed.outcome,
            output: probed.output,
            early: probed.early,
        });
        live.note_health(live.state.started_ns.unwrap_or_default());
        if changed {
            tracing::info!(container = %live.record.name, health = ?live.state.health, "changed");
        }
        self.changed(id);
        self.schedule_probe(id);
    }
}

fn probe(job: &Job) -> (Outcome, String) {
    match run(job) {
        Ok(ended) => ended,
        Err(error) => (Outcome::NotRun, error.to_string()),
    }
}

fn run(job: &Job) -> Result<(Outcome, String), Box<dyn std::error::Error>> {
    let spec = crate::spec::load(&job.own, &job.id)?;
    let process = crate::spec::process_of(&spec, job.command.clone())?;
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let stdio = Stdio { stdin: None, stdout: Some(write.try_clone()?), stderr: Some(write), ..Stdio::null() };
    let process = naru_runtime::exec(Exec {
        spec: &spec,
        container: job.pidfd.as_fd(),
        process: &process,
        cgroup: &job.cgroup,
        stdio,
        parent: Parent::Own,
        binary: &job.binary,
    })?;
    let (ended, output) = watch(process.pidfd.as_fd(), read, job.timeout)?;
    if !ended {
        pidfd_send_signal(&process.pidfd, Signal::KILL)?;
    }
    let code = process.wait()?.code().and_then(|code| u8::try_from(code).ok());
    Ok(match (ended, code) {
        (true, Some(code)) => (Outcome::Exited(code), output),
        (true, None) => (Outcome::NotRun, output),
        (false, _) => (Outcome::TimedOut, output),
    })
}

/// Reads output until the process ends; false when it did not within `timeout`.
fn watch(
    pidfd: std::os::fd::BorrowedFd<'_>,
    output: OwnedFd,
    timeout: Duration,
) -> std::io::Result<(bool, String)> {
    rustix::io::ioctl_fionbio(&output, true)?;
    let mut output = std::fs::File::from(output);
    let deadline = Instant::now() + timeout;
    let mut text = Vec::new();
    let mut open = true;
    let ended = loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            break false;
        }
        let mut all = vec![PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
        if open {
            all.push(PollFd::new(&output, PollFlags::IN));
        }
        let left = left.try_into().ok();
        poll(&mut all, left.as_ref())?;
        let has_ended = !all[0].revents().is_empty();
        open = open && read_some(&mut output, &mut text);
        if has_ended {
            break true;
        }
    };
    while open && read_some(&mut output, &mut text) && text.len() < OUTPUT_LIMIT {
        // A grandchild may keep the pipe open: only what is there now is read.
        if !has_more(&output) {
            break;
        }
    }
    Ok((ended, String::from_utf8_lossy(&text).into_owned()))
}

fn has_more(output: &std::fs::File) -> bool {
    let mut one = [PollFd::new(output, PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut one, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Reads a piece, keeping no more than the limit. False at the end of the output.
fn read_some(output: &mut std::fs::File, text: &mut Vec<u8>) -> bool {
    let mut piece = [0; 4096];
    match output.read(&mut piece) {
        Ok(0) => false,
        Ok(length) => {
            let room = OUTPUT_LIMIT.saturating_sub(text.len());
            text.extend_from_slice(&piece[..length.min(room)]);
            true
        }
        Err(error) => error.kind() == std::io::ErrorKind::WouldBlock,
    }
}
