//! From a container's record to a running process, in a thread of its own.
//!
//! The order, and why:
//! 1. the root file system as a detached mount: users, volumes and commands are looked up in it before
//!    anything runs, and nothing of it is ever seen on the host;
//! 2. the files that are put into the container, and its volumes' first content;
//! 3. the FIFOs of its output, so that the first byte has a place to go;
//! 4. the cgroup, then the process: from here on it sets itself up, in parallel to the next two;
//! 5. the links into its network namespace;
//! 6. its resolver's sockets, which need the loopback interface;
//! 7. that it is about to run is written down: from here on whoever takes over must not start it a second time;
//! 8. only then is the command let run: network and names are there before its first instruction.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use naru_compose::project::NetworkMode;
use naru_image::{Image, rootfs};
use naru_net::dns;
use naru_runtime::{Create, Created, Parent, Root, Stdio};
use naru_state::process::Identity;
use naru_state::{atomic, record};

use super::output::{held, open_output, prepare_log};
use super::{Job, Started};
use crate::keeper::link::{Handles, ToKeeper};
use crate::protocol::Failure;
use crate::spec;
use crate::supervisor::joined::Joined;
use crate::supervisor::mounts;
use crate::supervisor::plug::plugs;
use crate::supervisor::timeline::Lap;

/// The recipe; see the module's documentation for the order.
pub(super) fn run(job: &Job) -> Result<Started, Box<Failure>> {
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
        shared: &spec::Shared {
            network: job.joined.as_ref().map(Joined::path),
            ..spec::Shared::default()
        },
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
    let start = record::Start::now(process, job.generation);
    if let Err(error) = atomic::save_volatile(&job.own.start_file(&job.record.id), &start) {
        // Who takes over from a supervisor that dies in the next moment would start it anew.
        tracing::warn!(container = %job.record.name, %error, "a start could not be written down");
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
    Ok(Started { start, pidfd: started.pidfd, dns, check, handles, link, laps: laps.all })
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
    let lower = job.store.root_dirs(image).map_err(|error| job.failed(&error, "image"))?;
    let directory = job.own.container(&job.record.id);
    let overlay =
        rootfs::Overlay { lower, upper: directory.join("upper"), work: directory.join("work") };
    overlay.mount().map_err(|error| job.failed(&error, ""))
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
    if job.joined.is_some() || matches!(job.service.network_mode, Some(NetworkMode::Host)) {
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
