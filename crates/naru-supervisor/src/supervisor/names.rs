//! What the project's resolvers answer: rebuilt from the running containers whenever one starts or ends.

use std::sync::Arc;

use ipnetwork::IpNetwork;
use naru_net::dns::{View, Zone};
use tokio::sync::watch;

use super::Supervisor;
use super::container::Live;

/// The zone, and those that are told of a new one.
#[derive(Debug)]
pub(super) struct Names {
    zone: watch::Sender<Arc<Zone>>,
}

impl Names {
    /// No names.
    pub(super) fn new() -> Self {
        Self { zone: watch::Sender::new(Arc::new(Zone::default())) }
    }

    /// The zone as it is and will be.
    pub(super) fn subscribe(&self) -> watch::Receiver<Arc<Zone>> {
        self.zone.subscribe()
    }
}

impl Supervisor {
    /// Puts the zone together anew. Containers that are about to start are in it: a name is known before
    /// the first process of its container runs.
    pub(super) fn refresh_names(&self) {
        let mut zone = Zone::default();
        for (key, entry) in &self.networks.record.networks {
            let v4 = entry.subnets.iter().find_map(|subnet| match subnet.subnet {
                IpNetwork::V4(subnet) => Some(subnet),
                IpNetwork::V6(_) => None,
            });
            if let Some(subnet) = v4 {
                zone.add_network(key, subnet);
            }
        }
        for live in self
            .containers
            .values()
            .filter(|live| live.running.is_some() || live.starting.is_some())
        {
            for attachment in &live.record.attachments {
                let record = &live.record;
                let own = [&record.name, &record.hostname];
                // One that `run` made answers for its service only where it was told to.
                let has_aliases = record.one_off.as_ref().is_none_or(|own| own.use_aliases);
                let service = has_aliases.then_some(std::iter::once(&record.service));
                let aliases = has_aliases.then_some(&attachment.aliases);
                let further = service.into_iter().flatten().chain(aliases.into_iter().flatten());
                let names = own.into_iter().chain(further).map(String::as_str);
                let network = self.networks.record.networks.get(&attachment.network);
                let network = network.map_or("", |network| &network.name);
                let canonical = format!("{}.{network}", record.name);
                if let Some(address) = attachment.address {
                    zone.add(&attachment.network, address, &canonical, names);
                }
            }
        }
        self.names.zone.send_replace(Arc::new(zone));
    }

    /// What a container may see.
    pub(super) fn view(&self, live: &Live) -> View {
        let networks: Vec<_> = live.record.attachments.iter().map(|a| a.network.clone()).collect();
        let has_way_out = |key: &String| {
            self.networks.record.networks.get(key).is_some_and(|network| !network.internal)
        };
        let forward = networks.iter().any(has_way_out);
        View { networks, forward }
    }
}
