//! The project's networks: bridges, subnets, addresses, and the firewall table that goes with them.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use ipnetwork::IpNetwork;
use naru_net::{names, network};
use naru_state::{Directories, ProjectDirectories, ProjectName, atomic, record};

use super::Supervisor;
use super::event::{Event, aside};
use super::operation::StepOf;
use crate::network::{Options, choose_alone, describe};
use crate::observe;
use crate::protocol::{Failure, Reply};

/// How long the kernel may take to unlist links.
const UNLIST_PATIENCE: Duration = Duration::from_secs(5);

/// The networks of the project as they exist.
#[derive(Debug)]
pub(super) struct Networks {
    pub(super) record: record::Networks,
}

impl Networks {
    /// Reads what is recorded.
    pub(super) fn load(own: &ProjectDirectories) -> Result<Self, atomic::Error> {
        let record = atomic::load(&own.networks_file())?;
        let none = || record::Networks { version: record::VERSION, ..Default::default() };
        Ok(Self { record: record.unwrap_or_else(none) })
    }

    /// [`Networks::load`]; where the record is lost and its bridges are not, they tell what was in it.
    pub(super) fn load_or_recover(
        own: &ProjectDirectories,
        kernel_id: &str,
    ) -> Result<Self, atomic::Error> {
        match Self::load(own) {
            Ok(networks) if networks.record.networks.is_empty() => {}
            Err(error @ atomic::Error::Damaged { .. }) => {
                tracing::error!(%error, "the networks are looked for in the kernel");
            }
            loaded => return loaded,
        }
        let record = recovered(own, kernel_id).unwrap_or_else(|error| {
            tracing::error!(%error, "the networks could not be recovered");
            BTreeMap::new()
        });
        let record = record::Networks { version: record::VERSION, networks: record };
        if record.networks.is_empty() {
            drop(fs_err::remove_file(own.networks_file()));
        } else {
            atomic::save_durable(&own.networks_file(), &record)?;
        }
        Ok(Self { record })
    }

    /// The network of this key, in the network crate's terms.
    pub(super) fn get(&self, project: &str, key: &str) -> Option<naru_net::Network> {
        let record = self.record.networks.get(key)?;
        Some(in_kernel(record, names::group(project)))
    }
}

/// A recorded network in the network crate's terms.
pub(crate) fn in_kernel(record: &record::Network, group: u32) -> naru_net::Network {
    let subnets = record.subnets.iter();
    let subnets =
        subnets.map(|subnet| naru_net::Subnet { network: subnet.subnet, gateway: subnet.gateway });
    // What was recorded was understood when it was made.
    let options = Options::parse(record.driver, &record.options).unwrap_or_default();
    naru_net::Network {
        id: record.name.clone(),
        kind: options.kind(record.driver),
        bridge: record.bridge.clone(),
        group,
        subnets: subnets.collect(),
        internal: record.internal,
        mtu: options.mtu,
        interface_prefix: options.interface_prefix,
        isolated: !options.icc,
    }
}

impl Supervisor {
    pub(super) fn kernel_id(&self) -> String {
        kernel_id(&self.directories, &self.project)
    }

    /// Makes the network of this key.
    pub(super) fn create_network(&mut self, key: &str) -> Result<(), Failure> {
        let failed = |error: &dyn std::error::Error| {
            Failure::from_error(error).at(format!("networks.{key}"))
        };
        let model = self.model.networks.get(key).cloned().unwrap_or_default();
        // Between choosing a subnet and making the bridge nobody else may choose the same.
        let _choosing = choose_alone(&self.directories).map_err(|error| failed(&error))?;
        let entry = self.describe_network(key, &model)?;
        self.networks.record.networks.insert(key.to_owned(), entry);
        let network = self.networks.get(&self.kernel_id(), key);
        let made = network.map_or(Ok(()), |network| network::create(&network));
        if let Err(error) = made {
            self.networks.record.networks.remove(key);
            let failure = failed(&error);
            return Err(match error.is_withheld() {
                true => failure.hint(
                    "naru needs the right to make links here (CAP_NET_ADMIN); services with `network_mode: host` need none",
                ),
                false => failure,
            });
        }
        self.save_networks().map_err(|error| failed(&error))?;
        self.watch_networks();
        self.replace_firewall()
    }

