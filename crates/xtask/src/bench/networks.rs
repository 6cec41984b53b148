//! What networks cost: a hundred services on one, and the way from container to container.

use std::process::Command;

use anyhow::Result;

use super::compose::{self, Taken};
use super::installed::Naru;
use super::peers::SHARE;
use super::ports::{Namespace, wait_for};
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};
use super::{Bench, join};
use crate::task;

/// How much more a service may cost among many than among few.
const MOST_GROWTH: f64 = 1.5;

/// Many services, and few.
const SERVICES: [usize; 2] = [100, 10];

/// Rounds in which docker compose starts as many: each takes it half a minute.
const DOCKER_ROUNDS: u32 = 3;

/// The time of 95 % of a rate.
const NEARLY_ALL: f64 = 1.053;

const IMAGE: &str = "naru-bench-networks";

/// The ways from one to another that are measured, and where the server is on each.
const WAYS: [(Way, &str); 3] =
    [(Way::Naru, "10.76.8.2:80"), (Way::Docker, "10.76.9.2:80"), (Way::Plain, "10.76.7.2:80")];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Naru,
    Docker,
    /// Over a bridge in a namespace of its own, between two further ones with nothing but their addresses.
    Plain,
}

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    join::measure(bench, table)?;
    services(bench, table)?;
    let scene = Scene::prepare(bench)?;
    let measured = scene.measure(table);
    scene.remove()?;
    measured
}

/// `up` and `down` of many services on one network, for each of them, beside few.
fn services(bench: &Bench, table: &mut Table) -> Result<()> {
    let (mut ours, mut theirs) = (SERVICES.map(|_| Taken::default()), Taken::default());
    let naru = Naru::prepare(bench)?;
    for round in 0..=bench.rounds {
        for (services, all) in SERVICES.iter().zip(&mut ours) {
            let folder = compose::folder(bench, *services)?;
            let taken = naru.round(bench, &folder);
            if round > 0 {
                all.add(taken);
            }
            if *services == SERVICES[0] && round > 0 && round <= DOCKER_ROUNDS {
                theirs.add(compose::docker_round(bench, &folder));
            }
        }
    }
    naru.remove();
    let each = |samples: Option<Samples>, services: usize| -> Samples {
        let (samples, services) = (compose::taken(samples)?, u32::try_from(services));
        let services = f64::from(services.unwrap_or(u32::MAX));
        Ok(samples.iter().map(|time| time / services).collect())
    };
    let [many, few] = ours;
    for (verb, many, few, docker) in
        [("up -d", many.up, few.up, theirs.up), ("down", many.down, few.down, theirs.down)]
    {
        let few =
            Other { name: "of 10", samples: each(few, SERVICES[1]), at_most: Some(MOST_GROWTH) };
        let docker = each(docker, SERVICES[0]);
        table.row(&Row {
            what: &format!("`{verb}` of 100 services on one network, for each"),
            unit: Unit::Milliseconds,
            naru: &each(many, SERVICES[0]),
            at_most: None,
            others: &[
                few,
                Other { name: "docker compose, of 100", samples: docker, at_most: None },
            ],
        });
    }
    Ok(())
}

/// A server and a client, three times.
struct Scene<'a> {
    bench: &'a Bench,
    naru: Naru,
    client: Namespace,
    /// These two only have to stay.
    _server: Namespace,
    _bridge: Namespace,
}

impl<'a> Scene<'a> {
    fn prepare(bench: &'a Bench) -> Result<Self> {
        // Renamed: one of an earlier run may be executed still.
        let program = bench.root().join("bin/naru-bench");
        fs_err::copy(&bench.clock, program.with_extension("new"))?;
        fs_err::rename(program.with_extension("new"), &program)?;
        let sleep = || Namespace::running(Command::new("sleep").arg("infinity"));
        let (bridge, client) = (sleep()?, sleep()?);
        let server = Namespace::running(Command::new(&bench.clock).args(["serve", "80"]))?;
        plain_bridge(&bridge, &server, &client)?;
        docker(bench);
        let naru = start_naru(bench)?;
        Ok(Self { bench, naru, client, _server: server, _bridge: bridge })
    }

