//! Attributes of which some values can be run and others cannot yet: each function says what is
//! not possible about a value, or nothing.

use std::path::Path;

use crate::load::clean;
use crate::project::{Period, RestartPolicy};
use crate::tree::{Node, Value};

/// A value that is not one of those that naru knows.
fn only(node: &Node, known: &[&str]) -> Option<String> {
    let text = node.as_text()?;
    let wrong = !text.is_empty() && !known.contains(&text);
    wrong.then(|| format!("`{text}` is not possible yet"))
}

pub(super) fn network_driver(node: &Node) -> Option<String> {
    only(node, &["bridge", "default"])
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

pub(super) fn network_mode(node: &Node) -> Option<String> {
    only(node, &["none", "host"])
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

pub(super) fn only_true(node: &Node) -> Option<String> {
    let off = matches!(node.value, Value::Bool(false));
    off.then(|| "a network without IPv4 is not possible yet".to_owned())
}

pub(super) fn only_false(node: &Node) -> Option<String> {
    let on = matches!(node.value, Value::Bool(true));
    on.then(|| "IPv6 is not possible yet".to_owned())
}

pub(super) fn subnet(node: &Node) -> Option<String> {
    let text = node.as_text()?;
    text.contains(':').then(|| format!("the subnet `{text}` is IPv6, which is not possible yet"))
}

pub(super) fn period(node: &Node) -> Option<String> {
    let text = node.as_text()?;
    let negative = text.parse().is_ok_and(Period::is_negative);
    negative.then(|| format!("the time `{text}` is negative"))
}

/// A link to a service by its own name is what the networks do anyway.
pub(super) fn links(node: &Node) -> Option<String> {
    let links = node.as_list().iter().filter_map(Node::as_text);
    let mut aliased = links.filter(|link| link.split_once(':').is_some_and(|(a, b)| a != b));
    aliased.next().map(|link| format!("the link `{link}` has an alias, which is not possible yet"))
}

/// naru's own log is like these drivers without options.
pub(super) fn logging(node: &Node) -> Option<String> {
    let map = node.as_map()?;
    if let Some(message) = map.get("driver").and_then(|node| only(node, &["json-file", "local"])) {
        return Some(message);
    }
    let options = map.map("options").is_some_and(|options| !options.0.is_empty());
    options.then(|| "options of a logging driver are not possible yet".to_owned())
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
