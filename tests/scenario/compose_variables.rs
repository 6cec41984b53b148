//! Variables that configure docker compose, where they change what runs or what is told about it.

use super::host;

const FILE: &str = "services:\n  a: { image: test, command: 'naru-check sleep' }\n";

#[test]
fn compose_status_stdout_moves_progress_to_stdout() {
    host(|host| {
        let project = host.project("status").file("compose.yaml", FILE);
        let usual = project.naru(["up", "-d"]).succeeds();
        assert!(usual.stderr.contains("Container status-a-1  Started"), "{usual}");
        assert_eq!(usual.stdout, "");
        let project = project.variable("COMPOSE_STATUS_STDOUT", "true");
        let moved = project.naru(["down"]).succeeds();
        assert!(moved.stdout.contains("Container status-a-1  Removed"), "{moved}");
        assert_eq!(moved.stderr, "");
        // Errors and warnings stay on stderr.
        let project = project.file("compose.yaml", "services: {a: {imagee: x}}\n");
        let refused = project.naru(["up", "-d"]).exits_with(1);
        assert!(refused.stdout.is_empty() && refused.stderr.contains("imagee"), "{refused}");
    });
}

#[test]
fn compose_compatibility_names_containers_with_underscores() {
    host(|host| {
        let project = host.project("old").file("compose.yaml", FILE);
        let project = project.file(".env", "COMPOSE_COMPATIBILITY=1\n");
        let before = host.snapshot();
        project.naru(["up", "-d", "--scale", "a=2"]).succeeds();
        let mut names: Vec<_> =
            project.containers("a").iter().map(|one| one["Name"].to_string()).collect();
        names.sort();
        assert_eq!(names, ["\"old_a_1\"", "\"old_a_2\""]);
        let shown = project.naru(["logs"]).succeeds();
        assert!(!shown.stdout.contains("old_a"), "the project's name is left out: {shown}");
        // Without it the same containers are found all the same, and get their other names.
        let project = project.file(".env", "");
        project.naru(["up", "-d", "--scale", "a=2"]).succeeds();
        let names = project.containers("a");
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.iter().all(|one| one["Name"].as_str().unwrap().starts_with("old-a-")));
        project.naru(["down"]).succeeds();
        before.assert_nothing_left();
    });
}

#[test]
fn compose_compatibility_counts_for_the_names_of_one_off_containers() {
    host(|host| {
        let project = host.project("old").file("compose.yaml", FILE);
        let made = project.naru(["run", "-d", "--rm", "a"]).succeeds().stdout;
        assert!(made.starts_with("old-a-run-"), "{made}");
        let project = project.file(".env", "COMPOSE_COMPATIBILITY=1\n");
        let made = project.naru(["run", "-d", "--rm", "a"]).succeeds().stdout;
        assert!(made.starts_with("old_a_run_"), "{made}");
        project.naru(["down", "--remove-orphans", "-t", "0"]).succeeds();
    });
}

#[test]
fn compose_remove_orphans_counts_for_up_and_down() {
    host(|host| {
        let two = format!("{FILE}  b: {{ image: test }}\n");
        let project = host.project("strays").file("compose.yaml", &two);
        project.naru(["up", "-d"]).succeeds();
        let project = project.file("compose.yaml", FILE);
        let warned = project.naru(["up", "-d"]).succeeds();
        assert!(warned.stderr.contains("orphan"), "{warned}");
        let project = project.file(".env", "COMPOSE_IGNORE_ORPHANS=1\n");
        let silent = project.naru(["up", "-d"]).succeeds();
        assert!(!silent.stderr.contains("orphan"), "{silent}");
        let project = project.file(".env", "COMPOSE_REMOVE_ORPHANS=yes\n");
        project.naru(["down"]).succeeds();
        assert!(project.containers("b").is_empty());
    });
}
