//! Networks of others that containers of this project are in.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use naru_plan::Plan;
use naru_state::record::Driver;
use naru_state::{ProjectName, record};

use super::Supervisor;
use crate::network::predefined;
use crate::network::shared::{self, Known};
use crate::protocol::Failure;

impl Supervisor {
    /// The networks of others that were removed and made again since this project took over what there was to know.
    fn replaced_networks(&self, all: &[Known]) -> BTreeSet<String> {
        let entered = self.networks.record.networks.values().filter(|record| record.external);
        let is_another = |record: &&record::Network| {
            let is_it = |known: &&Known| known.record.name == record.name;
            let id = all.iter().find(is_it).map(|known| &known.record.id);
            !record.id.is_empty() && id.is_some_and(|id| !id.is_empty() && *id != record.id)
        };
        entered.filter(is_another).map(|record| record.name.clone()).collect()
    }

    /// A container that was made for a network which is another now has nothing there.
    pub(super) fn check_networks(&self, live: &super::container::Live) -> Result<(), Box<Failure>> {
        let records = live.record.attachments.iter();
        let mut records = records.filter_map(|own| self.networks.record.networks.get(&own.network));
        if !records.clone().any(|record| record.external) {
            return Ok(());
        }
        let all = shared::all(&self.directories).map_err(Box::new)?;
        let replaced = self.replaced_networks(&all);
        let Some(network) = records.find(|record| replaced.contains(&record.name)) else {
            return Ok(());
        };
        let (container, network) = (&live.record.name, &network.name);
        Err(Box::new(Failure {
            message: format!(
                "network {network} was removed and made again since container {container} was made"
            ),
            hints: vec!["`naru up` makes the container anew".to_owned()],
            ..Failure::default()
        }))
    }

    /// The names of the networks of others, and those of them that are not what they were; none where the model has only
    /// networks that are the project's own already, for nobody asks.
    pub(super) fn foreign_networks(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let own = |name: &str| {
            let mut records = self.networks.record.networks.values();
            records.any(|record| record.name == name && !record.external)
        };
        let mut models = self.model.networks.values();
        if models.all(|model| !model.external && own(&model.name)) {
            return Default::default();
        }
        let all = shared::all(&self.directories).unwrap_or_else(|failure| {
            tracing::error!(error = %failure.message, "networks of others cannot be read");
            Vec::new()
        });
        let replaced = self.replaced_networks(&all);
        let others = all.into_iter().filter(|known| self.is_foreign(known));
        (others.map(|known| known.record.name).collect(), replaced)
    }

    fn is_foreign(&self, known: &Known) -> bool {
        known.project.as_ref().is_none_or(|(project, _)| *project != self.project)
    }

