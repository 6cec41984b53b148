//! Temporary projects, namespace sandboxes and snapshot filters for tests.
