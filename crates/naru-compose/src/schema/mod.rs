//! What a Compose file may say: every attribute with the shape of its value.

mod build;
mod check;
mod deploy;
mod resources;
mod service;
mod shape;
mod suggest;

pub(crate) use check::check;
pub(crate) use resources::{INCLUDE, PROJECT};
pub(crate) use service::{SERVICE, extends_shape};
pub(crate) use shape::{Object, Shape};
pub(crate) use suggest::closest;
