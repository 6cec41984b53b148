//! Printing a project as `docker compose config` does.

use super::Project;
use crate::print::{self, Document, Mapping, take};
use crate::schema::{PROJECT, Shape};

/// Attributes that carry a project from one process to another and are not printed.
const CARRIED: [&str; 4] =
    ["working_directory", "compose_files", "compatibility", "disabled_services"];

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
        let extensions = document.get_mut("#extensions").map(std::mem::take);
        lift_extensions(&mut document, false);
        if let Some(top) = document.as_map_mut() {
            take(top, "models");
            if let Some(Document::Map(mut extensions)) = extensions {
                top.append(&mut extensions);
            }
            top.sort_by(print::by_bytes);
        }
        escape(print::to_json(document, 2), dollar)
    }

    /// The text of `config --format yaml`, with all `x-*` attributes.
    #[must_use]
    pub fn to_yaml(&self, dollar: Dollar) -> String {
        escape(print::to_yaml(&self.printed(), 2), dollar)
    }

    /// What is printed as YAML.
    pub(crate) fn printed(&self) -> Document {
        let mut document = self.to_document();
        drop_unset(&mut document);
        if self.name.is_empty() {
            document.as_map_mut().and_then(|top| take(top, "name"));
        }
        lift_extensions(&mut document, true);
        print::sort_by_shape(&mut document, &Shape::Object(&PROJECT));
        document
    }

    fn to_document(&self) -> Document {
        let mut document = Document::of(self);
        if let Some(top) = document.as_map_mut() {
            top.retain(|(key, _)| !CARRIED.contains(&key.as_ref()));
        }
        for kind in ["secrets", "configs"] {
            hide_variables(document.get_mut(kind));
        }
        document
    }
}

/// Takes out the values of variables, which `config` must not show.
fn hide_variables(objects: Option<&mut Document>) {
    for object in objects.into_iter().flat_map(Document::children_mut) {
        if object.get_mut("environment").is_some() {
            object.as_map_mut().and_then(|object| take(object, "content"));
        }
    }
}

fn escape(text: String, dollar: Dollar) -> String {
    match dollar {
        Dollar::Doubled if text.contains('$') => text.replace('$', "$$"),
        Dollar::Doubled | Dollar::Plain => text,
    }
}

/// Puts the attributes of each `#extensions` object into the object that holds it, or drops them.
fn lift_extensions(document: &mut Document, keep: bool) {
    let extensions = document.as_map_mut().and_then(|fields| take(fields, "#extensions"));
    document.children_mut().for_each(|child| lift_extensions(child, keep));
    if let (Some(Document::Map(mut extensions)), true) = (extensions, keep) {
        document.as_map_mut().into_iter().for_each(|fields| fields.append(&mut extensions));
    }
}

/// Takes out what stands in JSON and not in YAML when it is not set: `command` and `entrypoint`,
/// which are null there, and some mappings that are empty.
fn drop_unset(document: &mut Document) {
    for network in document.get_mut("networks").into_iter().flat_map(Document::children_mut) {
        drop_empty(network, &["ipam"]);
    }
    for service in document.get_mut("services").into_iter().flat_map(Document::children_mut) {
        drop_where(service, &["command", "entrypoint"], |value| *value == Document::Null);
        if let Some(deploy) = service.get_mut("deploy") {
            drop_empty(deploy, &["placement", "resources"]);
        }
        let rules = service.get_mut("develop").and_then(|develop| develop.get_mut("watch"));
        for rule in rules.into_iter().flat_map(Document::children_mut) {
            drop_where(rule, &["exec"], |exec| {
                exec.get_mut("command") == Some(&mut Document::Null)
            });
        }
    }
}

fn drop_empty(document: &mut Document, keys: &[&str]) {
    drop_where(document, keys, |value| *value == Document::Map(Mapping::new()));
}

/// Takes keys out of a mapping whose value is of this kind.
fn drop_where(document: &mut Document, keys: &[&str], is_dropped: fn(&mut Document) -> bool) {
    if let Some(map) = document.as_map_mut() {
        map.retain_mut(|(key, value)| !(keys.contains(&key.as_ref()) && is_dropped(value)));
    }
}
