//! Rules about single attributes that their shape cannot say.

use std::net::IpAddr;

use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::tree::{Map, Node, Value};

/// Reports what breaks a rule.
pub(super) fn check(tree: &mut Node, report: &mut Report) {
    let Some(top) = tree.as_map_mut() else { return };
    let root = Path::ROOT;
    for (kind, check) in [
        ("volumes", volume as fn(&mut Node, &Path, &mut Report)),
        ("secrets", secret),
        ("configs", config),
        ("services", service),
    ] {
        let path = root.key(kind);
        for (name, node) in top.map_mut(kind).into_iter().flat_map(|map| map.iter_mut()) {
            check(node, &path.key(name), report);
        }
    }
}

fn is_external(map: &Map) -> bool {
    matches!(map.get("external").map(|node| &node.value), Some(Value::Bool(true)))
}

fn volume(node: &mut Node, path: &Path, report: &mut Report) {
    let Some(map) = node.as_map_mut().filter(|map| is_external(map)) else { return };
    for (key, value) in map.iter_mut() {
        if !matches!(key.as_str(), "name" | "external") && !key.starts_with("x-") {
            let message = format!("`external` and `{key}` exclude each other");
            let hint = "an external volume exists already: only its name can be given";
            report.error(value.at, &path.key(key), message).code(Code::CONFLICT).hint(hint);
            value.value = Value::Broken;
        }
    }
}

fn secret(node: &mut Node, path: &Path, report: &mut Report) {
    source(node, &["file", "environment"], path, report);
}

fn config(node: &mut Node, path: &Path, report: &mut Report) {
    source(node, &["file", "environment", "content"], path, report);
}

/// A secret or config has one source, unless a platform keeps it.
fn source(node: &Node, keys: &[&str], path: &Path, report: &mut Report) {
    let at = node.at;
    let Some(map) = node.as_map() else { return };
    let given: Vec<&&str> = keys.iter().filter(|key| map.has(key)).collect();
    match given[..] {
        [_] => {}
        [first, second, ..] => {
            let at = map.get(second).map_or(at, |node| node.at);
            let message = format!("`{first}` and `{second}` exclude each other");
            report.error(at, path, message).code(Code::CONFLICT).hint("keep one of them");
        }
        [] if map.has("driver") || map.has("external") => {}
        // What is wrong there may have been meant as the source.
        [] if map.iter().any(|(_, node)| node.is_broken()) => {}
        [] => {
            let message = format!("it needs one of `{}`", keys.join("`, `"));
            let hint = format!("add `{}: …`", keys.join(": …` or `"));
            report.error(at, path, message).code(Code::MISSING_ATTRIBUTE).hint(hint);
        }
    }
}

fn service(node: &mut Node, path: &Path, report: &mut Report) {
    let Some(service) = node.as_map_mut().filter(|_| !report.has_templates()) else { return };
    each(service, "ports", path, (port, report));
    each(service, "volumes", path, (mount, report));
    each(service, "gpus", path, (request, report));
    if let Some(develop) = service.map_mut("develop") {
        each(develop, "watch", &path.key("develop"), (trigger, report));
    }
    let deploy = service.map_mut("deploy").and_then(|deploy| deploy.map_mut("resources"));
    if let Some(kept) = deploy.and_then(|resources| resources.map_mut("reservations")) {
        let (deploy, resources) = (path.key("deploy"), "resources");
        let resources = deploy.key(resources);
        each(kept, "devices", &resources.key("reservations"), (request, report));
    }
}

/// What is wrong with an entry, and where.
type Check = fn(&Map) -> Option<(&'static str, String)>;

fn each(map: &mut Map, key: &str, path: &Path, (check, report): (Check, &mut Report)) {
    let Some(Value::List(entries)) = map.get_mut(key).map(|node| &mut node.value) else { return };
    let path = path.key(key);
    for (index, entry) in entries.iter_mut().enumerate() {
        if let Some((key, message)) = entry.as_map().and_then(check) {
            let at = entry.as_map().and_then(|map| map.get(key)).map_or(entry.at, |node| node.at);
            report.error(at, &path.index(index), message).hint(hint(key));
            entry.value = Value::Broken;
        }
    }
}

/// What to do about an attribute of an entry.
fn hint(key: &str) -> String {
    match key {
        "target" => "add `target: …` with the port in the container".to_owned(),
        "type" => "add `target: …` with the path in the container".to_owned(),
        "source" | "path" => format!("write the path behind `{key}:`"),
        "host_ip" => "write an address such as 127.0.0.1 or ::1".to_owned(),
        "device_ids" => "keep one of them".to_owned(),
        _ => format!("correct `{key}`"),
    }
}

fn port(map: &Map) -> Option<(&'static str, String)> {
    if matches!(map.get("target").map(|node| &node.value), None | Some(Value::Int(0))) {
        return Some(("target", "the port names no container port".to_owned()));
    }
    let ip = map.text("host_ip")?;
    let wrong = ip.parse::<IpAddr>().is_err();
    wrong.then(|| ("host_ip", format!("`{ip}` is not an IP address")))
}

fn mount(map: &Map) -> Option<(&'static str, String)> {
    if !map.has("target") {
        return Some(("type", "the volume needs a `target`".to_owned()));
    }
    let size = map.map("tmpfs").and_then(|tmpfs| tmpfs.get("size"));
    if let Some(Value::Int(size @ ..0)) = size.map(|node| &node.value) {
        return Some(("tmpfs", format!("the size {size} is negative")));
    }
    let bind = map.text("type") == Some("bind");
    let missing = bind && map.text("source").is_none_or(str::is_empty);
    missing.then(|| ("source", "a bind mount needs a `source`".to_owned()))
}

fn request(map: &Map) -> Option<(&'static str, String)> {
    let both = map.has("count") && map.has("device_ids");
    both.then(|| ("device_ids", "`count` and `device_ids` exclude each other".to_owned()))
}

fn trigger(map: &Map) -> Option<(&'static str, String)> {
    let empty = map.text("path").is_some_and(str::is_empty);
    empty.then(|| ("path", "the path is empty".to_owned()))
}
