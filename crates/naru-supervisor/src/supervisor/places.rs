//! Containers' places in networks: checked for all containers of a plan before anything is made, and chosen one by one.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use naru_compose::project::{Attachment, Service};
use naru_net::{Kind, MacAddress};
use naru_plan::{Action, Plan, Subject};
use naru_state::{ContainerId, record};

use super::Supervisor;
use crate::network::{
    Asked, Chosen, Options, Problem, interface_names, is_interface_name, parameters, senders,
};
use crate::protocol::{Cause, Failure, Run};

/// An address in a network of this key.
type Claim = (String, IpAddr);

impl Supervisor {
    /// Checks what the plan's new containers ask of their networks, and the networks themselves: against the host and
    /// against each other.
    pub(super) fn check_places(&self, plan: &Plan, run: Option<&Run>) -> Result<(), Box<Failure>> {
        let mut networks = self.networks.record.networks.clone();
        for step in &plan.steps {
            if let Action::CreateNetwork { key, .. } = &step.action {
                let model = self.model.networks.get(key).cloned().unwrap_or_default();
                let made = self.describe_network(key, &model).map_err(Box::new)?;
                networks.insert(key.clone(), made);
            }
        }
        let mut claimed = self.claims_that_stay(plan);
        for step in &plan.steps {
            let Action::CreateContainer { service, name, hook: None, .. } = &step.action else {
                continue;
            };
            let run = run.filter(|run| run.name == *name).map(|run| &run.definition);
            let Some(model) = run.or_else(|| self.model.services.get(service)) else { continue };
            super::joined::check(service, model)?;
            for (key, attachment) in sorted(model) {
                let at = format!("services.{service}.networks.{key}");
                let network = networks.get(key);
                self.check_place(&attachment, (key, network), &mut claimed, name)
                    .map_err(|problem| failure(problem, &at).because(Cause::Config))?;
            }
            let dummy = sorted(model).into_iter().map(|(key, own)| place(key, &own));
            check_interfaces(&dummy.collect::<Vec<_>>())
                .map_err(|problem| of_interface(problem, service))?;
        }
        Ok(())
    }

    /// The addresses of containers that the plan does not take away.
    fn claims_that_stay(&self, plan: &Plan) -> BTreeMap<Claim, String> {
        let removed: BTreeSet<&str> = plan
            .steps
            .iter()
            .filter_map(|step| match &step.action {
                Action::RemoveContainer { container: Subject::Existing { id, .. }, .. } => {
                    Some(id.as_str())
                }
                _ => None,
            })
            .collect();
        let stays = self.containers.iter().filter(|(id, _)| !removed.contains(id.as_str()));
        let places = stays.flat_map(|(_, live)| {
            live.record.attachments.iter().map(move |own| (own, &live.record.name))
        });
        places
            .flat_map(|(own, name)| {
                own.addresses().map(move |address| ((own.network.clone(), address), name.clone()))
            })
            .collect()
    }

    fn check_place(
        &self,
        asked: &Attachment,
        (key, network): (&str, Option<&record::Network>),
        claimed: &mut BTreeMap<Claim, String>,
        container: &str,
    ) -> Result<(), Problem> {
        link_local(asked)?;
        let about = |message| Problem { attribute: "driver_opts", message };
        parameters(&asked.driver_opts).map_err(about)?;
        check_mac(asked, network)?;
        senders(&asked.driver_opts).map_err(about)?;
        let wanted = Asked { v4: &asked.ipv4_address, v6: &asked.ipv6_address };
        let Some(network) = network.filter(|_| !wanted.v4.is_empty() || !wanted.v6.is_empty())
        else {
            return Ok(());
        };
        let Chosen { v4, v6 } =
            crate::network::choose_addresses(network, wanted, &self.taken_by_others(network))?;
        let chosen = [
            (v4.map(IpAddr::V4), wanted.v4, "ipv4_address"),
            (v6.map(IpAddr::V6), wanted.v6, "ipv6_address"),
        ];
        for (address, wanted, attribute) in chosen {
            let Some(address) = address.filter(|_| !wanted.is_empty()) else { continue };
            let claim = (key.to_owned(), address);
            if let Some(owner) = claimed.insert(claim, container.to_owned()) {
                let message = format!("{address} is taken already, by container {owner}");
                return Err(Problem { attribute, message });
            }
        }
        Ok(())
    }