    /// Makes the kernel's networks those that are recorded: bridges that no record tells of go (who made or deleted
    /// them was killed on the way); those that are gone come back, as after a restart of the machine, and with them
    /// the firewall.
    pub(super) fn restore_networks(&mut self) -> Result<(), Failure> {
        let failed = |error: &dyn std::error::Error| Failure::from_error(error);
        let id = self.kernel_id();
        let mut bridges = bridges(&id).map_err(|error| failed(&error))?;
        self.restore_foreign(true);
        let own = self.networks.record.networks.iter().filter(|(_, record)| !record.external);
        let recorded: Vec<_> = own.filter_map(|(key, _)| self.networks.get(&id, key)).collect();
        bridges.retain(|link| {
            let is_recorded = recorded.iter().any(|network| network.bridge == link.name);
            if !is_recorded && let Err(error) = network::detach(&link.name) {
                tracing::warn!(%error, "a bridge that belongs to no network is left");
            }
            is_recorded
        });
        if self.networks.record.networks.is_empty() {
            return Ok(());
        }
        self.watch_networks();
        self.restore_bridges()?;
        self.replace_firewall()
    }

    /// Makes recorded bridges of the project that are gone or down; returns the names of their networks.
    pub(super) fn restore_bridges(&self) -> Result<Vec<String>, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::from_error(error);
        let id = self.kernel_id();
        let own = self.networks.record.networks.iter().filter(|(_, entry)| !entry.external);
        let recorded = own.filter_map(|(key, _)| self.networks.get(&id, key)).collect();
        let missing = network::incomplete(recorded).map_err(|error| failed(&error))?;
        for network in &missing {
            network::restore(network).map_err(|error| failed(&error))?;
        }
        Ok(missing.iter().map(|network| network.id.clone()).collect())
    }

    /// The record of a network as it is to be made; nothing is made yet.
    pub(super) fn describe_network(
        &self,
        key: &str,
        model: &naru_compose::project::Network,
    ) -> Result<record::Network, Failure> {
        describe(&self.directories, Some(&self.project), model).map_err(|wrong| {
            let failure = Failure::from_error(&wrong);
            failure.at(match wrong.attribute.as_str() {
                "" => format!("networks.{key}"),
                attribute => format!("networks.{key}.{attribute}"),
            })
        })
    }

    /// Takes a network away: its record and rules at once, its links when no container's are left.
    pub(super) fn remove_network(&mut self, name: &str, step: StepOf) {
        let is_it = |entry: &record::Network| entry.name == name && !entry.external;
        let found = self.networks.record.networks.iter().find(|(_, entry)| is_it(entry));
        let Some(key) = found.map(|(key, _)| key.clone()) else {
            return self.end_step(step, Ok(()));
        };
        let network = self.networks.get(&self.kernel_id(), &key);
        self.networks.record.networks.remove(&key);
        crate::network::shared::leave(&self.directories, name, &self.project);
        let rules = match self.networks.record.networks.is_empty() {
            true => self.remove_firewall(),
            false => self.replace_firewall(),
        };
        // Links in networks of others are of the project's group as well.
        let nobody_stays = self.containers.values().all(|live| live.running.is_none());
        let last = nobody_stays && self.networks.record.networks.values().all(|left| left.external);
        let saved = self.save_networks().map_err(|error| Failure::from_error(&error)).and(rules);
        let ended = move |result| Event::StepEnded(step.operation, step.step, result);
        // Plain, short-lived: it waits for the kernel.
        let work = move || {
            ended(saved.and(network.map_or(Ok(()), |network| remove_links(&network, last))))
        };
        aside(&self.events, work, |error| ended(Err(Failure::from_error(&error))));
    }

    pub(super) fn save_networks(&mut self) -> Result<(), atomic::Error> {
        if self.networks.record.networks.is_empty() {
            return match fs_err::remove_file(self.own.networks_file()) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    Err(atomic::Error::File(error))
                }
                _ => Ok(()),
            };
        }
        let record = self.networks.record.clone();
        self.save(&self.own.networks_file(), &record)
    }

    /// A sentence for whoever waits for the command under way.
    pub(super) fn note(&self, text: &str) {
        match &self.operation {
            Some(operation) => drop(operation.client.send(Reply::Notice(text.to_owned()))),
            None => tracing::warn!("{text}"),
        }
    }
}

