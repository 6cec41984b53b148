//! Looking without touching: a project's containers from their records, their states, and the kernel's word
//! on whether they run. `ps`, `ls`, `logs` and `exec` need nothing else, and neither does a supervisor that
//! takes over.

use std::io;
use std::time::{Duration, Instant};

use fs_err as fs;
use naru_state::process::{Identity, boot_id};
use naru_state::record::{self, Exit, Phase};
use naru_state::{ContainerId, Directories, ProjectDirectories, ProjectName, atomic};

/// How long at most an end that nobody has told of yet is waited for, all containers together: a keeper that was just
/// killed has a successor within a fraction of it.
const UNSETTLED: Duration = Duration::from_secs(1);

/// One container as it is now.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What it is.
    pub record: record::Container,
    /// What it does; the phase is corrected by the kernel.
    pub state: record::State,
}

impl Seen {
    /// Whether its first process runs.
    pub fn is_running(&self) -> bool {
        self.state.phase == Phase::Running
    }

    /// How its last run ended, for people: the code, or nothing when it never ran.
    pub fn exit_code(&self) -> Option<u8> {
        self.state.exit.as_ref().and_then(|exit| exit.code)
    }
}

/// The containers of a project, sorted by name.
///
/// # Errors
/// When records cannot be read. A container whose record is missing or torn was never finished and is left out.
pub fn containers(directories: &ProjectDirectories) -> Result<Vec<Seen>, atomic::Error> {
    let mut seen = Vec::new();
    let mut lasting = Lasting::new(directories);
    let deadline = Instant::now() + UNSETTLED;
    for id in ids(directories).map_err(atomic::Error::File)? {
        // Torn: a power cut before the command that made it was answered.
        let Some(record) = container(directories, &id)? else { continue };
        let state = settled(directories, &id, &mut lasting, deadline)?;
        seen.push(Seen { record, state });
    }
    seen.sort_by(|a: &Seen, b: &Seen| a.record.name.cmp(&b.record.name));
    Ok(seen)
}

/// Whether a container is meant by a word: its name, or at least three digits that its id begins with.
pub fn is_called(record: &record::Container, word: &str) -> bool {
    let is_id = word.len() >= 3 && record.id.as_str().starts_with(word);
    record.name == word || is_id
}

/// The container of any project that a word means; a name goes before the beginning of an id.
///
/// # Errors
/// When records cannot be read.
pub fn find(
    directories: &Directories,
    word: &str,
) -> Result<Option<(ProjectName, Seen)>, atomic::Error> {
    let mut by_id = None;
    for project in recorded_projects(directories).map_err(atomic::Error::File)? {
        for seen in containers(&directories.project(&project))? {
            if seen.record.name == word {
                return Ok(Some((project, seen)));
            }
            if is_called(&seen.record, word) {
                by_id = Some((project.clone(), seen));
            }
        }
    }
    Ok(by_id)
}

/// A container as it is written down, for a supervisor that takes over.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) record: record::Container,
    /// Not corrected: what the supervisor before decided last.
    pub(crate) state: record::State,
    /// How its last process ended, if the keeper saw it.
    pub(crate) exit: Option<Exit>,
    /// A start that the state does not tell of.
    pub(crate) start: Option<record::Start>,
}

impl Recorded {
    /// What is true of it when its process does not run.
    pub(crate) fn ended(self) -> (record::Container, record::State) {
        (self.record, correct(Some(self.state), self.exit))
    }
}

/// The containers of a project as they are written down.
///
/// # Errors
/// When records cannot be read. A container whose record is missing or torn was never finished and is left out.
pub(crate) fn recorded(directories: &ProjectDirectories) -> Result<Vec<Recorded>, atomic::Error> {
    let mut all = Vec::new();
    let mut lasting = Lasting::new(directories);
    for id in ids(directories).map_err(atomic::Error::File)? {
        let Some(record) = container(directories, &id)? else { continue };
        let state = lasting.state(&id)?.unwrap_or_else(record::State::created);
        let exit = whole(&directories.exit_file(&id))?;
        let start = untold(whole(&directories.start_file(&id))?, &state);
        all.push(Recorded { record, state, exit, start });
    }
    Ok(all)
}

/// The states of a project's containers: those of the run directory, and where that has lost one, what is kept of them
/// for after a reboot. Nothing of an earlier boot runs.
#[derive(Debug)]
struct Lasting<'own> {
    own: &'own ProjectDirectories,
    kept: Option<Option<record::States>>,
    boot_id: String,
}

impl<'own> Lasting<'own> {
    fn new(own: &'own ProjectDirectories) -> Self {
        Self { own, kept: None, boot_id: boot_id().unwrap_or_default() }
    }

