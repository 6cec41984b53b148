//! Starting a container: from its record to a running process.
//!
//! The order, and why:
//! 1. the root file system as a detached mount: users, volumes and commands are looked up in it before
//!    anything runs, and nothing of it is ever seen on the host;
//! 2. the files that are put into the container, and its volumes' first content;
//! 3. the FIFOs of its output, so that the first byte has a place to go;
//! 4. the cgroup, then the process: from here on it sets itself up, in parallel to the next two;
//! 5. the links into its network namespace;
//! 6. its resolver's sockets, which need the loopback interface;
//! 7. only then is the command let run: network and names are there before its first instruction.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fs_err as fs;
use naru_compose::project::{NetworkMode, Project, Service};
use naru_image::{Image, Store, rootfs};
use naru_net::dns;
use naru_runtime::{Binary, Cgroup, Create, Created, Parent, Root, Stage, Stdio, profile};
use naru_state::process::Identity;
use naru_state::record::{self, Phase};
use naru_state::{ContainerId, ProjectDirectories, log};
use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, Uid, chownat, mknodat};
use tokio::time::Instant;

use super::container::{Running, Starting};
use super::event::Event;
use super::operation::StepOf;
use super::plug::plugs;
use super::timeline::Lap;
use super::{Supervisor, mounts};
use crate::keeper::link::{Handles, Link, ToKeeper, Watch};
use crate::logging::{self, Keep};
use crate::protocol::{Caller, Cause, Failure};
use crate::spec;

/// What a successful start brings.
#[derive(Debug)]
pub(super) struct Started {
    process: Identity,
    pidfd: OwnedFd,
    dns: Option<dns::Sockets>,
    check: Option<spec::Check>,
    /// What keeper and supervisor hold of it.
    handles: Handles,
    /// The link on which the keeper was told of it.
    link: Arc<Link>,
    laps: Vec<Lap>,
}

/// All that a start needs; a worker takes it along.
pub(super) struct Job {
    pub(super) directories: naru_state::Directories,
    pub(super) own: ProjectDirectories,
    pub(super) record: record::Container,
    generation: u16,
    pub(super) service: Service,
    pub(super) model: Project,
    pub(super) caller: Option<Caller>,
    pub(super) networks: Vec<(naru_net::Network, record::Attachment)>,
    cgroup: Cgroup,
    store: Arc<Store>,
    binary: Arc<Binary>,
    link: Arc<Link>,
    kernel_id: String,
    /// What its input is read from, where that is not made here.
    input: Option<Arc<OwnedFd>>,
    /// Soft and hard limit of open files.
    files: (u64, u64),
}

impl Supervisor {
    /// Starts a container; the step, if a command waits for it, ends when it runs.
    pub(super) fn start(&mut self, id: &ContainerId, step: Option<StepOf>) {
        let Some(live) = self.containers.get_mut(id) else { return };
        if live.running.is_some() || live.starting.is_some() {
            if let Some(step) = step {
                self.end_step(step, Ok(()));
            }
            return;
        }
        if step.is_some() {
            live.attempts = naru_plan::restart::Attempts::default();
            live.state.attempts = record::Attempts::default();
            live.state.restarts = 0;
        }
        live.starting = Some(Starting { step, stops: Vec::new() });
        live.state.stopped_by_user = false;
        live.state.renewal = None;
        live.state.waits_for = None;
        live.is_held = false;
        live.state.generation = live.state.generation.saturating_add(1);
        live.state.health = None;
        live.state.probes = None;
        live.state.ready = None;
        live.state.not_ready = None;
        match step {
            Some(_) => self.must_last(id),
            None => self.may_last(),
        }
        // Before anything is made that is called after this start: another one must not use the names again.
        self.save_state(id);
        self.refresh_names();
        match self.job(id) {
            Ok(job) => {
                let (events, id) = (self.events.clone(), id.clone());
                tokio::task::spawn_blocking(move || {
                    let result = run(&job).map_err(|failure| *failure);
                    drop(events.send(Event::StartEnded(id, Box::new(result))));
                });
            }
            Err(failure) => self.start_ended(id, Err(*failure)),
        }
    }

