//! What somebody else does to the project's links and to the firewall is put right, as soon as it is heard of.

mod pace;

use std::collections::HashMap;
use std::os::fd::AsFd;
use std::time::Duration;

use naru_net::firewall::Firewall;
use naru_net::watch::Groups;
use naru_net::{Kind, Link, Network, names, network, watch};
use naru_state::ContainerId;
use tokio::time::Instant;

use super::Supervisor;
use super::container::Live;
use super::event::Event;
use super::plug::{Plug, plugs};
use super::timers::Due;
use crate::network::{Clash, clashes};
use pace::Pace;

/// One change is often many messages: a look some time after the first sees them all.
const SETTLED: Duration = Duration::from_millis(50);

/// Where the links could not be listed, another look.
const AGAIN: Duration = Duration::from_secs(1);

/// Whether changes are listened for, and whether a look is due.
#[derive(Debug, Default)]
pub(super) struct Healing {
    listens: bool,
    /// The groups of the links that are listened for: the project's, and those of others' networks that it is in.
    groups: Groups,
    is_due: bool,
    /// What networks clash with, as it was told.
    clashes: Vec<Clash>,
    /// How often the links of containers were made again.
    paces: HashMap<ContainerId, Pace>,
    /// When there is another look, for links that were gone too often to be made again at once.
    retry: Option<Instant>,
}

/// What a look at a container's links came to; of several links the last of these counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Found {
    /// None was missing.
    Whole,
    /// Some are missing, and were left so for now.
    Missing,
    /// Some were missing, and were made again or at least tried.
    Tried,
}

impl Supervisor {
    /// Listens for changes from the first network on.
    pub(super) fn watch_networks(&mut self) {
        if self.healing.listens {
            return;
        }
        let tell = || {
            let events = self.events.clone();
            move || events.send(Event::NetworkTouched).is_ok()
        };
        let routes = {
            let events = self.events.clone();
            move || events.send(Event::RoutesTouched).is_ok()
        };
        let id = self.kernel_id();
        self.watch_group(names::group(&id));
        let groups = self.healing.groups.clone();
        let watched = watch::firewall(&id, tell())
            .and_then(|()| watch::links(groups, tell()))
            .and_then(|()| watch::routes(routes));
        match watched {
            Ok(()) => self.healing.listens = true,
            Err(error) => tracing::warn!(%error, "changes of the network are not heard of"),
        }
    }

    /// Listens for what happens to the links of this group too.
    pub(super) fn watch_group(&self, group: u32) {
        self.healing.groups.add(group);
    }

    /// Something may have changed.
    pub(super) fn network_touched(&mut self) {
        if !self.healing.is_due {
            self.healing.is_due = true;
            self.timers.add(Instant::now() + SETTLED, Due::Networks);
        }
    }

    /// Tells of what lies over the project's networks since the last look, such as a VPN that came after them.
    pub(super) fn look_for_clashes(&mut self) {
        let found = clashes(&self.networks.record);
        for clash in found.iter().filter(|clash| !self.healing.clashes.contains(clash)) {
            self.note(&clash.to_string());
        }
        self.healing.clashes = found;
    }

    /// Makes again what is gone: bridges, the links of containers that run, the firewall.
    pub(super) fn heal_networks(&mut self) {
        self.healing.is_due = false;
        self.healing.retry.take_if(|at| *at <= Instant::now());
        if self.networks.record.networks.is_empty() {
            return;
        }
        let foreign = self.restore_foreign(false);
        match self.restore_bridges() {
            Ok(restored) => {
                for name in restored.into_iter().chain(foreign) {
                    self.note(&format!("the bridge of network {name} was gone and is there again"));
                }
            }
            Err(failure) => tracing::error!(error = %failure.message, "a bridge is gone"),
        }
        // All of them: the bridges of others' networks are in other groups.
        match network::listed() {
            Ok(links) => self.heal_containers(&links),
            Err(error) => {
                tracing::error!(%error, "links are not looked after");
                self.look_again(Instant::now() + AGAIN);
            }
        }
        let table = self.firewall_table();
        let was_off = !Firewall::is_forwarding(&table);
        if !table.bridges.is_empty()
            && !self.firewall.is_whole(&table)
            && let Err(failure) = self.replace_firewall()
        {
            tracing::error!(error = %failure.message, "the firewall could not be set again");
        }
        if was_off && Firewall::is_forwarding(&table) {
            self.note("somebody had switched the host's forwarding off, which networks with a way out need: it is on again");
        }
    }

