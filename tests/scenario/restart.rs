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

/// T-Q3; after a restart of the machine: `boot_brings_back_what_the_policies_say_and_dependencies_first`.
#[test]
fn what_was_stopped_by_hand_stays_down_whoever_of_naru_dies_then() {
    host(|host| {
        let service = |policy: &str| {
            format!(
                "{{ image: test, restart: {policy}, command: [sh, -c, 'echo started; exec naru-check trap'] }}"
            )
        };
        let policies = ["always", "unless-stopped", "on-failure"];
        let mut file = "services:\n  stays: { image: test }\n".to_owned();
        for policy in policies {
            file += &format!("  {policy}: {}\n", service(policy));
        }
        let project = host.project("stopped").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        for policy in policies {
            project.until_logged(policy, "ready");
        }
        project.naru(["stop", policies[0], policies[1], policies[2]]).succeeds();
        for victims in [&["supervisor:"][..], &["keeper:"], &["keeper:", "supervisor:"]] {
            for victim in victims {
                host.kill(&["naru", victim]);
            }
            // Whoever takes over has looked at every container before it answers.
            project.naru(["start", "stays"]).succeeds();
            for policy in policies {
                assert_eq!(project.containers(policy)[0]["State"], "exited", "{policy}");
                assert_eq!(starts(&project, policy), 1, "{policy}, after {victims:?}");
            }
        }
        project.naru(["start", "always"]).succeeds();
        project.until("always", "running");
    });
}
