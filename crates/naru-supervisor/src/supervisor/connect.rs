//! `naru network connect` and `disconnect`: places in networks that come and go while the container runs.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use fs_err as fs;
use naru_net::{Kind, network};
use naru_plan::{Action, Cause, Plan, Step, StepId};
use naru_state::{ContainerId, record};

use super::Supervisor;
use super::control::Client;
use super::operation::Then;
use super::plug::{Plug, plugs};
use crate::network::{choose_alone, interface_names, shared};
use crate::protocol::{Connect, Failure, Reply};

type Outcome = Result<(), Box<Failure>>;

fn failed(message: String) -> Box<Failure> {
    Box::new(Failure { message, ..Failure::default() })
}

fn from_error(error: &dyn std::error::Error) -> Box<Failure> {
    Box::new(Failure::from_error(error))
}

/// The longest hosts file that is changed: a container may write its own as long as it likes.
const LONGEST_HOSTS: u64 = 1 << 20;

impl Supervisor {
    /// Gives a container a place in one more network, at once where it runs.
    pub(super) fn connect(&mut self, asked: &Connect, client: &Client) -> Outcome {
        let id = self.known(&asked.container)?;
        let key = self.key_for(&asked.network)?;
        let Some(live) = self.containers.get(&id) else { return Ok(()) };
        let name = live.record.name.clone();
        let own = live.service.as_ref();
        if own.is_some_and(|service| service.network_mode.is_some()) {
            let text = "container sharing network namespace with another container or host cannot be connected to any other network";
            return Err(failed(text.to_owned()));
        }
        if live.record.attachments.iter().any(|place| place.network == key) {
            let network = &asked.network;
            let text = format!("endpoint with name {name} already exists in network {network}");
            return Err(failed(text));
        }
        let alone = choose_alone(&self.directories).map_err(|error| from_error(&error))?;
        let place = self.choose_place(&key, &asked.place, None);
        let place = place.map_err(|problem| failed(problem.message))?;
        let mut places = self.with_names(&id);
        places.push(record::Attachment { links: asked.links.clone(), ..place });
        super::places::check_interfaces(&places).map_err(|(_, problem)| failed(problem.message))?;
        let before = self.plugs_of(&id, &self.with_names(&id));
        let after = self.plugs_of(&id, &places);
        if let Some(plug) = after.last() {
            self.plug_in(&id, &key, plug)?;
        }
        self.reroute(&id, &before, &after)?;
        self.put_places(&id, places)?;
        drop(alone);
        self.replace_firewall()?;
        self.save_networks().map_err(|error| from_error(&error))?;
        self.places_changed(&id);
        drop(client.send(Reply::Done));
        Ok(())
    }

    /// Takes a container from a network, at once where it runs.
    pub(super) fn disconnect(
        &mut self,
        container: &str,
        network: &str,
        client: &Client,
    ) -> Outcome {
        let id = self.known(container)?;
        let mut places = self.with_names(&id);
        let is_it = |place: &record::Attachment| {
            let record = self.networks.record.networks.get(&place.network);
            record.is_some_and(|record| record.name == network)
        };
        let Some(index) = places.iter().position(is_it) else {
            let name = self.containers.get(&id).map_or("", |live| live.record.name.as_str());
            return Err(failed(format!("container {name} is not connected to network {network}")));
        };
        let before = self.plugs_of(&id, &places);
        let key = places.remove(index).network;
        let after = self.plugs_of(&id, &places);
        if let Some(plug) = before.get(index) {
            self.plug_out(&id, &key, plug)?;
        }
        let left: Vec<_> =
            before.iter().filter(|plug| after.iter().any(|own| own.is(plug))).cloned().collect();
        self.reroute(&id, &left, &after)?;
        self.put_places(&id, places)?;
        self.places_changed(&id);
        drop(client.send(Reply::Done));
        Ok(())
    }

    /// Takes one of the project's networks away.
    pub(super) fn begin_remove_network(&mut self, name: &str, client: &Client) -> Outcome {
        let own = self.networks.record.networks.iter();
        let found = own.clone().find(|(_, record)| record.name == name && !record.external);
        let Some((key, _)) = found else {
            return Err(failed(format!("network {name} not found")));
        };
        let mut containers = self.containers.values();
        let user =
            containers.find(|live| live.record.attachments.iter().any(|at| at.network == *key));
        if let Some(live) = user {
            let user = &live.record.name;
            return Err(failed(format!(
                "cannot remove network {name}: container {user} has a place in it"
            )));
        }
        let action = Action::RemoveNetwork { name: name.to_owned() };
        let (after, gates, cause) = (Vec::new(), Vec::new(), Cause::Requested);
        let step = Step { id: StepId(1), action, after, gates, cause };
        let plan = Plan { steps: vec![step], notices: Vec::new() };
        self.begin_plan(plan, client, Then::Answer);
        Ok(())
    }

    fn known(&self, container: &str) -> Result<ContainerId, Box<Failure>> {
        let id = ContainerId::try_from(container.to_owned()).ok();
        let id = id.filter(|id| self.containers.contains_key(id));
        id.ok_or_else(|| failed(format!("No such container: {container}")))
    }

    /// The key of a network by its name; one that is not known yet is entered.
    fn key_for(&mut self, name: &str) -> Result<String, Box<Failure>> {
        let mut records = self.networks.record.networks.iter();
        if let Some((key, _)) = records.find(|(_, record)| record.name == name) {
            return Ok(key.clone());
        }
        let known = shared::find(&self.directories, name)?;
        let key = format!(":{name}");
        self.enter_network(&key, known)?;
        Ok(key)
    }

