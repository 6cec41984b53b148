//! Printing projects and templates: the order of keys, YAML as go-yaml writes it, and JSON as Go
//! writes it. What is printed is a [`Document`], a value that keeps the order of its keys.

mod document;
mod json;
mod order;
mod yaml;

pub(crate) use document::{Document, Key, Mapping, take};
pub(crate) use json::to_json;
pub(crate) use order::{Sort, by_bytes, sort_all, sort_by_shape, sort_keys};
pub(crate) use yaml::to_yaml;
