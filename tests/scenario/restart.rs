//! Restart policies: what comes back, how often, and what stays down.

use naru_test::eventually;

use super::host;

/// How often the container has been started, by the lines it wrote.
fn starts(project: &naru_test::Project<'_>, service: &str) -> usize {
    let logs = project.naru(["logs", "--no-log-prefix", service]).stdout;
    logs.lines().filter(|line| *line == "started").count()
}

fn file(policy: &str, code: u32) -> String {
    format!(
        "services: {{ a: {{ image: test, restart: '{policy}', \
         command: ['sh', '-c', 'echo started; exit {code}'] }} }}"
    )
}

#[test]
fn without_a_policy_an_ended_container_stays_down() {
    host(|host| {
        let project = host.project("no").file("compose.yaml", &file("no", 7));
        project.naru(["up", "-d"]).succeeds();
        let container = project.until("a", "exited");
        assert_eq!(container["ExitCode"], 7);
        assert_eq!(starts(&project, "a"), 1);
    });
}

#[test]
fn always_brings_back_what_ended_well() {
    host(|host| {
        let project = host.project("always").file("compose.yaml", &file("always", 0));
        project.naru(["up", "-d"]).succeeds();
        eventually("three starts", || match starts(&project, "a") {
            0..3 => Err(starts(&project, "a").to_string()),
            _ => Ok(()),
        });
    });
}

#[test]
fn on_failure_gives_up_after_its_number_of_tries() {
    host(|host| {
        let project = host.project("failure").file("compose.yaml", &file("on-failure:2", 3));
        project.naru(["up", "-d"]).succeeds();
        eventually("it gives up", || match starts(&project, "a") {
            3 => Ok(()),
            other => Err(other.to_string()),
        });
        let container = project.until("a", "exited");
        assert_eq!(container["ExitCode"], 3);
        assert_eq!(starts(&project, "a"), 3, "the first start and two more");
    });
}

#[test]
fn on_failure_leaves_what_ended_well_alone() {
    host(|host| {
        let project = host.project("well").file("compose.yaml", &file("on-failure", 0));
        project.naru(["up", "-d"]).succeeds();
        project.until("a", "exited");
        assert_eq!(starts(&project, "a"), 1);
    });
}

#[test]
fn unless_stopped_brings_back_what_ended_while_it_ran() {
    host(|host| {
        let file = "services: { a: { image: test, restart: unless-stopped, \
                    command: [sh, -c, 'echo started; touch /tmp/stay; exec naru-check stays /tmp/stay'] } }";
        let project = host.project("ended").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.until_logged("a", "started");
        let first = project.until("a", "running")["ID"].clone();
        project.naru(["exec", "-T", "a", "rm", "/tmp/stay"]).succeeds();
        eventually("it comes back", || match starts(&project, "a") {
            2 => Ok(()),
            other => Err(other.to_string()),
        });
        assert_eq!(project.until("a", "running")["ID"], first, "the same container, a new process");
    });
}
