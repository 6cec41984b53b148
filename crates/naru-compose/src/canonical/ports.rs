//! Ports written as one text: `[[ip:]host:]container[/protocol]`, each with ranges.

use std::net::IpAddr;

use crate::budget::Budget;
use crate::path::Path;
use crate::project::{Port, UnknownProtocol};
use crate::report::Report;
use crate::source::Position;
use crate::tree::{Made, Map, Node, Value};

/// Turns every text of the list into one port per container port.
pub(super) fn expand(node: &mut Node, path: &Path, (budget, report): (&mut Budget, &mut Report)) {
    let Value::List(entries) = &mut node.value else { return };
    // Where variables are not replaced, one text that is no port leaves the whole list as it is.
    let is_port = |text: String| parse(&text, &mut Budget::default()).is_ok();
    let mut texts = entries.iter().filter_map(Node::scalar_text);
    if report.has_templates() && !texts.all(is_port) {
        return;
    }
    let mut ports = Vec::with_capacity(entries.len());
    for (index, mut entry) in std::mem::take(entries).into_iter().enumerate() {
        let Some(text) = entry.scalar_text() else {
            ports.push(entry);
            continue;
        };
        match parse(&text, budget) {
            Ok(found) => ports.extend(
                found
                    .into_iter()
                    .map(|port| Node { past: entry.past.clone(), ..port.into_node(entry.at) }),
            ),
            Err(reason) => {
                let message = format!("`{text}` is not a port: {reason}");
                let hint = "write \"host:container\", \"ip:host:container\" or \"container\"";
                report.error(entry.at, &path.index(index), message).hint(hint);
                entry.value = Value::Broken;
                ports.push(entry);
            }
        }
    }
    *entries = ports;
}

#[derive(Debug, Clone)]
struct Short {
    host_ip: String,
    published: String,
    target: u16,
    protocol: String,
}

impl Short {
    fn into_node(self, at: Position) -> Node {
        let mut map = Map::default();
        let text = |text: String| Node::made_text(at, text, Made::ShortForm);
        map.set("mode", Node::made_text(at, "ingress", Made::PortMode));
        if !self.host_ip.is_empty() {
            map.set("host_ip", text(self.host_ip));
        }
        let target = Value::Int(self.target.into());
        map.set("target", Node::made(at, target, Made::ShortForm));
        if !self.published.is_empty() {
            map.set("published", text(self.published));
        }
        map.set("protocol", text(self.protocol));
        Node::new(at, Value::Map(map))
    }
}

/// The ports of a text, one for each port of a range.
pub(crate) fn ports_of(text: &str, budget: &mut Budget) -> Result<Vec<Port>, String> {
    let port = |short: Short| {
        Ok(Port {
            mode: "ingress".to_owned(),
            host_ip: short.host_ip,
            target: short.target,
            published: (!short.published.is_empty()).then_some(short.published),
            protocol: short.protocol.parse().map_err(|error: UnknownProtocol| error.to_string())?,
            ..Port::default()
        })
    };
    parse(text, budget)?.into_iter().map(port).collect()
}

fn parse(text: &str, budget: &mut Budget) -> Result<Vec<Short>, String> {
    let mut slashes = text.split('/');
    let (address, protocol) = (slashes.next().unwrap_or(""), slashes.next());
    let protocol = protocol.filter(|protocol| !protocol.is_empty());
    let protocol = protocol.unwrap_or("tcp").to_ascii_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("`{protocol}` is not a protocol: tcp, udp or sctp"));
    }
    let (rest, container) = address.rsplit_once(':').unwrap_or(("", address));
    if container.is_empty() {
        return Err("it names no container port".to_owned());
    }
    let (ip, host) = rest.rsplit_once(':').unwrap_or(("", rest));
    let host_ip = host_ip(ip)?;
    let targets = range(container).ok_or_else(|| format!("`{container}` is not a port"))?;
    let published = if host.is_empty() {
        None
    } else {
        Some(range(host).ok_or_else(|| format!("`{host}` is not a port of the machine"))?)
    };
    let (count, hosts) = (targets.len(), published.as_ref().map(ExactSizeIterator::len));
    if hosts.is_some_and(|hosts| hosts != count && count != 1) {
        return Err(format!("the ranges `{host}` and `{container}` have different lengths"));
    }
    budget.ports = budget.ports.checked_sub(count).ok_or("there are too many ports in ranges")?;
    let one = |(index, target): (usize, u16)| Short {
        host_ip: host_ip.clone(),
        published: match &published {
            Some(range) if range.len() == count => {
                range.clone().nth(index).map_or(String::new(), |port| port.to_string())
            }
            Some(range) => format!("{}-{}", range.start, range.end - 1),
            None => String::new(),
        },
        target: target.to_owned(),
        protocol: protocol.clone(),
    };
    let numbers = targets.map(|port| u16::try_from(port).unwrap_or(u16::MAX));
    let mut ports: Vec<Short> = numbers.enumerate().map(one).collect();
    ports.sort_by_key(|port| format!("{}/{}", port.target, port.protocol));
    Ok(ports)
}

fn host_ip(ip: &str) -> Result<String, String> {
    let bare = ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']'));
    if bare.is_none() && ip.contains(':') {
        return Err(format!("write the address `{ip}` in brackets: [{ip}]"));
    }
    let ip = bare.unwrap_or(ip);
    match ip.parse::<IpAddr>() {
        Err(_) if !ip.is_empty() => Err(format!("`{ip}` is not an IP address")),
        _ => Ok(ip.to_owned()),
    }
}

fn range(text: &str) -> Option<std::ops::Range<u32>> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|_| !text.starts_with('+'));
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then(|| u32::from(first)..u32::from(last) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: &str) {
        let found = match parse(text, &mut Budget::default()) {
            Err(reason) => reason,
            Ok(ports) => {
                let one = |port: &Short| {
                    let Short { host_ip, published, target, protocol } = port;
                    format!("{host_ip}|{published}|{target}|{protocol}")
                };
                ports.iter().map(one).collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(found, expect, "{text}");
    }

    #[test]
    fn a_port_has_an_address_a_host_port_a_container_port_and_a_protocol() {
        check("3000", "||3000|tcp");
        check("8080:80/UDP", "|8080|80|udp");
        check("127.0.0.1:8080:80", "127.0.0.1|8080|80|tcp");
        check("127.0.0.1::80", "127.0.0.1||80|tcp");
        check("[::1]:6000:6001", "::1|6000|6001|tcp");
        check(":80", "||80|tcp");
    }

    #[test]
    fn ranges_expand_one_to_one_or_stay_for_a_single_container_port() {
        check("9090-9091:8080-8081", "|9090|8080|tcp |9091|8081|tcp");
        check("9-10", "||10|tcp ||9|tcp");
        check("8100-8110:80", "|8100-8110|80|tcp");
        check("1-2:1-3", "the ranges `1-2` and `1-3` have different lengths");
    }

    #[test]
    fn what_is_no_port_is_named() {
        check("80:", "it names no container port");
        check("a:80", "`a` is not a port of the machine");
        check("70000:80", "`70000` is not a port of the machine");
        check("80/foo", "`foo` is not a protocol: tcp, udp or sctp");
        check("::1:80:80", "write the address `::1` in brackets: [::1]");
        check("1.2.3.4.5:80:80", "`1.2.3.4.5` is not an IP address");
        check("82-80", "`82-80` is not a port");
    }
}
