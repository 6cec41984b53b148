//! Networks that several projects use: made by `naru network create`, or another project's.
//!
//! A project that has containers in a network of somebody else leaves its name in the network's directory
//! (`networks/NAME/users/PROJECT`): whose addresses and names are there follows from the records of these projects,
//! and nothing has to be kept in step.

use std::collections::BTreeSet;
use std::io;

use fs_err as fs;
use naru_compose::project::Network;
use naru_net::{names, network};
use naru_state::{Directories, ProjectName, atomic, record};

use super::{Wrong, choose_alone, describe, predefined};
use crate::observe::{self, Seen};
use crate::protocol::Failure;
use crate::supervisor;

/// A network of this root directory.
#[derive(Debug, Clone)]
pub struct Known {
    /// What it is.
    pub record: record::Network,
    /// The project that it belongs to, with its key there.
    pub project: Option<(ProjectName, String)>,
}

/// A container in a network.
#[derive(Debug, Clone)]
pub struct User {
    /// Its project.
    pub project: ProjectName,
    /// The container.
    pub container: Seen,
    /// Its place.
    pub place: record::Attachment,
}

/// All networks, sorted by name.
///
/// # Errors
/// When records cannot be read.
pub fn all(directories: &Directories) -> Result<Vec<Known>, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::from_error(error);
    let unowned = unowned(directories).map_err(|error| failed(&error))?;
    let mut all: Vec<_> =
        unowned.into_iter().map(|record| Known { record, project: None }).collect();
    let recorded: Vec<_> = all.iter().map(|known| known.record.clone()).collect();
    let predefined = predefined::unrecorded(directories, &recorded);
    all.extend(predefined.map(|record| Known { record, project: None }));
    for project in observe::recorded_projects(directories).map_err(|error| failed(&error))? {
        for (key, record) in of_project(directories, &project)? {
            if !record.external {
                all.push(Known { record, project: Some((project.clone(), key)) });
            }
        }
    }
    all.sort_by(|one, other| one.record.name.cmp(&other.record.name));
    Ok(all)
}

fn of_project(
    directories: &Directories,
    project: &ProjectName,
) -> Result<Vec<(String, record::Network)>, Failure> {
    let path = directories.project(project).networks_file();
    let networks: Option<record::Networks> =
        atomic::load(&path).map_err(|error| Failure::from_error(&error))?;
    Ok(networks.map(|networks| networks.networks.into_iter().collect()).unwrap_or_default())
}

/// The network of this name, or the only one whose id begins so.
///
/// # Errors
/// When there is none, in Docker's words; when several ids begin so; when records cannot be read.
pub fn find(directories: &Directories, word: &str) -> Result<Known, Failure> {
    let failed = |message: String| Failure { message, ..Failure::default() };
    let mut all = all(directories)?;
    if let Some(index) = all.iter().position(|known| known.record.name == word) {
        return Ok(all.swap_remove(index));
    }
    all.retain(|known| !word.is_empty() && known.record.id.starts_with(word));
    match all.len() {
        0 => Err(failed(format!("network {word} not found"))),
        1 => Ok(all.swap_remove(0)),
        _ => Err(failed(format!(
            "network {word} is ambiguous ({} matches found on name)",
            all.len()
        ))),
    }
}

/// The networks that belong to no project.
///
/// # Errors
/// When records cannot be read.
pub fn unowned(directories: &Directories) -> io::Result<Vec<record::Network>> {
    let entries = match fs::read_dir(directories.networks()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path().join("network.json");
        let record: Option<record::SharedNetwork> =
            atomic::load(&path).map_err(io::Error::other)?;
        found.extend(record.map(|record| record.network));
    }
    Ok(found)
}

/// What tells the kernel's objects of a network that belongs to no project from a project's: no project has such a name.
pub(crate) fn kernel_id(directories: &Directories, name: &str) -> String {
    format!("{}:{name}", directories.root_id())
}

/// Makes a network that belongs to no project.
///
/// # Errors
/// When there is one of this name already, in Docker's words, or it cannot be made as asked for.
pub fn create(directories: &Directories, model: &Network) -> Result<record::Network, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::from_error(error);
    crate::client::make_private(directories.data()).map_err(|error| failed(&error))?;
    let _alone = choose_alone(directories).map_err(|error| failed(&error))?;
    let name = &model.name;
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    let fits = name.bytes().all(is_name)
        && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() <= 200;
    if !fits {
        let message = format!(
            "network name {name:?} is not possible: it begins with a letter or digit and holds only those, `_`, `.` and `-`"
        );
        return Err(Failure { message, ..Failure::default() });
    }
    if all(directories)?.iter().any(|known| known.record.name == *name) {
        let message = format!("network with name {name} already exists");
        return Err(Failure { message, ..Failure::default() });
    }
    let record = describe(directories, None, model).map_err(|wrong: Wrong| failed(&wrong))?;
    self::record(directories, &record).map_err(|error| failed(&error))?;
    let known = Known { record: record.clone(), project: None };
    if let Err(failure) = restore(directories, &known) {
        drop(remove_files(directories, name));
        return Err(failure);
    }
    Ok(record)
}

/// Writes the record of a network that belongs to no project.
pub(super) fn record(directories: &Directories, network: &record::Network) -> io::Result<()> {
    let directory = directories.network(&network.name);
    fs::create_dir_all(&directory)?;
    let file = record::SharedNetwork { version: record::VERSION, network: network.clone() };
    atomic::save_durable(&directory.join("network.json"), &file).map_err(io::Error::other)
}

