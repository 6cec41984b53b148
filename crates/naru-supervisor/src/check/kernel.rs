//! What the kernel still has of projects that are down: control groups, links, firewall tables, mounts, processes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs_err as fs;
use naru_net::{firewall, names, network};
use naru_state::process::Identity;
use naru_state::{ContainerId, Directories, ProjectDirectories, ProjectName};

use super::{Finding, Remedy};
use crate::client::Client;
use crate::observe;
use crate::role::{KEEPER, SUPERVISOR};
use crate::supervisor::kernel_id;

/// How long the processes of a project that has just gone down may take to clear away what they had, and end.
const GOING: Duration = Duration::from_millis(500);

/// Everything that belongs to no project that is up, and is not about to go by itself.
pub(super) fn left(directories: &Directories) -> Vec<Finding> {
    let first = look(directories);
    if first.is_empty() {
        return first;
    }
    thread::sleep(GOING);
    let is_old = |finding: &Finding| {
        first.iter().any(|old| (old.kind, &old.object) == (finding.kind, &finding.object))
    };
    look(directories).into_iter().filter(is_old).collect()
}

fn look(directories: &Directories) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(processes(directories));
    for (name, folders) in groups(directories) {
        findings.extend(of_groups(directories, &name, &folders));
    }
    for name in known(directories) {
        let own = directories.project(&name);
        if !is_up(&own) {
            findings.extend(of_network(directories, &own));
            findings.extend(of_run_directory(&own));
        }
    }
    findings.extend(tables(directories));
    findings.extend(mounts(directories));
    findings
}

/// Whether the project has containers, networks, or processes that are at work on it.
fn is_up(own: &ProjectDirectories) -> bool {
    observe::ids(own).is_ok_and(|ids| !ids.is_empty())
        || own.networks_file().exists()
        || !matches!(Client::connect(own), Ok(None))
}

fn finding(kind: &'static str, object: &str, problem: &str, remedy: Remedy) -> Finding {
    let (object, problem) = (object.to_owned(), problem.to_owned());
    Finding { kind, object, project: None, problem, remedy }
}

/// Projects by what they have left anywhere.
fn known(directories: &Directories) -> BTreeSet<ProjectName> {
    let mut known: BTreeSet<_> =
        observe::recorded_projects(directories).unwrap_or_default().into_iter().collect();
    for entry in fs::read_dir(directories.run()).into_iter().flatten().flatten() {
        known.extend(ProjectName::try_from(entry.file_name().to_string_lossy().into_owned()).ok());
    }
    known
}

/// Keepers and supervisors of this root that nobody can talk to: their run directory is gone.
fn processes(directories: &Directories) -> Vec<Finding> {
    let mut findings = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
        let Some((role, project)) = role_of(pid, directories) else { continue };
        let Ok(name) = ProjectName::new(&project) else { continue };
        let own = directories.project(&name);
        if own.keeper_lock_file().exists() && !matches!(Client::connect(&own), Ok(None)) {
            continue;
        }
        let Some(identity) = Identity::of(pid) else { continue };
        let problem = format!("is the {role} of project {project}, and nobody can talk to it");
        let remedy = Remedy::End(identity);
        let mut found = finding("process", &pid.to_string(), &problem, remedy);
        found.project = Some(name);
        findings.push(found);
    }
    findings
}

/// The role of a naru process of this root, and its project.
pub(crate) fn role_of(pid: i32, directories: &Directories) -> Option<(&'static str, String)> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let [_, role, data, _, project, ..] = words.as_slice() else { return None };
    let role = match role.as_ref() {
        KEEPER => "keeper",
        SUPERVISOR => "supervisor",
        _ => return None,
    };
    (Path::new(data.as_ref()) == directories.data()).then(|| (role, project.to_string()))
}

