//! Values that are the same in every project when a file does not say them.

use crate::tree::{Made, Map, Node, Value};

/// Fills in what the files leave out.
pub(super) fn apply(tree: &mut Node) {
    let services = tree.as_map_mut().and_then(|map| map.map_mut("services"));
    for (_, service) in services.into_iter().flat_map(|map| map.iter_mut()) {
        let Some(service) = service.as_map_mut() else { continue };
        build(service);
        each(service, "secrets", secret);
        each(service, "ports", port);
        each(service, "gpus", request);
        let deploy = service.map_mut("deploy").and_then(|deploy| deploy.map_mut("resources"));
        if let Some(kept) = deploy.and_then(|resources| resources.map_mut("reservations")) {
            each(kept, "devices", request);
        }
    }
}

fn each(map: &mut Map, key: &str, apply: fn(&mut Map)) {
    let Some(Value::List(entries)) = map.get_mut(key).map(|node| &mut node.value) else { return };
    entries.iter_mut().filter_map(Node::as_map_mut).for_each(apply);
}

fn set_text(map: &mut Map, key: &str, text: &str, made: Made) {
    if !map.has(key) {
        let at = map.iter().next().map(|(_, node)| node.at).unwrap_or_default();
        map.set(key, Node::made_text(at, text, made));
    }
}

fn build(service: &mut Map) {
    let Some(build) = service.get_mut("build") else { return };
    let at = build.at;
    if let Some(map) = build.as_map_mut().filter(|map| !map.has("context")) {
        map.set("context", Node::made_text(at, ".", Made::BuildContext));
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

/// A request for devices that says neither how many nor which asks for all.
fn request(request: &mut Map) {
    if !request.has("count") && !request.has("device_ids") {
        let at = request.iter().next().map(|(_, node)| node.at).unwrap_or_default();
        request.set("count", Node::made(at, Value::Int(-1), Made::AllDevices));
    }
}
