//! What a Compose file may say: every attribute with the shape of its value.

mod build;
mod check;
mod coerce;
mod deploy;
mod json;
mod naru;
mod parts;
mod resources;
mod service;
mod shape;
mod suggest;

pub(crate) use check::{check, fingerprint};
pub use json::schema;
pub(crate) use resources::{INCLUDE, PROJECT};
pub(crate) use service::extends_shape;
#[cfg(test)]
pub(crate) use shape::Object;
pub(crate) use shape::Shape;
pub(crate) use suggest::closest;