    /// Takes over what there is to know of the networks of others that the services of the model are in, and makes
    /// their bridges where a restart of the machine has taken them.
    pub(super) fn enter_networks(&mut self, plan: &Plan) -> Result<(), Box<Failure>> {
        let made: BTreeSet<&str> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.action {
                naru_plan::Action::CreateNetwork { key, .. } => Some(key.as_str()),
                _ => None,
            })
            .collect();
        let used = self.model.services.values().flat_map(|service| service.networks.keys());
        let used: BTreeSet<_> = used.filter(|key| !made.contains(key.as_str())).cloned().collect();
        let mut entered = false;
        for key in used {
            let Some(model) = self.model.networks.get(&key) else { continue };
            let own = self.networks.record.networks.get(&key);
            if own.is_some_and(|own| !own.external && own.name == model.name) {
                continue;
            }
            let failed = |failure: Failure| Box::new(failure.at(format!("networks.{key}")));
            let name = model.name.clone();
            let known = match shared::find(&self.directories, &name) {
                Ok(known) if known.record.name == name && self.is_foreign(&known) => known,
                // A network that is kept although it is called otherwise now.
                _ if !model.external => continue,
                Ok(_) => return Err(failed(not_found(&name))),
                Err(failure) => return Err(failed(failure)),
            };
            self.enter_network(&key, known).map_err(failed)?;
            entered = true;
        }
        if entered {
            // Those of its containers that stay may have lost their place.
            self.network_touched();
            self.save_networks().map_err(|error| Box::new(Failure::from_error(&error)))?;
            self.replace_firewall().map_err(Box::new)?;
        }
        Ok(())
    }

    /// Takes over what there is to know of one such network.
    pub(super) fn enter_network(&mut self, key: &str, known: Known) -> Result<(), Failure> {
        let failed = |error: &dyn std::error::Error| Failure::from_error(error);
        let group = shared::group(&self.directories, &known);
        let record = if known.project.is_none() && known.record.name == predefined::BRIDGE {
            predefined::enter_bridge(&self.directories, &self.project)?
        } else if matches!(known.record.driver, Driver::Host | Driver::None) {
            let message = format!("container cannot be connected to {} network", known.record.name);
            return Err(Failure { message, ..Failure::default() });
        } else {
            shared::restore(&self.directories, &known)?;
            let entered = shared::enter(&self.directories, &known, &self.project);
            entered.map_err(|error| failed(&error))?;
            known.record
        };
        self.watch_networks();
        self.watch_group(group);
        let record = record::Network { external: true, ..record };
        self.networks.record.networks.insert(key.to_owned(), record);
        Ok(())
    }

    /// Makes the bridges of networks of others again, after a restart of the machine or when somebody has deleted them;
    /// returns the names of those that were not there.
    ///
    /// Only the first time all of them are looked up: after that, those whose link is not there or down.
    pub(super) fn restore_foreign(&mut self, is_first: bool) -> Vec<String> {
        let links = naru_net::network::listed().unwrap_or_default();
        let is_there = |record: &&record::Network| {
            links.iter().any(|link| link.name == record.bridge && link.up)
        };
        let all = self.networks.record.networks.values().filter(|record| record.external);
        let all = all.filter(|record| is_first || !is_there(record));
        let records: Vec<_> = all.cloned().collect();
        let mut restored = Vec::new();
        for record in records {
            match self.restore_one(&record) {
                Ok(true) => restored.push(record.name),
                Ok(false) => {}
                Err(failure) => {
                    tracing::error!(network = record.name, error = %failure.message, "is not there");
                }
            }
        }
        restored
    }

    fn restore_one(&mut self, record: &record::Network) -> Result<bool, Failure> {
        let known = shared::find(&self.directories, &record.name)?;
        self.watch_group(shared::group(&self.directories, &known));
        let is_missing = shared::is_incomplete(&self.directories, &known)?;
        if is_missing {
            shared::restore(&self.directories, &known)?;
        }
        Ok(is_missing)
    }

    /// Addresses that containers of other projects have in a network.
    pub(super) fn taken_by_others(&self, network: &record::Network) -> BTreeSet<IpAddr> {
        let users = self.neighbours(network);
        users.iter().flat_map(|user| user.place.addresses()).collect()
    }

    /// The containers of other projects in a network.
    pub(super) fn neighbours(&self, network: &record::Network) -> Vec<shared::User> {
        let projects = self.neighbour_projects(network);
        let of = |project| shared::of(&self.directories, &network.name, project);
        projects.iter().filter_map(|project| of(project).ok()).flatten().collect()
    }

    /// The other projects that may have containers in a network.
    pub(super) fn neighbour_projects(&self, network: &record::Network) -> BTreeSet<ProjectName> {
        let mut projects: BTreeSet<_> =
            shared::using(&self.directories, &network.name).into_iter().collect();
        projects.remove(&self.project);
        projects
    }

    /// Whether a container of another project that runs is in a network of this one.
    pub(super) fn is_used_by_others(&self, network: &record::Network) -> bool {
        self.neighbours(network).iter().any(|user| user.container.is_running())
    }

    /// Forgets the networks of others, and that others are in those of this project but for some: no container is left.
    pub(super) fn leave_networks(&mut self, but: &BTreeMap<String, record::Network>) {
        let all = self.networks.record.networks.values();
        let neighbours: BTreeSet<_> =
            all.flat_map(|record| self.neighbour_projects(record)).collect();
        let records = std::mem::take(&mut self.networks.record.networks);
        for (_, record) in records.iter().filter(|(key, _)| !but.contains_key(*key)) {
            shared::leave(&self.directories, &record.name, &self.project);
        }
        let own = records.into_iter().filter(|(_, record)| !record.external);
        self.networks.record.networks = own.collect();
        if !neighbours.is_empty() {
            // This process ends now, and with it its threads.
            let _all_told = tell(self.directories.clone(), neighbours).recv_timeout(FAREWELL);
        }
    }

    /// Adds the names of other projects' containers in shared networks, as far as they run.
    pub(super) fn add_neighbours(&self, zone: &mut naru_net::dns::Zone) {
        // In the network that is there by itself projects do not know each other.
        let all = self.networks.record.networks.iter();
        for (key, network) in all.filter(|(_, network)| !predefined::is_one(&network.name)) {
            let users = self.neighbours(network);
            for user in users.iter().filter(|user| user.container.is_running()) {
                let record = &user.container.record;
                let canonical = format!("{}.{}", record.name, network.name);
                // As for the project's own: what `run` made answers for its service only where it was told to.
                let has_aliases = record.one_off.as_ref().is_none_or(|own| own.use_aliases);
                let service = has_aliases.then_some(&record.service);
                let aliases = user.place.aliases.iter().filter(|_| has_aliases);
                let own = [&record.name, &record.hostname];
                let names = own.into_iter().chain(service).chain(aliases).map(String::as_str);
                let names: Vec<_> = names.collect();
                for address in user.place.addresses() {
                    zone.add(key, address, &canonical, names.iter().copied());
                }
            }
        }
    }

    /// Lets the other projects in this one's networks know that names or addresses have changed.
    pub(super) fn tell_neighbours(&self) {
        let records = self.networks.record.networks.values();
        let projects: BTreeSet<_> =
            records.flat_map(|record| self.neighbour_projects(record)).collect();
        if projects.is_empty() {
            return;
        }
        drop(tell(self.directories.clone(), projects));
    }
}

/// Tells projects in a thread of its own, which may have to wait for each of them; what it returns is closed when all
/// have been told.
fn tell(
    directories: naru_state::Directories,
    projects: BTreeSet<ProjectName>,
) -> std::sync::mpsc::Receiver<()> {
    let (told, all_told) = std::sync::mpsc::channel::<()>();
    drop(std::thread::Builder::new().stack_size(STACK).spawn(move || {
        for project in projects {
            crate::client::tell(&directories.project(&project), &crate::protocol::Request::Names);
        }
        drop(told);
    }));
    all_told
}

/// How long a project that ends waits for the others to hear of it.
const FAREWELL: std::time::Duration = std::time::Duration::from_millis(500);

/// Stack of a thread that writes a line.
const STACK: usize = 256 * 1024;

fn not_found(name: &str) -> Failure {
    let message = format!("network {name} declared as external, but could not be found");
    Failure { message, ..Failure::default() }
}
