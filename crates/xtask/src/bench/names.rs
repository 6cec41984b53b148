//! What a container waits for a name of its project, while it asks 5,000 times a second.

use anyhow::Result;

use super::Bench;
use super::installed::Naru;
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};
use crate::task;

const IMAGE: &str = "naru-bench-names";

/// The most that the slowest hundredth may begin with, in microseconds.
const MOST: f64 = 1000.0;

/// Which of a hundred answers, what that is called, and what it may take.
const ROWS: [(&str, &str, Option<f64>); 2] = [
    ("50", "an answer of the name server, median at 5,000 questions a second", None),
    ("99", "an answer of the name server, 99th percentile at 5,000 a second", Some(MOST)),
];

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = prepare(bench)?;
    let docker = Docker::prepare(bench);
    for (percentile, what, at_most) in ROWS {
        let (mut ours, mut theirs): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
        for round in 0..=bench.rounds {
            let (us, them) = (asked(&naru, percentile), docker.round(percentile));
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

/// Two containers, of which one asks for the other.
fn prepare(bench: &Bench) -> Result<Naru> {
    fs_err::copy(&bench.clock, bench.root().join("bin/naru-bench"))?;
    let naru = Naru::with_image(bench, "/var/tmp/naru-bench-names", IMAGE)?;
    let service = format!("{{ image: {IMAGE}, command: [sleep, \"86400\"] }}");
    naru.write(&format!(
        "name: naru-bench-names\nservices:\n  db: {service}\n  client: {service}\n"
    ))?;
    task::run(naru.command().args(["up", "-d"]))?;
    Ok(naru)
}

fn asked(naru: &Naru, percentile: &str) -> Samples {
    let words = ["exec", "-T", "client", "naru-bench", "names", "--percentile", percentile];
    clocked(naru.command().args(words).arg("db"))
}

/// The same two containers on a network of Docker's.
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
            "docker network create {IMAGE} && for name in db client; do docker run -d --name {IMAGE}-$name \
             --network {IMAGE} --network-alias $name -v {SHARE}:/clock:ro {IMAGE} sleep 86400 || exit 1; done"
        );
        docker.shell(&script);
        docker
    }

    fn round(&self, percentile: &str) -> Samples {
        let client = format!("{IMAGE}-client");
        let ask = ["/clock/naru-bench", "names", "--percentile", percentile, "db"];
        let words = ["docker", "exec", &client].into_iter().chain(ask);
        clocked(&mut self.bench.peers.command("exec", words)?)
    }

    fn remove(&self) {
        self.shell(&format!("docker rm -f {IMAGE}-db {IMAGE}-client; docker network rm {IMAGE}"));
    }

    fn shell(&self, script: &str) {
        if let Ok(mut command) = self.bench.peers.command("exec", ["sh", "-c", script]) {
            drop(command.output());
        }
    }
}