    fn job(&mut self, id: &ContainerId) -> Result<Job, Box<Failure>> {
        self.rebind_ports(id)?;
        let kernel_id = self.kernel_id();
        let missing =
            || Box::new(Failure { message: "the container is gone".into(), ..Default::default() });
        let live = self.containers.get(id).ok_or_else(missing)?;
        let Some(service) = live.service.clone() else {
            let message = format!("service {} is no longer in the file", live.record.service);
            return Err(Box::new(Failure { message, ..Failure::default() }));
        };
        let networks = live.record.attachments.iter().filter_map(|attachment| {
            Some((self.networks.get(&kernel_id, &attachment.network)?, attachment.clone()))
        });
        Ok(Job {
            directories: self.directories.clone(),
            own: self.own.clone(),
            record: live.record.clone(),
            generation: live.state.generation,
            service,
            model: definitions(&self.model),
            caller: self.caller,
            networks: networks.collect(),
            cgroup: self.cgroup(id),
            store: Arc::clone(&self.store),
            binary: Arc::clone(&self.binary),
            link: Arc::clone(&self.link),
            kernel_id,
            input: live.input.clone(),
            files: self.role.files,
        })
    }

    /// An attempt to start a container has ended.
    pub(super) fn start_ended(&mut self, id: &ContainerId, result: Result<Started, Failure>) {
        let Some(live) = self.containers.get_mut(id) else { return };
        let Some(starting) = live.starting.take() else { return };
        live.input = None;
        let outcome = match result {
            Ok(started) => {
                if let (Some(step), Some(operation)) = (starting.step, &mut self.operation)
                    && step.operation == operation.id
                {
                    operation.times.laps(step.step, started.laps);
                }
                live.state.phase = Phase::Running;
                live.state.process = Some(started.process.clone());
                live.state.started_ns = Some(record::now_ns());
                live.state.started_at = Some(record::Moment::after(Duration::ZERO));
                live.state.restart_at = None;
                live.state.error = None;
                let Handles { output, resolver, .. } = started.handles;
                live.running = Some(Running {
                    process: started.process,
                    pidfd: Arc::new(started.pidfd),
                    since: Instant::now(),
                    probing: None,
                    ready: None,
                    dns: None,
                    output,
                    resolver,
                });
                if !Arc::ptr_eq(&started.link, &self.link) {
                    // That keeper is gone, and the one after it has not heard.
                    self.watch(id);
                }
                if let Some(sockets) = started.dns {
                    self.serve_dns(id, sockets);
                }
                self.serve_ports(id);
                self.begin_probing(id, started.check);
                self.tell_start(id, starting.step.is_some());
                self.forward(id);
                self.begin_ready(id);
                self.was_restarted |= starting.step.is_none();
                Ok(())
            }
            Err(failure) => {
                live.state.phase =
                    if live.state.started_ns.is_some() { Phase::Exited } else { Phase::Created };
                live.state.error = Some(failure.message.clone());
                let ports = live.record.ports.clone();
                self.release_ports(&ports);
                self.refresh_names();
                Err(failure)
            }
        };
        self.changed(id);
        if outcome.is_ok() {
            self.begin_telling(id);
        }
        self.watch_for_early_exit(id);
        if let Some(step) = starting.step
            && !(outcome.is_ok() && self.begin_post_start(id, step))
        {
            self.end_step(step, outcome);
        }
        for (step, timeout) in starting.stops {
            self.stop(id, timeout, step);
        }
    }

    /// Its end may have been told before its start was.
    fn watch_for_early_exit(&mut self, id: &ContainerId) {
        let exit = naru_state::atomic::load::<record::Exit>(&self.own.exit_file(id)).ok().flatten();
        if let Some(exit) = exit {
            self.exited(id, exit);
        }
    }

