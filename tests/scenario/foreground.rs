//! `up` in the foreground: output with names, Ctrl-C.

use naru_test::eventually;

use super::host;

#[test]
fn ctrl_c_stops_the_services_and_keeps_the_containers() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check trap } }";
        let project = host.project("front").file("compose.yaml", file);
        let up = project.start(["up"]);
        eventually("output with the container's name", || {
            if up.stdout().contains("a-1  | ready") {
                Ok(())
            } else {
                Err(up.stdout() + &up.stderr())
            }
        });
        up.interrupt();
        let outcome = up.wait();
        assert_eq!(outcome.code, 130, "{outcome}");
        assert!(outcome.stdout.contains("a-1  | got SIGTERM"), "{outcome}");
        let container = project.until("a", "exited");
        assert_eq!(container["ExitCode"], 0);
        project.naru(["down"]).succeeds();
    });
}

#[test]
fn up_ends_when_the_last_container_does() {
    host(|host| {
        let file = "services: { a: { image: test, command: echo done } }";
        let project = host.project("ends").file("compose.yaml", file);
        let outcome = project.naru(["up"]).succeeds();
        assert!(outcome.stdout.contains("a-1  | done"), "{outcome}");
    });
}
