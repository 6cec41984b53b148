//! The loader: from files and environment to a [`crate::Project`]. The phases run in the order of
//! their modules here; each works on the tree that the one before it leaves.

mod request;

mod discover;
pub(crate) mod dotenv;
mod environment;
mod files;
mod name;

mod extends;
mod include;
mod model;
mod reset;

mod defaults;
mod normalize;
mod paths;
mod validate;

mod consistency;
mod cycle;
mod env_file;
mod finish;
mod place;
mod profiles;
mod resources;
mod template;

pub(crate) use dotenv::definitions;
pub(crate) use environment::{PROJECT_NAME, Scope};
pub(crate) use files::{clean, read};
pub(crate) use paths::absolute;
pub(crate) use place::Place;
pub use request::{LoadRequest, Loaded, Skip, configuration, load, load_template};
pub use template::{Template, Variable};
