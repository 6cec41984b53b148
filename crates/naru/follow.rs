//! The logs of a project's containers, merged by time and followed through restarts and recreates.
//!
//! Logs are read where the keeper writes them, so they are there without a supervisor and after `down`. The
//! directory's name is the container's; which service that is says its record, and once that is gone, its name.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use fs_err as fs;
use naru_state::ProjectDirectories;
use naru_state::log::{Item, Range, Reader};
use naru_supervisor::observe;
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

/// How much is shown before other things have their turn.
const BATCH: usize = 256 * 1024;

/// Which logs, and which of their lines.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// Services; absent for all.
    pub(crate) services: Option<BTreeSet<String>>,
    /// This replica only.
    pub(crate) number: Option<u32>,
    /// When the lines came.
    pub(crate) range: Range,
    /// Only so many lines of each container, counted from what is there now.
    pub(crate) tail: Option<u64>,
    /// What comes later is of interest too.
    pub(crate) follows: bool,
    /// Also what is not kept: the output of containers whose logging driver is `none`.
    pub(crate) passing: bool,
}

/// A line, or a hole, and the container it is of.
#[derive(Debug, Clone)]
pub(crate) struct Entry<'a> {
    /// The container's name without the project's.
    pub(crate) name: &'a str,
    /// Its service.
    pub(crate) service: &'a str,
    /// What there is to show.
    pub(crate) item: Item,
}

/// The selected logs of one project.
#[derive(Debug)]
pub(crate) struct Logs {
    project: ProjectDirectories,
    selection: Selection,
    /// By directory; `None` for those that are not selected.
    sources: BTreeMap<PathBuf, Option<Source>>,
    /// The logs that were there at the first look are counted from their end; those that come later are new.
    has_looked: bool,
}

#[derive(Debug)]
struct Source {
    name: String,
    service: String,
    reader: Reader,
    head: Option<Item>,
    /// There was nothing more at the last look.
    is_dry: bool,
}

impl Logs {
    /// The logs of `project`, nothing read yet.
    pub(crate) fn new(project: ProjectDirectories, selection: Selection) -> Self {
        Self { project, selection, sources: BTreeMap::new(), has_looked: false }
    }

