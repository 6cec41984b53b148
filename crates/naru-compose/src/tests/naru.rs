//! naru's own attributes: they are checked where they are written, and printed as they are.

use std::time::Duration;

use super::{Directory, load_text};
use crate::project::{Address, Dollar, Sign};

/// The first problem of a service that says this: line, column and the whole of it.
fn problem(text: &str) -> (u32, u32, String) {
    let problems = load_text(&format!("services:\n  a:\n    image: x\n{text}\n")).unwrap_err();
    let location = problems.0[0].location.clone().unwrap();
    (location.line, location.column, problems.to_string())
}

#[test]
fn what_is_wrong_with_them_is_told_at_its_place() {
    for (text, line, column, says) in [
        ("    x-naru-ready: {tcp: 99999}", 4, 20, "`99999` is not a port"),
        ("    x-naru-ready:\n      log: 'ready ('", 5, 7, "is not a regular expression"),
        ("    x-naru-ready: {}", 4, 5, "exactly one of `tcp`, `http` and `log`"),
        ("    x-naru-ready: {tcp: 1, http: ':1/'}", 4, 5, "exactly one of"),
        ("    x-naru-ready: {port: 1}", 4, 20, "`x-naru-ready` has no attribute `port`"),
        ("    x-naru-restart: {backoff: {factor: 0}}", 4, 22, "`factor` is less than 1"),
        ("    x-naru-restart: {on_unhealthy: maybe}", 4, 36, "`maybe` is not a boolean"),
        ("    x-naru-redy: {tcp: 80}", 4, 5, "did you mean `x-naru-ready`?"),
    ] {
        let (at_line, at_column, all) = problem(text);
        assert!(all.contains(says), "{text}: {all}");
        assert_eq!((at_line, at_column), (line, column), "{text}: {all}");
    }
}

#[test]
fn they_mean_something_after_merging_and_interpolation_and_are_printed_as_they_are() {
    let directory = Directory::with(&[
        ("compose.yaml", "services: {a: {image: x, x-naru-ready: {log: up}}}\n"),
        (
            "compose.override.yaml",
            "services: {a: {x-naru-ready: {tcp: '${PORT}', timeout: 1m}, x-naru-restart: {on_unhealthy: 'yes'}}}\n",
        ),
    ]);
    let loaded = crate::load(&directory.request(&[("PORT", "5432")])).unwrap();
    let service = &loaded.project.services["a"];
    let ready = service.ready().unwrap().unwrap();
    assert_eq!(ready.sign, Sign::Tcp(Address { host: None, port: 5432 }), "it is replaced whole");
    assert_eq!(ready.timeout, Some(Duration::from_secs(60)));
    assert!(service.restart_rules().unwrap().on_unhealthy);
    let printed = loaded.project.to_yaml(Dollar::Doubled);
    assert!(printed.contains("    x-naru-ready:\n      tcp: \"5432\"\n"), "{printed}");
}

#[test]
fn a_service_that_says_when_it_is_ready_needs_no_health_check_to_be_waited_for() {
    let file = |sign: &str| {
        format!(
            "services:\n  db: {{image: 'postgres:17', healthcheck: {{test: pg_isready}}{sign}}}\n  off: {{image: x, healthcheck: {{disable: true}}{sign}}}\n  web: {{image: x, depends_on: {{db: {{condition: service_healthy}}, off: {{condition: service_healthy}}}}}}\n"
        )
    };
    let problems = load_text(&file("")).unwrap_err();
    assert!(problems.to_string().contains("`off` never becomes healthy"), "{problems}");
    let loaded = load_text(&file(", x-naru-ready: {tcp: 5432}")).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}
