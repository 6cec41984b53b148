//! What the loader says about several hundred public files: every value can be explained, and the
//! lints warn about real traps only. The corpus is not part of this repository: without it beside the
//! repository nothing is looked at.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it is a test, and says when it cannot run"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use naru_compose::{Explained, LoadRequest, Loaded};

/// The lints that fire, each looked at by a person: see the remark.
const REVIEWED: &[(&str, &str)] = &[
    // `postgres` and `postgres:alpine` are version 18 today, and the volume is at the old place.
    ("awesome-compose/gitea-postgres/compose.yaml", "postgres-volume"),
    ("awesome-compose/nextcloud-postgres/compose.yaml", "postgres-volume"),
    // The backend waits for `pg_isready` on the socket.
    ("awesome-compose/nginx-golang-postgres/compose.yaml", "pg-isready-host"),
    ("awesome-compose/nginx-golang-postgres/compose.yaml", "postgres-volume"),
    ("awesome-compose/spring-postgres/compose.yaml", "postgres-volume"),
    // extra.env says SOURCE=extra.env, and `${SOURCE:-imported}` takes the default.
    ("compose-go/loader/inl-loader-TestLoadWithIncludeOverride-1.yaml", "env-file-variable"),
    ("compose-go/loader/testdata/compose-test-extends.yaml", "env-file-variable"),
    ("compose-go/loader/testdata/subdir/compose-test-extends-imported.yaml", "env-file-variable"),
    // `web` waits for a `postgres` without a health check, and would be refused at `up`.
    ("compose-spec-md/05-services-18.yaml", "healthy-without-check"),
];

#[test]
fn every_value_of_the_corpus_comes_from_a_place_or_has_a_reason() {
    let (mut wrong, mut count) = (BTreeSet::new(), 0);
    for (case, loaded) in corpus(true) {
        for value in explain_all(&loaded) {
            count += 1;
            if value.from.message == "default" {
                wrong.insert(format!("{case}: {}", value.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", Vec::from_iter(wrong).join("\n"));
    assert!(count == 0 || count > 3_000, "only {count} values");
}

#[test]
fn the_lints_that_fire_on_the_corpus_are_true() {
    let words = ["unset-variable", "obsolete", "shell-operator", "drive-letter", "boolean-word"];
    let mut found = BTreeSet::new();
    for (case, loaded) in corpus(false) {
        let names = loaded.warnings.iter().map(|warning| warning.code.name());
        let lints = names.filter(|name| !words.contains(name));
        found.extend(lints.map(|name| (case.clone(), name)));
    }
    let found: Vec<(&str, &str)> =
        found.iter().map(|(case, name)| (case.as_str(), *name)).collect();
    assert!(found.is_empty() || found == REVIEWED, "{found:#?}");
}

/// Every project of the corpus that loads.
fn corpus(history: bool) -> Vec<(String, Loaded)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(corpus) = fs_err::canonicalize(corpus) else {
        println!("there is no corpus beside the repository: nothing is looked at");
        return Vec::new();
    };
    let manifest = fs_err::read_to_string(corpus.join("manifest.tsv")).unwrap();
    let cases = manifest.lines().skip(1).filter_map(|line| line.split('\t').next());
    let load = |case: &str| {
        let request = LoadRequest { history, ..request(&corpus, case) };
        Some((case.to_owned(), naru_compose::load(&request).ok()?))
    };
    cases.filter_map(load).collect()
}

fn explain_all(loaded: &Loaded) -> Vec<Explained> {
    let sections = ["name", "services", "networks", "volumes", "secrets", "configs"];
    let explained = sections.iter().filter_map(|section| loaded.explain(section).ok());
    explained.flat_map(|explanation| explanation.values).collect()
}

fn request(corpus: &Path, case: &str) -> LoadRequest {
    let file = corpus.join("cases").join(case);
    let probe = case.starts_with("probes/");
    let files = if probe { Vec::new() } else { vec![PathBuf::from(file.file_name().unwrap())] };
    LoadRequest {
        files,
        working_directory: file.parent().unwrap().to_owned(),
        environment: BTreeMap::from([("HOME".to_owned(), "/root".to_owned())]),
        ..LoadRequest::default()
    }
}
