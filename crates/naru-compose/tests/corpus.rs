//! Holds the loader against what docker compose printed for several hundred public files. The
//! corpus is not part of this repository: without it beside the repository nothing is compared.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "it is a test, and says when it cannot run"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use naru_compose::LoadRequest;
use naru_compose::project::Dollar;
use serde_json::{Map, Value};

#[test]
fn the_corpus_means_the_same_as_to_docker_compose() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(corpus) = fs_err::canonicalize(corpus) else {
        println!("there is no corpus beside the repository: nothing is compared");
        return;
    };
    let manifest = fs_err::read_to_string(corpus.join("manifest.tsv")).unwrap();
    let cases = manifest.lines().skip(1).filter_map(|line| line.split('\t').next());
    let wrong: Vec<String> = cases.filter_map(|case| compare(&corpus, case)).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is different about one case.
fn compare(corpus: &Path, case: &str) -> Option<String> {
    let expected = fs_err::read_to_string(corpus.join("expected").join(format!("{case}.json")));
    match (naru_compose::load(&request(corpus, case)), expected) {
        (Err(_), Err(_)) => None,
        (Ok(_), Err(_)) => Some(format!("{case}: loads, but must not")),
        (Err(problems), Ok(_)) => Some(format!("{case}: must load\n{problems}")),
        (Ok(loaded), Ok(expected)) => {
            let text = loaded.project.to_json(Dollar::Doubled);
            let found = plain(&text.replace(&*corpus.join("cases").to_string_lossy(), "@ROOT@"));
            let found =
                found.to_string().replace(&*corpus.join(".home").to_string_lossy(), "@HOME@");
            let expected = plain(&expected).to_string();
            (found != expected)
                .then(|| format!("{case}:\n  found    {found}\n  expected {expected}"))
        }
    }
}

fn request(corpus: &Path, case: &str) -> LoadRequest {
    let file = corpus.join("cases").join(case);
    // The probes are found by their names, so that override files are as well.
    let probe = case.starts_with("probes/");
    let files = if probe { Vec::new() } else { vec![PathBuf::from(file.file_name().unwrap())] };
    let home = corpus.join(".home").to_string_lossy().into_owned();
    LoadRequest {
        files,
        working_directory: file.parent().unwrap().to_owned(),
        environment: BTreeMap::from([("HOME".to_owned(), home)]),
        ..LoadRequest::default()
    }
}

fn plain(text: &str) -> Value {
    let mut value = serde_json::from_str(text).unwrap();
    normalize(&mut value, &[]);
    value
}

/// Takes out what means nothing: nulls and empty structures of Go, the order of some lists.
fn normalize(value: &mut Value, way: &[&str]) {
    match value {
        Value::Object(map) => object(map, way),
        Value::Array(entries) => {
            for entry in entries.iter_mut() {
                normalize(entry, &[way, &["[]"]].concat());
            }
            if matches!(way.last(), Some(&("extra_hosts" | "profiles"))) {
                entries.sort_by_key(Value::to_string);
            }
        }
        Value::Number(number) => *value = number.as_f64().unwrap().into(),
        Value::String(text) => *text = text.replace("$$", "$"),
        _ => {}
    }
}

fn object(map: &mut Map<String, Value>, way: &[&str]) {
    let mount = map.contains_key("target");
    for (key, mut value) in std::mem::take(map) {
        normalize(&mut value, &[way, &[key.as_str()]].concat());
        let empty = value.as_object().is_some_and(Map::is_empty);
        let nothing = match key.as_str() {
            "command" | "entrypoint" => value.is_null(),
            "exec" | "ipam" | "placement" | "resources" => empty,
            "volume" | "bind" | "tmpfs" | "image" => empty && mount,
            _ => false,
        };
        if !nothing {
            // docker compose prints these keys in capitals, and does not read them so.
            let in_blkio = way.contains(&"blkio_config");
            let key = if in_blkio { key.to_lowercase() } else { key };
            map.insert(key, value);
        }
    }
}
