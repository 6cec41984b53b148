//! Compose YAML to a typed [`Project`], every problem with file, line and column.
//!
//! The crate owns what a Compose file means: the schema, interpolation, merging, `include` and
//! `extends`, defaults and checks. It reads the files it is given and nothing else: directory and
//! environment come with the [`LoadRequest`], and nothing is ever printed.
//!
//! A text becomes a tree whose nodes know their place (`tree`); every phase works on that tree
//! and reports what it finds, and only at the end the tree becomes typed values ([`project`]). What
//! is special about single attributes stands in tables: their shapes (`schema`), how they are
//! merged (`merge::rules`), their short forms (`canonical::table`), which of them are paths
//! (`load::paths`), and whether naru can run them (`support`). Values remember what they took the place
//! of, so that every one can be explained (`explain`); what is probably a mistake is warned about (`lint`),
//! and problems get hints and further places from `advice`.
//!
//! ```no_run
//! let request = naru_compose::LoadRequest {
//!     working_directory: "/srv/shop".into(),
//!     ..Default::default()
//! };
//! match naru_compose::load(&request) {
//!     Ok(loaded) => assert!(loaded.project.services.contains_key("web")),
//!     Err(problems) => panic!("{problems}"),
//! }
//! ```

mod advice;
mod budget;
mod canonical;
mod explain;
mod interpolate;
mod lint;
mod load;
mod merge;
mod path;
mod print;
mod problem;
pub mod project;
mod report;
mod schema;
pub mod short;
mod source;
mod support;
#[cfg(test)]
mod tests;
mod tree;

pub use explain::{Explained, Explanation, Origin, Unknown};
pub use load::{LoadRequest, Loaded, Skip, Template, Variable, configuration, load, load_template};
pub use problem::{Code, Problem, Problems, Related, Severity};
pub use project::Project;
pub use schema::schema;
pub use source::Location;
