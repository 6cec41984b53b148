//! What a container with the right to change its network does to it, and what others notice of that.

use std::time::{Duration, Instant};

use naru_test::within;

use super::host;
use super::networks::ip;
use super::ports::ask;

#[test]
fn a_container_that_deletes_its_link_again_and_again_harms_nobody_and_has_it_back_when_it_stops() {
    const LOOP: Duration = Duration::from_secs(5);
    host(|host| {
        let file = "
services:
  web: { image: test, command: naru-check listen 80, ports: ['8080:80'] }
  wild:
    image: test
    cap_add: [NET_ADMIN]
    command: [sh, -c, 'while [ ! -e /enough ]; do busybox ip link del eth0 2>/dev/null; done; sleep 600']
";
        let project = host.project("wild").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let supervisor = || host.processes(&["naru", "supervisor:"]);
        let before = supervisor();
        assert_eq!(before.len(), 1);
        let end = Instant::now() + LOOP;
        let mut slowest = Duration::ZERO;
        while Instant::now() < end {
            let begin = Instant::now();
            ask("127.0.0.1", 8080).unwrap();
            slowest = slowest.max(begin.elapsed());
            std::thread::sleep(Duration::from_millis(10));
        }
        project.naru(["exec", "-T", "wild", "busybox", "touch", "/enough"]).succeeds();
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");
        // Each link has the next number of its namespace. The longest pause by now is 6.4 s.
        let link = within(Duration::from_secs(20), "the link is back", || {
            let links = ip(&project, "wild", "-o addr show");
            links
                .lines()
                .find(|line| line.contains("eth0") && line.contains("inet "))
                .map(str::to_owned)
                .ok_or(links)
        });
        let number: u32 = link.split(':').next().unwrap().trim().parse().unwrap();
        assert!((4..=14).contains(&number), "made again now and then: {link}");
        assert_eq!(supervisor(), before, "it has not ended meanwhile");
        ask("127.0.0.1", 8080).unwrap();
    });
}
