//! `config`: how long it takes to read Compose files.

use std::fmt::Write as _;
use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};

/// The longest that `config` of a thousand services may take, in microseconds.
const MOST_FOR_A_THOUSAND: f64 = 50_000.0;

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    for (services, most) in [(3, None), (1_000, Some(MOST_FOR_A_THOUSAND))] {
        let name = format!("config-{services}");
        let folder = bench.share.join(&name);
        fs_err::create_dir_all(&folder)?;
        fs_err::write(folder.join("compose.yaml"), compose_file(services))?;
        let (mut ours, mut theirs): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
        for round in 0..=bench.rounds {
            let mut naru = Command::new(&bench.clock);
            naru.arg("command")
                .arg(&bench.naru)
                .arg("-f")
                .arg(folder.join("compose.yaml"))
                .arg("config");
            let us = clocked(&mut naru);
            let them = docker(bench, &name);
            // The first round warms caches up and is not counted.
            if round > 0 {
                gather(&mut ours, us);
                gather(&mut theirs, them);
            }
        }
        let at_most = (services == 3).then_some(0.1);
        table.row(&Row {
            what: &format!("`config`, services: {services}"),
            unit: Unit::Milliseconds,
            naru: &ours,
            at_most: most,
            others: &[Other { name: "docker compose", samples: theirs, at_most }],
        });
    }
    Ok(())
}

fn docker(bench: &Bench, name: &str) -> Samples {
    let (clock, file) = (format!("{SHARE}/naru-bench"), format!("{SHARE}/{name}/compose.yaml"));
    let words = [clock.as_str(), "command", "docker", "compose", "-f", &file, "config"];
    clocked(&mut bench.peers.command("exec", words)?)
}

/// Services that say what services usually say.
fn compose_file(services: usize) -> String {
    let mut text = String::from("name: naru-bench\nservices:\n");
    for number in 1..=services {
        let port = 10_000 + number;
        let before = number - 1;
        let waits =
            if number == 1 { String::new() } else { format!("    depends_on: [s{before}]\n") };
        let service = format!(
            "  s{number}:\n    image: registry.example/app:{number}\n    restart: unless-stopped\n    command: [run, --port, \"80\"]\n    \
             environment:\n      NODE_ENV: production\n      URL: \"http://${{HOST:-localhost}}:{port}\"\n      LEVEL: info\n    \
             ports: [\"{port}:80\"]\n    volumes: [\"data:/var/lib/data\"]\n    healthcheck: {{test: \"true\", interval: 10s}}\n{waits}"
        );
        text.write_str(&service).unwrap_or_default();
    }
    text.push_str("volumes:\n  data:\n");
    text
}
