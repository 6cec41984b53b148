//! `up -d` and `down` of several services, and the memory it costs to keep ten of them running.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::installed::{IMAGE, Naru};
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};
use super::{Bench, memory};
use crate::task;

const DOCKER: &str = "docker compose";

/// The number of services whose memory is compared.
const WITH_MEMORY: u32 = 10;

/// The most that all naru processes may use then, in bytes.
const MOST_MEMORY: f64 = 20.0 * 1024.0 * 1024.0;

/// What docker compose takes, and naru at most: ten times as fast.
const TENTH: f64 = 0.1;

/// The most that they may use for each container, in bytes.
const MOST_MEMORY_EACH: f64 = 1024.0 * 1024.0;

/// The longest that a naru process may be there after `down` returned, in microseconds.
const MOST_AFTER_DOWN: f64 = 100_000.0;

/// What one program does in one round, and what it took.
#[derive(Default)]
pub(super) struct Taken {
    pub(super) up: Option<Samples>,
    pub(super) down: Option<Samples>,
    memory: Option<Samples>,
    gone: Option<Samples>,
}

pub(crate) fn measure(bench: &Bench, services: usize, table: &mut Table) -> Result<()> {
    let folder = folder(bench, services)?;
    let naru = Naru::prepare(bench)?;
    if let Ok(mut image) = bench.peers.command("image", [IMAGE]) {
        task::run(&mut image)?;
    }
    let (mut ours, mut theirs) = (Taken::default(), Taken::default());
    // The first round warms caches up and is not counted.
    for round in 0..=bench.rounds {
        let (us, them) = (naru.round(bench, &folder), docker_round(bench, &folder));
        if round > 0 {
            ours.add(us);
            theirs.add(them);
        }
    }
    naru.remove();
    table.row(&Row {
        what: &format!("`up -d`, services: {services}"),
        unit: Unit::Milliseconds,
        naru: &taken(ours.up),
        at_most: None,
        others: &[Other { name: DOCKER, samples: taken(theirs.up), at_most: Some(TENTH) }],
    });
    table.row(&Row {
        what: &format!("`down`, services: {services}"),
        unit: Unit::Milliseconds,
        naru: &taken(ours.down),
        at_most: None,
        others: &[Other { name: DOCKER, samples: taken(theirs.down), at_most: Some(TENTH) }],
    });
    let never = "dockerd stays";
    table.row(&Row {
        what: &format!("after `down`, until the last naru process is gone, services: {services}"),
        unit: Unit::Milliseconds,
        naru: &taken(ours.gone),
        at_most: Some(MOST_AFTER_DOWN),
        others: &[Other { name: "docker", samples: Err(never.to_owned()), at_most: None }],
    });
    if services == WITH_MEMORY as usize {
        memory_rows(&taken(ours.memory), taken(theirs.memory), table);
    }
    Ok(())
}

/// The memory of all processes together, and the same for each container.
fn memory_rows(ours: &Samples, theirs: Samples, table: &mut Table) {
    let name = "dockerd + containerd + shims";
    let each = |samples: &Samples| -> Samples {
        let samples = samples.clone()?;
        Ok(samples.iter().map(|bytes| bytes / f64::from(WITH_MEMORY)).collect())
    };
    let (our_share, their_share) = (each(ours), each(&theirs));
    table.row(&Row {
        what: &format!("private memory, services: {WITH_MEMORY}"),
        unit: Unit::Mebibytes,
        naru: ours,
        at_most: Some(MOST_MEMORY),
        others: &[Other { name, samples: theirs, at_most: None }],
    });
    table.row(&Row {
        what: &format!("private memory, services: {WITH_MEMORY}, for each container"),
        unit: Unit::Mebibytes,
        naru: &our_share,
        at_most: Some(MOST_MEMORY_EACH),
        others: &[Other { name, samples: their_share, at_most: None }],
    });
}

pub(super) fn taken(samples: Option<Samples>) -> Samples {
    samples.unwrap_or_else(|| Err("no round".to_owned()))
}

impl Taken {
    pub(super) fn add(&mut self, round: Self) {
        for (all, one) in [
            (&mut self.up, round.up),
            (&mut self.down, round.down),
            (&mut self.memory, round.memory),
            (&mut self.gone, round.gone),
        ] {
            if let Some(one) = one {
                gather(all.get_or_insert_with(|| Ok(Vec::new())), one);
            }
        }
    }
}

/// Where the Compose file of so many services is.
pub(super) fn folder(bench: &Bench, services: usize) -> Result<PathBuf> {
    let folder = bench.share.join(format!("compose-{services}"));
    fs_err::create_dir_all(&folder)?;
    fs_err::write(folder.join("compose.yaml"), compose_file(services))?;
    Ok(folder)
}

fn compose_file(services: usize) -> String {
    use std::fmt::Write as _;
    let mut text = String::from("name: naru-bench\nservices:\n");
    for number in 1..=services {
        // `init` makes the sleep end at once when it is asked to: no program waits for a grace period.
        let service = format!(
            "  s{number}:\n    image: {IMAGE}\n    init: true\n    command: [sleep, \"3600\"]\n"
        );
        text.write_str(&service).unwrap_or_default();
    }
    text
}

impl Naru {
    pub(super) fn round(&self, bench: &Bench, folder: &Path) -> Taken {
        let compose = |words: &[&str]| {
            let mut clock = Command::new(&bench.clock);
            clock.arg("command").arg(&bench.naru).arg("-f").arg(folder.join("compose.yaml"));
            clock.args(words);
            clocked(self.with_directories(&mut clock))
        };
        let up = compose(&["up", "-d"]);
        let memory = memory::of(is_ours);
        let down = compose(&["down", "-t", "0"]);
        let begin = Instant::now();
        while memory::count(is_ours) > 0 && begin.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let gone = Ok(vec![begin.elapsed().as_secs_f64() * 1e6]);
        Taken { up: Some(up), memory: Some(memory), down: Some(down), gone: Some(gone) }
    }
}

fn is_ours(process: &memory::Process) -> bool {
    process.command == "naru" && process.in_our_network
}

pub(super) fn docker_round(bench: &Bench, folder: &Path) -> Taken {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let file = format!("{SHARE}/{name}/compose.yaml");
    let compose = |words: &[&str]| -> Samples {
        let clock = format!("{SHARE}/naru-bench");
        let mut all = vec![clock.as_str(), "command", "docker", "compose", "-f", &file];
        all.extend(words);
        clocked(&mut bench.peers.command("exec", all)?)
    };
    let up = compose(&["up", "-d"]);
    let memory = match up {
        Ok(_) => memory::of(|process| {
            let name = process.command.as_str();
            matches!(name, "dockerd" | "containerd" | "docker-proxy")
                || name.starts_with("containerd-shim")
        }),
        Err(ref reason) => Err(reason.clone()),
    };
    let down = compose(&["down", "-t", "0"]);
    Taken { up: Some(up), memory: Some(memory), down: Some(down), gone: None }
}