    /// A container's networks in the order of its interfaces: by priority, then by name, as docker compose connects.
    /// What the container that it replaces has is free for it.
    pub(super) fn choose_attachments(
        &self,
        name: &str,
        model: &Service,
        replaced: Option<&ContainerId>,
    ) -> Result<Vec<record::Attachment>, Failure> {
        let links = self.links(model);
        let mut chosen = Vec::new();
        for (index, (key, attachment)) in sorted(model).into_iter().enumerate() {
            let at = format!("services.{name}.networks.{key}");
            let mut place = self
                .choose_place(key, &attachment, replaced)
                .map_err(|problem| *failure(problem, &at))?;
            place.links.clone_from(&links);
            if place.mac.is_empty() && index == 0 {
                // That of the service is that of its first interface.
                place.mac.clone_from(&model.mac_address);
            }
            chosen.push(place);
        }
        check_interfaces(&chosen).map_err(|problem| *of_interface(problem, name))?;
        Ok(chosen)
    }

    /// A place in one network; its interface is yet to be checked against the container's others.
    pub(super) fn choose_place(
        &self,
        key: &str,
        attachment: &Attachment,
        replaced: Option<&ContainerId>,
    ) -> Result<record::Attachment, Problem> {
        let asked = Asked { v4: &attachment.ipv4_address, v6: &attachment.ipv6_address };
        let Chosen { v4, v6 } = self.choose_addresses(key, asked, replaced)?;
        let about = |message| Problem { attribute: "driver_opts", message };
        Ok(record::Attachment {
            address: v4,
            address6: v6,
            sysctls: parameters(&attachment.driver_opts).map_err(about)?,
            senders: senders(&attachment.driver_opts).map_err(about)?,
            link_local: link_local(attachment)?,
            ..place(key, attachment)
        })
    }

    /// Free addresses of the network, or those that the file asks for. What other services ask for is kept for them.
    fn choose_addresses(
        &self,
        key: &str,
        asked: Asked<'_>,
        replaced: Option<&ContainerId>,
    ) -> Result<Chosen, Problem> {
        let network = self.networks.record.networks.get(key);
        let message = || format!("network {key} does not exist");
        let network = network.ok_or_else(|| Problem { attribute: "", message: message() })?;
        let others = self.containers.iter().filter(|(id, _)| Some(*id) != replaced);
        let attachments = others.flat_map(|(_, live)| &live.record.attachments);
        let there = attachments.filter(|attachment| attachment.network == key);
        let mut taken: BTreeSet<_> = there.flat_map(record::Attachment::addresses).collect();
        let wanted = [asked.v4, asked.v6].map(|text| text.parse::<IpAddr>().ok());
        let services = self.model.services.values();
        let fixed = services.filter_map(|service| service.networks.get(key)?.as_deref());
        let fixed = fixed.flat_map(|own| [&own.ipv4_address, &own.ipv6_address]);
        let fixed = fixed.filter_map(|text| text.parse::<IpAddr>().ok());
        taken.extend(fixed.filter(|address| !wanted.contains(&Some(*address))));
        taken.extend(self.taken_by_others(network));
        if network.driver != record::Driver::Bridge {
            // The host is a neighbour of the container there.
            let own = naru_net::network::addresses_of(&network.bridge).unwrap_or_default();
            taken.extend(own.iter().map(ipnetwork::IpNetwork::ip));
        }
        crate::network::choose_addresses(network, asked, &taken)
    }

