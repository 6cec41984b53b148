//! The project's firewall table: set whole, and set again when somebody has changed what it depends on.

use std::path::PathBuf;

use naru_net::firewall::{self, Firewall, Table};
use naru_net::forwarding::Switched;
use naru_state::Directories;
use naru_state::record::{self, Driver};

use super::Supervisor;
use crate::network::Options;
use crate::protocol::Failure;

impl Supervisor {
    /// Puts the project's whole firewall table in place, and forwarding on when a network has a way out.
    pub(super) fn replace_firewall(&mut self) -> Result<(), Failure> {
        let table = self.firewall_table();
        if table.bridges.is_empty() {
            // Nothing of naru's is there that rules could be about.
            return self.remove_firewall();
        }
        // Kept first: whoever finds it owes to switch it off.
        let outcome = self.firewall.replace(&table);
        let outcome = outcome.map_err(|error| Failure::from_error(&error))?;
        keep(&self.directories, &outcome.switched);
        for notice in outcome.notices {
            self.note(&notice.to_string());
        }
        Ok(())
    }

    /// The project's table as it should be.
    pub(super) fn firewall_table(&self) -> Table {
        let own = self.networks.record.networks.values();
        Table {
            id: self.kernel_id(),
            // Other kinds of networks have no bridge of naru's.
            bridges: own.filter(|entry| entry.driver == Driver::Bridge).map(bridge).collect(),
            published: self.ports.translated(),
            switched: kept(&self.directories),
        }
    }

    pub(super) fn remove_firewall(&mut self) -> Result<(), Failure> {
        let id = self.kernel_id();
        remove(&mut self.firewall, &self.directories, &id)
            .map_err(|error| Failure::from_error(&error))
    }
}

fn bridge(entry: &record::Network) -> firewall::Bridge {
    let options = Options::parse(entry.driver, &entry.options).unwrap_or_default();
    firewall::Bridge {
        name: entry.bridge.clone(),
        subnets: entry.subnets.iter().map(|subnet| subnet.subnet).collect(),
        internal: entry.internal,
        masquerade: options.masquerade,
    }
}

/// Takes a project's firewall table away, and with the last one the forwarding that naru has switched on.
pub(crate) fn remove_table(directories: &Directories, id: &str) -> Result<(), firewall::Error> {
    remove(&mut Firewall::new(), directories, id)
}

fn remove(
    firewall: &mut Firewall,
    directories: &Directories,
    id: &str,
) -> Result<(), firewall::Error> {
    if firewall.remove(id, kept(directories))? {
        keep(directories, &Switched::default());
    }
    Ok(())
}

/// What naru has switched on is told by the tables of all projects. Where those can be flushed, this file is what is
/// left to tell it.
fn file(directories: &Directories) -> PathBuf {
    directories.run().join("forwarding-was-off")
}

fn kept(directories: &Directories) -> Switched {
    fs_err::read_to_string(file(directories))
        .map_or_else(|_| Switched::default(), |text| Switched::from(text.trim()))
}

fn keep(directories: &Directories, switched: &Switched) {
    // Without it the tables tell.
    if switched.is_empty() {
        drop(fs_err::remove_file(file(directories)));
    } else if kept(directories) != *switched {
        drop(fs_err::write(file(directories), switched.to_string()));
    }
}
