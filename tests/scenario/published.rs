//! Ports of the host: who has one, which one a service gets, and servers that listen late or in one place only.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use naru_test::{HOST_ADDRESS, Project, eventually};

use super::host;
use super::ports::ask;

/// The ports of the host that a service's containers publish, by the container's number and port.
fn published(project: &Project<'_>, service: &str) -> Vec<u64> {
    let mut containers = project.containers(service);
    containers.sort_by_key(|container| container["Name"].to_string());
    let ports = |container: &serde_json::Value| {
        let publishers = container["Publishers"].as_array().cloned().unwrap_or_default();
        let v4 = publishers.into_iter().filter(|it| it["URL"] != "::");
        v4.filter_map(|it| it["PublishedPort"].as_u64()).collect::<Vec<_>>()
    };
    containers.iter().flat_map(ports).collect()
}

// T-D1 of users.md.
#[test]
fn a_port_in_use_is_refused_at_once_by_its_holders_name_and_nothing_is_made() {
    host(|host| {
        let _taken = TcpListener::bind("0.0.0.0:5432").unwrap();
        let file = "services: { db: { image: test, ports: ['5432:5432'] }, other: { image: test, ports: ['7000:80'] } }";
        let project = host.project("taken").file("compose.yaml", file);
        let mut best = Duration::MAX;
        for _ in 0..3 {
            let begin = Instant::now();
            let outcome = project.naru(["up", "-d"]).exits_with(1);
            best = best.min(begin.elapsed());
            let pid = std::process::id();
            outcome
                .says(&format!("0.0.0.0:5432 is in use by process {pid} ("))
                .says("user root")
                .says("compose.yaml:1")
                .says("--ports auto");
            project.naru(["ps", "-a", "-q"]).prints("");
            assert_eq!(naru_links(), 0, "no bridge was made");
            ask("127.0.0.1", 7000).unwrap_err();
        }
        assert!(best < Duration::from_millis(200), "{best:?}");
    });
}

/// Bridges of naru in this network namespace; /sys shows another one's.
fn naru_links() -> usize {
    let links = fs_err::read_to_string("/proc/net/dev").unwrap();
    assert!(links.contains("lo:"), "{links}");
    links.lines().filter(|link| link.trim_start().starts_with("nb-")).count()
}

#[test]
fn a_port_of_another_project_is_refused_with_that_projects_name_folder_and_service() {
    host(|host| {
        let file = "services: { db: { image: test, ports: ['5432:5432'] } }";
        let shop = host.project("shop").file("compose.yaml", file);
        shop.naru(["up", "-d"]).succeeds();
        let other = host.project("other").file("compose.yaml", file);
        let folder = shop.folder().display().to_string();
        let expected = format!("is in use by naru project shop ({folder}), service db");
        other.naru(["up", "-d"]).exits_with(1).says(&expected).says("naru -p shop stop");
        shop.naru(["stop", "-t", "0"]).succeeds();
        other.naru(["up", "-d"]).succeeds();
    });
}

#[test]
fn two_services_that_want_one_port_are_told_apart() {
    host(|host| {
        let file = "services: { a: { image: test, ports: ['8080:80'] }, b: { image: test, ports: ['8080:81'] } }";
        let project = host.project("twice").file("compose.yaml", file);
        let said = "is published by service a already";
        project.naru(["up", "-d"]).exits_with(1).says(said).says("compose.yaml:1");
        TcpListener::bind("0.0.0.0:8080").expect("the port was let go of");
    });
}

// T-D2 of users.md.
#[test]
fn after_the_death_of_a_supervisor_up_succeeds_at_once() {
    host(|host| {
        let file =
            "services: { a: { image: test, command: naru-check listen 80, ports: ['8080:80'] } }";
        let project = host.project("d2").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        for _ in 0..3 {
            assert_eq!(host.kill(&["supervisor:", "d2"]), 1);
            project.naru(["up", "-d"]).succeeds();
            eventually("it answers", || ask("127.0.0.1", 8080));
        }
        host.kill(&["naru", ":", "d2"]);
        project.naru(["up", "-d", "--force-recreate", "-t", "0"]).succeeds();
        eventually("it answers again", || ask("127.0.0.1", 8080));
    });
}

// T-D3 of users.md.
#[test]
fn twenty_cycles_of_up_and_down_give_the_same_ports() {
    host(|host| {
        let file = "services: { a: { image: test, stop_grace_period: 0s, ports: ['8000-8010:80', '81'] } }";
        let project = host.project("cycles").file("compose.yaml", file);
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            project.naru(["up", "-d"]).succeeds();
            seen.insert(published(&project, "a"));
            project.naru(["down"]).succeeds();
        }
        assert_eq!(seen.len(), 1, "{seen:?}");
        assert_eq!(seen.first().unwrap()[0], 8000);
    });
}

