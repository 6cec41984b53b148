//! Every value of several hundred public files can be explained. The corpus is not part of this
//! repository: without it beside the repository nothing is looked at.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it is a test, and says when it cannot run"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use naru_compose::{Explained, LoadRequest, Loaded};

#[test]
fn every_value_of_the_corpus_comes_from_a_place_or_has_a_reason() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(corpus) = fs_err::canonicalize(corpus) else {
        println!("there is no corpus beside the repository: nothing is looked at");
        return;
    };
    let manifest = fs_err::read_to_string(corpus.join("manifest.tsv")).unwrap();
    let cases = manifest.lines().skip(1).filter_map(|line| line.split('\t').next());
    let (mut wrong, mut count) = (BTreeSet::new(), 0);
    for case in cases {
        let Ok(loaded) = naru_compose::load(&request(&corpus, case)) else { continue };
        for value in explain_all(&loaded) {
            count += 1;
            if value.from.message == "default" {
                wrong.insert(format!("{case}: {}", value.path));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", Vec::from_iter(wrong).join("\n"));
    assert!(count > 3_000, "only {count} values");
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
        history: true,
        ..LoadRequest::default()
    }
}
