//! Values that are the same in every project when a file does not say them.

use crate::canonical::normalize_hosts;
use crate::path::Path;
use crate::report::Report;
use crate::tree::{Made, Map, Node, Value};

/// Fills in what the files leave out.
pub(super) fn apply(tree: &mut Node, report: &mut Report) {
    let services = tree.as_map_mut().and_then(|map| map.map_mut("services"));
    let root = Path::ROOT;
    let services_path = root.key("services");
    for (name, service) in services.into_iter().flat_map(|map| map.iter_mut()) {
        let path = services_path.key(name);
        let Some(service) = service.as_map_mut() else { continue };
        build(service, &path.key("build"), report);
        // Where variables are not replaced, these stay as they are written.
        if !report.has_templates() {
            long_forms(service, &path, report);
        }
        each(service, "secrets", secret);
        each(service, "ports", port);
        if !report.has_templates() {
            each(service, "ports", published);
        }
        each(service, "gpus", request);
        let deploy = service.map_mut("deploy").and_then(|deploy| deploy.map_mut("resources"));
        if let Some(kept) = deploy.and_then(|resources| resources.map_mut("reservations")) {
            each(kept, "devices", request);
        }
    }
}

/// Brings values into the form in which they are printed.
fn long_forms(service: &mut Map, path: &Path, report: &mut Report) {
    if let Some(hosts) = service.get_mut("extra_hosts") {
        normalize_hosts(hosts, &path.key("extra_hosts"), report);
    }
    if let Some(provider) = service.map_mut("provider") {
        provider_options(provider);
    }
    for key in ["expose", "group_add"] {
        if let Some(Value::List(entries)) = service.get_mut(key).map(|node| &mut node.value) {
            entries.iter_mut().for_each(number_to_text);
        }
    }
}

fn each(map: &mut Map, key: &str, apply: fn(&mut Map)) {
    let Some(Value::List(entries)) = map.get_mut(key).map(|node| &mut node.value) else { return };
    entries.iter_mut().filter_map(Node::as_map_mut).for_each(apply);
}

fn number_to_text(node: &mut Node) {
    if let Value::Int(number) = &node.value {
        node.value = Value::Text(number.to_string());
    }
}

fn set_text(map: &mut Map, key: &str, text: &str, made: Made) {
    if !map.has(key) {
        let at = map.iter().next().map(|(_, node)| node.at).unwrap_or_default();
        map.set(key, Node::made_text(at, text, made));
    }
}

fn build(service: &mut Map, path: &Path, report: &mut Report) {
    let Some(build) = service.get_mut("build") else { return };
    let at = build.at;
    if let Some(map) = build.as_map_mut().filter(|map| !map.has("context")) {
        map.set("context", Node::made_text(at, ".", Made::BuildContext));
    }
    let Some(map) = build.as_map_mut().filter(|_| !report.has_templates()) else { return };
    if let Some(hosts) = map.get_mut("extra_hosts") {
        normalize_hosts(hosts, &path.key("extra_hosts"), report);
    }
    if let Some(ssh) = map.get_mut("ssh") {
        ssh_keys(ssh);
    }
}

/// The keys as `id` or `id=path`.
fn ssh_keys(node: &mut Node) {
    let Value::Map(map) = &node.value else { return };
    let key = |(id, path): (&String, &Node)| match path.scalar_text() {
        Some(text) if !text.is_empty() => Node::text(path.at, format!("{id}={text}")),
        _ => Node::text(path.at, id.clone()),
    };
    node.value = Value::List(map.iter().map(key).collect());
}

/// An option with one value stands for one with a list of it.
fn provider_options(provider: &mut Map) {
    for (_, value) in provider.map_mut("options").into_iter().flat_map(|map| map.iter_mut()) {
        if let Some(text) = value.scalar_text() {
            value.value = Value::List(vec![Node::text(value.at, text)]);
        }
    }
}

fn secret(secret: &mut Map) {
    if let Some(source) = secret.text("source").map(str::to_owned) {
        set_text(secret, "target", &format!("/run/secrets/{source}"), Made::SecretTarget);
    }
}

fn port(port: &mut Map) {
    set_text(port, "mode", "ingress", Made::PortMode);
    set_text(port, "protocol", "tcp", Made::PortProtocol);
}

fn published(port: &mut Map) {
    if let Some(published) = port.get_mut("published") {
        number_to_text(published);
    }
    if port.text("published") == Some("") {
        port.remove("published");
    }
}

/// A request for devices that says neither how many nor which asks for all.
fn request(request: &mut Map) {
    if !request.has("count") && !request.has("device_ids") {
        let at = request.iter().next().map(|(_, node)| node.at).unwrap_or_default();
        request.set("count", Node::made(at, Value::Int(-1), Made::AllDevices));
    }
}