/// The control groups of this root's projects: by the project's folder name, its directories in all hierarchies.
fn groups(directories: &Directories) -> Vec<(String, Vec<PathBuf>)> {
    let path = format!("/naru/{}", directories.root_id());
    let roots = naru_runtime::Cgroup::new(path).map(|group| group.directories());
    let roots: BTreeSet<PathBuf> =
        roots.unwrap_or_default().into_iter().map(|(_, directory)| directory).collect();
    let mut all = std::collections::BTreeMap::<String, Vec<PathBuf>>::new();
    for root in roots {
        for folder in folders(&root) {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            all.entry(name).or_default().push(folder);
        }
    }
    all.into_iter().collect()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let is_folder = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    entries.filter(is_folder).map(|entry| entry.path()).collect()
}

/// Groups of containers that have no directory: nobody would ever end what is in them.
fn of_groups(directories: &Directories, project: &str, roots: &[PathBuf]) -> Vec<Finding> {
    let Ok(name) = ProjectName::new(project) else { return Vec::new() };
    let own = directories.project(&name);
    let ids: BTreeSet<_> = observe::ids(&own).unwrap_or_default().into_iter().collect();
    let children = roots.iter().flat_map(|root| folders(root));
    let names: BTreeSet<String> = children
        .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .collect();
    let mut findings = Vec::new();
    for child in &names {
        let id = ContainerId::try_from(child.clone()).ok();
        let is_own = child == "naru" && is_up(&own);
        if is_own || id.is_some_and(|id| ids.contains(&id)) {
            continue;
        }
        let path = format!("{}/{child}", crate::project_cgroup_path(directories, &name));
        let group = naru_runtime::Cgroup::new(&path);
        let count = group.and_then(|group| group.processes()).map_or(0, |pids| pids.len());
        let problem = match count {
            0 => "is empty, and of no container".to_owned(),
            count => format!("has {count} processes, and is of no container"),
        };
        let mut found = finding("cgroup", &path, &problem, Remedy::RemoveGroup(path.clone()));
        found.project = Some(name.clone());
        findings.push(found);
    }
    findings
}

fn of_network(directories: &Directories, own: &ProjectDirectories) -> Option<Finding> {
    let group = names::group(&kernel_id(directories, own.name()));
    let links = network::links_of_group(group).unwrap_or_default();
    let names: Vec<_> = links.into_iter().map(|link| link.name).collect();
    (!names.is_empty()).then(|| {
        let problem = format!("project {} is down", own.name());
        let remedy = Remedy::RemoveLinks(group);
        finding("link", &names.join(" "), &problem, remedy)
    })
}

fn of_run_directory(own: &ProjectDirectories) -> Option<Finding> {
    own.run().is_dir().then(|| {
        let (object, path) = (own.run().display().to_string(), own.run().to_owned());
        let problem = format!("project {} is down", own.name());
        finding("file", &object, &problem, Remedy::Remove(path))
    })
}

fn tables(directories: &Directories) -> Vec<Finding> {
    let prefix = format!("{}-", directories.root_id());
    let mut findings = Vec::new();
    for id in firewall::projects().unwrap_or_default() {
        let Some(name) = id.strip_prefix(&prefix) else { continue };
        let Ok(name) = ProjectName::new(name) else { continue };
        if !is_up(&directories.project(&name)) {
            let problem = format!("project {name} is down");
            findings.push(finding(
                "firewall",
                &format!("naru-{id}"),
                &problem,
                Remedy::RemoveTable(id.clone()),
            ));
        }
    }
    findings
}

/// naru mounts containers' roots where no host sees them: what is seen below its directories is not its own doing, or
/// was left by somebody else.
fn mounts(directories: &Directories) -> Vec<Finding> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let places = table.lines().filter_map(|line| {
        let kind = line.split(" - ").nth(1)?.split(' ').next()?;
        Some((line.split(' ').nth(4)?, kind))
    });
    let inside = |place: &str| {
        let within =
            |folder: &Path| Path::new(place) != folder && Path::new(place).starts_with(folder);
        within(&directories.projects()) || within(directories.run())
    };
    let left = places.filter(|(place, kind)| *kind == "overlay" && inside(place));
    left.map(|(place, kind)| {
        let problem = format!("is a mount of type {kind} that nothing uses");
        finding("mount", place, &problem, Remedy::Unmount(place.into()))
    })
    .collect()
}
