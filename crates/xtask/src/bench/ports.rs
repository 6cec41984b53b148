//! Published ports: naru's proxy beside docker's and beside a plain link, on localhost and from a neighbour, and the
//! kernel's address translation of both.
//!
//! The plain link is a pair of interfaces to a namespace with the same server; a neighbour reaches it over the host, as it
//! reaches containers. Docker translates what a neighbour sends over IPv4, so its proxy is met over IPv6.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use super::Bench;
use super::installed::Naru;
use super::peers::SHARE;
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};
use crate::task;

const IMAGE: &str = "naru-bench-ports";
const CONTAINER: &str = "naru-bench-ports";

/// The most that the proxy may add to the time of a byte and its answer, in microseconds.
const MOST_ADDED: f64 = 15.0;

/// Half the rate of the plain link: twice its time.
const HALF: f64 = 2.0;

/// Nine tenths of it.
const NINE_TENTHS: f64 = 1.11;

/// Where something is measured from, and to: a row's column.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Way {
    DirectLocal,
    DirectNeighbour,
    ProxyLocal,
    ProxyNeighbour,
    NatNeighbour,
    DockerLocal,
    DockerProxyNeighbour,
    DockerNatNeighbour,
}

impl Way {
    const ALL: [Self; 8] = [
        Self::DirectLocal,
        Self::DirectNeighbour,
        Self::ProxyLocal,
        Self::ProxyNeighbour,
        Self::NatNeighbour,
        Self::DockerLocal,
        Self::DockerProxyNeighbour,
        Self::DockerNatNeighbour,
    ];

    fn to(self) -> &'static str {
        match self {
            Self::DirectLocal | Self::DirectNeighbour => "10.77.0.2:80",
            Self::ProxyLocal => "127.0.0.1:18080",
            Self::ProxyNeighbour => "10.78.0.1:18080",
            Self::NatNeighbour => "10.78.0.1:18081",
            Self::DockerLocal => "127.0.0.1:18080",
            Self::DockerProxyNeighbour => "[fd79::1]:18080",
            Self::DockerNatNeighbour => "10.79.0.1:18080",
        }
    }
}

/// The namespaces, links, and containers of the measurement.
struct Scene<'a> {
    bench: &'a Bench,
    server: Namespace,
    neighbour: Namespace,
    /// Of docker; the reason where there is none.
    stranger: Result<Namespace, String>,
    naru: Naru,
}

/// A network namespace that lives as long as a process in it.
pub(super) struct Namespace(Child);

impl Drop for Namespace {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let scene = Scene::prepare(bench)?;
    let measured = scene.measure(table);
    scene.remove()?;
    measured
}

impl<'a> Scene<'a> {
    fn prepare(bench: &'a Bench) -> Result<Self> {
        // Renamed: one of an earlier run may be executed still.
        let program = bench.root().join("bin/naru-bench");
        fs_err::copy(&bench.clock, program.with_extension("new"))?;
        fs_err::rename(program.with_extension("new"), &program)?;
        let server = Namespace::running(Command::new(&bench.clock).args(["serve", "80"]))?;
        link(&server, "10.77.0", None)?;
        let neighbour = Namespace::running(Command::new("sleep").arg("infinity"))?;
        link(&neighbour, "10.78.0", Some("fd78:"))?;
        // Before naru comes: it would forward for nobody else.
        fs_err::write("/proc/sys/net/ipv4/ip_forward", "1")?;
        Ok(Self {
            bench,
            server,
            neighbour,
            stranger: docker(bench).map_err(|error| format!("{error:#}").replace('|', "/")),
            naru: start_naru(bench)?,
        })
    }

    /// `naru-bench` with these words, where this way begins.
    fn client(&self, way: Way, words: &[&str]) -> Samples {
        use Way::{
            DirectLocal, DirectNeighbour, DockerLocal, DockerNatNeighbour, DockerProxyNeighbour,
            NatNeighbour, ProxyLocal, ProxyNeighbour,
        };
        match way {
            DirectLocal | ProxyLocal => clocked(Command::new(&self.bench.clock).args(words)),
            DirectNeighbour | ProxyNeighbour | NatNeighbour => {
                clocked(self.neighbour.command(&self.bench.clock).args(words))
            }
            DockerProxyNeighbour | DockerNatNeighbour => {
                let stranger = self.stranger.as_ref().map_err(Clone::clone)?;
                clocked(stranger.command(&self.bench.clock).args(words))
            }
            DockerLocal => {
                self.stranger.as_ref().map_err(Clone::clone)?;
                let clock = format!("{SHARE}/naru-bench");
                let words = std::iter::once(clock.as_str()).chain(words.iter().copied());
                clocked(&mut self.bench.peers.command("exec", words)?)
            }
        }
    }