    /// Sends connections to the container's published ports to its address in its first network.
    pub(super) fn serve_ports(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        let mut addresses = live.record.attachments.iter().flat_map(record::Attachment::addresses);
        let Some(address) = addresses.next() else { return };
        for port in live.record.ports.clone() {
            self.ports.serve(&port, SocketAddr::new(address, port.container_port));
        }
    }
}

/// Whether a full file system is behind an error.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let by_kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
    let by_errno = error.downcast_ref::<rustix::io::Errno>();
    by_kind == Some(io::ErrorKind::StorageFull)
        || by_errno == Some(&rustix::io::Errno::NOSPC)
        || error.source().is_some_and(is_full)
}

/// What a start needs of the project: the definitions that services refer to.
fn definitions(model: &Project) -> Project {
    Project {
        name: model.name.clone(),
        working_directory: model.working_directory.clone(),
        secrets: model.secrets.clone(),
        configs: model.configs.clone(),
        volumes: model.volumes.clone(),
        ..Project::default()
    }
}

/// The recipe; see the module's documentation for the order.
fn run(job: &Job) -> Result<Started, Box<Failure>> {
    let mut laps = Laps::new();
    let image = find_image(job)?;
    let root = mount_root(job, &image)?;
    laps.lap("image");
    let facts = spec::Image::from(&image);
    let user = spec::effective_user(&job.service, &facts);
    let user = rootfs::find_user(root.as_fd(), user, &job.service.group_add)
        .map_err(|error| job.failed(&error, "user"))?;
    let prepared = mounts::prepare(job, root.as_fd(), &user)?;
    let mut spec = spec::build(&spec::Inputs {
        service: &job.service,
        image: &facts,
        user: &user,
        hostname: &job.hostname(),
        prepared: &prepared,
        shared: &spec::Shared::default(),
    })
    .map_err(|error| job.failed(&error, error.attribute()))?;
    spec::limit_files(&mut spec, job.files);
    if let Some(size) = job.record.one_off.as_ref().and_then(|one_off| one_off.size) {
        spec::set_console_size(&mut spec, size);
    }
    spec::save(&job.own, &job.record.id, &spec).map_err(|error| job.failed(&error, ""))?;
    let stdio = open_output(job, &user).map_err(|error| job.failed(&error, ""))?;
    prepare_log(job).map_err(|error| job.failed(&error, ""))?;
    let output = held(&stdio).map_err(|error| job.failed(&error, ""))?;
    let mut handles = Handles { output, ..Handles::default() };
    laps.lap("files");
    let created = create(job, &spec, root.try_clone().map_err(|e| job.failed(&e, ""))?, stdio)?;
    laps.lap("process");
    let dns = connect(job, &created)?;
    laps.lap("network");
    let process = identity(created.pid, created.start_time);
    let watch = job.watch(&created);
    if let Some(sockets) = &dns {
        handles.resolver = sockets.duplicate().map_err(|error| job.failed(&error, ""))?.into();
    }
    // A keeper that is gone hears nothing; the one that is called instead is told of it when it runs.
    let tell = |handles: &Handles| {
        let message = ToKeeper::Watch(watch.clone(), handles.layout());
        drop(job.link.send(&message, &handles.descriptors()));
    };
    if !job.service.tty {
        // Before the command can write or end. The FIFOs travel along: they are open on the way, so what a command
        // writes that ends before the keeper has read this is not lost with its last descriptor.
        tell(&handles);
    }
    let mut started =
        created.start().map_err(|error| job.not_started(&error, root.as_fd(), &spec))?;
    if let Some(terminal) = started.terminal.take() {
        handles.output = vec![terminal];
        tell(&handles);
    }
    for warning in &started.warnings {
        tracing::warn!(container = %job.record.name, warning, "weaker than asked for");
    }
    let check = spec::healthcheck(&job.service, &facts)
        .map_err(|error| job.failed(&error, error.attribute()))?;
    let link = Arc::clone(&job.link);
    laps.lap("process");
    Ok(Started { process, pidfd: started.pidfd, dns, check, handles, link, laps: laps.all })
}

