//! Which networks and volumes have to be made, and which have to be made anew.

use std::collections::{BTreeMap, BTreeSet};

use super::selection::Selection;
use crate::observed::Container;
use crate::{Error, Notice, hash};

/// What is to be done about the networks and volumes of the selected services.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Networks to make, key → full name.
    pub(crate) new_networks: BTreeMap<String, String>,
    /// Networks to remove and make again, key → full names before and after.
    pub(crate) changed_networks: BTreeMap<String, (String, String)>,
    /// Networks of others that are not those that containers were made for.
    pub(crate) replaced_networks: BTreeSet<String>,
    /// Names that networks would have now, were they not kept as they are.
    pub(crate) kept_networks: BTreeSet<String>,
    /// Volumes to make, key → full name.
    pub(crate) new_volumes: BTreeMap<String, String>,
    /// Volumes to remove and make again, with the user's consent, key → full name.
    pub(crate) changed_volumes: BTreeMap<String, String>,
}

impl Changes {
    pub(crate) fn find(
        selection: &Selection<'_>,
        notices: &mut Vec<Notice>,
    ) -> Result<Self, Error> {
        let mut changes = Self::default();
        let services = &selection.services;
        let networks: BTreeSet<&str> =
            services.iter().flat_map(|s| selection.networks(s)).collect();
        for key in networks {
            changes.network(selection, key, notices)?;
        }
        let volumes: BTreeSet<&str> = services.iter().flat_map(|s| selection.volumes(s)).collect();
        for key in volumes {
            changes.volume(selection, key, notices)?;
        }
        Ok(changes)
    }

    fn network(
        &mut self,
        selection: &Selection<'_>,
        key: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Error> {
        let Some(network) = selection.project.networks.get(key) else { return Ok(()) };
        let name = network.name.clone();
        let is_foreign = selection.observed.foreign_networks.contains(&name);
        if network.external {
            if !is_foreign {
                return Err(Error::ExternalNetworkMissing { name });
            }
            if selection.observed.replaced_networks.contains(&name) {
                self.replaced_networks.insert(name);
            }
            return Ok(());
        }
        let known = &selection.observed.networks;
        let named = known.iter().find(|seen| seen.name == name);
        // One that has another name now is the same network: the old one would be left for ever.
        let is_anothers = |name: &str| selection.project.networks.values().any(|n| n.name == name);
        let before = || known.iter().find(|seen| seen.key == key && !is_anothers(&seen.name));
        match named.or_else(before) {
            None if is_foreign => notices.push(Notice::ForeignNetwork { name }),
            None => {
                self.new_networks.insert(key.to_owned(), name);
            }
            Some(seen) if seen.name == name && same(&seen.config_hash, &hash::network(network)) => {
            }
            Some(seen) => {
                let old = seen.name.clone();
                let mut stay = users_that_stay(selection, |c| c.networks.contains(&old));
                if seen.is_used_by_others {
                    stay.push("containers of other projects".to_owned());
                }
                if stay.is_empty() {
                    self.changed_networks.insert(key.to_owned(), (old, name));
                } else {
                    self.kept_networks.insert(name);
                    notices.push(Notice::NetworkKept { name: old, containers: stay });
                }
            }
        }
        Ok(())
    }

    fn volume(
        &mut self,
        selection: &Selection<'_>,
        key: &str,
        notices: &mut Vec<Notice>,
    ) -> Result<(), Error> {
        let Some(volume) = selection.project.volumes.get(key) else { return Ok(()) };
        let name = volume.name.clone();
        let is_foreign = selection.observed.foreign_volumes.contains(&name);
        if volume.external {
            return if is_foreign { Ok(()) } else { Err(Error::ExternalVolumeMissing { name }) };
        }
        match selection.observed.volumes.iter().find(|seen| seen.name == name) {
            None if is_foreign => notices.push(Notice::ForeignVolume { name }),
            None => {
                self.new_volumes.insert(key.to_owned(), name);
            }
            Some(seen) if same(&seen.config_hash, &hash::volume(volume)) => {}
            Some(_) => {
                let agreed = selection.options.recreate_volumes.contains(&name);
                let used = |c: &Container| c.volumes.values().any(|used| *used == name);
                if agreed && users_that_stay(selection, used).is_empty() {
                    self.changed_volumes.insert(key.to_owned(), name);
                } else {
                    notices.push(Notice::VolumeKept { name });
                }
            }
        }
        Ok(())
    }

    /// The network that is made anew under a container, if there is one.
    pub(crate) fn network_under(&self, container: &Container) -> Option<&String> {
        let old = self.changed_networks.values().map(|(old, _)| old);
        old.chain(&self.replaced_networks).find(|name| container.networks.contains(*name))
    }

    /// The volume that is made anew under a container, if there is one.
    pub(crate) fn volume_under(&self, container: &Container) -> Option<&String> {
        let is_used = |name: &&String| container.volumes.values().any(|used| used == *name);
        self.changed_volumes.values().find(is_used)
    }
}

/// A missing hash in an old record is no reason to make something anew.
fn same(recorded: &str, wanted: &str) -> bool {
    recorded.is_empty() || recorded == wanted
}

/// The containers among the users of something that this command would not recreate.
fn users_that_stay(selection: &Selection<'_>, uses: impl Fn(&Container) -> bool) -> Vec<String> {
    let moves = |c: &&Container| {
        let is_removed_orphan =
            selection.options.remove_orphans && selection.orphans().iter().any(|o| o.id == c.id);
        let is_recreated = !selection.options.no_recreate && !c.one_off;
        is_removed_orphan || (is_recreated && selection.has_replicas(&c.service))
    };
    let users = selection.observed.containers.iter().filter(|c| uses(c));
    let mut names: Vec<String> = users.filter(|c| !moves(c)).map(|c| c.name.clone()).collect();
    names.sort_unstable();
    names
}
