//! What the C libraries make of naru's name server, and what happens to it when the host's settings and the containers
//! around change (users.md, U).

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use naru_test::{Project, RootTar, TestHost, eventually};

use super::host;

/// Lookups of the short form, and how often a neighbour is restarted meanwhile; `cargo xtask soak names` sets them.
fn amounts() -> (u64, u64) {
    let number = |name: &str| std::env::vars().find(|(own, _)| own == name)?.1.parse().ok();
    let lookups: u64 = number("NARU_SOAK_LOOKUPS").unwrap_or(1000);
    (lookups, (lookups / 100).max(5))
}

/// A C library, and what an image needs of it.
struct Library {
    compiler: &'static str,
    loader: &'static str,
    others: &'static [&'static str],
}

const GLIBC: Library = Library {
    compiler: "cc",
    loader: "/lib64/ld-linux-x86-64.so.2",
    others: &["/lib/x86_64-linux-gnu/libc.so.6"],
};

/// Of Debian's musl-tools: a version that does not know TCP.
const MUSL: Library =
    Library { compiler: "musl-gcc", loader: "/lib/ld-musl-x86_64.so.1", others: &[] };

impl Library {
    /// Imports an image `lookups` whose program of that name uses this library.
    fn image(&self, host: &TestHost) {
        let source = super::repository("tests/scenario/resolvers/lookups.c");
        let program = host.root().join("lookups");
        let mut compile = Command::new(self.compiler);
        compile.arg("-O1").arg("-o").arg(&program).arg(source);
        let status = compile.status();
        let problem = || format!("{} is needed: apt-get install gcc musl-tools", self.compiler);
        assert!(status.unwrap_or_else(|_| panic!("{}", problem())).success(), "{}", problem());
        let mut tar = RootTar::new().busybox().program(program.to_str().unwrap());
        for folder in ["lib", "lib64", "lib/x86_64-linux-gnu"] {
            tar = tar.folder(folder, 0o755, 0);
        }
        for library in [self.loader].iter().chain(self.others) {
            let content = fs_err::read(library).unwrap();
            tar = tar.file(library.trim_start_matches('/'), &content, 0o755);
        }
        host.import("lookups", tar, &["CMD [\"sleep\", \"infinity\"]"]);
    }
}

/// Puts a file of the test's own in the place of the host's settings.
pub(super) fn own_settings(host: &TestHost, text: &str) -> std::path::PathBuf {
    let own = host.root().join("resolv.conf");
    fs_err::write(&own, text).unwrap();
    let mounted = Command::new("mount")
        .arg("--bind")
        .args([own.as_path(), Path::new("/etc/resolv.conf")])
        .status();
    assert!(mounted.unwrap().success(), "/etc/resolv.conf cannot be replaced");
    own
}

fn lookups(project: &Project<'_>, words: &[&str]) -> naru_test::Outcome {
    let mut all = vec!["exec", "-T", "client", "lookups"];
    all.extend(words);
    project.naru(all)
}

/// A name server on the host that gives one address for everything.
fn name_server(address: &str, answer: [u8; 4]) {
    let socket = std::net::UdpSocket::bind((address, 53)).unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
            let mut packet = buffer[..length].to_vec();
            // An answer, with a record where the question is for IPv4; what follows the question is left out.
            let end = 12 + packet[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            packet.truncate(end);
            packet[2] |= 0x80;
            packet[6..12].fill(0);
            if packet[end - 3] == 1 {
                packet[7] = 1;
                packet.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                packet.extend(answer);
            }
            socket.send_to(&packet, peer).unwrap();
        }
    });
}

const FILE: &str = "
services:
  client: { image: lookups }
  db: { image: lookups }
  api: { image: lookups, stop_grace_period: 0s }
";

#[test]
fn u1_a_change_of_the_hosts_settings_is_used_by_the_next_lookup() {
    host(|host| {
        GLIBC.image(host);
        name_server("127.0.0.53", [198, 51, 100, 1]);
        name_server("127.0.0.54", [198, 51, 100, 2]);
        let settings = own_settings(host, "nameserver 127.0.0.53\n");
        let project = host.project("changed").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        let found = |expected: &str| {
            let outcome = project.naru(["exec", "-T", "client", "nslookup", "example.org"]);
            assert!(outcome.stdout.contains(expected), "{outcome}");
        };
        found("198.51.100.1");
        fs_err::write(settings, "nameserver 127.0.0.54\n").unwrap();
        found("198.51.100.2");
    });
}

/// Lookups of one service while another one is restarted, which no container may notice.
#[expect(clippy::print_stdout, reason = "the soak shows its numbers")]
fn while_a_neighbour_is_restarted(library: &Library, networks: &str) {
    host(|host| {
        library.image(host);
        let file = format!("{FILE}{networks}");
        let project = host.project("restarted").file("compose.yaml", &file);
        project.naru(["up", "-d"]).succeeds();
        if networks == IPV6 {
            let six = project.naru(["exec", "-T", "client", "nslookup", "-type=aaaa", "db"]);
            assert!(six.stdout.contains("Address: fd"), "{six}");
        }
        let (count, restarts) = amounts();
        let ended = AtomicBool::new(false);
        thread::scope(|scope| {
            let asking = scope.spawn(|| {
                let outcome = lookups(&project, &["db", &count.to_string(), "/tmp/stop"]);
                ended.store(true, Ordering::Relaxed);
                outcome
            });
            for _ in 0..restarts {
                project.naru(["restart", "-t", "0", "api"]).succeeds();
                assert!(!ended.load(Ordering::Relaxed), "the lookups ended early");
            }
            project.naru(["exec", "-T", "client", "touch", "/tmp/stop"]).succeeds();
            let outcome = asking.join().unwrap().succeeds();
            assert!(outcome.stdout.contains(" 0 failed"), "{outcome}");
            println!("{restarts} restarts, {}", outcome.stdout.trim());
        });
    });
}