#[test]
fn replicas_keep_their_ports_when_they_are_stopped_scaled_and_made_again() {
    host(|host| {
        let file = "services: { a: { image: test, stop_grace_period: 0s, scale: 3, ports: ['8000-8004:80', '81'] } }";
        let project = host.project("replicas").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let first = published(&project, "a");
        assert_eq!([first[0], first[2], first[4]], [8000, 8001, 8002]);
        project.naru(["stop"]).succeeds();
        project.naru(["start"]).succeeds();
        assert_eq!(published(&project, "a"), first);
        project.naru(["up", "-d", "--force-recreate"]).succeeds();
        assert_eq!(published(&project, "a"), first);
        project.naru(["up", "-d", "--scale", "a=1"]).succeeds();
        assert_eq!(published(&project, "a"), first[..2]);
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(published(&project, "a"), first);
    });
}

#[test]
fn a_stopped_containers_port_of_a_range_that_was_lost_meanwhile_becomes_another() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check listen 80, ports: ['8000-8010:80'] } }";
        let project = host.project("lost").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["stop", "-t", "0"]).succeeds();
        let _taken = TcpListener::bind("0.0.0.0:8000").unwrap();
        project.naru(["start"]).succeeds();
        assert_eq!(published(&project, "a"), [8001]);
        eventually("it answers there", || ask("127.0.0.1", 8001));
    });
}

// T-D4 of users.md.
#[test]
fn twenty_projects_at_once_with_auto_ports_get_twenty_sets() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check listen 80, ports: ['8080:80', '5432:81'] } }";
        let projects: Vec<_> = (0..20)
            .map(|number| host.project(&format!("auto{number}")).file("compose.yaml", file))
            .collect();
        let running: Vec<_> =
            projects.iter().map(|project| project.start(["up", "-d", "--ports", "auto"])).collect();
        for up in running {
            up.wait().succeeds().says("a: port 80/tcp is published at");
        }
        let sets: Vec<_> = projects.iter().map(|project| published(project, "a")).collect();
        let all: BTreeSet<_> = sets.iter().flatten().collect();
        assert_eq!(all.len(), 40, "{sets:?}");
        let port = u16::try_from(sets[7][0]).unwrap();
        eventually("one of them answers", || ask("127.0.0.1", port));
        // Nothing else has changed: the file's own `up` has nothing to do.
        projects[7].naru(["up", "-d"]).succeeds();
        assert_eq!(published(&projects[7], "a"), sets[7]);
    });
}

#[test]
fn a_port_moves_to_another_address_and_to_another_service_in_one_up() {
    host(|host| {
        let file = |a: &str, b: &str| {
            let service = "image: test, stop_grace_period: 0s, command: naru-check listen 80";
            format!(
                "services: {{ a: {{ {service}, ports: [{a}] }}, b: {{ {service}, ports: [{b}] }} }}"
            )
        };
        let project = |text: String| host.project("moves").file("compose.yaml", &text);
        project(file("'8080:80'", "")).naru(["up", "-d"]).succeeds();
        let narrow = project(file("'127.0.0.1:8080:80'", ""));
        narrow.naru(["up", "-d"]).succeeds();
        eventually("127.0.0.1 answers", || ask("127.0.0.1", 8080));
        assert!(ask(HOST_ADDRESS, 8080).unwrap_err().contains("refused"));
        project(file("'8080:80'", "")).naru(["up", "-d"]).succeeds();
        eventually("every address answers", || ask(HOST_ADDRESS, 8080));
        let swapped = project(file("'9090:80'", "'8080:80'"));
        swapped.naru(["up", "-d"]).succeeds();
        let b = swapped.containers("b")[0]["ID"].as_str().unwrap()[..12].to_owned();
        eventually("the port is b's", || {
            let text = ask("127.0.0.1", 8080)?;
            if text.contains(&b) { Ok(()) } else { Err(text) }
        });
        eventually("a has the other one", || ask("127.0.0.1", 9090));
    });
}

