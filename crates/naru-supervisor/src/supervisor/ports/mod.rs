//! Published ports: bound before anything is made, held by the keeper as well, served by the proxy.
//!
//! `choose` says which ports are tried, `bind` takes them, `conflict` says who is in the way.

mod bind;
mod choose;
mod conflict;

pub(super) use bind::Publishing;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use naru_compose::project;
use naru_net::firewall::Published;
use naru_net::flows::{self, Moved};
use naru_net::ports::{self, Bound, Publish};
use naru_net::proxy::{Loopback, Notice, Proxy, Target};
use naru_state::ContainerId;
use naru_state::record::{Attachment, Driver, Phase, Port};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::sync::mpsc::UnboundedSender;

use super::Supervisor;
use super::container::Running;
use super::event::Event;
use crate::keeper::link::ToKeeper;
use crate::network::{self, Options};
use crate::protocol::Reply;

/// How long keeper and proxy may take to let go of a port.
const LETTING_GO: Duration = Duration::from_secs(1);

/// Pauses before the kernel is asked to forget flows.
const LATE_ANSWERS: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(200), Duration::from_secs(1)];

/// Stack of the thread that has the kernel forget flows.
const FLOWS_STACK: usize = 256 * 1024;

/// The ports of the project.
#[derive(Debug)]
pub(super) struct Ports {
    proxy: Proxy,
    /// All that are bound, to be handed to another keeper; the proxy has duplicates.
    held: BTreeMap<Port, Held>,
    /// Known to the proxy.
    served: BTreeMap<Port, Serving>,
    /// Those that the kernel translates addresses for (`x-naru-publish: nat`), while their containers run.
    translated: BTreeMap<Port, Vec<Published>>,
    /// What was let go of within the last second, and when: keeper and proxy do so when they come to it.
    let_go: Vec<(Port, Instant)>,
    /// The firewall has other ones.
    is_translation_stale: bool,
    /// Ports of UDP whose flows the kernel is to forget as soon as the firewall has the same.
    moved: Vec<Moved>,
}

/// A bound port.
#[derive(Debug)]
struct Held {
    bound: Bound,
    /// The service that it was bound for; the container says it when there is one.
    service: String,
}

/// What the proxy does with a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Serving {
    /// Connections go to the container.
    Runs,
    /// They wait for its next start.
    Waits,
}

impl Ports {
    /// Starts the proxy's thread; what it has to tell becomes an event.
    pub(super) fn start(events: UnboundedSender<Event>) -> io::Result<Self> {
        let tell = move |notice| drop(events.send(Event::Proxy(notice)));
        Ok(Self {
            proxy: Proxy::start_telling(tell).map_err(io::Error::other)?,
            held: BTreeMap::new(),
            served: BTreeMap::new(),
            translated: BTreeMap::new(),
            let_go: Vec::new(),
            is_translation_stale: false,
            moved: Vec::new(),
        })
    }

    /// Sockets that the keeper held while there was no supervisor.
    pub(super) fn take_back(&mut self, port: Port, sockets: Vec<OwnedFd>) {
        match Bound::from_sockets(sockets) {
            Ok(bound) => drop(self.held.insert(port, Held { bound, service: String::new() })),
            Err(error) => tracing::error!(?port, %error, "a held port is of no use"),
        }
    }

    /// All that are bound.
    pub(super) fn held(&self) -> impl Iterator<Item = (&Port, &Bound)> {
        self.held.iter().map(|(port, held)| (port, &held.bound))
    }

    /// Ports that are published by translating addresses.
    pub(super) fn translated(&self) -> Vec<Published> {
        self.translated.values().flatten().cloned().collect()
    }

    /// From now on a port's addresses are translated like this, or not at all.
    fn translate(&mut self, port: &Port, published: Vec<Published>) {
        let before = match published.is_empty() {
            true => self.translated.remove(port),
            false => self.translated.insert(port.clone(), published.clone()),
        };
        let before = before.unwrap_or_default();
        if before == published {
            return;
        }
        self.is_translation_stale = true;
        if port.protocol == "udp" {
            let targets = |of: &[Published]| of.iter().map(|its| its.target).collect();
            self.moved.push(Moved {
                host_ip: port.host_ip.parse().ok(),
                host_port: port.host_port,
                former: targets(&before),
                current: targets(&published),
            });
        }
    }

    fn note_let_go(&mut self, port: &Port) {
        let now = Instant::now();
        self.let_go.retain(|(_, at)| now < *at + LETTING_GO);
        self.let_go.push((port.clone(), now));
    }

    /// Whether a port was this project's until a moment ago.
    fn was_let_go(&self, wanted: &Publish) -> bool {
        let is_it = |port: &Port| {
            (port.host_port, port.protocol.as_str())
                == (wanted.host_port, wanted.protocol.to_string().as_str())
        };
        let recently = |at: &Instant| at.elapsed() < LETTING_GO;
        self.let_go.iter().any(|(port, at)| is_it(port) && recently(at))
    }