    fn state(&mut self, id: &ContainerId) -> Result<Option<record::State>, atomic::Error> {
        let state = whole::<record::State>(&self.own.state_file(id))?;
        let state = state.filter(|state| state.id.as_ref().is_none_or(|own| own == id));
        let (state, boot) = match state {
            Some(state) => {
                let boot = state.boot_id().unwrap_or(&self.boot_id).to_owned();
                // What the keeper saw of that boot's end is told by its own file.
                match state.process.is_some() && self.own.exit_file(id).exists() {
                    true => return Ok(Some(state)),
                    false => (state, boot),
                }
            }
            None => match self.kept(id)? {
                Some(kept) => kept,
                None => return Ok(None),
            },
        };
        Ok(Some(if boot == self.boot_id { state } else { state.lost(&boot) }))
    }

    /// Its state as it was kept, and the boot that was in.
    fn kept(&mut self, id: &ContainerId) -> Result<Option<(record::State, String)>, atomic::Error> {
        let kept = match &self.kept {
            Some(kept) => kept,
            None => self.kept.insert(whole(&self.own.states_file())?),
        };
        let Some(states) = kept else { return Ok(None) };
        Ok(states.states.get(id).map(|state| (state.clone(), states.boot_id.clone())))
    }
}

/// A record, or nothing where there is none or a power cut tore it.
fn whole<T: serde::de::DeserializeOwned>(
    path: &std::path::Path,
) -> Result<Option<T>, atomic::Error> {
    match atomic::load(path) {
        Err(atomic::Error::Damaged { .. }) => Ok(None),
        loaded => loaded,
    }
}

/// The record of a container; nothing where there is none, or not that of this one.
fn container(
    directories: &ProjectDirectories,
    id: &ContainerId,
) -> Result<Option<record::Container>, atomic::Error> {
    let record: Option<record::Container> = whole(&directories.container_file(id))?;
    Ok(record.filter(|record| record.id == *id))
}

/// The containers whose record is there and cannot be read, for who wants to tell the user.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn damaged(directories: &ProjectDirectories) -> io::Result<Vec<ContainerId>> {
    let is_damaged = |id: &ContainerId| {
        directories.container_file(id).exists() && matches!(container(directories, id), Ok(None))
    };
    Ok(ids(directories)?.into_iter().filter(is_damaged).collect())
}

/// The ids of all container directories, finished or not.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn ids(directories: &ProjectDirectories) -> io::Result<Vec<ContainerId>> {
    let names = names(&directories.containers())?;
    Ok(names.into_iter().filter_map(|name| ContainerId::try_from(name).ok()).collect())
}

/// The projects of this root that have containers, sorted by name.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn projects(directories: &Directories) -> io::Result<Vec<ProjectName>> {
    let mut projects = recorded_projects(directories)?;
    projects.retain(|name| {
        ids(&directories.project(name)).is_ok_and(|containers| !containers.is_empty())
    });
    Ok(projects)
}

/// All projects that have left anything here, also if it is only the logs of their last run, sorted by name.
///
/// # Errors
/// When the directory is there and cannot be read.
pub fn recorded_projects(directories: &Directories) -> io::Result<Vec<ProjectName>> {
    let names = names(&directories.projects())?.into_iter();
    let mut projects: Vec<_> = names.filter_map(|name| ProjectName::try_from(name).ok()).collect();
    projects.sort();
    Ok(projects)
}

