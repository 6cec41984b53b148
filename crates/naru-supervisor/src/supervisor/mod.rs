//! The supervisor: observes, plans, applies, and reacts to what happens.
//!
//! One loop owns all state of the project; workers get values and send [`Event`]s back. It holds the project
//! lock for as long as it lives. What it knows can be rebuilt from records, states and the kernel
//! ([`adopt`]), which is what it does at its start.

mod adopt;
mod apply;
mod attend;
mod boot;
mod commit;
mod connect;
mod container;
mod control;
mod create;
mod down;
mod event;
mod events;
mod exits;
mod firewall;
mod foreign;
mod forwarding;
mod handover;
mod healing;
mod health;
mod hooks;
mod inside;
mod joined;
mod lasting;
mod lifecycle;
mod mounts;
mod names;
mod networks;
mod operation;
mod patience;
mod places;
mod plug;
mod ports;
mod ready;
mod remove;
mod renewal;
mod requests;
mod run;
mod start;
mod stop;
mod timeline;
mod timers;
mod up;
mod volumes;
mod waiting;
mod written;

pub(crate) use firewall::remove_table;
pub use networks::has_bridges;
pub(crate) use networks::{in_kernel, kernel_id, unlink};

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use naru_compose::project::Project;
use naru_image::Store;
use naru_net::firewall::Firewall;
use naru_runtime::{Binary, Hierarchies};
use naru_state::{
    ContainerId, Directories, Lock, LockError, ProjectDirectories, ProjectName, atomic, record,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::forward::Forwarder;
use crate::keeper::link::{Link, ToKeeper, ToSupervisor};
use crate::protocol::{Changed, Reply, Request};
use crate::role::Role;
use container::Live;
use control::Client;
use event::Event;
use operation::Operation;
use timers::{Due, Timers};

/// How long a new supervisor waits for the one before it to let go of the lock.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// How often the pages of the program are let go of that are not in use any more.
const SLIM: Duration = Duration::from_secs(600);

/// How many steps are worked on at once: they wait for the disk and the kernel more than they compute.
const WORKERS: usize = 8;

/// The supervisor of one project.
#[derive(Debug)]
struct Supervisor {
    directories: Directories,
    own: ProjectDirectories,
    project: ProjectName,
    role: Role,
    /// Before the lock: whoever has that next finds the table without an owner.
    firewall: Firewall,
    _lock: Lock,
    link: Arc<Link>,
    keeper: handover::Keeper,
    events: UnboundedSender<Event>,
    binary: Arc<Binary>,
    hierarchies: Hierarchies,
    store: Arc<Store>,
    model: Project,
    containers: BTreeMap<ContainerId, Live>,
    networks: networks::Networks,
    healing: healing::Healing,
    ports: ports::Ports,
    names: names::Names,
    timers: Timers,
    unsaved: commit::Unsaved,
    lasting: lasting::Lasting,
    unwritten: written::Unwritten,
    told: events::Told,
    operation: Option<Operation>,
    queue: VecDeque<(Request, Client)>,
    watchers: Vec<Client>,
    clients: control::Clients,
    caller: Option<crate::protocol::Caller>,
    /// A policy has restarted a container whose dependents may have to follow.
    was_restarted: bool,
    operations: u64,
    /// Containers whose files are being removed because nobody needs them any more.
    removing: usize,
    /// Clients that wait for such a removal.
    leaving: Vec<(ContainerId, Client)>,
    /// When this supervisor took over: clients of the one before it come back within moments.
    since: Instant,
    /// The project is down and everybody who asked has been told.
    finished: bool,
    /// Who sends lines elsewhere, by the container's name: a log may have a new container while the last lines of the
    /// one before are on their way.
    forwarders: BTreeMap<String, (ContainerId, Forwarder)>,
}

/// Runs the supervisor of a project; its standard input is the link to the keeper.
///
/// # Errors
/// When it cannot take the project over.
pub(crate) fn run(role: Role) -> io::Result<()> {
    let link = Link::from_stdin()?;
    // What runs is known by it: without it everything would seem to be of an earlier boot.
    let no_boot = || io::Error::other("the boot's id cannot be read");
    let _known = naru_state::process::boot_id().ok_or_else(no_boot)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(WORKERS)
        .build()?;
    let supervisor = runtime.block_on(async {
        let (events, inbox) = unbounded_channel();
        let mut supervisor = Supervisor::new(role, link, events.clone())?;
        let greeting = handover::Greeting::receive(&supervisor.link);
        let listener = control::bind(&supervisor.own)?;
        supervisor.listen_to_keeper()?;
        supervisor.adopt(greeting)?;
        tokio::spawn(control::accept(listener, events, supervisor.clients.downgrade()));
        supervisor.serve(inbox).await;
        io::Result::Ok(supervisor)
    })?;
    // It holds the project's lock until its workers have ended: nobody else may begin before.
    drop(runtime);
    drop(supervisor);
    Ok(())
}

/// Turns what the keeper says into events, in a thread of its own that waits for nothing else.
fn hear_keeper(link: &Link, events: &UnboundedSender<Event>) {
    while let Ok(Some((message, _))) = link.receive::<ToSupervisor>() {
        if events.send(Event::Keeper(message)).is_err() {
            return;
        }
    }
    drop(events.send(Event::KeeperGone));
}

impl Supervisor {
    fn new(role: Role, link: Link, events: UnboundedSender<Event>) -> io::Result<Self> {
        let Role { directories, project, .. } = role.clone();
        let own = directories.project(&project);
        for directory in [directories.data(), own.data()] {
            crate::client::make_private(directory)?;
        }
        let lock = take_lock(&own)?;
        let store = Store::open(&directories.images()).map_err(io::Error::other)?;
        let binary = Binary::open().map_err(io::Error::other)?;
        let hierarchies = Hierarchies::detect().map_err(io::Error::other)?;
        let kernel_id = kernel_id(&directories, &project);
        let networks = networks::Networks::load_or_recover(&own, &kernel_id);
        let networks = networks.map_err(io::Error::other)?;
        let ports = ports::Ports::start(events.clone())?;
        let told = events::Told::load(&own);
        Ok(Self {
            directories,
            own,
            project,
            role,
            firewall: Firewall::new(),
            _lock: lock,
            link: Arc::new(link),
            keeper: handover::Keeper::default(),
            events,
            binary: Arc::new(binary),
            hierarchies,
            store: Arc::new(store),
            model: Project::default(),
            containers: BTreeMap::new(),
            networks,
            healing: healing::Healing::default(),
            ports,
            names: names::Names::new(),
            timers: Timers::default(),
            unsaved: commit::Unsaved::default(),
            lasting: lasting::Lasting::default(),
            unwritten: written::Unwritten::new(),
            told,
            operation: None,
            queue: VecDeque::new(),
            watchers: Vec::new(),
            clients: control::Clients::default(),
            caller: None,
            was_restarted: false,
            operations: 0,
            removing: 0,
            leaving: Vec::new(),
            since: Instant::now(),
            finished: false,
            forwarders: BTreeMap::new(),
        })
    }

    /// The loop.
    async fn serve(&mut self, mut inbox: UnboundedReceiver<Event>) {
        while !self.finished {
            // While another one is about to take over nothing falls due: it reads when everything does.
            let due = self.timers.next().filter(|_| !self.keeper.is_leaving());
            tokio::select! {
                event = inbox.recv() => match event {
                    Some(event) => {
                        let is_asked = matches!(event, Event::Asked(..));
                        self.handle(event);
                        if is_asked {
                            // What is answered at once goes out before anything is done: whoever asks again should this
                            // process die may have to know it.
                            tokio::task::yield_now().await;
                        }
                    }
                    None => return,
                },
                () = sleep_until(due) => {}
            }
            while !self.keeper.is_leaving()
                && let Some(due) = self.timers.take(Instant::now())
            {
                self.handle_due(due);
            }
            if !self.keeper.is_leaving() {
                self.release_held();
                self.renew_dependents();
            }
            self.advance();
            self.make_room();
        }
        if !self.keeper.is_relieved() {
            let _told = self.link.send(&ToKeeper::Finish, &[]);
            self.finish_forwarding();
        }
        // Replies are written by tasks of this thread: let them be, where somebody waits for one.
        if self.clients.is_any() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if !self.keeper.is_relieved() && self.link.send(&ToKeeper::Finish, &[]).is_err() {
            // The keeper, which is to take it away, has died meanwhile.
            crate::remove_own_group(&self.directories, &self.project);
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Asked(request, client) => {
                self.save_unwritten();
                self.asked(request, client);
            }
            Event::Upgrade(binary, client) => self.upgrade(binary, client),
            Event::Keeper(message) => self.hear(message),
            Event::KeeperGone => self.keeper_gone(),
            Event::StartEnded(id, result) => self.start_ended(&id, *result),
            Event::StepEnded(operation, step, result) => {
                self.end_step(operation::StepOf { operation, step }, result);
            }
            Event::Committed(result) => self.committed(result),
            Event::Hooked(id, hooked) => self.hooked(&id, hooked),
            Event::Probed(id, probed) => self.probed(&id, probed),
            Event::ClientGone(id) => self.client_gone(id.as_ref()),
            Event::Gone(id, result) => self.gone(&id, result),
            Event::Proxy(notice) => self.hear_proxy(&notice),
            Event::Looked(id, looked) => self.looked(&id, looked),
            Event::NetworkTouched => self.network_touched(),
            Event::RoutesTouched => self.look_for_clashes(),
        }
    }

    fn handle_due(&mut self, due: Due) {
        match due {
            Due::Restart(id, generation) => self.restart_due(&id, generation),
            Due::Probe(id, generation) => self.probe_due(&id, generation),
            Due::Look(id, generation) => self.look_due(&id, generation),
            Due::Late(id, generation) => self.late(&id, generation),
            // It is asked after each event anyhow.
            Due::Settled => {}
            Due::StopCheck(id, generation) => self.stop_check(&id, generation),
            Due::Ports(id, tries) => self.resume_ports_of(&id, tries),
            Due::Resolver(id, tries) => self.resume_dns(&id, tries),
            Due::Networks => self.heal_networks(),
            Due::Keeper => self.call_keeper(),
            Due::Output(id) => self.tell_output(&id),
            Due::Farewell(id) => self.remove_if_done(&id),
            Due::Lasting => self.lasting_due(),
            Due::Unwritten => self.unwritten_due(),
            Due::Idle if self.clients.is_any() => {
                self.timers.add(Instant::now() + adopt::IDLE, Due::Idle);
            }
            Due::Idle => self.end_if_empty(),
            Due::Slim => {
                // Refused, they stay.
                let _stays = naru_sys::memory::release_program();
                naru_sys::memory::release_heap();
                self.timers.add(Instant::now() + SLIM, Due::Slim);
            }
            Due::Patience(operation) => self.out_of_patience(operation),
        }
    }

    fn hear(&mut self, message: ToSupervisor) {
        match message {
            ToSupervisor::Exited(id, exit) => self.exited(&id, exit),
            ToSupervisor::Took => self.keeper_took(),
            ToSupervisor::Occupied => self.keeper_occupied(),
            ToSupervisor::Successor => self.relieved(),
            ToSupervisor::NotUpgraded(why) => self.not_upgraded(&why),
            ToSupervisor::Held(_) | ToSupervisor::Watching(..) | ToSupervisor::Ready => {}
        }
    }

    /// Writes a container's state down and tells whoever watches.
    fn changed(&mut self, id: &ContainerId) {
        self.save_state(id);
        self.may_last();
        self.tell_neighbours();
        let Some(live) = self.containers.get(id) else { return };
        let changed = Changed {
            name: live.record.name.clone(),
            service: live.record.service.clone(),
            one_off: live.record.is_one_off(),
            state: live.state.clone(),
        };
        self.watchers
            .retain(|watcher| watcher.send(Reply::Changed(Box::new(changed.clone()))).is_ok());
    }

    /// What the user asked for, on disk.
    fn save_model(&mut self) -> Result<(), atomic::Error> {
        let model = serde_json::to_value(&self.model).map_err(|source| atomic::Error::Damaged {
            path: self.own.project_file().display().to_string(),
            source,
        })?;
        let files = self.model.compose_files.iter().map(|file| file.display().to_string());
        let record = record::Project {
            version: record::VERSION,
            name: self.project.clone(),
            working_directory: self.model.working_directory.display().to_string(),
            compose_files: files.collect(),
            model,
        };
        self.save(&self.own.project_file(), &record)
    }
}

/// Waits for the supervisor before this one to be gone.
fn take_lock(own: &ProjectDirectories) -> io::Result<Lock> {
    let holder = format!("pid {}: supervisor of {}", std::process::id(), own.name());
    let deadline = std::time::Instant::now() + LOCK_PATIENCE;
    loop {
        match Lock::try_take(&own.lock_file(), &holder) {
            Ok(lock) => return Ok(lock),
            Err(LockError::Held { .. }) if std::time::Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
