//! What a container waits for a name of its project, while it asks 5,000 times a second.

use std::path::PathBuf;
use std::process::Command;

use anyhow::Result;

use super::Bench;
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

/// A naru with two containers, of which one asks for the other.
struct Naru<'a> {
    bench: &'a Bench,
    directories: PathBuf,
}

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = Naru::prepare(bench)?;
    let docker = Docker::prepare(bench);
    for (percentile, what, at_most) in ROWS {
        let (mut ours, mut theirs): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
        for round in 0..=bench.rounds {
            let (us, them) = (naru.round(percentile), docker.round(percentile));
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
    naru.remove()
}

impl<'a> Naru<'a> {
    fn prepare(bench: &'a Bench) -> Result<Self> {
        let naru = Self { bench, directories: PathBuf::from("/var/tmp/naru-bench-names") };
        fs_err::create_dir_all(&naru.directories)?;
        let root = bench.root();
        fs_err::copy(&bench.clock, root.join("bin/naru-bench"))?;
        let tar = naru.directories.join("names.tar");
        task::run(Command::new("tar").arg("-C").arg(root).arg("-cf").arg(&tar).arg("."))?;
        task::run(naru.command().args(["image", "import"]).arg(&tar).arg(IMAGE))?;
        let service = format!("{{ image: {IMAGE}, command: [sleep, \"86400\"] }}");
        let file =
            format!("name: naru-bench-names\nservices:\n  db: {service}\n  client: {service}\n");
        fs_err::write(naru.directories.join("compose.yaml"), file)?;
        task::run(naru.command().args(["up", "-d"]))?;
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

    fn round(&self, percentile: &str) -> Samples {
        let words = ["exec", "-T", "client", "naru-bench", "names", "--percentile", percentile];
        clocked(self.command().args(words).arg("db"))
    }

    fn remove(self) -> Result<()> {
        task::run(self.command().args(["down", "-t", "0"]))?;
        Ok(fs_err::remove_dir_all(&self.directories)?)
    }
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
