//! Records that cannot be read, that contradict each other, or that are missing.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use fs_err as fs;
use ipnetwork::IpNetwork;
use naru_state::{ContainerId, Directories, ProjectDirectories, atomic, chain, record};

use super::{Finding, Remedy};
use crate::observe;

/// What is done about the record of a newer naru.
const OTHER_PROGRAM: &str = "use the naru that wrote it, or a newer one";

/// The records of one project; with a supervisor, that can write them again.
pub(super) fn of_project(
    directories: &Directories,
    own: &ProjectDirectories,
    is_served: bool,
) -> Vec<Finding> {
    let mut book = Book { findings: Vec::new(), is_served };
    let ids = observe::ids(own).unwrap_or_default();
    book.of_containers(own, &ids);
    let project: Option<record::Project> = book.load(&own.project_file());
    if let Some(project) = project
        && let Err(error) = serde_json::from_value::<naru_compose::project::Project>(project.model)
    {
        book.damaged(&own.project_file(), &format!("the project in it is not understood: {error}"));
    }
    let states: Option<record::States> = book.load(&own.states_file());
    let networks: Option<record::Networks> = book.load(&own.networks_file());
    if !ids.is_empty() {
        book.missing(&own.project_file());
        if states.is_none() && is_served {
            book.missing(&own.states_file());
        }
    }
    let attached = observe::recorded(own).unwrap_or_default();
    match networks {
        Some(networks) => book.of_addresses(directories, own, &networks, &attached),
        None if attached.iter().any(|found| !found.record.attachments.is_empty()) => {
            book.missing(&own.networks_file());
        }
        None => {}
    }
    book.findings
}

/// Volumes without a record or without content, and those that containers have and nobody made.
pub(super) fn of_volumes(directories: &Directories) -> io::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let entries = match fs::read_dir(directories.volumes()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(findings),
        entries => entries?,
    };
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let problem = match atomic::load::<record::Volume>(&path.join("volume.json")) {
            Ok(Some(volume)) if volume.name != name => {
                format!("its record is that of volume {}", volume.name)
            }
            Ok(Some(_)) if path.join("_data").is_dir() => continue,
            Ok(Some(_)) => "its folder _data is missing".to_owned(),
            Ok(None) => "its record is missing".to_owned(),
            Err(error) => chain(&error),
        };
        let is_newer = matches!(
            atomic::load::<record::Volume>(&path.join("volume.json")),
            Err(atomic::Error::Newer { .. })
        );
        let remedy = match is_newer {
            true => Remedy::ByHand(OTHER_PROGRAM),
            false => Remedy::MakeVolume(name.clone()),
        };
        findings.push(Finding { kind: "volume", object: name, project: None, problem, remedy });
    }
    Ok(findings)
}

/// Files of writers that have ended in the middle.
pub(super) fn temporary(directories: &Directories) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut look = |folder: &Path| {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Some(pid) = atomic::writer(&entry.path()) else { continue };
            if naru_state::process::stat(pid).is_none() {
                findings.push(Finding {
                    kind: "file",
                    object: entry.path().display().to_string(),
                    project: None,
                    problem: format!("was left by process {pid}, which is gone"),
                    remedy: Remedy::Remove(entry.path()),
                });
            }
        }
    };
    for parent in [directories.projects(), directories.run().to_owned(), directories.volumes()] {
        for folder in fs::read_dir(parent).into_iter().flatten().flatten() {
            look(&folder.path());
            let containers = fs::read_dir(folder.path().join("containers"));
            containers.into_iter().flatten().flatten().for_each(|entry| look(&entry.path()));
        }
    }
    look(&directories.images());
    look(&directories.images().join("layers"));
    findings
}

struct Book {
    findings: Vec<Finding>,
    is_served: bool,
}

impl Book {
    fn find(&mut self, kind: &'static str, object: &str, problem: &str, remedy: Remedy) {
        let (object, problem) = (object.to_owned(), problem.to_owned());
        self.findings.push(Finding { kind, object, project: None, problem, remedy });
    }

    fn damaged(&mut self, path: &Path, problem: &str) {
        let remedy = match self.is_served {
            true => Remedy::Rewrite(path.to_owned()),
            false => Remedy::SetAside(path.to_owned()),
        };
        self.find("record", &path.display().to_string(), problem, remedy);
    }

    fn missing(&mut self, path: &Path) {
        if !path.exists() {
            let remedy = match self.is_served {
                true => Remedy::Rewrite(path.to_owned()),
                false => Remedy::ByHand("`naru up` writes it again"),
            };
            self.find("record", &path.display().to_string(), "is missing", remedy);
        }
    }

    fn newer(&mut self, path: &Path, error: &atomic::Error) {
        let remedy = Remedy::ByHand(OTHER_PROGRAM);
        self.find("record", &path.display().to_string(), &chain(error), remedy);
    }