    /// What keeps a container from sending in others' names, where somebody has taken it away.
    fn heal_guard(&self, network: &Network, plug: &Plug, pid: i32, container: &str) {
        let Ok(netns) = netns(pid) else { return };
        match network::restore_guard(network, &plug.endpoint(netns.file().as_fd())) {
            Ok(false) => {}
            Ok(true) => self.note(&format!(
                "what keeps {container} from sending in others' names on network {} was gone and is there again",
                network.id
            )),
            Err(error) => tracing::warn!(%container, %error, "it may send in others' names"),
        }
    }

    /// The links of all containers that run, of each as often as its [`Pace`] says.
    fn heal_containers(&mut self, links: &[Link]) {
        let ids: Vec<_> = self.containers.keys().cloned().collect();
        self.healing.paces.retain(|id, _| self.containers.contains_key(id));
        for id in ids {
            let mut pace = self.healing.paces.get(&id).copied().unwrap_or_default();
            let is_time = pace.next(Instant::now()).is_none();
            let found = self.heal_links(&id, links, is_time);
            if found == Found::Tried {
                pace.tried(Instant::now());
                self.healing.paces.insert(id, pace);
            }
            // After a try too: a refusal may change nothing that one would hear of.
            if found != Found::Whole {
                let now = Instant::now();
                self.look_again(pace.next(now).unwrap_or(now));
            }
        }
    }

    /// Another look at this time, or earlier where one is due already.
    fn look_again(&mut self, at: Instant) {
        if self.healing.retry.is_none_or(|earliest| at < earliest) {
            self.healing.retry = Some(at);
            self.timers.add(at, Due::Networks);
        }
    }

    /// The links of a container that runs: ports of their bridges again, and made again where they were deleted, if it
    /// is time for that.
    fn heal_links(&self, id: &ContainerId, links: &[Link], is_time: bool) -> Found {
        let Some(live) = self.containers.get(id) else { return Found::Whole };
        let Some(running) = &live.running else { return Found::Whole };
        let kernel_id = self.kernel_id();
        let places: Vec<_> = live
            .record
            .attachments
            .iter()
            .filter_map(|own| Some((self.networks.get(&kernel_id, &own.network)?, own.clone())))
            .collect();
        let seed = format!("{kernel_id}/{id}/{}", live.state.generation);
        let pairs = places.iter().zip(plugs(&places, &seed));
        let looks = pairs.map(|((network, _), plug)| {
            if !self.is_missing(live, running.process.pid, (network, &plug), links) {
                return Found::Whole;
            }
            if !is_time {
                return Found::Missing;
            }
            self.tell_healed(live, network, attach(network, &plug, running.process.pid));
            Found::Tried
        });
        looks.max().unwrap_or(Found::Whole)
    }

    /// Whether a container's link is gone; what else is wrong with it is put right.
    fn is_missing(
        &self,
        live: &Live,
        pid: i32,
        (network, plug): (&Network, &Plug),
        links: &[Link],
    ) -> bool {
        if matches!(network.kind, Kind::Upper(..)) {
            let has_it = |netns: fs_err::File| {
                network::has_interface(netns.file().as_fd(), plug.interface())
            };
            return matches!(netns(pid).map(has_it), Ok(Ok(false)));
        }
        let index_of = |name| links.iter().find(|link| link.name == name).map(|link| link.index);
        let is_port = |link: &Link| {
            link.name == plug.host_side() && link.master == index_of(network.bridge.as_str())
        };
        if links.iter().any(is_port) {
            self.heal_guard(network, plug, pid, &live.record.name);
            return false;
        }
        match network::rejoin(network, plug.host_side()) {
            Ok(is_there) => !is_there,
            Err(error) => {
                self.tell_healed(live, network, Err(naru_state::chain(&error)));
                true
            }
        }
    }

    fn tell_healed(&self, live: &Live, network: &Network, healed: Result<(), String>) {
        let (container, network) = (&live.record.name, &network.id);
        match healed {
            Ok(()) => {
                self.note(&format!(
                    "the link of {container} to network {network} was gone and is there again"
                ));
            }
            // It may just be ending.
            Err(error) => tracing::warn!(%container, %network, error, "a link is gone"),
        }
    }
}

/// The network namespace of a process.
fn netns(pid: i32) -> Result<fs_err::File, String> {
    fs_err::File::open(format!("/proc/{pid}/ns/net")).map_err(|error| naru_state::chain(&error))
}

/// Makes a container's link again.
fn attach(network: &Network, plug: &Plug, pid: i32) -> Result<(), String> {
    let netns = netns(pid)?;
    network::attach(network, &plug.endpoint(netns.file().as_fd()))
        .map_err(|error| naru_state::chain(&error))
}