/// The networks among these whose bridge or parent is not there although containers are in them: those of one project.
///
/// # Errors
/// When records cannot be read, or the kernel does not list its links.
pub fn broken(
    directories: &Directories,
    project: &ProjectName,
) -> Result<Vec<record::Network>, Failure> {
    let seen = observe::containers(&directories.project(project));
    let seen = seen.map_err(|error| Failure::from_error(&error))?;
    let running = seen.iter().filter(|seen| seen.is_running());
    let used: BTreeSet<_> =
        running.flat_map(|seen| &seen.record.attachments).map(|place| &place.network).collect();
    let mut records = of_project(directories, project)?;
    records.retain(|(key, _)| used.contains(key));
    let links = network::listed().map_err(|error| Failure::from_error(&error))?;
    let is_there = |record: &record::Network| links.iter().any(|link| link.name == record.bridge);
    let records = records.into_iter().map(|(_, record)| record);
    Ok(records.filter(|record| !is_there(record)).collect())
}

/// Makes the bridge of a network where it is missing, as after a restart of the machine.
///
/// # Errors
/// When the kernel refuses.
pub fn restore(directories: &Directories, known: &Known) -> Result<(), Failure> {
    let network = in_kernel(directories, known);
    network::restore(&network).map_err(|error| Failure::from_error(&error))
}

/// Whether [`restore`] would make something.
pub(crate) fn is_incomplete(directories: &Directories, known: &Known) -> Result<bool, Failure> {
    let incomplete = network::incomplete(vec![in_kernel(directories, known)]);
    incomplete.map(|found| !found.is_empty()).map_err(|error| Failure::from_error(&error))
}

fn in_kernel(directories: &Directories, known: &Known) -> naru_net::Network {
    supervisor::in_kernel(&known.record, group(directories, known))
}

/// The group of the network's own links.
pub(crate) fn group(directories: &Directories, known: &Known) -> u32 {
    names::group(&match &known.project {
        Some((project, _)) => supervisor::kernel_id(directories, project),
        None => kernel_id(directories, &known.record.name),
    })
}

/// Takes a network that belongs to no project away; whoever has containers in it is asked before ([`users`]).
///
/// # Errors
/// When the kernel refuses, or its record cannot be removed.
pub fn remove(directories: &Directories, known: &Known) -> Result<(), Failure> {
    let network = in_kernel(directories, known);
    network::remove(&network).map_err(|error| Failure::from_error(&error))?;
    remove_files(directories, &known.record.name).map_err(|error| Failure::from_error(&error))
}

fn remove_files(directories: &Directories, name: &str) -> io::Result<()> {
    match fs::remove_dir_all(directories.network(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // Only when there is no other.
    drop(fs::remove_dir(directories.networks()));
    Ok(())
}

/// The containers in a network, of all projects.
///
/// # Errors
/// When records cannot be read.
pub fn users(directories: &Directories, known: &Known) -> Result<Vec<User>, Failure> {
    let name = &known.record.name;
    let owner = known.project.as_ref().map(|(project, _)| project.clone());
    let mut users = Vec::new();
    let projects: BTreeSet<_> = using(directories, name).into_iter().chain(owner).collect();
    for project in projects {
        users.extend(of(directories, name, &project)?);
    }
    Ok(users)
}

/// The containers of one project in a network.
///
/// # Errors
/// When records cannot be read.
pub(crate) fn of(
    directories: &Directories,
    name: &str,
    project: &ProjectName,
) -> Result<Vec<User>, Failure> {
    let keys: Vec<_> = of_project(directories, project)?
        .into_iter()
        .filter(|(_, record)| record.name == *name)
        .map(|(key, _)| key)
        .collect();
    let seen = observe::containers(&directories.project(project));
    let seen = seen.map_err(|error| Failure::from_error(&error))?;
    let place = |container: &Seen| {
        let mut places = container.record.attachments.iter();
        places.find(|place| keys.contains(&place.network)).cloned()
    };
    let users = seen.into_iter().filter_map(|container| {
        let place = place(&container)?;
        Some(User { project: project.clone(), place, container })
    });
    Ok(users.collect())
}

/// The projects that have left their name: they may have containers in a network that is not theirs.
pub(crate) fn using(directories: &Directories, name: &str) -> Vec<ProjectName> {
    let entries = fs::read_dir(directories.network(name).join("users")).into_iter().flatten();
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter_map(|name| ProjectName::try_from(name).ok()).collect()
}

/// Leaves a project's name with a network, and that of the project that it belongs to: it has others in it from now on.
///
/// # Errors
/// When the files cannot be written.
pub(crate) fn enter(
    directories: &Directories,
    known: &Known,
    project: &ProjectName,
) -> io::Result<()> {
    let directory = directories.network(&known.record.name).join("users");
    fs::create_dir_all(&directory)?;
    let owner = known.project.iter().map(|(owner, _)| owner);
    for project in owner.chain([project]) {
        fs::write(directory.join(project.as_str()), "")?;
    }
    Ok(())
}

/// Takes it away again, and what is empty without it.
pub(crate) fn leave(directories: &Directories, name: &str, project: &ProjectName) {
    if name == predefined::BRIDGE {
        return predefined::leave_bridge(directories, || forget(directories, name, project));
    }
    forget(directories, name, project);
}

fn forget(directories: &Directories, name: &str, project: &ProjectName) {
    let directory = directories.network(name);
    let users = directory.join("users");
    // Each goes only when there is nothing else in it.
    drop(fs::remove_file(users.join(project.as_str())));
    drop(fs::remove_dir(users));
    drop(fs::remove_dir(directory));
    drop(fs::remove_dir(directories.networks()));
}
