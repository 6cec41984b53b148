//! Holds a tree against its shape, and turns texts into the numbers and booleans they stand for.

use std::collections::HashSet;

use super::coerce::coerce;
use super::naru;
use super::service::SERVICE;
use super::shape::{Object, Shape};
use super::suggest::closest;
use crate::advice;
use crate::path::Path;
use crate::problem::Code;
use crate::report::Report;
use crate::tree::{Map, Node, Value};

/// Reports everything below `node` that does not have its shape and marks it as broken.
pub(crate) fn check(node: &mut Node, shape: &Shape, path: &Path, report: &mut Report) {
    if node.is_broken() {
        return;
    }
    if let Value::Date(date) = &node.value
        && !matches!(shape, Shape::Any)
    {
        let message = format!("`{date}` is a date in YAML, which no attribute accepts");
        let hint = format!("quote it: \"{date}\"");
        report.error(node.at, path, message).code(Code::WRONG_TYPE).hint(hint);
        node.value = Value::Broken;
        return;
    }
    match shape {
        Shape::Any => {}
        Shape::Optional(_) if node.is_null() => {}
        Shape::Optional(inner) => check(node, inner, path, report),
        Shape::OneOf(shapes) => match shapes.iter().find(|shape| fits(shape, node)) {
            Some(shape) => check(node, shape, path, report),
            None => refuse(node, shape, path, report),
        },
        Shape::List(shape) => list(node, shape, path, report),
        Shape::Set(shape) => {
            unique(node, path, report);
            list(node, shape, path, report);
        }
        Shape::Map(values) | Shape::Named(values) => match &mut node.value {
            Value::Map(map) => {
                if matches!(shape, Shape::Named(_)) {
                    names(map, path, report);
                }
                for (key, value) in map.iter_mut() {
                    check(value, values, &path.key(key), report);
                }
            }
            _ => refuse(node, shape, path, report),
        },
        Shape::Object(fields) => object(node, fields, path, report),
        _ => scalar(node, shape, path, report),
    }
}

/// Whether the kind of the value is one that the shape allows.
fn fits(shape: &Shape, node: &Node) -> bool {
    match shape {
        Shape::Any => true,
        Shape::Optional(inner) => node.is_null() || fits(inner, node),
        Shape::OneOf(shapes) => shapes.iter().any(|shape| fits(shape, node)),
        Shape::Strict(inner) => node.as_text().is_none() && fits(inner, node),
        Shape::Token | Shape::Bytes => {
            let whole = matches!(node.value, Value::Float(number) if number.fract() == 0.0);
            whole || matches!(node.value, Value::Int(_) | Value::Text(_))
        }
        Shape::List(_) | Shape::Set(_) => matches!(node.value, Value::List(_)),
        Shape::Map(_) | Shape::Named(_) | Shape::Object(_) => matches!(node.value, Value::Map(_)),
        Shape::Text | Shape::Words(_) | Shape::Matching(..) | Shape::Period | Shape::BytesText => {
            matches!(node.value, Value::Text(_))
        }
        Shape::Pair => !matches!(node.value, Value::List(_) | Value::Map(_)),
        Shape::TextOrInteger => matches!(node.value, Value::Int(_) | Value::Text(_)),
        Shape::Boolean => matches!(node.value, Value::Bool(_)),
        Shape::Flag | Shape::FlagText => matches!(node.value, Value::Bool(_) | Value::Text(_)),
        Shape::Integer
        | Shape::Within(..)
        | Shape::Whole
        | Shape::Number
        | Shape::LooseBytes
        | Shape::FileMode
        | Shape::Scalar => {
            matches!(node.value, Value::Int(_) | Value::Float(_) | Value::Text(_))
        }
    }
}

fn list(node: &mut Node, shape: &Shape, path: &Path, report: &mut Report) {
    let Value::List(entries) = &mut node.value else {
        return refuse(node, &Shape::List(&Shape::Any), path, report);
    };
    for (index, entry) in entries.iter_mut().enumerate() {
        check(entry, shape, &path.index(index), report);
    }
}

