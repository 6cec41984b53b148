//! Broken files, and what the reader gets to see: every directory in `tests/broken` is a project with a
//! mistake, and beside it is what naru says about it. docker compose 2.40 refuses each of them as well, but
//! for `healthy-with-disabled-check`, at which it fails when it runs.
#![expect(clippy::unwrap_used, reason = "it is a test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use naru_compose::{LoadRequest, Problems};

#[test]
fn every_broken_project_is_refused_in_words_that_can_be_acted_on() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("broken");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for case in cases {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            let text = refusal(&case).to_string().replace(&*case.to_string_lossy(), "/shop");
            insta::assert_snapshot!(name, text);
        }
    });
}

#[test]
fn every_problem_has_a_place_a_code_and_something_to_do() {
    for case in cases() {
        for problem in refusal(&case).0 {
            let name = case.file_name().unwrap().to_string_lossy().into_owned();
            let location = problem.location.as_ref();
            assert!(location.is_some_and(|place| place.line > 0), "{name}: {problem}");
            assert!(problem.hint.is_some(), "{name} has no hint: {problem}");
        }
    }
}

#[test]
fn the_json_form_of_a_broken_project_says_the_same() {
    let directory = root().join("variable-makes-a-bad-port");
    let json = refusal(&directory).to_json();
    insta::assert_snapshot!(json.replace(&*directory.to_string_lossy(), "/shop"));
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken")
}

/// The projects, by name.
fn cases() -> Vec<PathBuf> {
    let entries = fs_err::read_dir(root()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> = entries.filter(|path| path.is_dir()).collect();
    cases.sort();
    cases
}

fn refusal(directory: &Path) -> Problems {
    let request = LoadRequest {
        working_directory: directory.to_owned(),
        environment: BTreeMap::new(),
        ..LoadRequest::default()
    };
    match naru_compose::load(&request) {
        Ok(_) => panic!("{} loads", directory.display()),
        Err(problems) => problems,
    }
}
