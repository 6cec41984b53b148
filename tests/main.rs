//! Tests of the whole: the repository's own rules, the command line, and scenarios with real containers.

mod repository;
