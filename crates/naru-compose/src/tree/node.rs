//! Nodes of the tree.

use std::sync::Arc;

use indexmap::IndexMap;

use super::float_text;
use super::past::{Made, Past};
use crate::source::Position;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// Where the value starts.
    pub(crate) at: Position,
    /// The value.
    pub(crate) value: Value,
    /// A tag that changes how the value is merged.
    pub(crate) mark: Mark,
    /// Why it is there, when no file says it as it is.
    pub(crate) made: Option<Made>,
    /// What happened to it; absent when nothing did, or when there is too much to remember.
    pub(crate) past: Option<Arc<Past>>,
}

/// What a node can be.
#[derive(Debug, Clone, Default)]
pub(crate) enum Value {
    /// `null`, `~` or nothing.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(String),
    /// A date without quotes, which nothing accepts.
    Date(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
    /// A value with a problem that was reported already; later phases leave it alone.
    Broken,
}

/// A tag that changes how a value is merged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mark {
    /// None.
    #[default]
    Plain,
    /// `!reset`: what earlier files say is removed, and this value too.
    Reset,
    /// `!override`: what earlier files say is removed.
    Override,
}

/// The value of a key, with the place of the key.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// Where the key is.
    pub(crate) key_at: Position,
    /// The value.
    pub(crate) node: Node,
}

/// A mapping in the order of the file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Map(pub(crate) Box<IndexMap<String, Entry>>);

impl Map {
    /// The value of a key.
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        self.0.get(key).map(|entry| &entry.node)
    }

    /// The value of a key, to change it.
    pub(crate) fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        self.0.get_mut(key).map(|entry| &mut entry.node)
    }

    /// Whether there is such a key.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Sets the value of a key, which gets the place of the value.
    pub(crate) fn set(&mut self, key: &str, node: Node) {
        self.0.insert(key.to_owned(), Entry { key_at: node.at, node });
    }

    /// Takes a key out.
    pub(crate) fn remove(&mut self, key: &str) -> Option<Node> {
        self.0.shift_remove(key).map(|entry| entry.node)
    }

    /// Keys and values.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.0.iter().map(|(key, entry)| (key, &entry.node))
    }

    /// Keys and values, to change the values.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (&String, &mut Node)> {
        self.0.iter_mut().map(|(key, entry)| (key, &mut entry.node))
    }

    /// The text of a key, when it is one.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.get(key).and_then(Node::as_text)
    }

    /// The mapping of a key, when it is one.
    pub(crate) fn map(&self, key: &str) -> Option<&Self> {
        self.get(key).and_then(Node::as_map)
    }

    /// The mapping of a key, to change it.
    pub(crate) fn map_mut(&mut self, key: &str) -> Option<&mut Self> {
        self.get_mut(key).and_then(Node::as_map_mut)
    }

    /// The entries of a list, none when it is no list.
    pub(crate) fn list(&self, key: &str) -> &[Node] {
        self.get(key).map_or(&[], Node::as_list)
    }
}

impl Node {
    /// A node with a value and a place.
    pub(crate) fn new(at: Position, value: Value) -> Self {
        Self { at, value, mark: Mark::Plain, made: None, past: None }
    }

    /// A value that no file says as it is; `at` is the place that it follows from.
    pub(crate) fn made(at: Position, value: Value, made: Made) -> Self {
        Self { made: Some(made), ..Self::new(at, value) }
    }

    /// A text that no file says as it is.
    pub(crate) fn made_text(at: Position, text: impl Into<String>, made: Made) -> Self {
        Self::made(at, Value::Text(text.into()), made)
    }

    /// A text.
    pub(crate) fn text(at: Position, text: impl Into<String>) -> Self {
        Self::new(at, Value::Text(text.into()))
    }

    /// An empty mapping.
    pub(crate) fn empty_map(at: Position) -> Self {
        Self::new(at, Value::Map(Map::default()))
    }

    /// The mapping, when it is one.
    pub(crate) fn as_map(&self) -> Option<&Map> {
        if let Value::Map(map) = &self.value { Some(map) } else { None }
    }

    /// The mapping, to change it.
    pub(crate) fn as_map_mut(&mut self) -> Option<&mut Map> {
        if let Value::Map(map) = &mut self.value { Some(map) } else { None }
    }

    /// The text, when it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }

    /// The entries of a list, none when it is no list.
    pub(crate) fn as_list(&self) -> &[Self] {
        if let Value::List(entries) = &self.value { entries } else { &[] }
    }

    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// Whether a problem of it was reported already.
    pub(crate) fn is_broken(&self) -> bool {
        matches!(self.value, Value::Broken)
    }

    /// A scalar as the text that Go prints for it; nothing for null, lists and mappings.
    pub(crate) fn scalar_text(&self) -> Option<String> {
        Some(match &self.value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => float_text(*value),
            Value::Text(value) => value.clone(),
            _ => return None,
        })
    }

    /// What it is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) => "a text",
            Value::Date(_) => "a date",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Broken => "a broken value",
        }
    }

    /// How deep it is.
    pub(crate) fn depth(&self) -> usize {
        1 + match &self.value {
            Value::List(entries) => entries.iter().map(Self::depth).max().unwrap_or(0),
            Value::Map(map) => map.iter().map(|(_, node)| node.depth()).max().unwrap_or(0),
            _ => 0,
        }
    }
}
