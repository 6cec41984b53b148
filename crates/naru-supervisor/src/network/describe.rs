//! A network as it is to be made: what was asked for, held against the host and all other networks.

use std::time::{Duration, Instant};

use fs_err as fs;
use ipnetwork::IpNetwork;
use naru_compose::project::Network;
use naru_net::{names, occupied};
use naru_state::record::Driver;
use naru_state::{ContainerId, Directories, ProjectName, atomic, record};
use rustix::fs::{FlockOperation, flock};

use super::{Choice, Options, Wrong, choose_subnets, shared};
use crate::observe;

/// How long one waits for another that is choosing a subnet or an address.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The record of a network that is to be made for `owner` (nobody: for every project). Nothing is made yet: hold
/// [`choose_alone`] until it is.
///
/// # Errors
/// When what was asked for is not possible; the attribute is told.
pub fn describe(
    directories: &Directories,
    owner: Option<&ProjectName>,
    model: &Network,
) -> Result<record::Network, Wrong> {
    let failed = |error: &dyn std::error::Error| Wrong::of("", error);
    let driver = super::driver(&model.driver)?;
    let options = Options::parse(driver, &model.driver_opts)
        .map_err(|error| Wrong::of("driver_opts", &error))?;
    let own = bridge_name(directories, owner, &model.name);
    let is_upper = matches!(driver, Driver::Macvlan | Driver::Ipvlan);
    let has_no_parent = is_upper && options.parent.is_none();
    if let Some(parent) = options.parent.as_ref().filter(|_| is_upper) {
        check_parent(directories, owner, &model.name, parent)?;
    }
    let bridge = options.parent.or(options.bridge).unwrap_or(own);
    let recorded = recorded_subnets(directories, owner, &model.name);
    let occupied = occupied::occupied(&recorded).map_err(|error| failed(&error))?;
    let id = ContainerId::random().map_err(|error| failed(&error))?;
    let random = u64::from_str_radix(&id.as_str()[..16], 16).unwrap_or_default();
    let choice = Choice { occupied: &occupied, own: Some(&bridge), random };
    Ok(record::Network {
        name: model.name.clone(),
        id: id.as_str().to_owned(),
        driver,
        subnets: choose_subnets(model, &choice)?,
        bridge,
        // Nothing leads out of it.
        internal: model.internal || has_no_parent,
        attachable: model.attachable,
        external: false,
        options: model.driver_opts.clone(),
        labels: model.labels.clone(),
        created_ns: record::now_ns(),
        config_hash: naru_plan::hash::network(model),
    })
}

/// An interface is the parent of one network, as with Docker: a VLAN would go with the first of them that is removed.
fn check_parent(
    directories: &Directories,
    owner: Option<&ProjectName>,
    name: &str,
    parent: &str,
) -> Result<(), Wrong> {
    let all = shared::all(directories).map_err(|failure| Wrong::new("", failure.message))?;
    let is_own = |known: &shared::Known| {
        known.record.name == name && known.project.as_ref().map(|(project, _)| project) == owner
    };
    let is_upper = |known: &&shared::Known| {
        matches!(known.record.driver, Driver::Macvlan | Driver::Ipvlan)
            && known.record.bridge == parent
            && !is_own(known)
    };
    match all.iter().find(is_upper) {
        None => Ok(()),
        Some(known) => {
            let other = &known.record.name;
            let message = format!(
                "network {other} is already using parent interface {parent}; to be in it, name it with `external: true`"
            );
            Err(Wrong::new("driver_opts.parent", message))
        }
    }
}

/// The bridge of a network that has not asked for a name of its own.
fn bridge_name(directories: &Directories, owner: Option<&ProjectName>, name: &str) -> String {
    let id = match owner {
        Some(project) => crate::supervisor::kernel_id(directories, project),
        None => shared::kernel_id(directories, name),
    };
    names::bridge(&format!("{id}/{name}"))
}

/// Subnets that all others have recorded; their bridges may be gone for a moment.
fn recorded_subnets(
    directories: &Directories,
    owner: Option<&ProjectName>,
    name: &str,
) -> Vec<IpNetwork> {
    let projects = observe::recorded_projects(directories).unwrap_or_default();
    let others = projects.iter().filter(|project| Some(*project) != owner);
    let of_projects = others
        .filter_map(|project| {
            let path = directories.project(project).networks_file();
            atomic::load::<record::Networks>(&path).ok().flatten()
        })
        .flat_map(|networks| networks.networks.into_values())
        .filter(|entry| !entry.external && entry.driver == Driver::Bridge);
    let shared = shared::unowned(directories).unwrap_or_default().into_iter();
    let shared = shared.filter(|entry| entry.driver == Driver::Bridge);
    of_projects
        .chain(shared.filter(|entry| owner.is_some() || entry.name != name))
        .flat_map(|entry| entry.subnets.into_iter().map(|subnet| subnet.subnet))
        .collect()
}

/// Makes sure that nobody else of this root chooses a subnet or an address meanwhile. It is the run directory of all
/// projects that is locked: a file for it would be left behind.
///
/// # Errors
/// When it takes too long, or there is no such directory.
pub fn choose_alone(directories: &Directories) -> std::io::Result<fs::File> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        fs::create_dir_all(directories.run())?;
        let directory = match fs::File::open(directories.run()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            opened => opened?,
        };
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) if is_there(&directory)? => return Ok(directory),
            // The last project has gone meanwhile, and the directory with it: others lock another one.
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < deadline => {
                std::thread::sleep(Duration::from_millis(2));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an open directory has a name still.
fn is_there(directory: &fs::File) -> std::io::Result<bool> {
    Ok(std::os::unix::fs::MetadataExt::nlink(&directory.metadata()?) > 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    #[test]
    fn who_waited_for_a_directory_that_was_removed_meanwhile_has_the_new_one() {
        let root = tempfile::tempdir().unwrap();
        let directories = Directories::new(root.path().join("data"), root.path().join("run"));
        let first = choose_alone(&directories).unwrap();
        std::thread::scope(|scope| {
            let second = scope.spawn(|| choose_alone(&directories).unwrap());
            std::thread::sleep(Duration::from_millis(20));
            fs::remove_dir(directories.run()).unwrap();
            drop(first);
            let locked = second.join().unwrap().metadata().unwrap().ino();
            assert_eq!(locked, fs::metadata(directories.run()).unwrap().ino());
        });
    }
}