const IPV6: &str = "networks: { default: { enable_ipv6: true } }\n";

#[test]
fn u2_u4_restarts_of_a_neighbour_cost_no_lookup_with_glibc() {
    while_a_neighbour_is_restarted(&GLIBC, "");
}

#[test]
fn u2_u4_restarts_of_a_neighbour_cost_no_lookup_with_musl() {
    while_a_neighbour_is_restarted(&MUSL, "");
}

#[test]
fn u2_u4_restarts_of_a_neighbour_cost_no_lookup_with_glibc_and_ipv6() {
    while_a_neighbour_is_restarted(&GLIBC, IPV6);
}

#[test]
fn u2_u4_restarts_of_a_neighbour_cost_no_lookup_with_musl_and_ipv6() {
    while_a_neighbour_is_restarted(&MUSL, IPV6);
}

/// A name server on the host that counts questions and answers none.
fn silent_server(address: &str) -> Arc<AtomicUsize> {
    let socket = std::net::UdpSocket::bind((address, 53)).unwrap();
    let asked = Arc::<AtomicUsize>::default();
    let count = Arc::clone(&asked);
    thread::spawn(move || {
        while socket.recv_from(&mut [0; 512]).is_ok() {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    asked
}

#[test]
fn u3_names_of_the_project_need_no_server_of_the_host() {
    host(|host| {
        GLIBC.image(host);
        let asked = silent_server("127.0.0.53");
        own_settings(host, "nameserver 127.0.0.53\noptions timeout:1\n");
        let project = host.project("offline").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        // No such name is known at once too: it is asked nowhere.
        for (name, code) in [("db", 0), ("dbb", 1)] {
            let outcome = lookups(&project, &[name, "200"]).exits_with(code);
            // The fastest of them: a wait for somebody else would be in each.
            let fastest = outcome.stdout.split("the fastest took ").nth(1).unwrap();
            let fastest = fastest.split(' ').next().unwrap();
            assert!(fastest.parse::<u32>().unwrap() < 5_000, "{outcome}");
        }
        assert_eq!(asked.load(Ordering::Relaxed), 0, "questions have left the project");
        // It would have been noticed.
        lookups(&project, &["example.org", "1"]).exits_with(1);
        assert!(asked.load(Ordering::Relaxed) > 0);
    });
}

#[test]
fn the_hosts_search_list_and_options_are_the_containers_too() {
    host(|host| {
        GLIBC.image(host);
        name_server("127.0.0.53", [198, 51, 100, 1]);
        own_settings(
            host,
            "nameserver 127.0.0.53\nsearch corp.example lan\noptions timeout:2 attempts:1 edns0\n",
        );
        let project = host.project("searched").file("compose.yaml", FILE);
        project.naru(["up", "-d"]).succeeds();
        let own = project.naru(["exec", "-T", "client", "cat", "/etc/resolv.conf"]);
        let own: Vec<_> = own.stdout.lines().filter(|line| !line.starts_with('#')).collect();
        let expected = [
            "",
            "nameserver 127.0.0.11",
            "search corp.example lan",
            "options timeout:2 attempts:1 edns0 ndots:0",
        ];
        assert_eq!(own, expected);
        // What is no name of the project is one with the host's domain after it, which its server knows.
        lookups(&project, &["nas", "1"]).succeeds();
    });
}

#[test]
fn all_addresses_of_a_scaled_service_are_known_to_a_library_without_tcp() {
    host(|host| {
        MUSL.image(host);
        let file = "
services:
  client: { image: lookups }
  many: { image: lookups, scale: 5 }
";
        let project = host.project("scaled").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        lookups(&project, &["many", "20"]).succeeds();
        let firsts: std::collections::BTreeSet<_> = (0..20)
            .map(|_| {
                let outcome = project.naru(["exec", "-T", "client", "nslookup", "many"]);
                let addresses = outcome.stdout.lines().filter(|l| l.starts_with("Address: "));
                let addresses: Vec<_> = addresses.map(str::to_owned).collect();
                assert_eq!(addresses.len(), 5, "{outcome}");
                addresses[0].clone()
            })
            .collect();
        assert!(firsts.len() > 1, "always in the same order: {firsts:?}");
    });
}

#[test]
fn a_container_can_have_a_name_server_of_its_own_on_port_53() {
    host(|host| {
        let file = "
services:
  dns: { image: test, command: naru-check listen-udp 53 }
  client: { image: test }
";
        let project = host.project("own").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("the container's own server answers", || {
            let words = ["exec", "-T", "client", "naru-check", "connect-udp", "dns", "53"];
            let outcome = project.naru(words);
            if outcome.code == 0 { Ok(()) } else { Err(outcome.to_string()) }
        });
        let own = ["exec", "-T", "dns", "naru-check", "resolve", "client"];
        project.naru(own).succeeds();
    });
}
