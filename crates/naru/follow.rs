//! The logs of a project's containers, merged by time and followed through restarts and recreates.
//!
//! Logs are read where the keeper writes them, so they are there without a supervisor and after `down`. The
//! directory's name is the container's; which service that is says its record, and once that is gone, its name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use fs_err as fs;
use naru_state::ProjectDirectories;
use naru_state::log::{Line, Reader};
use naru_supervisor::observe;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// Which logs, and which of their lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Services; absent for all.
    pub(crate) services: Option<BTreeSet<String>>,
    /// This replica only.
    pub(crate) number: Option<u32>,
    /// Lines from this time on, nanoseconds since 1970.
    pub(crate) since_ns: Option<u64>,
    /// Lines until this time.
    pub(crate) until_ns: Option<u64>,
}

/// A line and the container it came from.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// The container's name without the project's.
    pub(crate) name: String,
    /// Its service.
    pub(crate) service: String,
    /// The line.
    pub(crate) line: Line,
}

/// The selected logs of one project.
#[derive(Debug)]
pub(crate) struct Logs {
    project: ProjectDirectories,
    selection: Selection,
    /// By directory name; `None` for those that are not selected.
    sources: BTreeMap<String, Option<Source>>,
}

#[derive(Debug)]
struct Source {
    name: String,
    service: String,
    reader: Reader,
}

impl Logs {
    /// The logs of `project`, nothing read yet.
    pub(crate) fn new(project: ProjectDirectories, selection: Selection) -> Self {
        Self { project, selection, sources: BTreeMap::new() }
    }

    /// The lines that came since the last call, in the order of their times.
    ///
    /// # Errors
    /// When a log cannot be read.
    pub(crate) fn read(&mut self) -> io::Result<Vec<Entry>> {
        self.find()?;
        let mut entries = Vec::new();
        let selection = &self.selection;
        for source in self.sources.values_mut().flatten() {
            let lines = source.reader.read()?;
            entries.extend(source.entries(lines, selection));
        }
        // The sort is stable: lines of one container stay in the order they came.
        entries.sort_by_key(|entry| entry.line.time_ns);
        Ok(entries)
    }

    /// What was written without a line feed, of the container of this shown name or of all: for when nothing
    /// more will come.
    pub(crate) fn finish(&mut self, name: Option<&str>) -> Vec<Entry> {
        let mut entries = Vec::new();
        let selection = &self.selection;
        let meant = |source: &&mut Source| name.is_none_or(|name| source.name == name);
        for source in self.sources.values_mut().flatten().filter(meant) {
            let lines = source.reader.finish();
            entries.extend(source.entries(lines, selection));
        }
        entries.sort_by_key(|entry| entry.line.time_ns);
        entries
    }

    /// The shown names of all selected containers.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.sources.values().flatten().map(|source| source.name.as_str())
    }

    /// Looks for logs that were not there before.
    fn find(&mut self) -> io::Result<()> {
        let directories = match fs::read_dir(self.project.logs()) {
            Ok(directories) => directories,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut owners = None;
        for entry in directories {
            let directory = entry?.file_name().to_string_lossy().into_owned();
            if self.sources.contains_key(&directory) {
                continue;
            }
            let owners = owners.get_or_insert_with(|| owners_of(&self.project));
            let (service, number) = owners
                .get(&directory)
                .cloned()
                .unwrap_or_else(|| from_name(&directory, self.project.name().as_str()));
            let source = self.selection.has(&service, number).then(|| Source {
                name: shown_name(&directory, self.project.name().as_str()).to_owned(),
                service,
                reader: Reader::new(&self.project.logs().join(&directory)),
            });
            self.sources.insert(directory, source);
        }
        Ok(())
    }
}

impl Source {
    fn entries(&self, lines: Vec<Line>, selection: &Selection) -> Vec<Entry> {
        let entry = |line| Entry { name: self.name.clone(), service: self.service.clone(), line };
        lines.into_iter().filter(|line| selection.is_in_time(line.time_ns)).map(entry).collect()
    }
}

