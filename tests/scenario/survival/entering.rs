//! A further process in a container that is begun while naru's processes are replaced is none of their business.

use super::super::host;
use super::load::Rng;
use super::{kill_one_of_several, up};

#[test]
fn an_exec_that_begins_while_processes_die_ends_as_its_command_does() {
    host(|host| {
        let file = "
services:
  a:
    image: test
    healthcheck: { test: [CMD, 'true'], interval: 50ms }
  b: { image: test, restart: always, command: [sh, -c, 'usleep 300000'] }
";
        let project = up(host, "entering", file);
        let mut random = Rng::new();
        for _ in 0..super::load::soak_seconds(8) {
            let begun: Vec<_> = (0..2)
                .flat_map(|_| {
                    kill_one_of_several(host, &mut random);
                    ["usleep 1000; exit 7", "usleep 50000; exit 7"]
                })
                .map(|command| project.start(["exec", "-T", "a", "sh", "-c", command]))
                .collect();
            for exec in begun {
                exec.wait().exits_with(7);
            }
        }
        project.naru(["down", "-t", "0"]).succeeds();
    });
}