    /// A record; what is wrong with one that cannot be read is noted.
    fn load<T: serde::de::DeserializeOwned>(&mut self, path: &Path) -> Option<T> {
        match atomic::load(path) {
            Ok(record) => record,
            Err(error @ atomic::Error::Newer { .. }) => {
                self.newer(path, &error);
                None
            }
            Err(error) => {
                self.damaged(path, &chain(&error));
                None
            }
        }
    }

    fn of_containers(&mut self, own: &ProjectDirectories, ids: &[ContainerId]) {
        for id in ids {
            let path = own.container_file(id);
            let problem = match atomic::load::<record::Container>(&path) {
                Ok(Some(record)) if record.id == *id => None,
                Ok(Some(record)) => {
                    Some(format!("is the record of container {}", record.id.short()))
                }
                Ok(None) => Some("is missing".to_owned()),
                Err(error @ atomic::Error::Newer { .. }) => {
                    self.newer(&path, &error);
                    None
                }
                Err(error) => Some(chain(&error)),
            };
            if let Some(problem) = problem {
                let remedy = match self.is_served {
                    true => Remedy::Rewrite(path.clone()),
                    false => Remedy::SetContainerAside(id.clone()),
                };
                self.find("record", &path.display().to_string(), &problem, remedy);
            }
            let path = own.state_file(id);
            let state: Option<record::State> = self.load(&path);
            if let Some(other) = state.and_then(|state| state.id).filter(|other| other != id) {
                self.damaged(&path, &format!("is the state of container {}", other.short()));
            }
            let _exit: Option<record::Exit> = self.load(&own.exit_file(id));
            let _start: Option<record::Start> = self.load(&own.start_file(id));
        }
        for entry in fs::read_dir(own.containers()).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if ContainerId::try_from(name).is_err() {
                let (object, path) = (entry.path().display().to_string(), entry.path());
                self.find("file", &object, "is no container", Remedy::SetAside(path));
            }
        }
    }

    /// Addresses that two containers have or that are not of their network, and subnets that two projects have.
    fn of_addresses(
        &mut self,
        directories: &Directories,
        own: &ProjectDirectories,
        networks: &record::Networks,
        attached: &[observe::Recorded],
    ) {
        let by_hand = || Remedy::ByHand("`naru up --force-recreate` gives new ones");
        let mut owners = BTreeMap::<(String, IpAddr), String>::new();
        for recorded in attached {
            let record::Container { name, attachments, .. } = &recorded.record;
            let places = attachments
                .iter()
                .flat_map(|place| place.addresses().map(move |address| (&place.network, address)));
            for (network, address) in places {
                let problem = match networks.networks.get(network) {
                    None => Some(format!(
                        "container {name} is in network {network}, which has no record"
                    )),
                    Some(entry) if entry.subnet_of(address).is_none() => {
                        let all: Vec<_> =
                            entry.subnets.iter().map(|own| own.subnet.to_string()).collect();
                        let all = all.join(" and ");
                        Some(format!("container {name} has it, and network {network} is {all}"))
                    }
                    Some(_) => None,
                };
                if let Some(problem) = problem {
                    self.find("address", &address.to_string(), &problem, by_hand());
                }
                if let Some(other) = owners.insert((network.clone(), address), name.clone()) {
                    let problem = format!("containers {other} and {name} both have it");
                    self.find("address", &address.to_string(), &problem, by_hand());
                }
            }
        }
        for project in observe::recorded_projects(directories).unwrap_or_default() {
            if project <= *own.name() {
                continue;
            }
            let path = directories.project(&project).networks_file();
            let others: Option<record::Networks> = atomic::load(&path).ok().flatten();
            let others = others.unwrap_or_default();
            // Somebody else's is the same one, and without a bridge there is nothing to clash.
            let has_subnets = |network: &&record::Network| {
                !network.external && network.driver == record::Driver::Bridge
            };
            let all = || others.networks.values().filter(has_subnets);
            let own = networks.networks.values().filter(has_subnets);
            let pairs = own.flat_map(|mine| all().map(move |other| (mine, other)));
            for (mine, other) in pairs {
                let subnets = mine.subnets.iter();
                let subnets =
                    subnets.flat_map(|own| other.subnets.iter().map(move |its| (own, its)));
                let clash = subnets.into_iter().find(|(own, its)| overlap(own.subnet, its.subnet));
                let Some((_, its)) = clash else { continue };
                let problem = format!("overlaps {} of network {}", its.subnet, other.name);
                let hint = Remedy::ByHand("`naru down` and `naru up` of one of the two");
                self.find("network", &mine.name, &problem, hint);
            }
        }
    }
}

fn overlap(one: IpNetwork, other: IpNetwork) -> bool {
    one.contains(other.network()) || other.contains(one.network())
}
