//! What happened to the containers of a project: one JSON line an event, in a file that is turned over when it is full,
//! so that the last ones are there for whoever asks later.
//!
//! Several processes append: the supervisor, and commands that run something inside a container. Each line is written
//! whole, under a lock of the file.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use fs_err as fs;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use crate::ContainerId;
use crate::lock::is_still;

/// A file that has grown past this many bytes is turned over; the one before it goes.
const TURN_AT: u64 = 512 << 10;

/// Something that happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds since 1970-01-01 UTC.
    pub time_ns: u64,
    /// What, in Docker's words: `create`, `start`, `die`, `health_status: healthy`, ….
    pub action: String,
    /// The container's service.
    pub service: String,
    /// The container.
    pub id: ContainerId,
    /// Which of its runs; 0 where that is of no matter.
    #[serde(default)]
    pub generation: u16,
    /// `image`, `name`, the labels, and what belongs to the action (`exitCode`, `signal`, …).
    pub attributes: BTreeMap<String, String>,
}

/// Writes an event down.
///
/// # Errors
/// When the file cannot be written.
pub fn append(path: &Path, event: &Event) -> io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    loop {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let length = file.metadata()?.len();
        if !is_still(&file, path) {
            continue;
        }
        if length > TURN_AT {
            fs::rename(path, before(path))?;
            continue;
        }
        return match file.write_all(&line) {
            // What a full disk took half of is nobody's line.
            Err(error) => file.set_len(length).and(Err(error)),
            written => written,
        };
    }
}

/// All events that are still there, in the order of their times. Lines that are none are passed over.
///
/// # Errors
/// When a file is there and cannot be read.
pub fn history(path: &Path) -> io::Result<Vec<Event>> {
    let mut events = Vec::new();
    for path in [before(path), path.to_owned()] {
        match fs::read(path) {
            Ok(bytes) => events.extend(parse(&bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    events.sort_by_key(|event| event.time_ns);
    Ok(events)
}

/// Whether older events than those of [`history`] are gone.
pub fn is_cut(path: &Path) -> bool {
    before(path).exists()
}

/// The file that was turned over last.
pub fn before(path: &Path) -> PathBuf {
    path.with_extension("1")
}

/// Reads events as they are appended.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: Option<fs::File>,
    /// The beginning of a line.
    half: Vec<u8>,
}

impl Follower {
    /// From now on.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub fn new(path: &Path) -> io::Result<Self> {
        let mut follower = Self { path: path.to_owned(), file: open(path)?, half: Vec::new() };
        if let Some(file) = &mut follower.file {
            file.seek(SeekFrom::End(0))?;
        }
        Ok(follower)
    }

    /// What was appended since the last call.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            let Some(file) = &mut self.file else {
                self.file = open(&self.path)?;
                match self.file {
                    Some(_) => continue,
                    None => return Ok(events),
                }
            };
            // Looked at before it is read: what was turned over meanwhile is read to its end first.
            let turned = !is_still(file, &self.path);
            file.read_to_end(&mut self.half)?;
            let whole = self.half.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
            events.extend(parse(&self.half[..whole]));
            self.half.drain(..whole);
            if !turned {
                return Ok(events);
            }
            self.file = None;
            self.half.clear();
        }
    }
}

fn open(path: &Path) -> io::Result<Option<fs::File>> {
    match fs::File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> impl Iterator<Item = Event> + '_ {
    bytes.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ns: u64, action: &str) -> Event {
        Event {
            time_ns,
            action: action.to_owned(),
            service: "web".to_owned(),
            id: ContainerId::try_from("a".repeat(64)).unwrap(),
            generation: 1,
            attributes: BTreeMap::from([("name".to_owned(), "x".repeat(1000))]),
        }
    }

    #[test]
    fn a_follower_sees_each_event_once_also_when_the_file_is_turned_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        append(&path, &event(0, "early")).unwrap();
        let mut follower = Follower::new(&path).unwrap();
        let mut seen = Vec::new();
        for time in 1..=1200 {
            append(&path, &event(time, "start")).unwrap();
            if time % 100 == 0 {
                seen.extend(follower.read().unwrap().into_iter().map(|event| event.time_ns));
            }
        }
        assert_eq!(seen, (1..=1200).collect::<Vec<_>>());
        assert!(is_cut(&path));
        let kept: u64 = fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum();
        assert!(kept < 2 * TURN_AT + 4096, "{kept}");
    }

    #[test]
    fn history_is_sorted_by_time_and_damaged_lines_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        assert!(history(&path).unwrap().is_empty());
        append(&path, &event(2, "die")).unwrap();
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"time_ns\": \n\xff\n").unwrap();
        append(&path, &event(1, "start")).unwrap();
        let actions: Vec<_> =
            history(&path).unwrap().into_iter().map(|event| event.action).collect();
        assert_eq!(actions, ["start", "die"]);
    }
}
