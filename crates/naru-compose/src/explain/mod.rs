//! Where a value comes from: which file and line won, which lost, and what happened on the way.

mod losers;
mod origin;
mod text;
mod variables;
mod way;

use serde::Serialize;
use serde_json::Value;

use crate::load::Loaded;
use crate::source::Location;

/// Where the value of an attribute comes from, or the values of everything below it.
#[derive(Debug, Clone, Serialize)]
pub struct Explanation {
    /// The path that was asked for, as naru writes it.
    pub path: String,
    /// One entry for each scalar at or below the path, and for each empty list or mapping.
    pub values: Vec<Explained>,
}

/// Where one value comes from.
#[derive(Debug, Clone, Serialize)]
pub struct Explained {
    /// The way to it, such as `services.web.environment.DB_URL`.
    pub path: String,
    /// The final value; absent when a file took it back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Value>,
    /// What the value comes from.
    pub from: Origin,
    /// What happened on the way: variables, anchors, `extends`, `include`.
    pub with: Vec<Origin>,
    /// The values that lost, the last one first.
    pub lost: Vec<Origin>,
}

/// One thing that has to do with a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// What it is, in a few words.
    pub message: String,
    /// The value that it gives; absent when it is the final one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// Where it is; absent when it is in no file.
    #[serde(flatten)]
    pub location: Option<Location>,
    /// The line of text there.
    #[serde(skip)]
    pub excerpt: Option<String>,
}

/// There is nothing at the path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no `{missing}`{}", inside(.parent))]
pub struct Unknown {
    /// The part of the path that does not lead anywhere.
    pub missing: String,
    /// The part before it.
    pub parent: String,
    /// What can be done about it.
    pub hint: Option<String>,
}

fn inside(parent: &str) -> String {
    if parent.is_empty() { String::new() } else { format!(" in {parent}") }
}

impl Loaded {
    /// Where the value at `path` comes from, such as `services.web.environment.DB_URL`,
    /// `services.web.ports[0]` or `networks`. A key with dots or brackets can be quoted:
    /// `services.web.labels."com.example.a"`. The project has to be loaded with
    /// [`crate::LoadRequest::history`].
    ///
    /// # Errors
    /// When neither the project nor anything that was taken back has such a path.
    pub fn explain(&self, path: &str) -> Result<Explanation, Unknown> {
        let project = serde_json::to_value(self.project.printed()).unwrap_or_default();
        let (way, value) = match way::find(&project, path) {
            Ok(found) => found,
            Err(unknown) => {
                return self
                    .explain_unprinted(path)
                    .or_else(|| self.explain_taken(path))
                    .ok_or(unknown);
            }
        };
        let mut values = Vec::new();
        self.leaves(&way, value, &mut values);
        Ok(Explanation { path: way::print(&way), values })
    }

    fn leaves(&self, way: &[way::Step], value: &Value, values: &mut Vec<Explained>) {
        let below = |step| way.iter().cloned().chain([step]).collect::<Vec<_>>();
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (key, value) in map {
                    self.leaves(&below(way::Step::Key(key.clone())), value, values);
                }
            }
            Value::Array(list) if !list.is_empty() => {
                for (index, value) in list.iter().enumerate() {
                    self.leaves(&below(way::Step::Index(index)), value, values);
                }
            }
            _ => values.push(self.leaf(way, value)),
        }
    }
}