#[test]
fn port_prints_where_a_port_is_published() {
    host(|host| {
        let file = "services: { a: { image: test, ports: ['8080:80', '127.0.0.1:5353:53/udp'] } }";
        let project = host.project("where").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        project.naru(["port", "a", "80"]).prints("0.0.0.0:8080\n");
        project.naru(["port", "--protocol", "udp", "a", "53"]).prints("127.0.0.1:5353\n");
        project
            .naru(["port", "a", "81"])
            .exits_with(1)
            .says("no port 81/tcp for container where-a-1: 0.0.0.0:8080->80/tcp");
        project.naru(["port", "--index", "2", "a", "80"]).exits_with(1).says("#2");
    });
}

#[test]
fn the_host_network_publishes_nothing_and_says_so() {
    host(|host| {
        let file = "services: { a: { image: test, network_mode: host, command: naru-check listen 8080, ports: ['8080:80'] } }";
        let project = host.project("own").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds().says("published ports of a are discarded");
        eventually("the container has the port itself", || ask("127.0.0.1", 8080));
    });
}

// T-W1 of users.md.
#[test]
fn servers_on_one_family_or_on_loopback_only_answer_on_localhost() {
    host(|host| {
        let file = "services:
  four: { image: test, command: naru-check listen-at 0.0.0.0 80, ports: ['8004:80'] }
  loop: { image: test, command: naru-check listen-at 127.0.0.1 80, ports: ['8127:80'] }
  six: { image: test, command: naru-check listen-at ::1 80, ports: ['8006:80'] }
";
        let project = host.project("families").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        for port in [8004, 8127, 8006] {
            for address in ["::1", "127.0.0.1", HOST_ADDRESS] {
                eventually("it answers", || ask(address, port));
            }
        }
    });
}

// T-W2 of users.md.
#[test]
fn a_request_made_before_the_server_listens_is_answered() {
    host(|host| {
        let file = "services: { a: { image: test, ports: ['8080:80'], command: [sh, -c, \
                    'until [ -e /tmp/go ]; do sleep 0.01; done; exec naru-check listen 80'] } }";
        let project = host.project("early").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let early = thread::spawn(|| {
            let begin = Instant::now();
            let mut client = TcpStream::connect("127.0.0.1:8080").unwrap();
            let mut text = String::new();
            client.read_to_string(&mut text).map(|_| (text, begin.elapsed()))
        });
        thread::sleep(Duration::from_millis(300));
        project.naru(["exec", "-T", "a", "touch", "/tmp/go"]).succeeds();
        let (text, took) = early.join().unwrap().unwrap();
        assert!(text.starts_with("hello from "), "{text}");
        assert!(took > Duration::from_millis(200), "{took:?}");
    });
}

/// Another machine on the test host's network.
struct Neighbour(OwnedFd);

const NEIGHBOUR: &str = "10.99.0.2";

impl Neighbour {
    fn new() -> Self {
        let made = thread::spawn(|| {
            nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
            fs_err::File::open("/proc/thread-self/ns/net").unwrap().into_file().into()
        });
        let own = Self(made.join().unwrap());
        let path = format!("/proc/{}/fd/{}", std::process::id(), own.0.as_raw_fd());
        ip(&["link", "set", "host1", "netns", &path]);
        own.run(|| {
            ip(&["address", "add", &format!("{NEIGHBOUR}/24"), "dev", "host1"]);
            ip(&["link", "set", "host1", "up"]);
        });
        own
    }

    /// Runs something there.
    fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let visit = scope.spawn(|| {
                nix::sched::setns(&self.0, nix::sched::CloneFlags::CLONE_NEWNET).unwrap();
                work()
            });
            visit.join().unwrap()
        })
    }
}

fn ip(arguments: &[&str]) {
    let status = Command::new("ip").args(arguments).status().unwrap();
    assert!(status.success(), "ip {arguments:?}");
}

#[test]
fn a_port_on_127_0_0_1_is_not_reached_by_a_neighbour_that_routes_there() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check listen 80, ports: ['127.0.0.1:8080:80', '8081:80'] } }";
        let project = host.project("local").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("127.0.0.1 answers", || ask("127.0.0.1", 8080));
        let neighbour = Neighbour::new();
        neighbour.run(|| {
            eventually("the neighbour reaches what is published", || ask(HOST_ADDRESS, 8081));
            // Its own loopback interface is down, so that 127.0.0.1 leads to the host.
            fs_err::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
            ip(&["route", "add", "127.0.0.0/8", "via", HOST_ADDRESS]);
            for to in ["127.0.0.1:8080", "10.99.0.1:8080"] {
                let to: SocketAddr = to.parse().unwrap();
                TcpStream::connect_timeout(&to, Duration::from_millis(500)).unwrap_err();
            }
        });
    });
}