impl Selection {
    fn has(&self, service: &str, number: u32) -> bool {
        // What `run` makes has number 0 and no place among the replicas.
        number > 0
            && self.services.as_ref().is_none_or(|services| services.contains(service))
            && self.number.is_none_or(|wanted| wanted == number)
    }

    fn is_in_time(&self, time_ns: u64) -> bool {
        self.since_ns.is_none_or(|since| time_ns >= since)
            && self.until_ns.is_none_or(|until| time_ns <= until)
    }
}

/// A container's name as `up` and `logs` show it: without the project's.
pub(crate) fn shown_name<'a>(container: &'a str, project: &str) -> &'a str {
    let rest = container.strip_prefix(project).and_then(|rest| rest.strip_prefix(['-', '_']));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(container)
}

fn owners_of(project: &ProjectDirectories) -> BTreeMap<String, (String, u32)> {
    // Without records the names must do.
    let containers = observe::containers(project).unwrap_or_default();
    let owner = |seen: observe::Seen| {
        let directory = project.log(&seen.record.name);
        let directory = directory.file_name()?.to_string_lossy().into_owned();
        Some((directory, (seen.record.service, seen.record.number)))
    };
    containers.into_iter().filter_map(owner).collect()
}

/// Service and number of `shop-web-2`.
fn from_name(container: &str, project: &str) -> (String, u32) {
    let name = shown_name(container, project);
    let parts = name.rsplit_once('-');
    let parsed = parts.and_then(|(service, number)| Some((service, number.parse().ok()?)));
    parsed.map_or_else(|| (name.to_owned(), 1), |(service, number)| (service.to_owned(), number))
}

/// Wakes the caller when logs have grown, by inotify where that is to be had.
pub(crate) struct Alarm {
    directory: PathBuf,
    ring: Box<dyn Fn() -> Box<dyn Fn() + Send>>,
    watcher: Option<RecommendedWatcher>,
}

impl std::fmt::Debug for Alarm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Alarm").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl Alarm {
    /// An alarm for the logs of `project`; `ring` gives what is called on a change, in another thread.
    pub(crate) fn new(
        project: &ProjectDirectories,
        ring: impl Fn() -> Box<dyn Fn() + Send> + 'static,
    ) -> Self {
        Self { directory: project.logs(), ring: Box::new(ring), watcher: None }
    }

    /// Begins to watch as soon as there is something to watch; gives the longest that the caller should
    /// wait for the alarm before it looks by itself.
    pub(crate) fn set(&mut self) -> Duration {
        if self.watcher.is_none() && self.directory.is_dir() {
            self.watcher = self.watch().ok();
        }
        // New directories may be missed while they are made, and inotify may have no watch left to give.
        Duration::from_millis(if self.watcher.is_some() { 250 } else { 50 })
    }

    fn watch(&self) -> notify::Result<RecommendedWatcher> {
        let ring = (self.ring)();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                // Opening and reading are events too, and ours.
                if event.is_ok_and(|event| !event.kind.is_access()) {
                    ring();
                }
            })?;
        watcher.watch(&self.directory, RecursiveMode::Recursive)?;
        Ok(watcher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_containers_name_says_its_service_when_its_record_is_gone() {
        assert_eq!(from_name("shop-web-2", "shop"), ("web".into(), 2));
        assert_eq!(from_name("shop-my-db-1", "shop"), ("my-db".into(), 1));
        assert_eq!(from_name("custom", "shop"), ("custom".into(), 1));
    }

    #[test]
    fn names_are_shown_without_the_project() {
        assert_eq!(shown_name("shop-web-1", "shop"), "web-1");
        assert_eq!(shown_name("shopping", "shop"), "shopping");
        assert_eq!(shown_name("shop-", "shop"), "shop-");
    }

    #[test]
    fn services_replica_and_times_select_lines() {
        let selection = Selection {
            services: Some(["web".to_owned()].into()),
            number: Some(2),
            since_ns: Some(10),
            until_ns: Some(20),
        };
        assert!(selection.has("web", 2) && !selection.has("web", 1) && !selection.has("db", 2));
        assert!(selection.is_in_time(10) && selection.is_in_time(20));
        assert!(!selection.is_in_time(9) && !selection.is_in_time(21));
    }
}
