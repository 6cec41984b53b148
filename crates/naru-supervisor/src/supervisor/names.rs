//! What the project's resolvers answer: rebuilt from the running containers whenever one starts or ends.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ipnetwork::IpNetwork;
use naru_compose::project::Service;
use naru_net::dns::{self, Resolver, Upstream, View, Zone};
use naru_state::ContainerId;
use naru_state::record;
use tokio::sync::watch;

use super::Supervisor;
use super::container::Live;
use crate::spec::files::parse_address;

/// The zone and those that are told of a new one, and what is behind it.
#[derive(Debug)]
pub(super) struct Names {
    zone: watch::Sender<Arc<Zone>>,
    /// The host's name servers, for all containers that name none.
    upstream: Upstream,
    /// Answers questions, as soon as there is a container that may ask.
    resolver: Option<Resolver>,
    /// It was said that a container cannot bind port 53 on all addresses.
    is_reduced_told: bool,
}

impl Names {
    /// No names.
    pub(super) fn new() -> Self {
        let zone = watch::Sender::new(Arc::new(Zone::default()));
        Self { zone, upstream: Upstream::default(), resolver: None, is_reduced_told: false }
    }

    fn resolver(&mut self) -> std::io::Result<&Resolver> {
        let resolver = match self.resolver.take() {
            Some(resolver) => resolver,
            None => Resolver::start()?,
        };
        Ok(self.resolver.insert(resolver))
    }
}

impl Supervisor {
    /// Puts the zone together anew. Containers that are about to start are in it: a name is known before
    /// the first process of its container runs. The names of those that do not run are claimed: they are asked
    /// nowhere else meanwhile.
    pub(super) fn refresh_names(&self) {
        let mut zone = Zone::default();
        for (key, entry) in &self.networks.record.networks {
            zone.add_network(key, &entry.name, subnets(entry));
        }
        for (name, service) in &self.model.services {
            // Single labels are everybody's, also of services without a network of their own.
            let networks = service.networks.keys().map(String::as_str).chain([""]);
            networks.for_each(|network| zone.claim(network, [name.as_str()]));
        }
        for live in self.containers.values() {
            let is_there = live.running.is_some() || live.starting.is_some();
            for attachment in &live.record.attachments {
                let names = names(live, attachment);
                zone.claim(&attachment.network, names.iter().map(String::as_str));
                for address in attachment.addresses().filter(|_| is_there) {
                    let network = self.networks.record.networks.get(&attachment.network);
                    let network = network.map_or("", |network| &network.name);
                    let canonical = format!("{}.{network}", live.record.name);
                    let names = names.iter().map(String::as_str);
                    zone.add(&attachment.network, address, &canonical, names);
                }
            }
        }
        self.add_neighbours(&mut zone);
        self.names.zone.send_replace(Arc::new(zone));
        // Who was connected to a network, or taken from one, sees something else from now on.
        for live in self.containers.values() {
            if let Some(server) = live.running.as_ref().and_then(|running| running.dns.as_ref()) {
                server.set_view(self.view(live));
            }
        }
    }

    /// What a container may see.
    pub(super) fn view(&self, live: &Live) -> View {
        let networks: Vec<_> = live.record.attachments.iter().map(|a| a.network.clone()).collect();
        let entries = || networks.iter().filter_map(|key| self.networks.record.networks.get(key));
        let has_way_out = entries().any(|network| !network.internal);
        let service = live.service.as_ref();
        // Questions to servers of its own leave from the container itself, and get as far as it does.
        let has_servers = service.is_some_and(|service| !own_servers(service).is_empty());
        let attached = live.record.attachments.iter().flat_map(|attachment| &attachment.links);
        let mut aliases = links(service.map_or(&[], |service| service.links.as_slice()));
        aliases.extend(attached.filter_map(|link| {
            let (name, alias) = link.split_once(':')?;
            Some((alias.to_ascii_lowercase(), name.to_ascii_lowercase()))
        }));
        View { aliases, host: host(entries()), forward: has_way_out || has_servers, networks }
    }

