//! What works where the right to change the network is missing.

use std::process::Command;

use naru_test::{Outcome, Project, Running};

use super::host;

/// Runs naru, and whatever it starts, without `CAP_NET_ADMIN`.
fn without_right(project: &Project<'_>, words: &[&str]) -> Outcome {
    let naru = project.command(words);
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set=-net_admin", "--inh-caps=-net_admin"]);
    command.arg(naru.get_program()).args(naru.get_args()).current_dir(project.folder());
    command.env_clear().stdin(std::process::Stdio::null());
    command.envs(naru.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Running::start(&mut command).wait()
}

#[test]
fn without_the_right_to_make_links_up_names_it_and_services_on_the_hosts_network_run() {
    host(|host| {
        let file = "services: { a: { image: test } }";
        let bridged = host.project("bridged").file("compose.yaml", file);
        let before = host.snapshot();
        let outcome = without_right(&bridged, &["up", "-d"]);
        assert_eq!(outcome.code, 1, "{outcome}");
        for expected in ["network bridged_default", "CAP_NET_ADMIN", "network_mode: host"] {
            assert!(outcome.stderr.contains(expected), "{expected}: {outcome}");
        }
        bridged.naru(["down"]).succeeds();
        let file = "services: { a: { image: test, network_mode: host } }";
        let hosts = host.project("hosts").file("compose.yaml", file);
        without_right(&hosts, &["up", "-d"]).succeeds();
        hosts.until("a", "running");
        without_right(&hosts, &["down"]).succeeds();
        before.assert_nothing_left();
    });
}
