//! What the network of one container costs: naru's own crate, used as the supervisor uses it.

use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use naru_net::{Endpoint, MacAddress, Network, Subnet, container, names, network};
use nix::sched::{CloneFlags, unshare};

/// Name and id of the network.
const ID: &str = "naru-bench-join";

/// How long is waited for the links of the last time to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is made.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Containers {
    /// How many network namespaces join the network
    #[arg(long, default_value_t = 20)]
    containers: u8,
    /// How many of them at the same time
    #[arg(long, default_value_t = 1)]
    at_once: usize,
    /// With addresses of IPv6 too
    #[arg(long)]
    ipv6: bool,
}

/// How long each of them takes to have all of its network: loopback, link, addresses, route and the name server's
/// sockets. With several at the same time, the time of all divided by their number.
pub(crate) fn join(asked: &Containers) -> Result<Vec<Duration>> {
    let network = bridge_network(asked.ipv6)?;
    let count = usize::from(asked.containers);
    let namespaces = (0..count).map(|_| namespace()).collect::<Result<Vec<_>>>()?;
    network::create(&network)?;
    let begin = Instant::now();
    let all = (1..).zip(&namespaces).collect::<Vec<_>>();
    let (share, mut times) = (count.div_ceil(asked.at_once.max(1)), Vec::new());
    thread::scope(|scope| {
        let workers: Vec<_> = all
            .chunks(share.max(1))
            .map(|part| scope.spawn(|| part.iter().map(|(n, at)| one(&network, *n, at)).collect()))
            .collect();
        for worker in workers {
            let part: Result<Vec<_>> = worker.join().map_err(|_| anyhow!("a worker panicked"))?;
            times.extend(part?);
        }
        anyhow::Ok(())
    })?;
    if asked.at_once > 1 {
        times = vec![begin.elapsed() / u32::from(asked.containers)];
    }
    drop(namespaces);
    network::delete_group(network.group)?;
    network::wait_unlisted(network.group, PATIENCE)?;
    Ok(times)
}

fn bridge_network(ipv6: bool) -> Result<Network> {
    let v4 = Ipv4Network::new(Ipv4Addr::new(10, 76, 0, 0), 16)?;
    let v6 = Ipv6Network::new("fd76::".parse()?, 64)?;
    let subnets = [IpNetwork::V4(v4), IpNetwork::V6(v6)];
    Ok(Network {
        id: ID.to_owned(),
        kind: naru_net::Kind::Bridge,
        bridge: names::bridge(ID),
        group: names::group(ID),
        subnets: subnets[..1 + usize::from(ipv6)].iter().copied().map(Subnet::new).collect(),
        internal: false,
        mtu: None,
        interface_prefix: "eth".to_owned(),
        isolated: false,
    })
}

/// A new network namespace, as a new container has it.
fn namespace() -> Result<OwnedFd> {
    let make = || -> Result<OwnedFd> {
        unshare(CloneFlags::CLONE_NEWNET)?;
        Ok(fs_err::File::open("/proc/thread-self/ns/net")?.into_file().into())
    };
    thread::spawn(make).join().map_err(|_| anyhow!("a thread panicked"))?
}

fn one(network: &Network, number: u16, netns: &OwnedFd) -> Result<Duration> {
    let address = |subnet: &Subnet| {
        let host = u32::from(number) + 1;
        let address = match subnet.network {
            IpNetwork::V4(own) => own.nth(host).map(Into::into),
            IpNetwork::V6(own) => own.nth(host.into()).map(Into::into),
        };
        Some(network.interface_address(address?))
    };
    let addresses: Vec<_> = network.subnets.iter().filter_map(address).collect();
    let first = addresses.first().context("the subnet is full")?;
    let host_side = names::host_side(&number.to_string(), ID);
    let endpoint = Endpoint {
        interface: "eth0",
        addresses: &addresses,
        mac: MacAddress::of_first([first.ip()]),
        routes: network.routes(),
        parameters: &[],
        senders: &naru_net::guard::Senders::Own,
        host_side: &host_side,
        netns: netns.as_fd(),
    };
    let begin = Instant::now();
    let sockets = container::set_up(netns.as_fd(), &[(network, endpoint)])?;
    let taken = begin.elapsed();
    drop(sockets.context("a container with a network has a name server")?);
    Ok(taken)
}
