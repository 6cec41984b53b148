//! The JSON Schema for editors against several hundred public files: what docker compose loads has no
//! complaint, and what its schema refuses has one. The corpus is not part of this repository: without
//! it beside the repository nothing is compared.
#![expect(clippy::print_stdout, reason = "it is a test, and says when it cannot run")]

use std::path::Path;

use serde_json::Value;

/// Files that mean something else by themselves than after loading: a service that only completes
/// the one it extends, tags, several documents, and lists in which an entry may not be there twice.
const BEYOND: [&str; 6] = ["extends", "!reset", "!override", "\n---", "group_add", "security_opt"];

/// What JSON does not have: keys that are numbers, and dates.
const NOT_IN_JSON: [&str; 2] = ["NonStringKeys", "env-date"];

#[test]
fn the_schema_accepts_what_loads_and_refuses_what_has_the_wrong_shape() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/corpus");
    let Ok(corpus) = fs_err::canonicalize(corpus) else {
        println!("there is no corpus beside the repository: nothing is compared");
        return;
    };
    let schema: Value = serde_json::from_str(&naru_compose::schema()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let manifest = fs_err::read_to_string(corpus.join("manifest.tsv")).unwrap();
    let (mut wrong, mut accepted, mut refused) = (Vec::new(), 0, 0);
    for line in manifest.lines().skip(1) {
        let mut columns = line.split('\t');
        let (case, class) = (columns.next().unwrap(), columns.nth(1).unwrap());
        let text = fs_err::read_to_string(corpus.join("cases").join(case)).unwrap();
        if NOT_IN_JSON.iter().any(|name| case.contains(name)) {
            continue;
        }
        let beyond = BEYOND.iter().any(|mark| text.contains(mark));
        let Some(file) = read(&text).filter(|_| !beyond) else { continue };
        match (class, validator.validate(&file)) {
            ("ok", Ok(())) => accepted += 1,
            ("ok", Err(error)) => {
                wrong.push(format!("{case}: {}: {error}", error.instance_path()));
            }
            ("schema", Ok(())) => wrong.push(format!("{case}: has no complaint")),
            ("schema", Err(_)) => refused += 1,
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(accepted > 200 && refused > 15, "{accepted} accepted, {refused} refused");
}

/// A file as an editor sees it, with anchors and merge keys resolved.
fn read(text: &str) -> Option<Value> {
    let mut file: serde_yaml::Value = serde_yaml::from_str(text).ok()?;
    file.apply_merge().ok()?;
    serde_json::to_value(file).ok()
}
