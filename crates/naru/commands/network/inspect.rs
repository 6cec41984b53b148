//! `naru network inspect`.

use std::collections::BTreeMap;

use naru_net::MacAddress;
use naru_state::record;
use naru_supervisor::network::shared::{self, Known, User};
use serde_json::{Map, Value, json};

use super::{failed, filter};
use crate::error::CommandError;
use crate::settings::Settings;
use crate::time;
use crate::ui::Printer;

/// The arguments.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, or what ids begin with
    #[arg(value_name = "NETWORK", required = true)]
    networks: Vec<String>,
    /// Format the output: json
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    format: Option<String>,
    /// Accepted for docker: everything is shown anyway
    #[arg(short, long)]
    verbose: bool,
}

pub(super) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let mut found = Vec::new();
    let mut problem = None;
    for word in &args.networks {
        match shared::find(&settings.directories, word) {
            Ok(mut known) => {
                let users = shared::users(&settings.directories, &known).map_err(failed)?;
                filter::label(&mut known);
                found.push(object(&known, &users));
            }
            Err(failure) => problem = problem.or(Some(failure)),
        }
    }
    let text = match args.format {
        // One line, as docker has it.
        Some(_) => serde_json::to_string(&found),
        None => serde_json::to_string_pretty(&found),
    };
    printer.data_line(&text.unwrap_or_default())?;
    match problem {
        Some(failure) => Err(failed(failure)),
        None => Ok(0),
    }
}

/// A network as `docker network inspect` has it.
fn object(known: &Known, users: &[User]) -> Value {
    let record::Network { name, id, driver, subnets, internal, attachable, .. } = &known.record;
    let containers: Map<String, Value> = users
        .iter()
        .filter(|user| user.container.is_running())
        .map(|user| (user.container.record.id.to_string(), container(&known.record, user)))
        .collect();
    json!({
        "Name": name,
        "Id": id,
        "Created": time::rfc3339_nano(known.record.created_ns),
        "Scope": "local",
        "Driver": driver.name(),
        "EnableIPv4": subnets.iter().any(|subnet| subnet.subnet.is_ipv4()),
        "EnableIPv6": known.record.has_ipv6(),
        "IPAM": {
            "Driver": "default",
            "Options": {},
            "Config": subnets.iter().map(pool).collect::<Vec<_>>(),
        },
        "Internal": internal,
        "Attachable": attachable,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": known.record.options,
        "Labels": known.record.labels,
    })
}

fn pool(subnet: &record::Subnet) -> Value {
    let mut pool = BTreeMap::from([("Subnet", json!(subnet.subnet))]);
    if let Some(gateway) = subnet.gateway {
        pool.insert("Gateway", json!(gateway));
    }
    if let Some(range) = subnet.ip_range {
        pool.insert("IPRange", json!(range));
    }
    if !subnet.reserved.is_empty() {
        pool.insert("AuxiliaryAddresses", json!(subnet.reserved));
    }
    json!(pool)
}

fn container(network: &record::Network, user: &User) -> Value {
    let place = &user.place;
    let mac = match place.mac.is_empty() {
        true => MacAddress::of_first(place.addresses()).to_string(),
        false => place.mac.to_lowercase(),
    };
    let with_prefix = |address: Option<std::net::IpAddr>| {
        let subnet = address.and_then(|address| network.subnet_of(address));
        let text = address.zip(subnet);
        text.map(|(address, subnet)| format!("{address}/{}", subnet.subnet.prefix()))
            .unwrap_or_default()
    };
    json!({
        "Name": user.container.record.name,
        "EndpointID": endpoint_id(network, user),
        "MacAddress": mac,
        "IPv4Address": with_prefix(place.address.map(Into::into)),
        "IPv6Address": with_prefix(place.address6.map(Into::into)),
    })
}

/// What tells a container's place in a network from all others: half of each id.
fn endpoint_id(network: &record::Network, user: &User) -> String {
    let half = |id: &str| id.get(..32).unwrap_or(id).to_owned();
    half(user.container.record.id.as_str()) + &half(&network.id)
}
