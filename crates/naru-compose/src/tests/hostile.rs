//! Files that are made to hurt: each is an error, soon and in little memory.

use std::time::{Duration, Instant};

use super::{Directory, load_text};

fn check(yaml: &str, expect: &str) {
    let start = Instant::now();
    let problems = load_text(yaml).unwrap_err().to_string();
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    assert!(problems.contains(expect), "{}", problems.chars().take(600).collect::<String>());
}

#[test]
fn an_alias_bomb_is_an_error() {
    let mut yaml = "x-0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]\n".to_owned();
    for level in 1..12 {
        let one = format!("*a{}, ", level - 1).repeat(9);
        yaml += &format!("x-{level}: &a{level} [{}]\n", one.trim_end_matches(", "));
    }
    check(&yaml, "the project is too large");
}

#[test]
fn an_alias_inside_the_value_it_names_is_an_error() {
    check("services:\n  a: &a\n    image: x\n    x-a: *a\n", "stands inside the value it names");
    check("services:\n  a: &a\n    <<: *a\n    image: x\n", "stands inside the value it names");
}

#[test]
fn a_hundred_thousand_levels_are_an_error() {
    check(&format!("x-a: {}", "[".repeat(100_000)), "");
    let levels = (0..3_000).map(|level| " ".repeat(level) + "a:\n").collect::<String>();
    check(&levels, "nested more than 100 levels");
    let aliases = (1..200).map(|n| format!("x-{n}: &a{n} [*a{}]\n", n - 1)).collect::<String>();
    check(&format!("x-0: &a0 [1]\n{aliases}"), "nested more than 100 levels");
}

#[test]
fn a_million_keys_are_an_error() {
    let keys = (0..1_000_000).map(|n| format!("k{n}: 1\n")).collect::<String>();
    check(&keys, "");
}

#[test]
fn port_ranges_that_stand_for_too_many_ports_are_an_error() {
    let ports = "\"1-65535\", ".repeat(10);
    check(&format!("services:\n  a:\n    image: x\n    ports: [{ports}]\n"), "too many ports");
}

#[test]
fn documents_are_not_put_onto_a_large_project_without_end() {
    let (large, documents) = ("y".repeat(4_000_000), "---\nname: x\n".repeat(2_500));
    let yaml = format!("services:\n  a:\n    image: x\n    hostname: {large}\n{documents}");
    check(&yaml, "too many documents");
}

#[test]
fn files_that_are_no_files_are_errors() {
    for path in ["/dev/zero", "/dev/tty", "/", "./fifo"] {
        let yaml = format!("services:\n  a:\n    image: x\n    env_file: {path}\n");
        let directory = Directory::with(&[("compose.yaml", &yaml)]);
        let fifo = directory.0.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRUSR).unwrap();
        let problems = crate::load(&directory.request(&[])).unwrap_err().to_string();
        assert!(problems.contains("is not a regular file"), "{path}: {problems}");
    }
}

#[test]
fn includes_and_extends_in_circles_are_errors() {
    let directory = Directory::with(&[
        ("compose.yaml", "include: [b.yaml]\nservices: {a: {image: x}}\n"),
        ("b.yaml", "include: [compose.yaml]\n"),
    ]);
    let problems = crate::load(&directory.request(&[])).unwrap_err().to_string();
    assert!(problems.contains("include cycle detected"), "{problems}");
    let directory = Directory::with(&[
        ("compose.yaml", "services: {a: {extends: {file: b.yaml, service: b}}}\n"),
        ("b.yaml", "services: {b: {extends: {file: compose.yaml, service: a}}}\n"),
    ]);
    let problems = crate::load(&directory.request(&[])).unwrap_err().to_string();
    assert!(problems.contains("Circular reference"), "{problems}");
}

#[test]
fn a_long_chain_of_services_is_no_problem() {
    let service = |n: usize| match n {
        0 => "  s0: {image: x}\n".to_owned(),
        _ => format!("  s{n}: {{image: x, depends_on: [s{}]}}\n", n - 1),
    };
    let services = (0..2_000).map(service).collect::<String>();
    assert!(load_text(&format!("services:\n{services}")).is_ok());
    let extends = |n: usize| match n {
        0 => "  s0: {image: x}\n".to_owned(),
        _ => format!("  s{n}: {{extends: s{}}}\n", n - 1),
    };
    let services = (0..500).rev().map(extends).collect::<String>();
    assert!(load_text(&format!("services:\n{services}")).is_ok());
}

#[test]
fn a_file_with_many_mistakes_is_read_to_its_end() {
    let lines = (0..5_000).map(|n| format!("    wrong{n}: 1\n")).collect::<String>();
    let problems = load_text(&format!("services:\n  a:\n    image: x\n{lines}")).unwrap_err();
    assert_eq!(problems.0.len(), 200);
}

#[test]
fn thousands_of_ports_are_looked_at_once() {
    let yaml = "services: {a: {image: x, ports: ['1-16000']}}\n";
    let start = Instant::now();
    assert_eq!(load_text(yaml).unwrap().project.services["a"].ports.len(), 16_000);
    // Comparing each with all takes minutes.
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