    fn measure(&self, table: &mut Table) -> Result<()> {
        for way in Way::ALL {
            let is_dockers = way >= Way::DockerLocal;
            wait_for(&format!("{way:?}"), is_dockers, || {
                self.client(way, &["ping", way.to(), "--times", "1"])
            })?;
        }
        let ping = self.rounds(&Way::ALL, |way| vec!["ping", way.to()]);
        self.latency(table, &ping);
        let bulk = self.rounds(&Way::ALL, |way| vec!["bulk", way.to()]);
        self.rates(table, &bulk);
        const FROM: &str =
            "127.0.0.1,127.0.0.2,127.0.0.3,127.0.0.4,127.0.0.5,127.0.0.6,127.0.0.7,127.0.0.8";
        let bursts = [Way::ProxyLocal, Way::DockerLocal];
        let burst = self.rounds(&bursts, |way| vec!["burst", way.to(), "--from", FROM]);
        table.row(&Row {
            what: "20,000 connections from 8 addresses, none refused: localhost",
            unit: Unit::Milliseconds,
            naru: &burst[0],
            at_most: None,
            others: &[Other {
                name: "docker-proxy",
                samples: burst[1].clone(),
                at_most: Some(1.0),
            }],
        });
        Ok(())
    }

    /// Every way once a round; the first round warms caches up and is not counted.
    fn rounds(&self, ways: &[Way], words: impl Fn(Way) -> Vec<&'static str>) -> Vec<Samples> {
        let mut all: Vec<Samples> = ways.iter().map(|_| Ok(Vec::new())).collect();
        for round in 0..=self.bench.rounds {
            for (samples, way) in all.iter_mut().zip(ways) {
                let taken = self.client(*way, &words(*way));
                if round > 0 {
                    gather(samples, taken);
                }
            }
        }
        all
    }

    fn latency(&self, table: &mut Table, all: &[Samples]) {
        let of = |way: Way| all[way as usize].clone();
        for (place, own, direct, other) in [
            ("localhost", Way::ProxyLocal, Way::DirectLocal, Way::DockerLocal),
            ("a neighbour", Way::ProxyNeighbour, Way::DirectNeighbour, Way::DockerProxyNeighbour),
        ] {
            let added = added(&of(own), &of(direct));
            table.row(&Row {
                what: &format!("a byte and its answer from {place}: what the proxy adds"),
                unit: Unit::Microseconds,
                naru: &added,
                at_most: Some(MOST_ADDED),
                others: &[Other {
                    name: "docker-proxy, against the same link",
                    samples: self::added(&of(other), &of(direct)),
                    at_most: Some(1.0),
                }],
            });
        }
        table.row(&Row {
            what: "a byte and its answer from a neighbour, `nat`",
            unit: Unit::Microseconds,
            naru: &of(Way::NatNeighbour),
            at_most: None,
            others: &[
                Other { name: "docker's NAT", samples: of(Way::DockerNatNeighbour), at_most: None },
                Other { name: "direct", samples: of(Way::DirectNeighbour), at_most: None },
            ],
        });
    }

    fn rates(&self, table: &mut Table, all: &[Samples]) {
        let of = |way: Way| all[way as usize].clone();
        for (what, own, others) in [
            (
                "1 GiB through the proxy, to localhost",
                Way::ProxyLocal,
                [("docker-proxy", Way::DockerLocal, 1.0), ("direct", Way::DirectLocal, HALF)],
            ),
            (
                "1 GiB through the proxy, to a neighbour",
                Way::ProxyNeighbour,
                [
                    ("docker-proxy", Way::DockerProxyNeighbour, 1.0),
                    ("direct", Way::DirectNeighbour, HALF),
                ],
            ),
            (
                "1 GiB by `nat`, to a neighbour",
                Way::NatNeighbour,
                [
                    ("docker's NAT", Way::DockerNatNeighbour, 1.0),
                    ("direct", Way::DirectNeighbour, NINE_TENTHS),
                ],
            ),
        ] {
            let other = |(name, way, most)| Other { name, samples: of(way), at_most: Some(most) };
            let row = Row {
                what,
                unit: Unit::Milliseconds,
                naru: &of(own),
                at_most: None,
                others: &others.map(other),
            };
            table.row(&row);
        }
    }

    fn remove(self) -> Result<()> {
        self.naru.take_down()?;
        // Fails when it was never there.
        drop(
            self.bench
                .peers
                .command("exec", ["docker", "rm", "-f", CONTAINER])
                .map(|mut it| it.output()),
        );
        drop(self.server);
        Ok(())
    }
}