    /// `naru-bench` with these words and the server's address, where this way begins.
    fn client(&self, way: Way, words: &[&str]) -> Samples {
        match way {
            Way::Naru => {
                let exec = ["exec", "-T", "client", "naru-bench"];
                clocked(self.naru.command().args(exec).args(words))
            }
            Way::Docker => {
                let exec = ["docker", "exec", "naru-bench-networks-client", "/own/naru-bench"];
                clocked(&mut self.bench.peers.command("exec", exec.iter().chain(words))?)
            }
            Way::Plain => clocked(self.client.command(&self.bench.clock).args(words)),
        }
    }

    fn measure(&self, table: &mut Table) -> Result<()> {
        for (way, to) in WAYS {
            wait_for(&format!("{way:?}"), way == Way::Docker, || {
                self.client(way, &["ping", to, "--times", "1"])
            })?;
        }
        for (what, words, unit, most) in [
            ("1 GiB from container to container", "bulk", Unit::Milliseconds, Some(NEARLY_ALL)),
            (
                "a byte and its answer, from container to container",
                "ping",
                Unit::Microseconds,
                None,
            ),
        ] {
            let mut all = WAYS.map(|_| Ok(Vec::new()));
            for round in 0..=self.bench.rounds {
                for (samples, (way, to)) in all.iter_mut().zip(WAYS) {
                    let taken = self.client(way, &[words, to]);
                    if round > 0 {
                        gather(samples, taken);
                    }
                }
            }
            let [ours, docker, plain] = all;
            let others = [
                Other { name: "a plain bridge", samples: plain, at_most: most },
                Other { name: "docker", samples: docker, at_most: None },
            ];
            table.row(&Row { what, unit, naru: &ours, at_most: None, others: &others });
        }
        Ok(())
    }

    fn remove(self) -> Result<()> {
        remove_docker(self.bench);
        self.naru.take_down()
    }
}

/// A bridge with a link to each of the two: .2 is the server.
fn plain_bridge(bridge: &Namespace, server: &Namespace, client: &Namespace) -> Result<()> {
    bridge.ip("link add br0 type bridge")?;
    bridge.ip("link set br0 up")?;
    for (number, end) in [(2, server), (3, client)] {
        let pid = end.id();
        bridge
            .ip(&format!("link add p{number} master br0 type veth peer name eth0 netns {pid}"))?;
        bridge.ip(&format!("link set p{number} up"))?;
        end.ip("link set lo up")?;
        end.ip(&format!("address add 10.76.7.{number}/24 dev eth0"))?;
        end.ip("link set eth0 up")?;
    }
    Ok(())
}

fn start_naru(bench: &Bench) -> Result<Naru> {
    let naru = Naru::with_image(bench, "/var/tmp/naru-bench-networks", IMAGE)?;
    let service = |name: &str, command: &str, address: &str| {
        format!(
            "  {name}:\n    image: {IMAGE}\n    command: {command}\n    networks: {{ one: {{ ipv4_address: {address} }} }}\n"
        )
    };
    naru.write(&format!(
        "name: naru-bench-networks\nservices:\n{}{}networks:\n  one: {{ ipam: {{ config: [{{ subnet: 10.76.8.0/24 }}] }} }}\n",
        service("server", "[naru-bench, serve, \"80\"]", "10.76.8.2"),
        service("client", "[sleep, \"86400\"]", "10.76.8.3"),
    ))?;
    task::run(naru.command().args(["up", "-d"]))?;
    Ok(naru)
}

/// The same two containers of docker's. What fails here is seen by every round.
fn docker(bench: &Bench) {
    remove_docker(bench);
    if let Ok(mut image) = bench.peers.command("image", [IMAGE]) {
        drop(image.output());
    }
    let run = |name: &str, address: &str, command: &str| {
        format!(
            "docker run -d --name {IMAGE}-{name} --network {IMAGE} --ip {address} -v {SHARE}/rootfs/bin:/own:ro \
             {IMAGE} {command}"
        )
    };
    let script = format!(
        "docker network create --subnet 10.76.9.0/24 {IMAGE} && {} && {}",
        run("server", "10.76.9.2", "/own/naru-bench serve 80"),
        run("client", "10.76.9.3", "sleep 86400"),
    );
    shell(bench, &script);
}

fn remove_docker(bench: &Bench) {
    shell(bench, &format!("docker rm -f {IMAGE}-server {IMAGE}-client; docker network rm {IMAGE}"));
}

fn shell(bench: &Bench, script: &str) {
    if let Ok(mut command) = bench.peers.command("exec", ["sh", "-c", script]) {
        drop(command.output());
    }
}
