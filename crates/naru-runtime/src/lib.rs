//! The shared OCI runtime: bundle to process.
