//! Printing a project as `docker compose config` does.

use serde_yaml::Mapping;

use super::Project;
use crate::print::{self, Document};
use crate::schema::{PROJECT, Shape};

/// Attributes that carry a project from one process to another and are not printed.
const CARRIED: [&str; 3] = ["working_directory", "compose_files", "disabled_services"];

/// Whether `$` is doubled, so that the printed text can be read as a Compose file again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dollar {
    /// `$` becomes `$$`.
    Doubled,
    /// `$` stays, as with `--no-interpolate`.
    Plain,
}

impl Project {
    /// The text of `config --format json`: two spaces of indentation, no newline at the end,
    /// `x-*` attributes of the top level only, and no `models` section, which docker compose
    /// prints in YAML alone.
    #[must_use]
    pub fn to_json(&self, dollar: Dollar) -> String {
        let mut document = self.to_document();
        let extensions = document.as_mapping().and_then(|top| top.get("#extensions")).cloned();
        lift_extensions(&mut document, false);
        if let Some(top) = document.as_mapping_mut() {
            top.shift_remove("models");
            if let Some(Document::Mapping(extensions)) = extensions {
                top.extend(extensions);
            }
            let mut entries: Vec<_> = std::mem::take(top).into_iter().collect();
            entries.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
            top.extend(entries);
        }
        escape(print::to_json(&document, 2), dollar)
    }

    /// The text of `config --format yaml`, with all `x-*` attributes.
    #[must_use]
    pub fn to_yaml(&self, dollar: Dollar) -> String {
        let mut document = self.to_document();
        drop_unset(&mut document);
        lift_extensions(&mut document, true);
        print::sort_by_shape(&mut document, &Shape::Object(&PROJECT));
        escape(print::to_yaml(&document, 2), dollar)
    }

    fn to_document(&self) -> Document {
        let mut document = serde_yaml::to_value(self).unwrap_or_default();
        if let Some(top) = document.as_mapping_mut() {
            for key in CARRIED {
                top.shift_remove(key);
            }
            for kind in ["secrets", "configs"] {
                hide_variables(top.get_mut(kind));
            }
        }
        document
    }
}

/// Takes out the values of variables, which `config` must not show.
fn hide_variables(objects: Option<&mut Document>) {
    let objects = objects.and_then(Document::as_mapping_mut);
    let objects = objects.into_iter().flat_map(Mapping::values_mut);
    for object in objects.filter_map(Document::as_mapping_mut) {
        if object.contains_key("environment") {
            object.shift_remove("content");
        }
    }
}

fn escape(text: String, dollar: Dollar) -> String {
    match dollar {
        Dollar::Doubled => text.replace('$', "$$"),
        Dollar::Plain => text,
    }
}

/// Puts the attributes of each `#extensions` object into the object that holds it, or drops them.
fn lift_extensions(document: &mut Document, keep: bool) {
    match document {
        Document::Sequence(items) => items.iter_mut().for_each(|item| lift_extensions(item, keep)),
        Document::Mapping(fields) => {
            let extensions = fields.shift_remove("#extensions");
            fields.values_mut().for_each(|field| lift_extensions(field, keep));
            if let (Some(Document::Mapping(extensions)), true) = (extensions, keep) {
                fields.extend(extensions);
            }
        }
        _ => {}
    }
}

/// Takes out what stands in JSON and not in YAML when it is not set: `command` and `entrypoint`,
/// which are null there, and some mappings that are empty.
fn drop_unset(document: &mut Document) {
    let networks = document.get_mut("networks").and_then(Document::as_mapping_mut);
    for network in networks.into_iter().flat_map(Mapping::values_mut) {
        drop_empty(network, &["ipam"]);
    }
    let services = document.get_mut("services").and_then(Document::as_mapping_mut);
    let services = services.into_iter().flat_map(Mapping::values_mut);
    for service in services.filter_map(Document::as_mapping_mut) {
        for key in ["command", "entrypoint"] {
            if service.get(key).is_some_and(Document::is_null) {
                service.shift_remove(key);
            }
        }
        if let Some(deploy) = service.get_mut("deploy") {
            drop_empty(deploy, &["placement", "resources"]);
        }
        let rules = service.get_mut("develop").and_then(|develop| develop.get_mut("watch"));
        let rules = rules.and_then(Document::as_sequence_mut);
        for rule in rules.into_iter().flatten().filter_map(Document::as_mapping_mut) {
            let exec = rule.get("exec").and_then(|exec| exec.get("command"));
            if exec.is_some_and(Document::is_null) {
                rule.shift_remove("exec");
            }
        }
    }
}

fn drop_empty(document: &mut Document, keys: &[&str]) {
    let Some(map) = document.as_mapping_mut() else { return };
    for key in keys {
        if map.get(key).and_then(Document::as_mapping).is_some_and(Mapping::is_empty) {
            map.shift_remove(key);
        }
    }
}
