//! What goes wrong says what, where and what to do, ends with 1, and leaves nothing half made.

use std::net::TcpListener;

use naru_test::{Outcome, TestHost};

use super::host;

/// Brings a file up that must be refused without a trace.
fn refused(host: &TestHost, file: &str) -> Outcome {
    let project = host.project("bad").file("compose.yaml", file);
    let before = host.snapshot();
    let outcome = project.naru(["up", "-d"]).exits_with(1);
    before.assert_nothing_left();
    assert_eq!(outcome.stdout, "", "stdout is for data: {outcome}");
    outcome
}

#[test]
fn a_missing_image_says_how_to_get_one() {
    host(|host| {
        refused(host, "services:\n  a:\n    image: nowhere:1\n")
            .says("nowhere:1")
            .says("naru image load")
            .says("naru image import");
    });
}

#[test]
fn a_build_without_an_image_is_refused_by_its_line() {
    host(|host| {
        refused(host, "services:\n  a:\n    build: .\n").says("compose.yaml:3").says("build");
    });
}

#[test]
fn a_port_in_use_names_who_uses_it() {
    host(|host| {
        let holder = TcpListener::bind("0.0.0.0:8080").unwrap();
        let file = "services:\n  a:\n    image: test\n    ports: ['8080:80']\n";
        refused(host, file).says("8080").says(&std::process::id().to_string()).says("tests-");
        drop(holder);
    });
}

#[test]
fn an_unknown_key_is_named_with_its_place_and_what_was_meant() {
    host(|host| {
        refused(host, "services:\n  a:\n    image: test\n    prots: ['80']\n")
            .says("compose.yaml:4:5")
            .says("prots")
            .says("ports");
    });
}

#[test]
fn a_dependency_cycle_is_shown() {
    host(|host| {
        let file = "services:\n  a: { image: test, depends_on: [b] }\n  b: { image: test, depends_on: [a] }\n";
        refused(host, file).says("cycle").says("a").says("b");
    });
}

#[test]
fn a_command_that_does_not_exist_is_named() {
    host(|host| {
        refused(host, "services:\n  a:\n    image: test\n    command: no-such-program\n")
            .says("no-such-program");
    });
}

#[test]
fn a_key_that_naru_cannot_do_yet_is_refused_with_its_place() {
    host(|host| {
        refused(host, "services:\n  a:\n    image: test\n    privileged: true\n")
            .says("compose.yaml:4")
            .says("privileged");
    });
}

#[test]
fn no_file_at_all_says_which_names_were_looked_for() {
    host(|host| {
        let project = host.project("empty");
        project.naru(["up", "-d"]).exits_with(1).says("compose.yaml");
    });
}

#[test]
fn after_a_failed_up_the_next_one_works() {
    host(|host| {
        let file = |command: &str| {
            format!(
                "services: {{ a: {{ image: test }}, b: {{ image: test, depends_on: [a], command: {command} }} }}"
            )
        };
        let project = host.project("again").file("compose.yaml", &file("no-such-program"));
        let before = host.snapshot();
        project.naru(["up", "-d"]).exits_with(1);
        let project = project.file("compose.yaml", &file("naru-check sleep"));
        project.naru(["up", "-d"]).succeeds();
        project.until("b", "running");
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn without_root_one_line_says_what_to_do() {
    host(|host| {
        let project = host.project("user").file("compose.yaml", "services: { a: { image: test } }");
        // Where an ordinary user can read it, which the target folder need not be.
        let naru = project.folder().join("naru");
        fs_err::copy(env!("CARGO_BIN_EXE_naru"), &naru).unwrap();
        let mut command = std::process::Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(&naru)
            .args(["up", "-d"])
            .current_dir(project.folder());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("without root") && text.contains("sudo"), "{text}");
    });
}
