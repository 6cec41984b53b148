//! Printing a project as `docker compose config` does.

use serde_json::{Map, Value};

use super::Project;

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
        let mut value = self.to_value();
        lift_extensions(&mut value, false);
        if let Value::Object(top) = &mut value {
            top.remove("models");
        }
        if let (Value::Object(top), false) = (&mut value, self.extensions.is_empty()) {
            top.extend(self.extensions.clone());
        }
        let text = serde_json::to_string_pretty(&value).unwrap_or_default();
        let text = text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        escape(text, dollar)
    }

    /// The text of `config --format yaml`, with all `x-*` attributes.
    #[must_use]
    pub fn to_yaml(&self, dollar: Dollar) -> String {
        let mut value = self.to_value();
        drop_nulls(&mut value);
        lift_extensions(&mut value, true);
        escape(serde_yaml::to_string(&value).unwrap_or_default(), dollar)
    }

    fn to_value(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(top) = &mut value {
            for key in CARRIED {
                top.remove(key);
            }
            for kind in ["secrets", "configs"] {
                hide_variables(top.get_mut(kind));
            }
        }
        value
    }
}

/// Takes out the values of variables, which `config` must not show.
fn hide_variables(objects: Option<&mut Value>) {
    let objects = objects.and_then(Value::as_object_mut).into_iter().flat_map(Map::values_mut);
    for object in objects.filter_map(Value::as_object_mut) {
        if object.contains_key("environment") {
            object.remove("content");
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
fn lift_extensions(value: &mut Value, keep: bool) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| lift_extensions(item, keep)),
        Value::Object(fields) => {
            let extensions = fields.remove("#extensions");
            fields.values_mut().for_each(|field| lift_extensions(field, keep));
            if let (Some(Value::Object(extensions)), true) = (extensions, keep) {
                fields.extend(extensions);
            }
        }
        _ => {}
    }
}

/// `command` and `entrypoint` are null in JSON and absent in YAML when they are not set.
fn drop_nulls(value: &mut Value) {
    let unset = |fields: &mut Map<String, Value>| {
        for key in ["command", "entrypoint"] {
            if fields.get(key) == Some(&Value::Null) {
                fields.remove(key);
            }
        }
    };
    let services = value.get_mut("services").and_then(Value::as_object_mut);
    for service in services.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut) {
        unset(service);
    }
}