/// The project's last network takes all its links along, in one request that the kernel takes 30 to 60 ms
/// for; they are unlisted much sooner, so a process that nobody waits for makes it.
fn remove_links(network: &naru_net::Network, last: bool) -> Result<(), Failure> {
    if !last {
        return network::remove(network).map_err(|error| Failure::from_error(&error));
    }
    unlink_in_background(network.group).map_err(|error| Failure::from_error(&error))?;
    match network::wait_unlisted(network.group, UNLIST_PATIENCE) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Failure {
            message: format!("the links of network {} are still there", network.id),
            ..Failure::default()
        }),
        Err(error) => Err(Failure::from_error(&error)),
    }
}

fn unlink_in_background(group: u32) -> std::io::Result<()> {
    use std::os::unix::process::CommandExt;
    let child = Command::new("/proc/self/exe")
        .arg0("naru")
        .args([crate::UNLINK_ROLE, &group.to_string()])
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    // The keeper reaps it.
    drop(child);
    Ok(())
}

/// The process that nobody waits for: deletes all links of a group.
pub(crate) fn unlink(group: &str) -> std::process::ExitCode {
    let deleted = group.parse().map(network::delete_group);
    match deleted {
        Ok(Ok(())) => std::process::ExitCode::SUCCESS,
        _ => std::process::ExitCode::FAILURE,
    }
}

/// The bridges of a project that the kernel has.
fn bridges(kernel_id: &str) -> Result<Vec<naru_net::Link>, network::Error> {
    let mut links = network::links_of_group(names::group(kernel_id))?;
    links.retain(|link| names::is_of_network(&link.name));
    Ok(links)
}

/// Whether a killed supervisor has left bridges of the project that no record tells of.
///
/// # Errors
/// When the kernel does not list its links.
pub fn has_bridges(
    directories: &Directories,
    project: &ProjectName,
) -> Result<bool, network::Error> {
    Ok(!bridges(&kernel_id(directories, project))?.is_empty())
}

/// What tells a project's kernel objects from those of a project of the same name in another root.
pub(crate) fn kernel_id(directories: &Directories, project: &ProjectName) -> String {
    format!("{}-{project}", directories.root_id())
}

/// The networks that the project's containers are in, as far as their bridges are there.
fn recovered(
    own: &ProjectDirectories,
    kernel_id: &str,
) -> Result<BTreeMap<String, record::Network>, Box<dyn std::error::Error>> {
    let mut found = BTreeMap::new();
    let recorded = observe::recorded(own)?;
    let Some(project) = atomic::load::<record::Project>(&own.project_file())? else {
        return Ok(found);
    };
    let model: naru_compose::project::Project = serde_json::from_value(project.model)?;
    let attachments = recorded.iter().flat_map(|recorded| &recorded.record.attachments);
    let keys: BTreeSet<_> = attachments.map(|attachment| &attachment.network).collect();
    for key in keys {
        let Some(network) = model.networks.get(key) else { continue };
        let bridge = names::bridge(&format!("{kernel_id}/{}", network.name));
        let addresses = network::addresses_of(&bridge)?;
        let subnets = addresses.iter().map(|address| {
            let subnet = IpNetwork::new(address.network(), address.prefix())?;
            let gateway = Some(address.ip());
            Ok(record::Subnet { subnet, gateway, ip_range: None, reserved: BTreeMap::new() })
        });
        let subnets = subnets.collect::<Result<Vec<_>, ipnetwork::IpNetworkError>>()?;
        if subnets.is_empty() {
            continue;
        }
        let entry = record::Network {
            name: network.name.clone(),
            bridge,
            subnets,
            internal: network.internal,
            options: network.driver_opts.clone(),
            labels: network.labels.clone(),
            config_hash: naru_plan::hash::network(network),
            ..record::Network::default()
        };
        found.insert(key.clone(), entry);
    }
    Ok(found)
}
