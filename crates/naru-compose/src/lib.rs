//! Compose YAML to a typed project, every problem with file, line and column.
