//! What a container waits for a name of its project, while it asks 5,000 times a second.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::Bench;
use super::installed::Naru;
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};
use crate::task;

const IMAGE: &str = "naru-bench-names";

/// The most that the slowest hundredth may begin with, in microseconds.
const MOST: f64 = 1000.0;

/// The same while another container asks without any pause.
const MOST_IN_FLOOD: f64 = 10_000.0;

/// How long it does, in seconds: somewhat longer than the questions take whose answers count.
const FLOOD: &str = "4";

/// Which of a hundred answers, what that is called, what it may take, and whether another container floods meanwhile.
const ROWS: [(&str, &str, Option<f64>, bool); 3] = [
    ("50", "an answer of the name server, median at 5,000 questions a second", None, false),
    ("99", "an answer of the name server, 99th percentile at 5,000 a second", Some(MOST), false),
    ("99", "the same, while another container asks as fast as it can", Some(MOST_IN_FLOOD), true),
];

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = prepare(bench)?;
    let docker = Docker::prepare(bench);
    for (percentile, what, at_most, floods) in ROWS {
        let (mut ours, mut theirs): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
        for round in 0..=bench.rounds {
            let flood = floods.then(|| Ok(in_naru(&naru, "other", &FLOODING)));
            let us = while_it_floods(flood, || asked(&naru, percentile));
            let flood = floods.then(|| docker.command("other", &FLOODING));
            let them = while_it_floods(flood, || docker.round(percentile));
            if round > 0 {
                gather(&mut ours, us);
                gather(&mut theirs, them);
            }
        }
        table.row(&Row {
            what,
            unit: Unit::Milliseconds,
            naru: &ours,
            at_most,
            others: &[Other { name: "docker", samples: theirs, at_most: None }],
        });
    }
    docker.remove();
    naru.take_down()
}

const FLOODING: [&str; 4] = ["flood", "--seconds", FLOOD, "db"];

/// Measures while a command runs that floods the name server, and waits for its end.
fn while_it_floods(
    flood: Option<Result<Command, String>>,
    measure: impl FnOnce() -> Samples,
) -> Samples {
    let flood = flood.transpose()?.map(|mut flood| flood.stdout(Stdio::null()).spawn());
    let flood = flood.transpose().map_err(|error| error.to_string())?;
    let measured = measure();
    if let Some(mut flood) = flood {
        let ended = flood.wait().map_err(|error| error.to_string())?;
        if !ended.success() {
            return Err(format!("the flood ended with {ended}"));
        }
    }
    measured
}

/// Three containers, of which one asks for another.
fn prepare(bench: &Bench) -> Result<Naru> {
    fs_err::copy(&bench.clock, bench.root().join("bin/naru-bench"))?;
    let naru = Naru::with_image(bench, "/var/tmp/naru-bench-names", IMAGE)?;
    let service = format!("{{ image: {IMAGE}, command: [sleep, \"86400\"] }}");
    naru.write(&format!(
        "name: naru-bench-names\nservices:\n  db: {service}\n  client: {service}\n  other: {service}\n"
    ))?;
    task::run(naru.command().args(["up", "-d"]))?;
    Ok(naru)
}

fn asked(naru: &Naru, percentile: &str) -> Samples {
    clocked(&mut in_naru(naru, "client", &["names", "--percentile", percentile, "db"]))
}

fn in_naru(naru: &Naru, container: &str, words: &[&str]) -> Command {
    let mut command = naru.command();
    command.args(["exec", "-T", container, "naru-bench"]).args(words).stdin(Stdio::null());
    command
}

/// The same three containers on a network of Docker's.
struct Docker<'a> {
    bench: &'a Bench,
}

impl<'a> Docker<'a> {
    /// What fails here is seen by every round.
    fn prepare(bench: &'a Bench) -> Self {
        let docker = Self { bench };
        docker.remove();
        if let Ok(mut image) = bench.peers.command("image", [IMAGE]) {
            drop(image.output());
        }
        let script = format!(
            "docker network create {IMAGE} && for name in db client other; do docker run -d --name {IMAGE}-$name \
             --network {IMAGE} --network-alias $name -v {SHARE}:/clock:ro {IMAGE} sleep 86400 || exit 1; done"
        );
        docker.shell(&script);
        docker
    }

    fn round(&self, percentile: &str) -> Samples {
        clocked(&mut self.command("client", &["names", "--percentile", percentile, "db"])?)
    }

    fn command(&self, container: &str, words: &[&str]) -> Result<Command, String> {
        let container = format!("{IMAGE}-{container}");
        let exec = ["docker", "exec", &container, "/clock/naru-bench"];
        self.bench.peers.command("exec", exec.iter().chain(words))
    }

    fn remove(&self) {
        self.shell(&format!(
            "docker rm -f {IMAGE}-db {IMAGE}-client {IMAGE}-other; docker network rm {IMAGE}"
        ));
    }

    fn shell(&self, script: &str) {
        if let Ok(mut command) = self.bench.peers.command("exec", ["sh", "-c", script]) {
            drop(command.output());
        }
    }
}
