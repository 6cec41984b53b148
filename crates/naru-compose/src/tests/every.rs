//! A project that says every attribute in every form: it loads, and what is printed for it means the
//! same when it is read again. That nothing is missing is held against the tables of the schema.

use std::collections::BTreeSet;

use super::Directory;
use crate::project::Dollar;
use crate::schema::{PROJECT, Shape};

/// Every attribute of the Compose Specification, in its short and in its long form.
const EVERY: &str = include_str!("every/compose.yaml");

type Value = serde_yaml::Value;

fn directory(compose: &str) -> Directory {
    Directory::with(&[
        ("compose.yaml", compose),
        ("base.yaml", "services: {base: {image: x}}\n"),
        ("one.yaml", "services: {one: {image: x}}\n"),
        ("two.yaml", "services: {two: {image: x}}\n"),
        ("three.yaml", "services: {two: {command: a}}\n"),
        ("four.yaml", "services: {four: {image: x}}\n"),
        ("empty.env", ""),
        ("a.env", "A=1\n"),
        ("b.env", "B=$$x\n"),
        ("l.env", "L=1\n"),
    ])
}

fn load(compose: &str, profiles: &[&str]) -> crate::Project {
    let directory = directory(compose);
    let mut request = directory.request(&[]);
    request.profiles = profiles.iter().map(|&profile| profile.to_owned()).collect();
    request.all_resources = true;
    crate::load(&request).unwrap_or_else(|problems| panic!("{problems}")).project
}

/// What a printed project names of the directory it was loaded in, by a name that stays the same.
fn portable(project: &crate::Project, text: &str) -> String {
    text.replace(&*project.working_directory.to_string_lossy(), "/every")
}

#[test]
fn what_is_printed_in_yaml_means_the_same_when_it_is_read_again() {
    let first = load(EVERY, &["*"]);
    let printed = portable(&first, &first.to_yaml(Dollar::Doubled));
    let second = load(&printed, &["*"]);
    pretty_equal(&portable(&second, &second.to_yaml(Dollar::Doubled)), &printed);
}

#[test]
fn what_is_printed_in_json_means_the_same_when_it_is_read_again() {
    // docker compose does not print models in JSON, and nor does naru.
    let first = load(EVERY, &["p"]);
    let printed = portable(&first, &first.to_json(Dollar::Doubled));
    let second = load(&printed, &["p"]);
    pretty_equal(&portable(&second, &second.to_json(Dollar::Doubled)), &printed);
}

fn pretty_equal(found: &str, expected: &str) {
    let differs = |(found, expected): &(&str, &str)| found != expected;
    let first = found.lines().zip(expected.lines()).find(differs);
    assert_eq!((first, found.lines().count()), (None, expected.lines().count()));
}

#[test]
fn the_file_says_every_attribute_in_every_form() {
    let file: Value = serde_yaml::from_str(EVERY).unwrap();
    let (mut said, mut known) = (BTreeSet::new(), BTreeSet::new());
    said_by(&Shape::Object(&PROJECT), &file, "", &mut said);
    known_to(&Shape::Object(&PROJECT), "", &mut known);
    assert!(known.len() > 400, "{}", known.len());
    let missing: Vec<_> = known.difference(&said).collect();
    assert_eq!(missing, Vec::<&String>::new());
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

/// The attributes and forms of a file.
fn said_by(shape: &Shape, value: &Value, path: &str, said: &mut BTreeSet<String>) {
    match (shape, value) {
        (Shape::Object(object), Value::Mapping(map)) => {
            for (key, value) in map {
                let key = key.as_str().unwrap();
                let Some(shape) = object.field(key) else {
                    assert!(key.starts_with("x-"), "{path}.{key}");
                    continue;
                };
                said.insert(joined(path, key));
                said_by(shape, value, &joined(path, key), said);
            }
        }
        (Shape::Map(inner) | Shape::Named(inner), Value::Mapping(map)) => {
            map.values().for_each(|value| said_by(inner, value, &joined(path, "*"), said));
        }
        (Shape::List(inner) | Shape::Set(inner), Value::Sequence(entries)) => {
            entries.iter().for_each(|entry| said_by(inner, entry, path, said));
        }
        (Shape::Optional(_), Value::Null) => {
            said.insert(format!("{path} as nothing"));
        }
        (Shape::Optional(inner), value) => said_by(inner, value, path, said),
        (Shape::OneOf(shapes), value) => {
            let kind = kind_of(value);
            said.insert(format!("{path} as {kind}"));
            let fitting = shapes.iter().find(|shape| kind_expected(shape) == kind);
            fitting.into_iter().for_each(|shape| said_by(shape, value, path, said));
        }
        _ => {}
    }
}

/// The attributes and forms that there are.
fn known_to(shape: &Shape, path: &str, known: &mut BTreeSet<String>) {
    match shape {
        Shape::Object(object) => {
            for (key, shape, _) in object.fields {
                known.insert(joined(path, key));
                known_to(shape, &joined(path, key), known);
            }
        }
        Shape::Map(inner) | Shape::Named(inner) => known_to(inner, &joined(path, "*"), known),
        Shape::List(inner) | Shape::Set(inner) => known_to(inner, path, known),
        Shape::Optional(inner) => {
            known.insert(format!("{path} as nothing"));
            known_to(inner, path, known);
        }
        Shape::OneOf(shapes) => {
            for shape in *shapes {
                known.insert(format!("{path} as {}", kind_expected(shape)));
                known_to(shape, path, known);
            }
        }
        _ => {}
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Mapping(_) => "a mapping",
        Value::Sequence(_) => "a list",
        _ => "a scalar",
    }
}

fn kind_expected(shape: &Shape) -> &'static str {
    match shape {
        Shape::Object(_) | Shape::Map(_) | Shape::Named(_) => "a mapping",
        Shape::List(_) | Shape::Set(_) => "a list",
        _ => "a scalar",
    }
}