fn unique(node: &mut Node, path: &Path, report: &mut Report) {
    let Value::List(entries) = &mut node.value else { return };
    let mut seen = HashSet::new();
    for (index, entry) in entries.iter_mut().enumerate() {
        if !entry.is_broken() && !seen.insert(fingerprint(entry)) {
            let what = entry.scalar_text().map_or(String::new(), |text| format!(" `{text}`"));
            let message = format!("the entry{what} is there twice");
            report.error(entry.at, &path.index(index), message).hint("remove one of the two");
            entry.value = Value::Broken;
        }
    }
}

/// A text that is the same for trees that say the same.
pub(crate) fn fingerprint(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => format!("{text:?}"),
        Value::List(entries) => entries.iter().map(|entry| fingerprint(entry) + ",").collect(),
        Value::Map(map) => {
            let mut parts: Vec<String> =
                map.iter().map(|(key, value)| format!("{key:?}:{}", fingerprint(value))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
        _ => node.scalar_text().unwrap_or_default(),
    }
}

fn names(map: &mut Map, path: &Path, report: &mut Report) {
    for (key, entry) in map.0.iter_mut() {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if key.is_empty() || !key.bytes().all(allowed) {
            let message = format!("`{key}` is not a name");
            let hint = "names consist of letters, digits, `.`, `_` and `-`";
            report.error(entry.key_at, path, message).code(Code::WRONG_NAME).hint(hint);
            entry.node.value = Value::Broken;
        }
    }
}

fn object(node: &mut Node, object: &Object, path: &Path, report: &mut Report) {
    let at = node.at;
    let Value::Map(map) = &mut node.value else {
        return refuse(node, &Shape::Map(&Shape::Any), path, report);
    };
    for (key, entry) in map.0.iter_mut() {
        let path = path.key(key);
        if let Some(shape) = object.field(key) {
            check(&mut entry.node, shape, &path, report);
        } else if !is_extension(key) {
            let message = format!("{} has no attribute `{key}`", object.name);
            let full = report.is_full();
            let finding = report.error(entry.key_at, &path, message);
            finding.code(Code::UNKNOWN_ATTRIBUTE);
            if !full {
                finding
                    .hint(hint(object, key, &entry.node).unwrap_or_else(|| unknown(object, key)));
            }
            entry.node.value = Value::Broken;
        }
    }
    let missing: Vec<&str> =
        object.required.iter().copied().filter(|required| !map.has(required)).collect();
    if !missing.is_empty() {
        let message = format!("{} needs the attribute `{}`", object.name, missing.join("`, `"));
        let hint = format!("add `{}: …`", missing[0]);
        report.error(at, path, message).code(Code::MISSING_ATTRIBUTE).hint(hint);
        node.value = Value::Broken;
    }
}

/// Whether it is an attribute that means nothing. naru's own names are not to be mistaken for such.
fn is_extension(key: &str) -> bool {
    key.starts_with("x-") && (!key.starts_with(naru::PREFIX) || key == naru::LINT)
}

/// What an unknown attribute was probably meant to be.
fn hint(object: &Object, key: &str, node: &Node) -> Option<String> {
    if let Some(name) = closest(key, object.fields.iter().map(|(name, ..)| *name)) {
        return Some(format!("did you mean `{name}`?"));
    }
    object.field("services")?;
    if SERVICE.field(key).is_some() {
        return Some(format!("`{key}` belongs into a service, two levels deeper"));
    }
    let looks_like_service = node.as_map().is_some_and(|map| map.has("image") || map.has("build"));
    looks_like_service.then(|| "services stand below `services:`, indented".to_owned())
}

/// What to do about an unknown attribute that is not a slip.
fn unknown(object: &Object, key: &str) -> String {
    advice::for_unknown(key, object.field("image").is_some() && object.field("ports").is_some())
}

fn scalar(node: &mut Node, shape: &Shape, path: &Path, report: &mut Report) {
    if !fits(shape, node) {
        return refuse(node, shape, path, report);
    }
    if report.is_template(node.as_text()) {
        return;
    }
    if let (Shape::LooseBytes, Value::Float(number)) = (shape, &node.value) {
        return drop_fraction(*number, node, path, report);
    }
    match coerce(node, shape) {
        Ok(Some(value)) => {
            if let (Value::Bool(_), Some(word)) = (&value, node.as_text())
                && !matches!(word.to_ascii_lowercase().as_str(), "true" | "false")
            {
                let message = format!("`{word}` is read as a boolean");
                let finding = report.warning(node.at, path, message);
                finding.code(Code::BOOLEAN_WORD).hint("write true or false");
            }
            // Where variables are not replaced, values stay as they are written.
            if !report.has_templates() || matches!(shape, Shape::FlagText) {
                node.value = value;
            }
        }
        Ok(None) => {}
        Err(message) => {
            let finding = report.error(node.at, path, message);
            let text = node.scalar_text().unwrap_or_default();
            if let Some(hint) = advice::for_value(shape, &text) {
                finding.hint(hint);
            }
            node.value = Value::Broken;
        }
    }
}

/// A number with a fraction where bytes are counted: docker compose takes it for nothing.
fn drop_fraction(number: f64, node: &mut Node, path: &Path, report: &mut Report) {
    let message = format!("the byte size {number} is ignored, as by docker compose");
    let hint = format!("write it with its unit: \"{number}g\"");
    report.warning(node.at, path, message).code(Code::BYTE_FRACTION).hint(hint);
    node.value = Value::Null;
}

fn refuse(node: &mut Node, shape: &Shape, path: &Path, report: &mut Report) {
    let name = match (path.name(), path.is_entry()) {
        (Some(key), true) => format!("an entry of `{key}`"),
        (Some(key), false) => format!("`{key}`"),
        (None, _) => "this".to_owned(),
    };
    let message = format!("{name} must be {}, not {}", expected(shape), node.kind());
    let finding = report.error(node.at, path, message).code(Code::WRONG_TYPE);
    if let (Shape::Period, Value::Int(number)) = (shape, &node.value) {
        finding.hint(format!("write the unit: {number}s"));
    } else if let (true, Some(text)) = (fits(shape, &Node::text(node.at, "")), node.scalar_text()) {
        finding.hint(format!("quote it: \"{text}\""));
    } else {
        finding.hint(advice::for_kind(shape, node, path));
    }
    node.value = Value::Broken;
}

/// A shape in words.
fn expected(shape: &Shape) -> String {
    match shape {
        Shape::Any => "anything",
        Shape::Text | Shape::Matching(..) => "a text",
        Shape::Words(words) => return format!("one of {}", words.join(", ")),
        Shape::Scalar => "a text or a number",
        Shape::TextOrInteger => "a text or a whole number",
        Shape::Pair => "a text, a number or a boolean",
        Shape::Flag | Shape::Boolean => "true or false",
        Shape::FlagText => "a boolean or a text",
        Shape::Integer | Shape::Within(..) => "a whole number",
        Shape::Number | Shape::Whole => "a number",
        Shape::Token => "a text or a whole number",
        Shape::Strict(inner) => return expected(inner),
        Shape::Bytes | Shape::LooseBytes | Shape::BytesText => "a byte size such as \"64m\"",
        Shape::Period => "a duration such as \"1m30s\"",
        Shape::FileMode => "an octal file mode such as \"0440\"",
        Shape::List(_) | Shape::Set(_) => "a list",
        Shape::Map(_) | Shape::Named(_) | Shape::Object(_) => "a mapping",
        Shape::Optional(inner) => return expected(inner),
        Shape::OneOf(shapes) => {
            return shapes.iter().map(expected).collect::<Vec<_>>().join(" or ");
        }
    }
    .to_owned()
}