/// Until a server answers; one of docker's may be missing.
pub(super) fn wait_for(way: &str, is_dockers: bool, ask: impl Fn() -> Samples) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let answer = ask();
        if answer.is_ok() || is_dockers && Instant::now() > deadline {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{way} is not answered: {answer:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn start_naru(bench: &Bench) -> Result<Naru> {
    let naru = Naru::with_image(bench, "/var/tmp/naru-bench-ports", IMAGE)?;
    naru.write(&format!(
        "name: naru-bench-ports\nservices:\n  a:\n    image: {IMAGE}\n    command: [naru-bench, serve, \"80\"]\n\
         \x20   ports:\n      - 18080:80\n      - {{target: 80, published: 18081, x-naru-publish: nat}}\n"
    ))?;
    task::run(naru.command().args(["up", "-d"]))?;
    Ok(naru)
}

impl Namespace {
    pub(super) fn running(command: &mut Command) -> Result<Self> {
        let own = fs_err::read_link("/proc/self/ns/net")?;
        let program = command.get_program().to_owned();
        let mut inside = Command::new("unshare");
        inside.arg("--net").arg("--").arg(program).args(command.get_args());
        let child = inside.stdin(Stdio::null()).stdout(Stdio::null()).spawn()?;
        let namespace = Self(child);
        let deadline = Instant::now() + Duration::from_secs(5);
        while fs_err::read_link(namespace.path()).is_ok_and(|its| its == own) {
            ensure!(Instant::now() < deadline, "no network namespace was made");
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(namespace)
    }

    fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/{}/ns/net", self.0.id()))
    }

    pub(super) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.path().display())).arg("--").arg(program);
        command
    }

    /// `ip` inside, with these words.
    pub(super) fn ip(&self, words: &str) -> Result<()> {
        task::run(self.command(Path::new("ip")).args(words.split(' ')))
    }
}

fn ip(words: &str) -> Result<()> {
    task::run(Command::new("ip").args(words.split(' ')))
}

/// A link between this namespace (.1) and that one (.2), which sends everything through it.
fn link(to: &Namespace, net: &str, net6: Option<&str>) -> Result<()> {
    let (near, far) = (format!("n{}", &net[3..5]), "eth0");
    ip(&format!("link add {near} type veth peer name {far} netns {}", to.0.id()))?;
    ip(&format!("address add {net}.1/24 dev {near}"))?;
    ip(&format!("link set {near} up"))?;
    address_inside(to, net, net6)?;
    match net6 {
        Some(net6) => ip(&format!("address add {net6}:1/64 dev {near} nodad")),
        None => Ok(()),
    }
}

fn address_inside(to: &Namespace, net: &str, net6: Option<&str>) -> Result<()> {
    to.ip("link set lo up")?;
    to.ip(&format!("address add {net}.2/24 dev eth0"))?;
    to.ip("link set eth0 up")?;
    if let Some(net6) = net6 {
        to.ip(&format!("address add {net6}:2/64 dev eth0 nodad"))?;
    }
    to.ip(&format!("route add default via {net}.1"))
}

/// Docker's container and a neighbour of docker's namespace.
fn docker(bench: &Bench) -> Result<Namespace> {
    const PEERS: &str = "/run/netns/peers";
    let peers = |words: &[&str]| -> Result<()> {
        let command = bench.peers.command("exec", words).map_err(anyhow::Error::msg);
        task::run(command?.stdout(Stdio::null()))
    };
    let image = bench.peers.command("image", [IMAGE]).map_err(anyhow::Error::msg);
    task::run(&mut image?)?;
    drop(peers(&[
        "sh",
        "-c",
        "docker rm -f naru-bench-ports 2>/dev/null; ip link del n79 2>/dev/null; true",
    ]));
    let stranger = Namespace::running(Command::new("sleep").arg("infinity"))?;
    ip(&format!("link add n79 netns {PEERS} type veth peer name eth0 netns {}", stranger.0.id()))?;
    peers(&["ip", "address", "add", "10.79.0.1/24", "dev", "n79"])?;
    peers(&["ip", "link", "set", "n79", "up"])?;
    peers(&["ip", "address", "add", "fd79::1/64", "dev", "n79", "nodad"])?;
    address_inside(&stranger, "10.79.0", Some("fd79:"))?;
    let share = format!("{SHARE}/rootfs/bin:/own:ro");
    let run = ["docker", "run", "-d", "--name", CONTAINER, "-p", "18080:80", "-v", &share, IMAGE];
    let server = ["/own/naru-bench", "serve", "80"];
    peers(&[run.as_slice(), &server].concat())?;
    Ok(stranger)
}

/// What one way takes more than another, round by round.
fn added(way: &Samples, direct: &Samples) -> Samples {
    let (way, direct) =
        (way.as_ref().map_err(Clone::clone)?, direct.as_ref().map_err(Clone::clone)?);
    Ok(way.iter().zip(direct).map(|(way, direct)| way - direct).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_taken_round_by_round() {
        assert_eq!(added(&Ok(vec![30.0, 20.0]), &Ok(vec![10.0, 15.0])), Ok(vec![20.0, 5.0]));
        assert_eq!(added(&Err("no".into()), &Ok(vec![1.0])), Err("no".to_owned()));
    }

    #[test]
    fn every_way_leads_to_an_address() {
        for way in Way::ALL {
            assert!(way.to().parse::<std::net::SocketAddr>().is_ok(), "{way:?}");
        }
    }
}