    /// What a service calls others besides the aliases in `links`: replicas of those by service and number, as docker
    /// compose does, and containers of other projects.
    fn links(&self, model: &Service) -> Vec<String> {
        let mut links = Vec::new();
        for link in &model.links {
            let service = link.split(':').next().unwrap_or(link);
            let Some(linked) = self.model.services.get(service) else { continue };
            let own_name = Some(&linked.container_name).filter(|name| !name.is_empty());
            for number in 1..=linked.replicas() {
                let alias = format!("{service}-{number}");
                let name = own_name.cloned().unwrap_or_else(|| format!("{}-{alias}", self.project));
                links.push(format!("{name}:{alias}"));
            }
        }
        for link in &model.external_links {
            let (name, alias) = link.split_once(':').unwrap_or((link, link));
            links.push(format!("{name}:{alias}"));
        }
        links
    }
}

/// A service's networks in the order of its interfaces; none where it has another's or the host's.
pub(super) fn sorted(model: &Service) -> Vec<(&String, Box<Attachment>)> {
    if model.network_mode.is_some() {
        return Vec::new();
    }
    let networks = model.networks.iter();
    let mut networks: Vec<_> =
        networks.map(|(key, own)| (key, own.clone().unwrap_or_default())).collect();
    networks.sort_by_key(|(_, own)| std::cmp::Reverse(own.priority));
    networks
}

/// Only links with a hardware address of their own can have another.
fn check_mac(asked: &Attachment, network: Option<&record::Network>) -> Result<(), Problem> {
    let Some(network) = network.filter(|_| !asked.mac_address.is_empty()) else { return Ok(()) };
    let options = Options::parse(network.driver, &network.options).unwrap_or_default();
    match options.kind(network.driver) {
        Kind::Upper(upper, _) if upper.shares_mac() => {
            let kind = upper.kind();
            let message = format!("a {kind} link of network {} has its parent's", network.name);
            Err(Problem { attribute: "mac_address", message })
        }
        _ => Ok(()),
    }
}

/// A place without what has to be chosen or can be wrong.
fn place(key: &str, asked: &Attachment) -> record::Attachment {
    record::Attachment {
        network: key.to_owned(),
        aliases: asked.aliases.clone(),
        interface: asked.interface_name.clone(),
        mac: asked.mac_address.clone(),
        gw_priority: asked.gw_priority,
        ..record::Attachment::default()
    }
}

fn failure(Problem { attribute, message }: Problem, at: &str) -> Box<Failure> {
    let failure = Failure { message, ..Failure::default() };
    Box::new(match attribute {
        "" => failure.at(at),
        attribute => failure.at(format!("{at}.{attribute}")),
    })
}

fn of_interface((key, problem): (String, Problem), service: &str) -> Box<Failure> {
    failure(problem, &format!("services.{service}.networks.{key}"))
}

/// The link-local addresses that an attachment asks for.
fn link_local(attachment: &Attachment) -> Result<Vec<IpAddr>, Problem> {
    let parse = |text: &String| {
        let address: Option<IpAddr> = text.parse().ok();
        let is_local = |address: &IpAddr| match address {
            IpAddr::V4(address) => address.is_link_local(),
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        let message = || format!("{text} is not a link-local address");
        let wrong = || Problem { attribute: "link_local_ips", message: message() };
        address.filter(is_local).ok_or_else(wrong)
    };
    attachment.link_local_ips.iter().map(parse).collect()
}

/// Names of interfaces are possible and differ, hardware addresses are such; else the problem and the network's key.
pub(super) fn check_interfaces(all: &[record::Attachment]) -> Result<(), (String, Problem)> {
    let names = interface_names(all, |_| "eth");
    for (index, (own, name)) in all.iter().zip(&names).enumerate() {
        let refuse =
            |attribute, message| Err((own.network.clone(), Problem { attribute, message }));
        if !is_interface_name(name) {
            return refuse("interface_name", format!("{name:?} is not the name of an interface"));
        }
        if names[..index].contains(name) {
            return refuse("interface_name", format!("two interfaces are called {name}"));
        }
        if !own.mac.is_empty()
            && let Err(error) = own.mac.parse::<MacAddress>()
        {
            return refuse("mac_address", error.to_string());
        }
    }
    Ok(())
}
