//! The schema against the tables it is made from, and against files.

use std::collections::BTreeSet;

use serde_json::Value;

use super::*;
use crate::tests::load_text;

fn parsed() -> Value {
    serde_json::from_str(&schema()).unwrap()
}

/// What an independent validator says about a file, the first complaint.
fn complaint(yaml: &str) -> Option<String> {
    let validator = jsonschema::validator_for(&parsed()).unwrap();
    let file: Value = serde_yaml::from_str(yaml).unwrap();
    validator.validate(&file).err().map(|error| format!("{}: {error}", error.instance_path()))
}

#[test]
fn the_schema_is_one_of_draft_7() {
    assert!(jsonschema::meta::is_valid(&parsed()));
}

/// Every attribute below a schema, as docs/compose-support.md writes it.
fn attributes(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let joined = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
        if key == "x-naru-lint" {
            continue;
        }
        assert!(schema["description"].as_str().is_some_and(|text| text.len() > 5), "{key}");
        found.insert(joined(key));
        attributes(schema, &joined(key), found);
    }
    for schema in schema["anyOf"].as_array().into_iter().flatten() {
        attributes(schema, path, found);
    }
    attributes_of_names(schema, &joined("*"), found);
    if schema["items"].is_object() {
        attributes(&schema["items"], path, found);
    }
}

fn attributes_of_names(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    if schema["additionalProperties"].is_object() {
        attributes(&schema["additionalProperties"], path, found);
    }
    for (pattern, schema) in schema["patternProperties"].as_object().into_iter().flatten() {
        if pattern != "^x-" {
            attributes(schema, path, found);
        }
    }
}

#[test]
fn the_schema_has_exactly_the_attributes_of_the_table_of_support() {
    let mut found = BTreeSet::new();
    attributes(&parsed(), "", &mut found);
    let document = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/compose-support.md");
    let document = fs_err::read_to_string(document).unwrap();
    let rows = document.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let rows: BTreeSet<String> = rows.map(str::to_owned).collect();
    assert!(rows.len() > 300, "{}", rows.len());
    assert_eq!(found.symmetric_difference(&rows).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn every_default_belongs_to_an_attribute_and_fits_it() {
    let mut found = BTreeSet::new();
    attributes(&parsed(), "", &mut found);
    for (path, default) in DEFAULTS {
        assert!(found.contains(*path), "{path}");
        let mut schema = &parsed();
        for segment in path.split('.') {
            schema = step(schema, segment).unwrap();
        }
        let validator = jsonschema::validator_for(schema).unwrap();
        let default: Value = serde_json::from_str(default).unwrap();
        assert!(validator.is_valid(&default), "{path}");
        assert_eq!(schema["default"], default, "{path}");
    }
}

/// The schema of a key, or of the values of a mapping for `*`.
fn step<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    if key == "*" {
        let named = schema["patternProperties"].get("^[a-zA-Z0-9._-]+$");
        let named = named.or_else(|| Some(&schema["additionalProperties"]));
        return named.filter(|schema| schema.is_object()).or_else(|| below(schema, key));
    }
    schema["properties"].get(key).or_else(|| below(schema, key))
}

fn below<'s>(schema: &'s Value, key: &str) -> Option<&'s Value> {
    let items = Some(&schema["items"]).filter(|items| items.is_object());
    let choices = schema["anyOf"].as_array().into_iter().flatten();
    choices.chain(items).find_map(|schema| step(schema, key))
}

#[test]
fn editors_are_told_what_is_wrong() {
    for (service, place) in [
        ("image: 5", "/services/a/image"),
        ("imgae: x", "/services/a"),
        ("ports: 80", "/services/a/ports"),
        ("ports: [{target: 80, hostport: 8080}]", "/services/a/ports"),
        ("pull_policy: sometimes", "/services/a/pull_policy"),
        ("cgroup: mine", "/services/a/cgroup"),
        ("mem_limit: much", "/services/a/mem_limit"),
        ("healthcheck: {test: a, interval: 10}", "/services/a/healthcheck/interval"),
        ("tty: maybe", "/services/a/tty"),
        ("oom_score_adj: 2000", "/services/a/oom_score_adj"),
        ("depends_on: {b: {}}", "/services/a/depends_on"),
        ("x-naru-lint: {allow: [everything]}", "/services/a/x-naru-lint"),
    ] {
        let yaml = format!("services:\n  a:\n    {service}\n");
        let complaint = complaint(&yaml).unwrap_or_default();
        assert!(complaint.starts_with(place), "{service}: {complaint}");
        let loads = load_text(&yaml).is_ok() && !service.starts_with("x-");
        assert!(!loads, "the loader refuses it as well: {service}");
    }
}

#[test]
fn variables_may_stand_nearly_everywhere() {
    let yaml = "\
services:
  a:
    image: ${I}
    scale: ${N:-1}
    tty: ${T:-false}
    mem_limit: ${M:-1g}
    pull_policy: ${P:-always}
    cgroup: ${C:-host}
    healthcheck: {test: a, interval: '${X:-1s}'}
    ports: ['${P:-80}:80', {target: '${T:-80}'}]
    x-naru-lint: {allow: [unset-variable]}
";
    assert_eq!(complaint(yaml), None);
}
