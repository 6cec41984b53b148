//! Compose YAML to a typed project, every problem with file, line and column.

pub mod project;

pub use project::Project;
