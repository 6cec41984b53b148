//! A JSON Schema of what naru accepts, made from the tables of shapes, so that editors complete and
//! check Compose files. Draft 7 is what the YAML extensions of VS Code and of JetBrains know best.
//!
//! It says less than the loader where a schema cannot say more: a value may be `${VARIABLE}` nearly
//! everywhere, and what attributes mean to each other is not part of it.

use serde_json::{Map, Value, json};

use super::resources::PROJECT;
use super::shape::{Object, Shape};
use crate::path::Cursor;
use crate::problem::Code;
use crate::support::{SUPPORT, Support};

/// What attributes are when no file says them; `*` stands for any name.
const DEFAULTS: &[(&str, &str)] = &[
    ("networks.*.attachable", "false"),
    ("networks.*.driver", "\"bridge\""),
    ("networks.*.enable_ipv4", "true"),
    ("networks.*.enable_ipv6", "false"),
    ("networks.*.external", "false"),
    ("networks.*.internal", "false"),
    ("networks.*.ipam.driver", "\"default\""),
    ("services.*.attach", "true"),
    ("services.*.build.context", "\".\""),
    ("services.*.build.dockerfile", "\"Dockerfile\""),
    ("services.*.depends_on.*.required", "true"),
    ("services.*.depends_on.*.restart", "false"),
    ("services.*.env_file.required", "true"),
    ("services.*.healthcheck.disable", "false"),
    ("services.*.healthcheck.interval", "\"30s\""),
    ("services.*.healthcheck.retries", "3"),
    ("services.*.healthcheck.start_interval", "\"5s\""),
    ("services.*.healthcheck.start_period", "\"0s\""),
    ("services.*.healthcheck.timeout", "\"30s\""),
    ("services.*.init", "false"),
    ("services.*.oom_kill_disable", "false"),
    ("services.*.ports.mode", "\"ingress\""),
    ("services.*.ports.protocol", "\"tcp\""),
    ("services.*.privileged", "false"),
    ("services.*.pull_policy", "\"missing\""),
    ("services.*.read_only", "false"),
    ("services.*.restart", "\"no\""),
    ("services.*.scale", "1"),
    ("services.*.secrets.mode", "\"0444\""),
    ("services.*.shm_size", "\"64m\""),
    ("services.*.stdin_open", "false"),
    ("services.*.stop_grace_period", "\"10s\""),
    ("services.*.tty", "false"),
    ("services.*.volumes.read_only", "false"),
    ("volumes.*.driver", "\"local\""),
    ("volumes.*.external", "false"),
];

/// A variable in a text, for which nothing can be said about the value.
const VARIABLE: &str = "\\$";

/// The schema as JSON text, with a newline at its end.
#[must_use]
pub fn schema() -> String {
    let place = Place { path: String::new(), support: SUPPORT.root() };
    let mut schema = object(&PROJECT, &place);
    if let Some(map) = schema.as_object_mut() {
        let draft = "http://json-schema.org/draft-07/schema#";
        map.insert("$schema".to_owned(), draft.into());
        map.insert("title".to_owned(), "Compose file, as naru reads it".into());
    }
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}

/// Where an attribute is.
struct Place {
    /// Its keys, joined with dots; lists have no segment of their own.
    path: String,
    support: Cursor<'static, Support>,
}

impl Place {
    fn key(&self, key: &str) -> Self {
        let path =
            if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Self { path, support: self.support.key(key) }
    }

    fn entry(&self) -> Self {
        Self { path: self.path.clone(), support: self.support.entry() }
    }

    /// What naru cannot do about the attribute, in words.
    fn remark(&self) -> Option<String> {
        Some(match self.support.value().or_else(|| self.support.entry().value())? {
            Support::Done => return None,
            Support::Partly(_, possible) => format!("Possible: {possible}."),
            Support::Ignored(reason) => format!("Ignored, as by docker compose: {reason}."),
            Support::NotYet("") => "Not possible yet.".to_owned(),
            Support::NotYet(remark) => format!("Not possible yet: {remark}."),
        })
    }
}

fn object(object: &Object, place: &Place) -> Value {
    let mut properties = Map::new();
    for (key, shape, meaning) in object.fields {
        let place = place.key(key);
        let mut schema = of(shape, &place);
        if let Some(map) = schema.as_object_mut() {
            let words = [Some((*meaning).to_owned()), place.remark()];
            let words: Vec<String> = words.into_iter().flatten().collect();
            map.insert("description".to_owned(), words.join(" ").into());
            let default = DEFAULTS.iter().find(|(path, _)| *path == place.path);
            let default = default.and_then(|(_, text)| serde_json::from_str(text).ok());
            default.into_iter().for_each(|value: Value| {
                map.insert("default".to_owned(), value);
            });
        }
        properties.insert((*key).to_owned(), schema);
    }
    if matches!(place.path.as_str(), "" | "services.*") {
        properties.insert("x-naru-lint".to_owned(), lint());
    }
    let mut schema = json!({
        "type": "object",
        "properties": properties,
        "patternProperties": { "^x-": {} },
        "additionalProperties": false,
    });
    if let (Some(map), false) = (schema.as_object_mut(), object.required.is_empty()) {
        map.insert("required".to_owned(), object.required.into());
    }
    schema
}

