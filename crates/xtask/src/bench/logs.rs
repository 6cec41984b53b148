//! 200 MB of output through the log, from the container's start to its end, and the memory that it costs meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};

use super::installed::Naru;
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
struct Flood(Naru);

#[derive(Default)]
struct Taken {
    time: Option<Samples>,
    keeper: Option<Samples>,
    supervisor: Option<Samples>,
}

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = Flood::prepare(bench)?;
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
    naru.0.take_down()?;
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

impl Flood {
    fn prepare(bench: &Bench) -> Result<Self> {
        let root = bench.root();
        fs_err::copy(task::built("release").join("naru-check"), root.join("bin/naru-check"))?;
        let naru = Naru::with_image(bench, "/var/tmp/naru-bench-logs", IMAGE)?;
        // What is kept is enough for all of it: nothing may be missing.
        naru.write(&format!(
            "name: naru-bench-logs\nservices:\n  a:\n    image: {IMAGE}\n    command: [naru-check, pour, \"{LINES}\"]\n\
             \x20   logging: {{ options: {{ max-size: 150m, max-file: \"3\" }} }}\n"
        ))?;
        Ok(Self(naru))
    }

    /// From `start` to the end of the container; then every line is looked for.
    fn round(&self) -> Result<Taken> {
        task::run(self.0.command().args(["up", "-d", "--no-start", "--force-recreate"]))?;
        let begin = Instant::now();
        task::run(self.0.command().arg("start"))?;
        let (mut keeper, mut supervisor) = (Vec::new(), Vec::new());
        let state = self.0.run();
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
        let output = self.0.command().args(["logs", "--no-log-prefix"]).output()?;
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