fn names(directory: &std::path::Path) -> io::Result<Vec<String>> {
    match fs::read_dir(directory) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A container's state. For a moment after its process has ended, the keeper has not yet written down how, or
/// the supervisor not yet what follows: that moment is waited for, until the deadline.
fn settled(
    directories: &ProjectDirectories,
    id: &ContainerId,
    lasting: &mut Lasting<'_>,
    deadline: Instant,
) -> Result<record::State, atomic::Error> {
    loop {
        let mut state = lasting.state(id)?;
        let exit: Option<Exit> = whole(&directories.exit_file(id))?;
        let start =
            state.as_ref().map(|state| Ok(untold(whole(&directories.start_file(id))?, state)));
        if let (Some(state), Some(Some(start))) = (&mut state, start.transpose()?)
            && (start.process.is_alive() || has_run(&start, exit.as_ref()) == Some(true))
        {
            state.begin(start);
        }
        // Asked once: a process that ends right after the answer is the next look's business.
        match (state.as_ref().and_then(runs), state) {
            (Some(true), Some(state)) => return Ok(state),
            (Some(false), _) if Instant::now() < deadline => {}
            (_, state) => return Ok(correct(state, exit)),
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A start that the state of the container does not know of: whoever let its program run died before it could tell.
fn untold(start: Option<record::Start>, state: &record::State) -> Option<record::Start> {
    let is_this_boots = |start: &record::Start| start.started_at.is_of_this_boot();
    let is_next = |start: &record::Start| {
        start.generation == state.generation && state.ran() != Some(state.generation)
    };
    start.filter(|start| is_next(start) && is_this_boots(start))
}

/// Whether a start whose process has ended came as far as the program; nothing where nobody has told of that process.
pub(crate) fn has_run(start: &record::Start, exit: Option<&Exit>) -> Option<bool> {
    let exit = exit.filter(|exit| exit.process == start.process)?;
    Some(exit.code != Some(naru_runtime::SET_UP_FAILED))
}

/// Whether the process that is written down as running does; nothing when none of this boot is.
fn runs(state: &record::State) -> Option<bool> {
    let process = state.process.as_ref().filter(|_| state.phase == Phase::Running)?;
    (boot_id().as_ref() == Some(&process.boot_id)).then(|| process.is_alive())
}

/// What is true of a container whose last written state and exit are these: "running" is asked of the
/// kernel, and an end that nobody could tell the code of is unknown, never a success.
fn correct(state: Option<record::State>, exit: Option<Exit>) -> record::State {
    let Some(mut state) = state else {
        return record::State::created();
    };
    let Some(process) = state.process.clone() else { return state };
    if process.is_alive() {
        return state;
    }
    if state.exit.as_ref().is_none_or(|known| known.process != process) {
        let exit = exit.filter(|exit| exit.process == process).unwrap_or_else(|| {
            let code = zombie_code(&process);
            Exit { process, code, out_of_memory: false, time_ns: record::now_ns() }
        });
        state.finished_ns = Some(exit.time_ns);
        state.exit = Some(exit);
    }
    state.process = None;
    if state.phase == Phase::Running {
        state.phase = Phase::Exited;
    }
    state
}

/// How a process ended that nobody has reaped yet: field 52 of `/proc/PID/stat`.
fn zombie_code(process: &Identity) -> Option<u8> {
    let stat = naru_state::process::stat(process.pid)?;
    let is_it = stat.start_time == process.start_time
        && stat.state == 'Z'
        && boot_id().as_ref() == Some(&process.boot_id);
    let status = naru_runtime::ExitStatus::from_wait_status(stat.exit_status);
    status.code().filter(|_| is_it).and_then(|code| u8::try_from(code).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(process: Identity) -> record::State {
        record::State { phase: Phase::Running, process: Some(process), ..record::State::created() }
    }

    fn gone() -> Identity {
        Identity { boot_id: "an earlier boot".into(), pid: 1, start_time: 1 }
    }

    #[test]
    fn a_process_of_an_earlier_boot_is_not_running_and_its_code_is_unknown() {
        let state = correct(Some(running(gone())), None);
        assert_eq!(state.phase, Phase::Exited);
        assert_eq!(state.exit.unwrap().code, None);
    }

    #[test]
    fn the_keepers_word_on_the_exit_of_this_very_process_is_taken() {
        let exit = Exit { process: gone(), code: Some(3), out_of_memory: false, time_ns: 7 };
        let state = correct(Some(running(gone())), Some(exit.clone()));
        assert_eq!(state.exit, Some(exit.clone()));
        let other = Identity { start_time: 2, ..gone() };
        assert_eq!(correct(Some(running(other)), Some(exit)).exit.unwrap().code, None);
    }

    #[test]
    fn a_container_whose_record_a_power_cut_tore_was_never_finished() {
        let root = tempfile::tempdir().unwrap();
        let directories = Directories::new(root.path().join("data"), root.path().join("run"));
        let own = directories.project(&ProjectName::new("shop").unwrap());
        let id = ContainerId::random().unwrap();
        fs::create_dir_all(own.container(&id)).unwrap();
        fs::write(own.container_file(&id), "{\"version\": 1, \"na").unwrap();
        assert!(containers(&own).unwrap().is_empty());
        assert_eq!(ids(&own).unwrap(), [id]);
    }

    #[test]
    fn an_end_that_is_just_being_written_down_is_waited_for() {
        let root = tempfile::tempdir().unwrap();
        let directories = Directories::new(root.path().join("data"), root.path().join("run"));
        let own = directories.project(&ProjectName::new("shop").unwrap());
        let id = ContainerId::random().unwrap();
        fs::create_dir_all(own.container_run(&id)).unwrap();
        let gone = Identity { boot_id: boot_id().unwrap(), pid: i32::MAX, start_time: 1 };
        atomic::save_volatile(&own.state_file(&id), &running(gone.clone())).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let settle = || settled(&own, &id, &mut Lasting::new(&own), deadline).unwrap();
        let state = std::thread::scope(|scope| {
            let looking = scope.spawn(settle);
            let exit = Exit { process: gone, code: Some(3), out_of_memory: false, time_ns: 7 };
            let phase = Phase::Restarting;
            let next = record::State { phase, exit: Some(exit), ..record::State::created() };
            atomic::save_volatile(&own.state_file(&id), &next).unwrap();
            looking.join().unwrap()
        });
        assert_eq!((state.phase, state.exit.unwrap().code), (Phase::Restarting, Some(3)));
    }

    #[test]
    fn a_live_process_is_running() {
        let me = Identity::of(i32::try_from(std::process::id()).unwrap()).unwrap();
        assert_eq!(correct(Some(running(me)), None).phase, Phase::Running);
    }
}