/// `x-naru-lint`: which warnings are not wanted.
fn lint() -> Value {
    let codes = Code::all().filter(|code| code.can_be_silenced()).map(Code::name);
    let names: Vec<&str> = codes.chain(["all"]).collect();
    json!({
        "description": "Warnings and notes of naru that are not wanted here.",
        "type": "object",
        "properties": { "allow": { "type": "array", "items": { "enum": names } } },
        "additionalProperties": false,
    })
}

fn of(shape: &Shape, place: &Place) -> Value {
    match shape {
        Shape::Any => json!({}),
        Shape::Text => json!({ "type": "string" }),
        Shape::Words(words) => any_of(vec![json!({ "enum": words }), text(VARIABLE)]),
        Shape::Matching(_, _, pattern) => text(&format!("{pattern}|{VARIABLE}")),
        Shape::Scalar => json!({ "type": ["string", "number"] }),
        Shape::Token | Shape::TextOrInteger => json!({ "type": ["string", "integer"] }),
        Shape::Pair => json!({ "type": ["string", "number", "boolean", "null"] }),
        Shape::FlagText => json!({ "type": ["string", "boolean"] }),
        Shape::Boolean => json!({ "type": "boolean" }),
        Shape::Flag => any_of(vec![json!({ "type": "boolean" }), text(&boolean())]),
        Shape::Integer | Shape::Within(..) | Shape::Whole | Shape::Number => {
            any_of(vec![number(shape), text(&format!("^[-+]?[0-9.]+(e[-+]?[0-9]+)?$|{VARIABLE}"))])
        }
        Shape::Strict(inner) => number(inner),
        Shape::Bytes => any_of(vec![json!({ "type": "integer" }), text(&bytes())]),
        Shape::LooseBytes => any_of(vec![json!({ "type": "number" }), text(&bytes())]),
        Shape::BytesText => text(&bytes()),
        Shape::Period => {
            let unit = "(ns|us|µs|μs|ms|s|m|h|d|w)";
            text(&format!("^[-+]?([0-9.]+{unit})+$|^0$|{VARIABLE}"))
        }
        Shape::FileMode => {
            any_of(vec![json!({ "type": "integer" }), text(&format!("^[0-7]+$|{VARIABLE}"))])
        }
        Shape::List(inner) | Shape::Set(inner) => {
            json!({ "type": "array", "items": of(inner, &place.entry()) })
        }
        Shape::Map(inner) => {
            json!({ "type": "object", "additionalProperties": of(inner, &place.key("*")) })
        }
        Shape::Named(inner) => json!({
            "type": "object",
            "patternProperties": { "^[a-zA-Z0-9._-]+$": of(inner, &place.key("*")) },
            "additionalProperties": false,
        }),
        Shape::Object(fields) => object(fields, place),
        Shape::OneOf(shapes) => any_of(shapes.iter().map(|shape| of(shape, place)).collect()),
        Shape::Optional(inner) => any_of(vec![json!({ "type": "null" }), of(inner, place)]),
    }
}

fn any_of(mut schemas: Vec<Value>) -> Value {
    match (schemas.len(), schemas.pop()) {
        (1, Some(only)) => only,
        (_, last) => {
            schemas.extend(last);
            json!({ "anyOf": schemas })
        }
    }
}

fn text(pattern: &str) -> Value {
    json!({ "type": "string", "pattern": pattern })
}

fn number(shape: &Shape) -> Value {
    match shape {
        Shape::Within(least, most) => {
            json!({ "type": "integer", "minimum": least, "maximum": most })
        }
        Shape::Integer => json!({ "type": "integer" }),
        _ => json!({ "type": "number" }),
    }
}

fn bytes() -> String {
    format!("^-?[0-9.]+ ?([kKmMgGtTpP]?[iI]?[bB]|[kKmMgGtTpP])?$|{VARIABLE}")
}

/// The words that are read as booleans.
fn boolean() -> String {
    let any_case = |word: &str| -> String {
        word.chars().map(|c| format!("[{c}{}]", c.to_ascii_uppercase())).collect()
    };
    let words = ["true", "false", "yes", "no", "on", "off", "y", "n"].map(any_case);
    format!("^({})$|{VARIABLE}", words.join("|"))
}

#[cfg(test)]
mod tests;
