//! Hints for values of the wrong kind, and for attributes that do not exist.

use crate::path::Path;
use crate::schema::Shape;
use crate::tree::{Node, Value};

/// What to write instead of a value of the wrong kind. `list` and `mapping` say whether the attribute
/// takes these.
pub(crate) fn for_kind(shape: &Shape, node: &Node, path: &Path) -> String {
    let (list, mapping) = (takes(shape, &is_list), takes(shape, &is_map));
    let key = path.name().unwrap_or("it");
    match &node.value {
        Value::Null if is_service(path) => {
            "a service needs `image:` or `build:`, indented below its name".to_owned()
        }
        Value::Null if mapping => {
            format!("write what belongs to `{key}` indented below it, or remove it")
        }
        Value::Null => format!("give `{key}` a value, or remove it"),
        Value::List(_) if mapping => "write `name: value` without the `-` before it".to_owned(),
        Value::List(_) => format!("write one value behind `{key}:`, without `-` and brackets"),
        Value::Map(_) if list => {
            "write a list: each entry on a line of its own that starts with `- `".to_owned()
        }
        Value::Map(_) => {
            "values cannot be nested here: write one line `name: value` for each".to_owned()
        }
        _ if list => {
            let text = node.scalar_text().unwrap_or_default();
            format!("write a list: `{key}: [\"{text}\"]`")
        }
        _ if mapping => {
            format!("write what belongs to `{key}` as lines `name: value`, indented below it")
        }
        _ => match node.scalar_text() {
            Some(text) => format!("write another value than `{text}`"),
            None => "write another value".to_owned(),
        },
    }
}

fn is_service(path: &Path) -> bool {
    let text = path.to_string();
    text.strip_prefix("services.").is_some_and(|rest| !rest.contains(['.', '[']))
}

fn is_list(shape: &Shape) -> bool {
    matches!(shape, Shape::List(_) | Shape::Set(_))
}

fn is_map(shape: &Shape) -> bool {
    matches!(shape, Shape::Map(_) | Shape::Named(_) | Shape::Object(_))
}

fn takes(shape: &Shape, is: &dyn Fn(&Shape) -> bool) -> bool {
    match shape {
        Shape::Optional(inner) | Shape::Strict(inner) => takes(inner, is),
        Shape::OneOf(shapes) => shapes.iter().any(|shape| takes(shape, is)),
        shape => is(shape),
    }
}

/// Names from other programs, and the attributes that mean the same.
const ELSEWHERE: [(&str, &str); 17] = [
    ("args", "command"),
    ("cmd", "command"),
    ("cpu", "cpus"),
    ("cpu_limit", "cpus"),
    ("dockerfile", "build: {dockerfile: …}"),
    ("context", "build: {context: …}"),
    ("env", "environment"),
    ("envFrom", "env_file"),
    ("limits", "deploy: {resources: {limits: …}}"),
    ("memory", "mem_limit"),
    ("memory_limit", "mem_limit"),
    ("mounts", "volumes"),
    ("name", "container_name"),
    ("replicas", "scale"),
    ("resources", "deploy: {resources: …}"),
    ("restart_policy", "restart"),
    ("workdir", "working_dir"),
];

/// What an attribute that does not exist may have been meant to be.
pub(crate) fn for_unknown(key: &str, in_service: bool) -> String {
    let known = ELSEWHERE.iter().find(|(name, _)| in_service && *name == key);
    match known {
        Some((_, instead)) => format!("in Compose files this is `{instead}`"),
        None => format!("remove it, or call it `x-{key}` when it is for another program"),
    }
}