#[test]
fn a_translated_port_shows_the_clients_address_and_leaves_strangers_traffic_alone() {
    host(|host| {
        let file = "services:
  a:
    image: test
    command: naru-check listen 80
    stop_grace_period: 0s
    ports: [{target: 80, published: 8080, x-naru-publish: nat}]
";
        let project = host.project("nat").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let neighbour = Neighbour::new();
        let from_outside = || neighbour.run(|| ask(HOST_ADDRESS, 8080));
        let is_seen = |text: String| match text.ends_with(&format!("to {NEIGHBOUR}\n")) {
            true => Ok(()),
            false => Err(text),
        };
        eventually("the neighbour is seen as itself", || from_outside().and_then(is_seen));
        for address in ["127.0.0.1", "::1", HOST_ADDRESS] {
            eventually("the host itself gets there", || ask(address, 8080));
        }
        project.naru(["restart", "-t", "0"]).succeeds();
        eventually("also after a restart", || from_outside().and_then(is_seen));
        // G1 of reliability.md: the same port of another machine is that machine's.
        let outside = neighbour.run(|| TcpListener::bind((NEIGHBOUR, 8080)).unwrap());
        let answering = thread::spawn(move || {
            let (mut client, _) = outside.accept().unwrap();
            client.write_all(b"the neighbour").unwrap();
        });
        project
            .naru(["exec", "-T", "a", "naru-check", "connect", NEIGHBOUR, "8080"])
            .succeeds()
            .prints("the neighbour");
        answering.join().unwrap();
        project.naru(["down"]).succeeds();
        assert!(from_outside().is_err());
    });
}

/// Each project that is in a network has rules of its own about its bridge, and a packet must pass them all.
#[test]
fn a_translated_port_is_reached_whoever_else_comes_into_its_network() {
    host(|host| {
        host.naru(["network", "create", "shared"]).succeeds();
        let file = |service: &str| {
            format!(
                "services:\n  a: {{ image: test, networks: [shared], {service} }}\n\
                 networks: {{ shared: {{ external: true }} }}\n"
            )
        };
        let serves = "command: naru-check listen 80, \
                      ports: [{target: 80, published: 8080, x-naru-publish: nat}]";
        let one = host.project("one").file("compose.yaml", &file(serves));
        one.naru(["up", "-d"]).succeeds();
        let neighbour = Neighbour::new();
        let from_outside = || neighbour.run(|| ask(HOST_ADDRESS, 8080));
        eventually("it is reached", from_outside);
        let two = host.project("two").file("compose.yaml", &file("command: sleep 1000"));
        two.naru(["up", "-d"]).succeeds();
        from_outside().unwrap();
        two.naru(["down", "-t", "0"]).succeeds();
        from_outside().unwrap();
        one.naru(["down", "-t", "0"]).succeeds();
        host.naru(["network", "rm", "shared"]).succeeds();
    });
}

#[test]
fn a_client_of_udp_that_asked_while_nobody_was_there_is_seen_as_itself_afterwards() {
    host(|host| {
        let file = "services:
  a:
    image: test
    command: naru-check listen-udp 5000
    stop_grace_period: 0s
    ports: [{target: 5000, published: 5353, protocol: udp, x-naru-publish: nat}]
";
        let project = host.project("natudp").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let neighbour = Neighbour::new();
        let client = || {
            let client = neighbour.run(|| UdpSocket::bind((NEIGHBOUR, 0))).unwrap();
            client.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
            client.connect((HOST_ADDRESS, 5353)).unwrap();
            client
        };
        let ask = |client: &UdpSocket| {
            let mut text = [0; 1500];
            let length = client.send(b"who?").and_then(|_| client.recv(&mut text));
            let length = length.map_err(|error| error.to_string())?;
            let text = String::from_utf8_lossy(&text[..length]).into_owned();
            if text.ends_with(&format!("to {NEIGHBOUR}\n")) { Ok(text) } else { Err(text) }
        };
        let early = client();
        let first = eventually("the neighbour is seen as itself", || ask(&early));
        project.naru(["stop"]).succeeds();
        let meanwhile = client();
        ask(&meanwhile).unwrap_err();
        project.naru(["start"]).succeeds();
        for client in [&meanwhile, &early] {
            let begin = Instant::now();
            eventually("the same port is translated again", || ask(client));
            assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
        }
        project.naru(["up", "-d", "--force-recreate"]).succeeds();
        // What was asked more than once was answered more than once.
        early.set_nonblocking(true).unwrap();
        while early.recv(&mut [0; 1500]).is_ok() {}
        early.set_nonblocking(false).unwrap();
        let second = eventually("the new container answers", || ask(&early));
        assert_ne!(first, second, "it has another name");
    });
}