    fn has(&self, port: &Port) -> bool {
        self.held.contains_key(port)
    }

    /// Serves a port: connections go to `target` from now on.
    fn serve(&mut self, port: &Port, target: Target) {
        let Some(held) = self.held.get(port) else { return };
        let served = match self.served.contains_key(port) {
            // Also to the same address: what the process before this one had accepted is gone with it.
            true => self.proxy.retarget(key(port), target).map_err(io::Error::other),
            false => held.bound.duplicate().and_then(|bound| {
                self.proxy.publish(key(port), bound, target).map_err(io::Error::other)
            }),
        };
        match served {
            Ok(()) => drop(self.served.insert(port.clone(), Serving::Runs)),
            Err(error) => tracing::error!(?port, %error, "a port is not served"),
        }
    }

    /// Lets connections wait for the container's next start.
    fn suspend(&mut self, port: &Port) {
        if let Some(serving) = self.served.get_mut(port) {
            *serving = Serving::Waits;
            if let Err(error) = self.proxy.suspend(key(port)) {
                tracing::error!(?port, %error, "a port is still served");
            }
        }
    }
}

/// The proxy's name for a port: while a port of the host goes from one container to another, both have it.
fn key(port: &Port) -> String {
    format!("{}:{}/{} {}", port.host_ip, port.host_port, port.protocol, port.container_port)
}

impl Supervisor {
    /// Sends connections to the container's published ports to it.
    pub(super) fn serve_ports(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id).filter(|live| !live.record.ports.is_empty())
        else {
            return;
        };
        let (bridge, addresses) = self.reached_through(live);
        let ports = live.record.ports.clone();
        let service = live.service.clone().unwrap_or_default();
        let namespace = live.running.as_ref().and_then(namespace);
        let default = self.default_address(&service);
        for port in ports {
            let number = port.container_port;
            let namespace = namespace.as_ref().and_then(|namespace| namespace.try_clone().ok());
            let target = Target {
                addresses: addresses.iter().map(|ip| SocketAddr::new(*ip, number)).collect(),
                loopback: namespace.map(|namespace| Loopback { namespace, port: number }),
            };
            let published = match service
                .ports
                .iter()
                .any(|its| its.is_translated() && is_of(its, &default, &port))
            {
                true => translation(&port, &bridge, &addresses),
                false => Vec::new(),
            };
            self.ports.translate(&port, published);
            self.ports.serve(&port, target);
        }
        self.refresh_translation();
    }

    /// The host's address that ports of a service are published at which name none: what the first of its bridge networks
    /// says, that of the way out before others; nothing for all addresses.
    fn default_address(&self, service: &project::Service) -> String {
        let mut networks = super::places::sorted(service);
        networks.sort_by_key(|(_, own)| Reverse(own.gw_priority));
        let options = |key: &String| {
            let recorded = self.networks.record.networks.get(key);
            if let Some(record) = recorded.filter(|record| record.external) {
                let is_bridge = record.driver == Driver::Bridge;
                return is_bridge.then(|| Options::parse(record.driver, &record.options).ok())?;
            }
            let model = self.model.networks.get(key)?;
            let driver = network::driver(&model.driver).ok().filter(|it| *it == Driver::Bridge)?;
            Options::parse(driver, &model.driver_opts).ok()
        };
        let first = networks.iter().find_map(|(key, _)| options(key));
        let address = first.and_then(|options| options.host_address);
        address.map(|address| address.to_string()).unwrap_or_default()
    }

    /// The bridge by which the host reaches a container, and its addresses there.
    fn reached_through(&self, live: &super::container::Live) -> (String, Vec<IpAddr>) {
        let on_bridge = |attachment: &Attachment| {
            let network = self.networks.record.networks.get(&attachment.network)?;
            let is_bridge = network.driver == Driver::Bridge;
            is_bridge.then(|| (network.bridge.clone(), attachment.addresses().collect()))
        };
        live.record.attachments.iter().find_map(on_bridge).unwrap_or_default()
    }

    /// The container has ended and will be started again: who connects meanwhile waits for that a moment.
    pub(super) fn suspend_ports(&mut self, id: &ContainerId) {
        let Some(live) = self.containers.get(id) else { return };
        for port in &live.record.ports {
            self.ports.suspend(port);
            self.ports.translate(port, Vec::new());
        }
        self.refresh_translation();
    }

    /// Tells the firewall which ports are translated, where that has changed.
    fn refresh_translation(&mut self) {
        if !std::mem::take(&mut self.ports.is_translation_stale) {
            return;
        }
        if let Err(failure) = self.replace_firewall() {
            tracing::error!(error = failure.message, "published ports are not translated");
        }
        forget_flows(std::mem::take(&mut self.ports.moved));
    }

    /// The proxy has something to tell.
    pub(super) fn hear_proxy(&mut self, notice: &Notice) {
        let text = match notice {
            Notice::OnLoopbackOnly { id, address } => {
                let has = |live: &&super::container::Live| {
                    live.record.ports.iter().any(|port| key(port) == *id)
                };
                let Some(live) = self.containers.values().find(has) else { return };
                if self.reached_through(live).1.is_empty() {
                    // Without a bridge there is no other way to it.
                    return;
                }
                format!(
                    "{} listens on {address} only: reachable through its published port, not from other containers",
                    live.record.service
                )
            }
            Notice::Full { .. } | Notice::Crowded { .. } | Notice::Exhausted => notice.to_string(),
        };
        tracing::warn!("{text}");
        if let Some(operation) = &self.operation {
            drop(operation.client.send(Reply::Notice(text.clone())));
        }
        self.watchers.retain(|watcher| watcher.send(Reply::Notice(text.clone())).is_ok());
    }

    /// Lets go of ports.
    pub(super) fn release_ports(&mut self, ports: &[Port]) {
        for port in ports {
            if self.ports.served.remove(port).is_some()
                && let Err(error) = self.ports.proxy.withdraw(key(port))
            {
                tracing::error!(?port, %error, "a port is still served");
            }
            if self.ports.held.remove(port).is_some() {
                self.ports.note_let_go(port);
            }
            self.ports.translate(port, Vec::new());
            // A keeper that is gone holds nothing.
            let _released = self.link.send(&ToKeeper::Release(port.clone()), &[]);
        }
        self.refresh_translation();
    }

    /// Lets go of what the keeper held and no container runs or is about to run with.
    pub(super) fn release_left_ports(&mut self) {
        let wants = |live: &super::container::Live, port: &Port| {
            let runs = live.running.is_some() || live.state.phase == Phase::Restarting;
            runs && live.record.ports.contains(port)
        };
        let is_left = |port: &&Port| !self.containers.values().any(|live| wants(live, port));
        let left: Vec<_> = self.ports.held.keys().filter(is_left).cloned().collect();
        self.release_ports(&left);
    }

    /// Lets go of those of these ports that no container has.
    pub(super) fn release_unused_ports(&mut self, ports: &[Port]) {
        let used =
            |port: &Port| self.containers.values().any(|live| live.record.ports.contains(port));
        let unused: Vec<_> = ports.iter().filter(|port| !used(port)).cloned().collect();
        self.release_ports(&unused);
    }
}

