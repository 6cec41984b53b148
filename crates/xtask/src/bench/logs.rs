//! 200 MB of output through the log, from the container's start to its end, and the memory that it costs meanwhile.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};
use super::{Bench, memory};
use crate::task;

const IMAGE: &str = "naru-bench-flood";

/// Lines of 100 bytes, with their line feeds.
const LINES: u64 = 2_000_000;

/// What a keeper may use for a container while it moves its output, in bytes.
const MOST_KEEPER: f64 = 1024.0 * 1024.0;

/// And a supervisor that has nothing to do with it.
const MOST_SUPERVISOR: f64 = 6.0 * 1024.0 * 1024.0;

/// One fifth of the time that Docker takes: five times as fast.
const FIFTH: f64 = 0.2;

/// A naru with a container that writes when it is started.
struct Naru<'a> {
    bench: &'a Bench,
    directories: PathBuf,
}

#[derive(Default)]
struct Taken {
    time: Option<Samples>,
    keeper: Option<Samples>,
    supervisor: Option<Samples>,
}

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = Naru::prepare(bench)?;
    if let Ok(mut image) = bench.peers.command("image", [IMAGE]) {
        task::run(&mut image)?;
    }
    let (mut ours, mut theirs) = (Taken::default(), Ok(Vec::new()));
    for round in 0..=bench.rounds {
        let (us, them) = (naru.round()?, docker_round(bench));
        if round > 0 {
            for (all, one) in [
                (&mut ours.time, us.time),
                (&mut ours.keeper, us.keeper),
                (&mut ours.supervisor, us.supervisor),
            ] {
                gather(all.get_or_insert_with(|| Ok(Vec::new())), one.unwrap_or_else(none));
            }
            gather(&mut theirs, them);
        }
    }
    naru.remove()?;
    table.row(&Row {
        what: "200 MB through the log, in lines of 100 bytes, none lost",
        unit: Unit::Milliseconds,
        naru: &ours.time.unwrap_or_else(none),
        at_most: None,
        others: &[Other { name: "docker, json-file", samples: theirs, at_most: Some(FIFTH) }],
    });
    let rows = [
        ("the keeper", ours.keeper, MOST_KEEPER),
        ("the supervisor", ours.supervisor, MOST_SUPERVISOR),
    ];
    for (who, samples, most) in rows {
        let nobody = Other { name: "–", samples: Err("no such process".into()), at_most: None };
        table.row(&Row {
            what: &format!("private memory of {who} meanwhile"),
            unit: Unit::Mebibytes,
            naru: &samples.unwrap_or_else(none),
            at_most: Some(most),
            others: &[nobody],
        });
    }
    Ok(())
}

fn none() -> Samples {
    Err("no round".to_owned())
}

impl<'a> Naru<'a> {
    fn prepare(bench: &'a Bench) -> Result<Self> {
        let naru = Self { bench, directories: PathBuf::from("/var/tmp/naru-bench-logs") };
        fs_err::create_dir_all(&naru.directories)?;
        let root = bench.root();
        fs_err::copy(task::built("release").join("naru-check"), root.join("bin/naru-check"))?;
        let tar = naru.directories.join("flood.tar");
        task::run(Command::new("tar").arg("-C").arg(root).arg("-cf").arg(&tar).arg("."))?;
        task::run(naru.command().args(["image", "import"]).arg(&tar).arg(IMAGE))?;
        // What is kept is enough for all of it: nothing may be missing.
        let file = format!(
            "name: naru-bench-logs\nservices:\n  a:\n    image: {IMAGE}\n    command: [naru-check, pour, \"{LINES}\"]\n\
             \x20   logging: {{ options: {{ max-size: 150m, max-file: \"3\" }} }}\n"
        );
        fs_err::write(naru.directories.join("compose.yaml"), file)?;
        Ok(naru)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.bench.naru);
        command
            .env("NARU_ROOT", self.directories.join("root"))
            .env("NARU_RUN", self.directories.join("run"))
            .current_dir(&self.directories);
        command
    }

    /// From `start` to the end of the container; then every line is looked for.
    fn round(&self) -> Result<Taken> {
        task::run(self.command().args(["up", "-d", "--no-start", "--force-recreate"]))?;
        let begin = Instant::now();
        task::run(self.command().arg("start"))?;
        let (mut keeper, mut supervisor) = (Vec::new(), Vec::new());
        let state = self.directories.join("run");
        while !exited(&state)? {
            ensure!(begin.elapsed() < Duration::from_secs(60), "the flood does not end");
            keeper.extend(memory::of_role("keeper:"));
            supervisor.extend(memory::of_role("supervisor:"));
            std::thread::sleep(Duration::from_millis(2));
        }
        let time = begin.elapsed().as_secs_f64() * 1e6;
        let most = |samples: Vec<f64>| -> Samples {
            let most = samples.into_iter().reduce(f64::max);
            most.map(|most| vec![most]).ok_or_else(|| "it was too fast".to_owned())
        };
        self.count()?;
        Ok(Taken {
            time: Some(Ok(vec![time])),
            keeper: Some(most(keeper)),
            supervisor: Some(most(supervisor)),
        })
    }

    /// All lines are there, in their order.
    fn count(&self) -> Result<()> {
        let output = self.command().args(["logs", "--no-log-prefix"]).output()?;
        let mut expected = 0_u64;
        for line in output.stdout.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            expected += 1;
            if std::str::from_utf8(line)?.parse() != Ok(expected) {
                bail!("line {expected} is missing");
            }
        }
        ensure!(expected == LINES, "{expected} lines of {LINES}");
        Ok(())
    }

    fn remove(self) -> Result<()> {
        task::run(self.command().args(["down", "-t", "0"]))?;
        Ok(fs_err::remove_dir_all(&self.directories)?)
    }
}

/// Whether the container has ended: its keeper writes that down when all output is in the log.
fn exited(run: &std::path::Path) -> Result<bool> {
    let mut folders = vec![run.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs_err::read_dir(&folder)?.filter_map(Result::ok) {
            if entry.file_name() == "exit.json" {
                return Ok(true);
            }
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    Ok(false)
}

/// The same with `docker run -d` and `docker wait`.
fn docker_round(bench: &Bench) -> Samples {
    let script = format!(
        "docker wait $(docker run -d --name naru-bench-flood -v {SHARE}/rootfs/bin:/flood:ro --log-opt \
         max-size=150m --log-opt max-file=3 {IMAGE} /flood/naru-check pour {LINES})"
    );
    let clock = format!("{SHARE}/naru-bench");
    let taken =
        clocked(&mut bench.peers.command("exec", [&clock, "command", "sh", "-c", &script])?);
    let remove = ["docker", "rm", "-f", "naru-bench-flood"];
    // Fails when it was never there.
    drop(bench.peers.command("exec", remove)?.output());
    taken
}