    /// Shows what came since the last call, merged by time, and no more of it than a batch. True when there is more.
    ///
    /// # Errors
    /// When a log cannot be read, or `show` fails.
    pub(crate) fn read(
        &mut self,
        mut show: impl FnMut(Entry<'_>) -> io::Result<()>,
    ) -> io::Result<bool> {
        self.find()?;
        for source in self.sources.values_mut().flatten() {
            source.is_dry = false;
        }
        let mut shown = 0;
        while shown < BATCH {
            let Some((entry, length)) = self.next()? else { return Ok(false) };
            show(entry)?;
            shown += length;
        }
        Ok(true)
    }

    /// The oldest of what is there, and about how many bytes it has.
    fn next(&mut self) -> io::Result<Option<(Entry<'_>, usize)>> {
        let mut oldest: Option<&mut Source> = None;
        for source in self.sources.values_mut().flatten() {
            let Some(time_ns) = source.look()? else { continue };
            // Of the same time, the first stays first.
            let before = oldest.as_ref().and_then(|oldest| oldest.head.as_ref());
            if before.is_none_or(|before| time_ns < before.time_ns()) {
                oldest = Some(source);
            }
        }
        Ok(oldest.and_then(Source::take))
    }

    /// Shows what was written without a line feed, of the container of this shown name or of all: for when nothing
    /// more will come.
    ///
    /// # Errors
    /// When `show` fails.
    pub(crate) fn finish(
        &mut self,
        name: Option<&str>,
        mut show: impl FnMut(Entry<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let meant = |source: &&mut Source| name.is_none_or(|name| source.name == name);
        let mut rest = Vec::new();
        for source in self.sources.values_mut().flatten().filter(meant) {
            let lines = source.reader.finish();
            let Source { name, service, .. } = &*source;
            rest.extend(lines.into_iter().map(|line| Entry {
                name,
                service,
                item: Item::Line(line),
            }));
        }
        rest.sort_by_key(|entry| entry.item.time_ns());
        rest.into_iter().try_for_each(&mut show)
    }

    /// The shown names of all selected containers.
    ///
    /// # Errors
    /// When the logs cannot be looked for.
    pub(crate) fn names(&mut self) -> io::Result<Vec<String>> {
        self.find()?;
        Ok(self.sources.values().flatten().map(|source| source.name.clone()).collect())
    }

    /// Looks for logs that were not there before.
    fn find(&mut self) -> io::Result<()> {
        let mut found: Vec<PathBuf> = match fs::read_dir(self.project.logs()) {
            Ok(directories) => {
                directories.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut owners = None;
        if self.selection.passing {
            let all = owners.insert(owners_of(&self.project));
            let is_passing = |path: &&PathBuf| path.starts_with(self.project.run());
            found.extend(all.keys().filter(is_passing).cloned());
        }
        found.retain(|directory| !self.sources.contains_key(directory));
        for directory in found {
            let owners = owners.get_or_insert_with(|| owners_of(&self.project));
            let owner = owners.get(&directory).cloned().unwrap_or_else(|| {
                let name = directory.file_name().unwrap_or_default().to_string_lossy();
                from_name(&name, self.project.name().as_str())
            });
            let is_selected = self.selection.has(&owner.service, owner.number);
            let source = is_selected.then(|| self.source(owner, &directory)).transpose()?;
            self.sources.insert(directory, source);
        }
        self.has_looked = true;
        Ok(())
    }

    fn source(&self, owner: Owner, directory: &Path) -> io::Result<Source> {
        let Selection { range, tail, follows, .. } = self.selection;
        let reader = match tail.filter(|_| !self.has_looked) {
            Some(lines) => Reader::last(directory, range, lines, !follows)?,
            None => Reader::new(directory).within(range),
        };
        let name = shown_name(&owner.name, self.project.name().as_str()).to_owned();
        Ok(Source { name, service: owner.service, reader, head: None, is_dry: false })
    }
}

impl Source {
    /// The time of what comes next.
    fn look(&mut self) -> io::Result<Option<u64>> {
        if self.head.is_none() && !self.is_dry {
            self.head = self.reader.next_item()?;
            self.is_dry = self.head.is_none();
        }
        Ok(self.head.as_ref().map(Item::time_ns))
    }

    fn take(&mut self) -> Option<(Entry<'_>, usize)> {
        let item = self.head.take()?;
        let length = match &item {
            Item::Line(line) => line.bytes.len() + 32,
            Item::Lost(_) => 32,
        };
        Some((Entry { name: &self.name, service: &self.service, item }, length))
    }
}

impl Selection {
    /// Whether a container's log is selected.
    pub(crate) fn has(&self, service: &str, number: u32) -> bool {
        // What `run` makes has number 0 and no place among the replicas.
        number > 0
            && self.services.as_ref().is_none_or(|services| services.contains(service))
            && self.number.is_none_or(|wanted| wanted == number)
    }
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Owner {
    /// The container's name.
    name: String,
    service: String,
    number: u32,
}

/// A container's name as `up` and `logs` show it: without the project's.
pub(crate) fn shown_name<'a>(container: &'a str, project: &str) -> &'a str {
    let rest = container.strip_prefix(project).and_then(|rest| rest.strip_prefix(['-', '_']));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(container)
}

fn owners_of(project: &ProjectDirectories) -> BTreeMap<PathBuf, Owner> {
    // Without records the names must do.
    let containers = observe::containers(project).unwrap_or_default();
    let owner = |seen: observe::Seen| {
        let record = seen.record;
        let directory = naru_supervisor::logging::directory(project, &record);
        (directory, Owner { name: record.name, service: record.service, number: record.number })
    };
    containers.into_iter().map(owner).collect()
}

/// The owner of the log that is called `shop-web-2`.
fn from_name(container: &str, project: &str) -> Owner {
    let name = shown_name(container, project);
    let parts = name.rsplit_once('-');
    let parsed = parts.and_then(|(service, number)| Some((service, number.parse().ok()?)));
    let (service, number) = parsed.unwrap_or((name, 1));
    Owner { name: container.to_owned(), service: service.to_owned(), number }
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
        let parts = |name| {
            let owner = from_name(name, "shop");
            (owner.service, owner.number)
        };
        assert_eq!(parts("shop-web-2"), ("web".into(), 2));
        assert_eq!(parts("shop-my-db-1"), ("my-db".into(), 1));
        assert_eq!(parts("custom"), ("custom".into(), 1));
    }

    #[test]
    fn names_are_shown_without_the_project() {
        assert_eq!(shown_name("shop-web-1", "shop"), "web-1");
        assert_eq!(shown_name("shopping", "shop"), "shopping");
        assert_eq!(shown_name("shop-", "shop"), "shop-");
    }

    #[test]
    fn services_and_replica_select_logs() {
        let services = Some(["web".to_owned()].into());
        let selection = Selection { services, number: Some(2), ..Selection::default() };
        assert!(selection.has("web", 2) && !selection.has("web", 1) && !selection.has("db", 2));
    }
}
