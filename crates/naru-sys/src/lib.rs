//! System calls that no safe crate offers; the only crate with unsafe code.