    /// Answers a container's questions from now on.
    pub(super) fn serve_dns(&mut self, id: &ContainerId, sockets: dns::Sockets) {
        let zone = self.names.zone.subscribe();
        if let Some(reason) = sockets.reduced() {
            self.tell_reduced(reason);
        }
        let Some(live) = self.containers.get(id) else { return };
        let own = live.service.as_ref().map(own_servers).unwrap_or_default();
        let upstream = match own.is_empty() {
            true => Ok(self.names.upstream.clone()),
            false => Upstream::of_service(own, &sockets).map_err(dns::Error::Serve),
        };
        let view = self.view(live);
        let server = upstream.and_then(|upstream| {
            let resolver = self.names.resolver().map_err(dns::Error::Serve)?;
            resolver.serve(sockets, zone, view, upstream)
        });
        match server {
            Ok(server) => {
                let running = self.containers.get_mut(id).and_then(|live| live.running.as_mut());
                if let Some(running) = running {
                    running.dns = Some(server);
                }
            }
            Err(error) => tracing::error!(container = %id, %error, "has no resolver"),
        }
    }

    /// Once for all containers: it is the host that lacks something.
    fn tell_reduced(&mut self, reason: &str) {
        if std::mem::replace(&mut self.names.is_reduced_told, true) {
            return;
        }
        self.note(&format!(
            "no firewall rule could be set in a container ({reason}): port 53 of 127.0.0.11 is taken in all of them, so a name server in a container has to bind another address than 0.0.0.0"
        ));
    }
}

/// The servers that a service asks itself. Who names naru's own wants the host's.
fn own_servers(service: &Service) -> Vec<IpAddr> {
    let all = service.dns.iter().filter_map(|text| parse_address(text));
    all.filter(|server| *server != dns::ADDRESS).collect()
}

/// All that a container is called in a network.
fn names(live: &Live, attachment: &record::Attachment) -> Vec<String> {
    let record = &live.record;
    let short = record.id.short().to_owned();
    let mut names = vec![record.name.clone(), short, record.hostname.clone()];
    let domain = live.service.as_ref().map_or("", |service| service.domainname.as_str());
    if !domain.is_empty() {
        names.push(format!("{}.{domain}", record.hostname));
    }
    // One that `run` made answers for its service only where it was told to.
    if record.one_off.as_ref().is_none_or(|own| own.use_aliases) {
        names.push(record.service.clone());
        names.extend_from_slice(&attachment.aliases);
    }
    names
}

fn subnets(network: &record::Network) -> impl Iterator<Item = IpNetwork> {
    network.subnets.iter().map(|subnet| subnet.subnet)
}

/// The host as a container sees it: the gateways of its first network with a way out, or of its first. Where a network
/// has no bridge, its gateway is somebody else.
fn host<'a>(networks: impl Iterator<Item = &'a record::Network> + Clone) -> Vec<IpAddr> {
    let networks = networks.filter(|network| network.driver == record::Driver::Bridge);
    let is_outer = |network: &&record::Network| !network.internal && network.gateway().is_some();
    let network = networks.clone().find(is_outer).or_else(|| networks.clone().next());
    let subnets = network.into_iter().flat_map(|network| &network.subnets);
    subnets.filter_map(|subnet| subnet.gateway).collect()
}

/// What links call their services: `service:alias`, the alias first.
fn links(links: &[String]) -> BTreeMap<String, String> {
    let aliased = links.iter().filter_map(|link| link.split_once(':'));
    aliased
        .map(|(service, alias)| (alias.to_ascii_lowercase(), service.to_ascii_lowercase()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_with_an_alias_add_a_name() {
        let written = ["db".to_owned(), "db:Database".to_owned(), "cache:cache".to_owned()];
        let links = links(&written);
        let expected = [("cache", "cache"), ("database", "db")];
        let expected = expected.map(|(alias, service)| (alias.to_owned(), service.to_owned()));
        assert_eq!(links, expected.into());
    }
}
