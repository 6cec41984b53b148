//! Attributes of which some values can be run and others cannot yet: each function says what is
//! not possible about a value, or nothing.

use std::path::Path;

use crate::load::clean;
use crate::project::{Logging, Period, RestartPolicy};
use crate::tree::{Map, Node, Value};

/// A value that is not one of those that naru knows.
fn only(node: &Node, known: &[&str]) -> Option<String> {
    let text = node.as_text()?;
    let wrong = !text.is_empty() && !known.contains(&text);
    wrong.then(|| format!("`{text}` is not possible yet"))
}

pub(super) fn no(node: &Node) -> Option<String> {
    let is_asked = matches!(node.value, Value::Bool(true));
    is_asked.then(|| "`true` is not possible yet".to_owned())
}

pub(super) fn network_driver(node: &Node) -> Option<String> {
    let text = node.as_text()?;
    let known = ["", "default", "bridge", "macvlan", "ipvlan"];
    (!known.contains(&text)).then(|| match text {
        "overlay" => "the driver `overlay` needs a swarm".to_owned(),
        "host" | "none" | "null" => {
            let name = if text == "host" { "host" } else { "none" };
            format!("there is one network of driver `{text}`: write `external: true` and `name: {name}` instead")
        }
        _ => format!("the driver `{text}` is not possible"),
    })
}

pub(super) fn ipam_driver(node: &Node) -> Option<String> {
    only(node, &["default"])
}

pub(super) fn volume_driver(node: &Node) -> Option<String> {
    only(node, &["local"])
}

pub(super) fn host(node: &Node) -> Option<String> {
    only(node, &["host"])
}

pub(super) fn ipc(node: &Node) -> Option<String> {
    only(node, &["private", "shareable", "host"])
}

pub(super) fn isolation(node: &Node) -> Option<String> {
    only(node, &["default"])
}

pub(super) fn protocol(node: &Node) -> Option<String> {
    only(node, &["tcp", "udp"])
}

pub(super) fn mount_type(node: &Node) -> Option<String> {
    only(node, &["bind", "volume", "tmpfs"])
}

pub(super) fn propagation(node: &Node) -> Option<String> {
    only(node, &["private", "rprivate", "slave", "rslave"])
}

pub(super) fn condition(node: &Node) -> Option<String> {
    only(node, &["none", "on-failure", "any"])
}

pub(super) fn pull_policy(node: &Node) -> Option<String> {
    only(node, &["missing", "never"])
}

/// Options that a driver of naru has, by Docker's names.
pub(super) fn driver_opts(node: &Node) -> Option<String> {
    let known = |name: &str| {
        name.strip_prefix("com.docker.network.").is_some_and(|name| {
            let of_bridge = [
                "name",
                "enable_icc",
                "enable_ip_masquerade",
                "host_binding_ipv4",
                "gateway_mode_ipv4",
                "gateway_mode_ipv6",
            ];
            matches!(name, "driver.mtu" | "container_iface_prefix")
                || name.strip_prefix("bridge.").is_some_and(|name| of_bridge.contains(&name))
        }) || matches!(name, "parent" | "macvlan_mode" | "ipvlan_mode" | "ipvlan_flag")
    };
    unknown_option(node, known)
}

/// Options of a service's place on a network.
pub(super) fn endpoint_opts(node: &Node) -> Option<String> {
    let known = ["com.docker.network.endpoint.sysctls", "naru.network.endpoint.senders"];
    unknown_option(node, |name| known.contains(&name))
}

fn unknown_option(node: &Node, known: impl Fn(&str) -> bool) -> Option<String> {
    let (name, _) = node.as_map()?.iter().find(|(name, _)| !known(name))?;
    Some(format!("the option `{name}` is not possible"))
}

pub(super) fn period(node: &Node) -> Option<String> {
    let text = node.as_text()?;
    let negative = text.parse().is_ok_and(Period::is_negative);
    negative.then(|| format!("the time `{text}` is negative"))
}

/// A driver or an option that is not possible.
pub(super) fn logging(node: &Node) -> Option<String> {
    let map = node.as_map()?;
    let text = |node: &Node| node.as_text().map(str::to_owned);
    let driver = map.get("driver").and_then(text).unwrap_or_default();
    let options = map.map("options").into_iter().flat_map(Map::iter);
    let options = options.map(|(key, value)| (key.clone(), text(value).unwrap_or_default()));
    let logging = Logging { driver, options: options.collect(), ..Logging::default() };
    logging.settings().err().map(|error| error.to_string())
}

/// `x-naru-output`.
pub(super) fn output(node: &Node) -> Option<String> {
    only(node, &["separate", "merged"])
}

pub(super) fn platform(node: &Node) -> Option<String> {
    let (text, architecture) = (node.as_text()?, std::env::consts::ARCH);
    let own = match architecture {
        "x86_64" => "linux/amd64",
        "aarch64" => "linux/arm64",
        _ => "linux",
    };
    let fits = text == own || own.strip_prefix("linux/") == Some(text) || text == "linux";
    (!fits).then(|| format!("`{text}` is not this machine's platform, which is `{own}`"))
}

pub(super) fn restart(node: &Node) -> Option<String> {
    let text = node.as_text()?;
    let unknown = matches!(text.parse(), Ok(RestartPolicy::Other(_)));
    unknown.then(|| format!("`{text}` is not a restart policy"))
}

pub(super) fn security_opt(node: &Node) -> Option<String> {
    let text = node.as_text()?;
    let (name, value) = text.split_once(['=', ':']).unwrap_or((text, ""));
    let known = matches!(
        (name, value),
        ("no-new-privileges", "" | "true" | "false")
            | ("seccomp", "unconfined" | "builtin")
            | ("systempaths" | "apparmor", "unconfined")
            | ("label", "disable")
    );
    (!known).then(|| format!("the security option `{text}` is not possible yet"))
}

/// Docker's socket is refused by name: nothing answers behind it.
pub(super) fn source(node: &Node) -> Option<String> {
    let path = clean(Path::new(node.as_text()?));
    let socket =
        ["/var/run/docker.sock", "/run/docker.sock"].iter().any(|it| path == Path::new(it));
    socket.then(|| {
        "Docker's socket cannot be mounted: naru runs without Docker, and nothing answers there"
            .to_owned()
    })
}
