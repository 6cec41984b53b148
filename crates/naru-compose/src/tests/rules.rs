//! The rules of the Compose Specification and of docker compose's loader, one test for each that no other
//! test is about.

use super::{Directory, load_text};
use crate::Project;

mod attributes;
mod merging;
mod names;
mod phases;
mod short_forms;

/// The project of these files.
#[track_caller]
fn project(files: &[(&str, &str)]) -> Project {
    let directory = Directory::with(files);
    crate::load(&directory.request(&[])).unwrap_or_else(|problems| panic!("{problems}")).project
}

/// The problems of these files.
#[track_caller]
fn problems(files: &[(&str, &str)]) -> String {
    let directory = Directory::with(files);
    let Err(problems) = crate::load(&directory.request(&[])) else {
        panic!("it loads: {}", files[0].1)
    };
    directory.plain(&problems.to_string())
}

/// Loads a service with this and compares an attribute of it.
#[track_caller]
fn check(service: &str, attribute: &str, expect: &str) {
    check_files(&[("compose.yaml", &of(service))], attribute, expect);
}

/// A service with this must be refused in these words.
#[track_caller]
fn refused(service: &str, words: &str) {
    let problems = problems(&[("compose.yaml", &of(service))]);
    assert!(problems.contains(words), "{service}: {problems}");
    assert_eq!(problems.matches("error:").count(), 1, "{service}: {problems}");
}

/// A service with this must be accepted.
#[track_caller]
fn accepted(service: &str) {
    project(&[("compose.yaml", &of(service))]);
}

/// A file whose service `a` says this; `b` and one resource of every kind are there to refer to.
fn of(service: &str) -> String {
    format!(
        "services:\n  a: {{image: x, {service}}}\n  b: {{image: x}}\n\
         networks: {{n: , m: }}\nvolumes: {{data: }}\nmodels: {{ai: {{model: m}}}}\n\
         secrets: {{s1: {{file: ./s}}, s2: {{file: ./s}}}}\nconfigs: {{c1: {{file: ./c}}}}\n"
    )
}

/// Loads files and compares an attribute of service `a`.
#[track_caller]
fn check_files(files: &[(&str, &str)], attribute: &str, expect: &str) {
    let directory = Directory::with(files);
    let loaded = crate::load(&directory.request(&[])).unwrap_or_else(|e| panic!("{e}"));
    let value = serde_json::to_value(&loaded.project.services["a"]).unwrap();
    assert_eq!(directory.plain(&value[attribute].to_string()), expect);
}

/// Merges a service that says the second over one that says the first, and compares an attribute.
#[track_caller]
fn check_merge(base: &str, over: &str, attribute: &str, expect: &str) {
    let over = format!("services: {{a: {{{over}}}}}\n");
    let files = [("compose.yaml", of(base)), ("compose.override.yaml", over)];
    check_files(&files.each_ref().map(|(path, text)| (*path, text.as_str())), attribute, expect);
}