/// Has the kernel forget flows of these ports, in a thread that nobody waits for: a host may have very many. And again a
/// moment later: the proxy may be about to answer what came before.
fn forget_flows(mut moved: Vec<Moved>) {
    if moved.is_empty() {
        return;
    }
    let work = move || {
        for pause in LATE_ANSWERS {
            if moved.is_empty() {
                return;
            }
            std::thread::sleep(pause);
            match flows::forget_udp(&moved) {
                Ok(count) => tracing::debug!(count, "flows of published ports have been forgotten"),
                Err(error) => {
                    return tracing::warn!(%error, "flows of published ports go on as they were");
                }
            }
            moved.retain(|port| !port.current.is_empty());
        }
    };
    let thread = std::thread::Builder::new().name("flows".into()).stack_size(FLOWS_STACK);
    if let Err(error) = thread.spawn(work) {
        tracing::warn!(%error, "flows of published ports go on as they were");
    }
}

/// Whether a container's port was bound for this one of its service; without an address of its own it has the default.
fn is_of(its: &project::Port, default: &str, port: &Port) -> bool {
    let host_ip = if its.host_ip.is_empty() { default } else { &its.host_ip };
    let of = (host_ip, its.target, its.protocol.to_string());
    of == (&port.host_ip, port.container_port, port.protocol.clone())
}

/// How the firewall is to translate a port: to the container's address of either family.
fn translation(port: &Port, bridge: &str, addresses: &[IpAddr]) -> Vec<Published> {
    let host_ip: Option<IpAddr> = port.host_ip.parse().ok();
    let protocol = match port.protocol.as_str() {
        "udp" => ports::Protocol::Udp,
        _ => ports::Protocol::Tcp,
    };
    let fits = |to: &IpAddr| host_ip.is_none_or(|own| own.is_ipv4() == to.is_ipv4());
    let first = |v4: bool| addresses.iter().copied().find(|to| to.is_ipv4() == v4).filter(fits);
    let of = |to| Published {
        bridge: bridge.to_owned(),
        protocol,
        host_ip,
        host_port: port.host_port,
        target: SocketAddr::new(to, port.container_port),
    };
    [true, false].into_iter().filter_map(first).map(of).collect()
}

/// The network namespace of a container's first process.
fn namespace(running: &Running) -> Option<OwnedFd> {
    let path = format!("/proc/{}/ns/net", running.process.pid);
    let namespace = fs_err::File::open(path).ok()?.into_file();
    // Its number was its own if it has not ended.
    let mut ended = [PollFd::new(&running.pidfd, PollFlags::IN)];
    let has_ended = poll(&mut ended, Some(&Timespec::default())) != Ok(0);
    (!has_ended).then(|| namespace.into())
}