#[test]
fn a_port_is_translated_for_neighbours_of_ipv6_too() {
    host(|host| {
        let file = "services:
  a:
    image: test
    command: 'naru-check listen-at :: 80'
    ports: [{target: 80, published: 8080, x-naru-publish: nat}]
networks: { default: { enable_ipv6: true } }
";
        let project = host.project("natsix").file("compose.yaml", file);
        ip(&["address", "add", "fd99::1/64", "dev", "host0", "nodad"]);
        project.naru(["up", "-d"]).succeeds();
        let neighbour = Neighbour::new();
        neighbour.run(|| ip(&["address", "add", "fd99::2/64", "dev", "host1", "nodad"]));
        eventually("the neighbour is seen as itself", || {
            let text = neighbour.run(|| ask("fd99::1", 8080))?;
            if text.ends_with("to fd99::2\n") { Ok(()) } else { Err(text) }
        });
    });
}

#[test]
fn a_network_says_at_which_address_ports_are_published_that_name_none() {
    host(|host| {
        let file = "services:
  a: { image: test, command: naru-check listen 80, ports: ['8080:80', '10.99.0.1:8081:80'] }
  b: { image: test, command: naru-check listen 80, ports: ['8082:80'], networks: { default: {}, wide: { gw_priority: 1 } } }
networks:
  default: { driver_opts: { com.docker.network.bridge.host_binding_ipv4: 127.0.0.1 } }
  wide: {}
";
        let project = host.project("binding").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let check = || {
            eventually("on loopback", || ask("127.0.0.1", 8080));
            eventually("at its own address", || ask(HOST_ADDRESS, 8081));
            eventually("the way out has no such option", || ask(HOST_ADDRESS, 8082));
            assert!(ask(HOST_ADDRESS, 8080).unwrap_err().contains("refused"));
            assert!(ask("::1", 8080).unwrap_err().contains("refused"));
        };
        check();
        project.naru(["port", "b", "80"]).prints("0.0.0.0:8082\n");
        let publishers = project.containers("a")[0]["Publishers"].to_string();
        assert!(publishers.contains("\"URL\":\"127.0.0.1\""), "{publishers}");
        assert!(!publishers.contains("0.0.0.0"), "{publishers}");
        let before = project.naru(["ps", "-q"]).succeeds().stdout;
        project.naru(["stop", "-t", "0"]).succeeds();
        project.naru(["up", "-d"]).succeeds();
        assert_eq!(project.naru(["ps", "-q"]).succeeds().stdout, before);
        check();
    });
}

#[test]
fn when_published_ports_have_no_descriptor_left_commands_and_names_go_on() {
    host(|host| {
        let own = std::process::id().to_string();
        let limited = Command::new("prlimit").args(["--pid", &own, "--nofile=1024:1024"]).status();
        assert!(limited.unwrap().success());
        let file = "services:
  a: { image: test, command: naru-check listen 80, ports: ['8080:80'] }
  b: { image: test, command: naru-check sleep, stop_grace_period: 0s }
";
        let project = host.project("full").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("it answers", || ask("127.0.0.1", 8080));
        // The server ends each connection, these clients do not: 245 are the proxy's share.
        let held: Vec<_> =
            (0..400).map(|_| TcpStream::connect("127.0.0.1:8080").unwrap()).collect();
        let is_answered = |mut client: &TcpStream| {
            client.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
            client.read(&mut [0; 100]).is_ok()
        };
        assert!(is_answered(&held[0]));
        assert!(!is_answered(&held[399]), "it waits");
        let services = project.naru(["ps", "--services"]).succeeds().stdout;
        assert_eq!(services.lines().count(), 2);
        project.naru(["exec", "-T", "b", "naru-check", "resolve", "a"]).succeeds();
        drop(held);
        eventually("there is room again", || ask("127.0.0.1", 8080));
    });
}

#[test]
fn translation_on_loopback_is_refused_at_its_place() {
    host(|host| {
        let file = "services: { a: { image: test, ports: [{target: 80, published: 8080, host_ip: 127.0.0.1, x-naru-publish: nat}] } }";
        let project = host.project("never").file("compose.yaml", file);
        project
            .naru(["up", "-d"])
            .exits_with(1)
            .says("`x-naru-publish: nat` is not possible on 127.0.0.1")
            .says("compose.yaml:1");
    });
}