/// Notes how long each part of a start takes.
struct Laps {
    since: std::time::Instant,
    all: Vec<Lap>,
}

impl Laps {
    fn new() -> Self {
        Self { since: std::time::Instant::now(), all: Vec::new() }
    }

    /// What has passed since the last one was `name`.
    fn lap(&mut self, name: &'static str) {
        let now = std::time::Instant::now();
        self.all.push((name, std::mem::replace(&mut self.since, now), now));
    }
}

impl Job {
    /// A failure with its place in the file; the container is named.
    fn failed(&self, error: &(dyn std::error::Error + 'static), attribute: &str) -> Box<Failure> {
        let cause = Failure::from_error(error);
        let message =
            format!("container {} cannot be started: {}", self.record.name, cause.message);
        let failure = Failure { message, causes: cause.causes, ..Failure::default() };
        let mut failure = failure.because(Cause::Start);
        if is_full(error) {
            let place = self.directories.data().display();
            failure = failure.hint(format!("the file system of {place} has no room left"));
        }
        let service = format!("services.{}", self.record.service);
        Box::new(match attribute {
            "" => failure.at(service),
            attribute => failure.at(format!("{service}.{attribute}")),
        })
    }

    /// A failure of the set-up inside; when it is the command's, what is wrong with that is found out.
    fn not_started(
        &self,
        error: &naru_runtime::Error,
        root: std::os::fd::BorrowedFd<'_>,
        spec: &oci_spec::runtime::Spec,
    ) -> Box<Failure> {
        // What was begun ends with its cgroup.
        let _ended = self.cgroup.kill_all();
        let is_command = matches!(error.stage(), Some(Stage::Command | Stage::Exec));
        let process = spec.process().as_ref().filter(|_| is_command);
        let Some((process, command)) =
            process.and_then(|process| Some((process, process.args().as_ref()?.first()?)))
        else {
            return self.failed(error, "");
        };
        let path = process.env().iter().flatten().find_map(|entry| entry.strip_prefix("PATH="));
        let directory = process.cwd().to_string_lossy();
        let attribute = if self.service.entrypoint.is_some() { "entrypoint" } else { "command" };
        let diagnosed = rootfs::diagnose(root, path.unwrap_or(profile::PATH), &directory, command);
        let mut failure = match diagnosed {
            Some(cause) => {
                let text = std::io::Error::other(cause.to_string());
                Box::new(self.failed(&text, attribute).hint(cause.hint()))
            }
            None => self.failed(error, attribute),
        };
        let is_absent = error.errno() == Some(rustix::io::Errno::NOENT.raw_os_error());
        failure.code = Some(if is_absent { 127 } else { 126 });
        failure
    }

    pub(super) fn hostname(&self) -> String {
        if !matches!(self.service.network_mode, Some(NetworkMode::Host))
            || !self.service.hostname.is_empty()
        {
            return self.record.hostname.clone();
        }
        let own = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        own.trim().to_owned()
    }

    fn watch(&self, created: &Created) -> Watch {
        Watch {
            id: self.record.id.clone(),
            pid: created.pid,
            start_time: created.start_time,
            name: self.record.name.clone(),
            generation: self.generation,
            tty: self.service.tty,
            keep: Keep::of(&self.record),
        }
    }
}

fn find_image(job: &Job) -> Result<Image, Box<Failure>> {
    let found =
        job.store.find(&job.record.image_id).map_err(|error| job.failed(&error, "image"))?;
    found.ok_or_else(|| {
        let message = format!(
            "image {} of container {} has gone from the store",
            job.record.image, job.record.name
        );
        Box::new(
            Failure { message, ..Failure::default() }
                .at(format!("services.{}.image", job.record.service)),
        )
    })
}

fn mount_root(job: &Job, image: &Image) -> Result<OwnedFd, Box<Failure>> {
    let lower = job.store.lower_dirs(image).map_err(|error| job.failed(&error, "image"))?;
    let directory = job.own.container(&job.record.id);
    let overlay =
        rootfs::Overlay { lower, upper: directory.join("upper"), work: directory.join("work") };
    overlay.mount().map_err(|error| job.failed(&error, ""))
}

/// The FIFOs of its output, owned by its user, and its input: nothing, or a FIFO that never ends.
fn open_output(job: &Job, user: &rootfs::User) -> io::Result<Stdio> {
    if job.service.tty {
        return Ok(Stdio::null());
    }
    let run = job.own.container_run(&job.record.id);
    let stdin = match &job.input {
        Some(input) => Some(input.try_clone()?),
        None if job.service.stdin_open => Some(fifo(&run.join("stdin"), user)?),
        None => None,
    };
    let stdout = fifo(&run.join("stdout"), user)?;
    let separate = fifo(&run.join("stderr"), user)?;
    // One pipe for both is the only way to know the order of what comes through both.
    let stderr = if job.service.merges_output() { stdout.try_clone()? } else { separate };
    Ok(Stdio { stdin, stdout: Some(stdout), stderr: Some(stderr), ..Stdio::null() })
}

/// Further descriptors of the output, for the keeper.
fn held(stdio: &Stdio) -> io::Result<Vec<OwnedFd>> {
    [&stdio.stdout, &stdio.stderr].into_iter().flatten().map(OwnedFd::try_clone).collect()
}

/// Opened for reading too: writing to it never fails for want of a reader, so no log is lost while nobody
/// reads, and no container dies of SIGPIPE.
fn fifo(path: &Path, user: &rootfs::User) -> io::Result<OwnedFd> {
    match mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    let (uid, gid) = (Uid::from_raw(user.uid), Gid::from_raw(user.gid));
    chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let fifo = rustix::fs::open(path, flags, Mode::empty())?;
    rustix::io::ioctl_fionbio(&fifo, false)?;
    Ok(fifo)
}

/// A new container of a name begins a new log.
fn prepare_log(job: &Job) -> io::Result<()> {
    match job.generation {
        1 => log::Writer::begin(&logging::directory(&job.own, &job.record)),
        _ => Ok(()),
    }
}

fn create(
    job: &Job,
    spec: &oci_spec::runtime::Spec,
    root: OwnedFd,
    stdio: Stdio,
) -> Result<Created, Box<Failure>> {
    let resources = spec.linux().as_ref().and_then(|linux| linux.resources().clone());
    job.cgroup.create(&resources.unwrap_or_default()).map_err(|error| job.failed(&error, ""))?;
    naru_runtime::create(Create {
        spec,
        root: Root::Mount(root),
        cgroup: &job.cgroup,
        stdio,
        parent: Parent::Sibling,
        binary: &job.binary,
        init: job.service.init == Some(true),
        waits_at: None,
        state: None,
    })
    .map_err(|error| job.failed(&error, ""))
}

/// Links into each of its networks, and its resolver's sockets.
fn connect(job: &Job, created: &Created) -> Result<Option<dns::Sockets>, Box<Failure>> {
    if matches!(job.service.network_mode, Some(NetworkMode::Host)) {
        return Ok(None);
    }
    let netns = created.netns.as_fd();
    // Other names at each start: the last one's links may take their time to go.
    let seed = format!("{}/{}/{}", job.kernel_id, job.record.id, job.generation);
    let plugs = plugs(&job.networks, &seed);
    let endpoints: Vec<_> = job
        .networks
        .iter()
        .zip(&plugs)
        .map(|((network, _), plug)| (network, plug.endpoint(netns)))
        .collect();
    naru_net::container::set_up(netns, &endpoints).map_err(|error| {
        let network = match &error {
            naru_net::container::Error::Join { endpoint, .. } => job.networks.get(*endpoint),
            _ => None,
        };
        let attribute = network.map(|(_, attachment)| format!("networks.{}", attachment.network));
        job.failed(&error, attribute.as_deref().unwrap_or("networks"))
    })
}

fn identity(pid: i32, start_time: u64) -> Identity {
    let boot_id = naru_state::process::boot_id().unwrap_or_default();
    Identity { boot_id, pid, start_time }
}
