//! Logging drivers: what is refused, what is kept, and what is sent elsewhere.

use std::collections::BTreeSet;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use super::host;
use super::survival::{KEEPER, SUPERVISOR, kill};

#[test]
fn drivers_and_options_that_are_not_possible_are_refused_with_their_line() {
    host(|host| {
        let refused = |logging: &str, says: &str| {
            let file = format!("services:\n  a:\n    image: test\n    logging: {logging}\n");
            let project = host.project("refused").file("compose.yaml", &file);
            let outcome = project.naru(["up", "-d"]).exits_with(1).says(says);
            assert!(outcome.stderr.contains("compose.yaml:4"), "{outcome}");
        };
        for driver in ["fluentd", "gelf", "awslogs", "splunk", "gcplogs", "etwlogs", "mine"] {
            refused(&format!("{{ driver: {driver} }}"), &format!("`{driver}` is not possible yet"));
        }
        refused("{ options: { nonsense: a } }", "has no option `nonsense`");
        let tls = "{ driver: syslog, options: { syslog-address: 'tcp+tls://log:6514' } }";
        refused(tls, "TLS");
        refused("{ driver: journald }", "needs systemd's journal");
    });
}

#[test]
fn with_the_driver_none_nothing_is_kept_and_up_shows_the_output_all_the_same() {
    host(|host| {
        let file = "services:\n  a: { image: test, command: echo passing, logging: { driver: none } }\n  \
                    b: { image: test, command: echo kept }\n";
        let project = host.project("none").file("compose.yaml", file);
        let outcome = project.naru(["up"]).succeeds();
        assert!(outcome.stdout.contains("a-1  | passing\n"), "{outcome}");
        assert!(!host.root().join("projects/none/logs/none-a-1").exists());
        let outcome = project.naru(["logs"]).succeeds();
        assert_eq!(outcome.stdout, "b-1  | kept\n");
        assert!(outcome.stderr.contains("the output of a-1 is not kept"), "{outcome}");
        project.naru(["logs", "a"]).exits_with(1).says("logging driver is `none`");
    });
}

/// A syslog server on a port of the test host.
struct Server(UdpSocket);

impl Server {
    fn start() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self(socket)
    }

    fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn message(&self) -> String {
        let mut buffer = vec![0; 70_000];
        let length = self.0.recv(&mut buffer).expect("a message comes");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }
}

#[test]
fn every_line_reaches_a_syslog_server_through_the_supervisors_deaths_and_can_be_read_here_too() {
    host(|host| {
        let server = Server::start();
        let file = format!(
            "services:\n  a:\n    image: test\n    command: [sh, -c, 'i=0; while [ ! -e /stop ]; do i=$$((i+1)); \
             echo $$i; usleep 5000; done; echo the end >&2; printf last']\n    logging:\n      driver: syslog\n      \
             options: {{ syslog-address: 'udp://127.0.0.1:{}', syslog-format: rfc5424, syslog-facility: local1, \
             tag: '{{{{.Name}}}}' }}\n",
            server.port()
        );
        let project = host.project("far").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        assert!(server.message().starts_with("<142>1 "));
        for role in [SUPERVISOR, KEEPER, SUPERVISOR] {
            std::thread::sleep(Duration::from_millis(150));
            // When the death before is made good: two at once are another test's.
            kill(host, role);
        }
        // What was begun in a container while it was taken over may be ended by that.
        naru_test::eventually("the end of its loop", || {
            match project.naru(["exec", "-T", "a", "touch", "/stop"]).code {
                0 => Ok(()),
                // It was ended when it had done so.
                _ if project.containers("a")[0]["State"] == "exited" => Ok(()),
                code => Err(code.to_string()),
            }
        });
        project.until("a", "exited");
        let logs = project.naru(["logs", "--no-log-prefix"]).succeeds();
        let written: u64 = logs.stdout.lines().rev().nth(1).unwrap().parse().unwrap();
        project.naru(["down"]).succeeds();
        let mut numbers = BTreeSet::from([1]);
        let mut others = Vec::new();
        while others.len() < 2 {
            let message = server.message();
            assert!(message.contains(" far-a-1 "), "{message}");
            let text = message.trim_end().rsplit(" - ").next().unwrap().to_owned();
            match text.parse() {
                Ok(number) => drop(numbers.insert(number)),
                Err(_) => others.push((message[..6].to_owned(), text)),
            }
        }
        let expected = [("<139>1", "the end"), ("<142>1", "last")];
        assert_eq!(others, expected.map(|(head, text)| (head.to_owned(), text.to_owned())));
        assert!(numbers.iter().copied().eq(1..=written), "{written}: {numbers:?}");
    });
}

#[test]
fn a_syslog_server_that_is_dead_or_hangs_keeps_no_container_waiting_and_no_down() {
    host(|host| {
        // One refuses, the other accepts and never reads.
        let hanging = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = hanging.local_addr().unwrap().port();
        let service = |name: &str, address: &str| {
            format!(
                "  {name}:\n    image: test\n    command: naru-check pour 300000\n    logging: {{ driver: syslog, \
                 options: {{ syslog-address: '{address}' }} }}\n"
            )
        };
        let file = "services:\n".to_owned()
            + &service("dead", "tcp://127.0.0.1:1")
            + &service("hanging", &format!("tcp://127.0.0.1:{port}"));
        let project = host.project("slow").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        for service in ["dead", "hanging"] {
            let container = project.until(service, "exited");
            assert_eq!(container["ExitCode"], 0, "{container}");
            let last = ["logs", "--no-log-prefix", "-n", "1", service];
            assert_eq!(project.naru(last).succeeds().stdout, format!("{:0>99}\n", 300_000));
        }
        let took = project.naru(["down"]).succeeds().took;
        assert!(took < Duration::from_secs(3), "{took:?}");
    });
}

#[test]
fn lines_reach_systemds_journal_by_its_own_protocol() {
    host(|host| {
        // Only this test host's.
        let mounted = Command::new("mount").args(["-t", "tmpfs", "none", "/run"]).status().unwrap();
        assert!(mounted.success());
        fs_err::create_dir_all("/run/systemd/journal").unwrap();
        let journal = UnixDatagram::bind("/run/systemd/journal/socket").unwrap();
        journal.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let file = "services: { a: { image: test, command: [sh, -c, 'echo fine; echo bad >&2'], labels: { tier: \
                    front }, logging: { driver: journald, options: { labels: tier } } } }";
        let project = host.project("journal").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let mut entries = Vec::new();
        for _ in 0..2 {
            let mut buffer = vec![0; 70_000];
            let length = journal.recv(&mut buffer).unwrap();
            let entry = String::from_utf8(buffer[..length].to_vec()).unwrap();
            assert!(entry.contains("\nCONTAINER_NAME=journal-a-1\n"), "{entry}");
            assert!(entry.starts_with("TIER=front\n"), "{entry}");
            let of = |name: &str| {
                let line = entry.lines().find_map(|line| line.strip_prefix(name));
                line.unwrap_or_else(|| panic!("{name} is missing: {entry}")).to_owned()
            };
            entries.push((of("PRIORITY="), of("MESSAGE=")));
        }
        entries.sort();
        let expected = [("3", "bad"), ("6", "fine")];
        assert_eq!(
            entries,
            expected.map(|(priority, text)| (priority.to_owned(), text.to_owned()))
        );
        project.naru(["down"]).succeeds();
    });
}
