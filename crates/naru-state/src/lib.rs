//! Directories, identifiers, records, locks and the log format.
