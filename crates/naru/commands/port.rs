//! `naru port`.

use naru_supervisor::observe::{self, Seen};

use super::{services, status};
use crate::conversation::revive;
use crate::error::{Blame, CommandError};
use crate::settings::Settings;
use crate::ui::Printer;

/// Print the public port for a port binding
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The service
    #[arg(value_name = "SERVICE")]
    service: String,
    /// The container's port
    #[arg(value_name = "PRIVATE_PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Which container, if the service has several
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    index: u32,
    /// tcp or udp
    #[arg(long, value_name = "PROTOCOL", default_value = "tcp", ignore_case = true, value_parser = ["tcp", "udp"])]
    protocol: String,
}

/// Runs the command.
pub(crate) fn run(args: &Args, settings: &Settings, printer: &Printer) -> Result<u8, CommandError> {
    let named = std::slice::from_ref(&args.service);
    let target = settings.target(named)?;
    services::check(named, &target)?;
    revive(&settings.directories, &target.name, printer);
    let containers = observe::containers(&target.directories)
        .host(format!("look at project {}", target.name))?;
    let seen = chosen(args, containers)?;
    let published = status::publishers(&seen.record.ports);
    let protocol = args.protocol.to_ascii_lowercase();
    match published.iter().find(|port| port.is_of(args.port, &protocol)) {
        Some(port) => {
            printer.data(&format!("{}\n", port.place()))?;
            Ok(0)
        }
        None => Err(CommandError::user(not_published(args.port, &protocol, &seen))),
    }
}

/// The service's container of this number, else its first one.
fn chosen(args: &Args, containers: Vec<Seen>) -> Result<Seen, CommandError> {
    let service = &args.service;
    let mut its: Vec<_> = containers
        .into_iter()
        .filter(|seen| seen.record.service == *service && seen.is_running())
        .filter(|seen| args.index == 0 || seen.record.number == args.index)
        .collect();
    // One-off containers last.
    its.sort_by_key(|seen| (seen.record.is_one_off(), seen.record.number));
    its.into_iter().next().ok_or_else(|| match args.index {
        0 => CommandError::user(format!("service \"{service}\" is not running")),
        index => {
            CommandError::user(format!("service \"{service}\" is not running container #{index}"))
        }
    })
}

fn not_published(port: u16, protocol: &str, seen: &Seen) -> String {
    let has = status::ports(&status::publishers(&seen.record.ports));
    let has = if has.is_empty() { String::new() } else { format!(": {has}") };
    format!("no port {port}/{protocol} for container {}{has}", seen.record.name)
}

#[cfg(test)]
mod tests {
    use naru_state::record::Port;

    use super::*;

    #[test]
    fn the_place_of_a_port_is_written_so_that_a_client_can_use_it() {
        let port = |host_ip: &str, host_port, protocol: &str| Port {
            host_ip: host_ip.into(),
            host_port,
            container_port: 80,
            protocol: protocol.into(),
        };
        let check = |ports: &[Port], protocol: &str, expected: Option<&str>| {
            let published = status::publishers(ports);
            let found = published.iter().find(|port| port.is_of(80, protocol));
            assert_eq!(found.map(status::Publisher::place).as_deref(), expected);
        };
        check(&[port("", 8080, "tcp")], "tcp", Some("0.0.0.0:8080"));
        check(&[port("::1", 8080, "tcp")], "tcp", Some("[::1]:8080"));
        check(&[port("", 8080, "tcp"), port("127.0.0.1", 53, "udp")], "udp", Some("127.0.0.1:53"));
        check(&[port("", 8080, "tcp")], "udp", None);
    }
}
