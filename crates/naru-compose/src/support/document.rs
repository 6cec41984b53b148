//! docs/compose-support.md is held against the schema and the table.

use std::collections::BTreeSet;
use std::path::Path;

use super::table::{ROWS, SUPPORT, Support};
use crate::path::Cursor;
use crate::schema::{PROJECT, Shape};

/// Every attribute of the schema with its class, as rows of a Markdown table.
fn rows() -> Vec<String> {
    let mut rows = Vec::new();
    walk(&Shape::Object(&PROJECT), "", (SUPPORT.root(), Support::Done), &mut rows);
    rows.sort_by_key(|row| row.split('`').nth(1).map(str::to_owned));
    rows
}

fn walk(
    shape: &Shape,
    path: &str,
    (at, inherited): (Cursor<'_, Support>, Support),
    rows: &mut Vec<String>,
) {
    let joined = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match shape {
        Shape::Object(object) => {
            for (key, shape, _) in object.fields {
                let (path, at) = (joined(key), at.key(key));
                let support = support(at, inherited);
                rows.push(row(&path, support));
                walk(shape, &path, (at, below(support)), rows);
            }
        }
        Shape::Map(shape) | Shape::Named(shape) => {
            walk(shape, &joined("*"), (at.key("*"), inherited), rows);
        }
        Shape::List(shape) | Shape::Set(shape) => {
            walk(shape, path, (at.entry(), inherited), rows);
        }
        Shape::Optional(shape) => walk(shape, path, (at, inherited), rows),
        Shape::OneOf(shapes) => {
            shapes.iter().for_each(|shape| walk(shape, path, (at, inherited), rows));
        }
        _ => {}
    }
}

/// The row of the attribute, of its entries, or of what it is part of.
fn support(at: Cursor<'_, Support>, inherited: Support) -> Support {
    at.value().or_else(|| at.entry().value()).unwrap_or(inherited)
}

/// What the class of an attribute means for its parts.
fn below(support: Support) -> Support {
    if let Support::Partly(..) = support { Support::Done } else { support }
}

fn row(path: &str, support: Support) -> String {
    let (class, remark) = match support {
        Support::Done => ("done", String::new()),
        Support::Partly(_, values) => ("done", format!("only {values}")),
        Support::Ignored(reason) => ("ignored", reason.to_owned()),
        Support::NotYet(remark) => ("not yet", remark.to_owned()),
    };
    format!("| `{path}` | {class} | {remark} |").replace(" |  |", " | |")
}

#[test]
fn the_document_has_one_row_per_attribute_with_its_class() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compose-support.md");
    let text = fs_err::read_to_string(&path).unwrap();
    let heading = "| attribute | class | remark |\n| --- | --- | --- |\n";
    let (before, _) = text.split_once(heading).unwrap();
    let expected = format!("{before}{heading}{}\n", rows().join("\n"));
    if std::env::var_os("NARU_UPDATE_DOCS").is_some() {
        fs_err::write(&path, &expected).unwrap();
        return;
    }
    assert!(
        text == expected,
        "docs/compose-support.md is out of date: run with NARU_UPDATE_DOCS=1"
    );
}

#[test]
fn every_attribute_of_the_top_level_and_of_a_service_has_a_row_of_its_own() {
    let patterns: BTreeSet<&str> = ROWS.iter().map(|(pattern, _)| *pattern).collect();
    for row in rows() {
        let path = row.split('`').nth(1).unwrap();
        let own = !path.contains('.')
            || (path.starts_with("services.*.") && path.matches('.').count() == 2);
        let entries = format!("{path}.*");
        assert!(!own || patterns.contains(path) || patterns.contains(entries.as_str()), "{path}");
    }
}

#[test]
fn every_row_is_about_an_attribute_of_the_schema() {
    let known: BTreeSet<String> =
        rows().iter().map(|row| row.split('`').nth(1).unwrap().to_owned()).collect();
    for (pattern, _) in ROWS {
        // Lists have no segment of their own in the document.
        let found = known
            .iter()
            .any(|path| path == pattern || without_stars(path) == without_stars(pattern));
        assert!(found, "{pattern}");
    }
}

fn without_stars(path: &str) -> String {
    path.replace(".*", "")
}
