//! `naru network create`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnetwork::IpNetwork;
use naru_compose::project::{Ipam, IpamPool, Network};
use naru_supervisor::network::shared;

use super::failed;
use crate::error::CommandError;
use crate::settings::Settings;
use crate::ui::Printer;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its name
    #[arg(value_name = "NETWORK")]
    name: String,
    /// Let containers of others join (always so)
    #[arg(long)]
    attachable: bool,
    /// An address that no container gets: `NAME=ADDRESS`
    #[arg(long = "aux-address", value_name = "NAME=ADDRESS")]
    aux_addresses: Vec<String>,
    /// Driver
    #[arg(short, long, value_name = "DRIVER", default_value = "bridge")]
    driver: String,
    /// The way out of a subnet
    #[arg(long = "gateway", value_name = "ADDRESS")]
    gateways: Vec<String>,
    /// Nothing outside is reached from it
    #[arg(long)]
    internal: bool,
    /// The part of a subnet that addresses are chosen from
    #[arg(long = "ip-range", value_name = "SUBNET")]
    ip_ranges: Vec<String>,
    /// Where addresses come from
    #[arg(long, value_name = "DRIVER", default_value = "default", value_parser = ["default"])]
    ipam_driver: String,
    /// With IPv4, or not
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    ipv4: bool,
    /// With IPv6
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true", action = clap::ArgAction::Set)]
    ipv6: bool,
    /// A label: `KEY=VALUE`
    #[arg(long = "label", value_name = "KEY=VALUE")]
    labels: Vec<String>,
    /// An option of the driver: `KEY=VALUE`
    #[arg(short, long = "opt", value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Where it is known
    #[arg(long, value_name = "SCOPE", default_value = "local", value_parser = ["local"])]
    scope: String,
    /// A subnet
    #[arg(long = "subnet", value_name = "SUBNET")]
    subnets: Vec<String>,
}

pub(super) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let made = shared::create(&settings.directories, &model(args)?).map_err(failed)?;
    printer.data_line(&made.id)?;
    Ok(0)
}

/// The network as a file would say it.
fn model(args: &Args) -> Result<Network, CommandError> {
    Ok(Network {
        name: args.name.clone(),
        driver: args.driver.clone(),
        driver_opts: map(&args.options),
        ipam: Ipam { config: pools(args)?, ..Ipam::default() },
        internal: args.internal,
        attachable: args.attachable,
        labels: map(&args.labels),
        enable_ipv4: Some(args.ipv4),
        enable_ipv6: args.ipv6.then_some(true),
        ..Network::default()
    })
}

fn map(words: &[String]) -> BTreeMap<String, String> {
    let pair = |word: &String| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        (key.to_owned(), value.to_owned())
    };
    words.iter().map(pair).collect()
}

/// Ranges, gateways and addresses each go with the subnet that they are of.
fn pools(args: &Args) -> Result<Vec<IpamPool>, CommandError> {
    let mut pools: Vec<_> = args
        .subnets
        .iter()
        .map(|subnet| IpamPool { subnet: subnet.clone(), ..IpamPool::default() })
        .collect();
    for gateway in &args.gateways {
        let pool = of(&mut pools, gateway, "gateway")?;
        gateway.clone_into(&mut pool.gateway);
    }
    for range in &args.ip_ranges {
        let first = range.split('/').next().unwrap_or(range);
        let pool = of(&mut pools, first, "range")?;
        range.clone_into(&mut pool.ip_range);
    }
    for (name, address) in map(&args.aux_addresses) {
        of(&mut pools, &address, "aux-address")?.aux_addresses.insert(name, address);
    }
    Ok(pools)
}

fn of<'a>(
    pools: &'a mut [IpamPool],
    address: &str,
    kind: &str,
) -> Result<&'a mut IpamPool, CommandError> {
    let parsed: Option<IpAddr> = address.parse().ok();
    let holds = |pool: &&mut IpamPool| {
        let subnet: Option<IpNetwork> = pool.subnet.parse().ok();
        subnet.zip(parsed).is_some_and(|(subnet, address)| subnet.contains(address))
    };
    let none = || CommandError::user(format!("no matching subnet for {kind} {address}"));
    pools.iter_mut().find(holds).ok_or_else(none)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn read(line: &str) -> Result<Network, String> {
        let words = std::iter::once("create").chain(line.split(' '));
        let line = Line::try_parse_from(words).map_err(|error| error.to_string())?;
        model(&line.args).map_err(|error| error.message())
    }

    #[test]
    fn ranges_gateways_and_addresses_go_with_the_subnet_that_they_are_of() {
        let line = "--subnet 10.9.0.0/24 --subnet fd00::/64 --gateway fd00::9 --ip-range 10.9.0.128/25 \
            --aux-address a=10.9.0.5 --ipv6 -o com.docker.network.driver.mtu=1400 --label x front";
        let network = read(&line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
        let [first, second] = network.ipam.config.as_slice() else { panic!("{network:?}") };
        assert_eq!((first.ip_range.as_str(), first.gateway.as_str()), ("10.9.0.128/25", ""));
        assert_eq!(first.aux_addresses["a"], "10.9.0.5");
        assert_eq!(second.gateway, "fd00::9");
        assert_eq!(network.enable_ipv6, Some(true));
        assert_eq!(network.labels["x"], "");
        let error = read("--subnet 10.9.0.0/24 --gateway 10.8.0.1 front").unwrap_err();
        assert_eq!(error, "no matching subnet for gateway 10.8.0.1");
    }
}
