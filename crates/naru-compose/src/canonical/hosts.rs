//! Entries of `extra_hosts`.

use crate::path::Path;
use crate::report::Report;
use crate::tree::{Node, Value};

/// Turns `name:address` into `name=address`, and takes the brackets off IPv6 addresses.
pub(crate) fn normalize(node: &mut Node, path: &Path, report: &mut Report) {
    let Value::List(entries) = &mut node.value else { return };
    for (index, entry) in entries.iter_mut().enumerate() {
        let Some(text) = entry.as_text() else { continue };
        let parts = text.split_once('=').or_else(|| text.split_once(':'));
        let Some((name, address)) = parts else {
            let message = format!("`{text}` has no address");
            report.error(entry.at, &path.index(index), message).hint("write \"name:address\"");
            entry.value = Value::Broken;
            continue;
        };
        let (name, address) = (name.trim(), address.trim());
        let bare = address.strip_prefix('[').and_then(|address| address.strip_suffix(']'));
        entry.value = Value::Text(format!("{name}={}", bare.unwrap_or(address)));
    }
}