    fn runs(&self, id: &ContainerId) -> bool {
        self.containers.get(id).is_some_and(|live| live.running.is_some())
    }

    /// A container's places with the names that its interfaces have: those that come and go must not change them.
    fn with_names(&self, id: &ContainerId) -> Vec<record::Attachment> {
        let Some(live) = self.containers.get(id) else { return Vec::new() };
        let mut places = live.record.attachments.clone();
        let networks: Vec<_> = places
            .iter()
            .map(|place| self.networks.get(&self.kernel_id(), &place.network))
            .collect();
        let names = interface_names(&places, |index| {
            networks[index].as_ref().map_or("eth", |network| network.interface_prefix.as_str())
        });
        for (place, name) in places.iter_mut().zip(names) {
            place.interface = name;
        }
        places
    }

    fn plugs_of(&self, id: &ContainerId, places: &[record::Attachment]) -> Vec<Plug> {
        let Some(live) = self.containers.get(id) else { return Vec::new() };
        let kernel_id = self.kernel_id();
        let places = places.iter().filter_map(|place| {
            Some((self.networks.get(&kernel_id, &place.network)?, place.clone()))
        });
        let seed = format!("{kernel_id}/{id}/{}", live.state.generation);
        plugs(&places.collect::<Vec<_>>(), &seed)
    }

    /// The network namespace of a container that runs.
    fn netns(&self, id: &ContainerId) -> Result<Option<fs::File>, Box<Failure>> {
        let running = self.containers.get(id).and_then(|live| live.running.as_ref());
        let Some(running) = running else { return Ok(None) };
        let path = format!("/proc/{}/ns/net", running.process.pid);
        fs::File::open(path).map(Some).map_err(|error| from_error(&error))
    }

    fn plug_in(&self, id: &ContainerId, key: &str, plug: &Plug) -> Outcome {
        let Some(netns) = self.netns(id)? else { return Ok(()) };
        let network = self.networks.get(&self.kernel_id(), key);
        let Some(network) = network else { return Ok(()) };
        let endpoint = plug.without_routes();
        network::attach(&network, &endpoint.endpoint(netns.as_fd()))
            .map_err(|error| from_error(&error))
    }

    fn plug_out(&self, id: &ContainerId, key: &str, plug: &Plug) -> Outcome {
        let Some(netns) = self.netns(id)? else { return Ok(()) };
        let network = self.networks.get(&self.kernel_id(), key);
        let detached = match network.map(|network| network.kind) {
            Some(Kind::Upper(..)) => network::detach_inside(netns.as_fd(), plug.interface()),
            _ => network::detach(plug.host_side()),
        };
        detached.map_err(|error| from_error(&error))
    }

    /// Sets the ways out that are others now.
    fn reroute(&self, id: &ContainerId, before: &[Plug], after: &[Plug]) -> Outcome {
        let Some(netns) = self.netns(id)? else { return Ok(()) };
        for plug in after {
            let had = before.iter().find(|old| old.is(plug));
            if had.is_some_and(|old| old.routes() == plug.routes()) {
                continue;
            }
            network::set_default_routes(netns.as_fd(), plug.interface(), plug.routes())
                .map_err(|error| from_error(&error))?;
        }
        Ok(())
    }

    fn put_places(&mut self, id: &ContainerId, places: Vec<record::Attachment>) -> Outcome {
        let Some(live) = self.containers.get_mut(id) else { return Ok(()) };
        live.record.attachments = places;
        let record = live.record.clone();
        self.save(&self.own.container_file(id), &record).map_err(|error| from_error(&error))
    }

    /// Names, ports and the hosts file follow.
    fn places_changed(&mut self, id: &ContainerId) {
        self.refresh_names();
        self.tell_neighbours();
        if self.runs(id) {
            self.serve_ports(id);
        }
        if let Err(error) = self.rewrite_hosts(id) {
            tracing::warn!(container = %id, %error, "the hosts file could not be changed");
        }
    }

    /// The lines of the container itself in its hosts file are those of its addresses. The file stays the same one: it
    /// is what is mounted.
    fn rewrite_hosts(&self, id: &ContainerId) -> io::Result<()> {
        let Some(live) = self.containers.get(id) else { return Ok(()) };
        let path = self.own.container_run(id).join("hosts");
        let Some(text) = bounded(&path)? else { return Ok(()) };
        let domain = live.service.as_ref().map_or("", |service| service.domainname.as_str());
        let hostname = &live.record.hostname;
        let ending = format!("\t{}", crate::spec::files::own_names(hostname, domain));
        let kept = text.lines().filter(|line| !line.ends_with(&ending));
        let addresses = live.record.attachments.iter().flat_map(record::Attachment::addresses);
        let own = addresses.map(|address| format!("{address}{ending}"));
        let lines: Vec<_> = kept.map(str::to_owned).chain(own).collect();
        fs::write(path, lines.join("\n") + "\n")
    }
}

/// A file that a container can write; nothing where there is none.
fn bounded(path: &Path) -> io::Result<Option<String>> {
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let mut text = String::new();
    if file.take(LONGEST_HOSTS + 1).read_to_string(&mut text)? as u64 > LONGEST_HOSTS {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} is too large", path.display()),
        ));
    }
    Ok(Some(text))
}
