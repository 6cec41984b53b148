//! Published ports answer on every address of the host, over TCP and UDP.

use std::io::Read as _;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use naru_test::{HOST_ADDRESS, eventually};

use super::host;

pub(super) fn ask(address: &str, port: u16) -> Result<String, String> {
    let mut connection = TcpStream::connect((address, port))
        .map_err(|error| format!("{address}:{port}: {error}"))?;
    connection.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut text = String::new();
    connection.read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.starts_with("hello from ") { Ok(text) } else { Err(text) }
}

fn ask_udp(address: &str, port: u16) -> Result<String, String> {
    let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    socket.send_to(b"who?", (address, port)).map_err(|error| error.to_string())?;
    let mut buffer = [0; 1500];
    let (length, from) = socket.recv_from(&mut buffer).map_err(|error| error.to_string())?;
    assert_eq!(
        from.to_string(),
        format!("{address}:{port}"),
        "the answer comes from where it was asked"
    );
    Ok(String::from_utf8_lossy(&buffer[..length]).into_owned())
}

#[test]
fn a_published_tcp_port_answers_on_every_address_of_the_host() {
    host(|host| {
        let file =
            "services: { a: { image: test, command: naru-check listen 80, ports: ['8080:80'] } }";
        let project = host.project("tcp").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("127.0.0.1 answers", || ask("127.0.0.1", 8080));
        eventually("the host's other address answers", || ask(HOST_ADDRESS, 8080));
        eventually("the IPv6 loopback address answers", || ask("::1", 8080));
        project.naru(["down"]).succeeds();
        assert!(ask("127.0.0.1", 8080).unwrap_err().contains("refused"));
    });
}

#[test]
fn a_published_udp_port_answers_from_the_address_that_was_asked() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check listen-udp 5000, ports: ['5353:5000/udp'] } }";
        let project = host.project("udp").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("127.0.0.1 answers", || ask_udp("127.0.0.1", 5353));
        eventually("the host's other address answers", || ask_udp(HOST_ADDRESS, 5353));
    });
}

#[test]
fn a_port_published_on_one_address_answers_only_there() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check listen 80, ports: ['127.0.0.1:8080:80'] } }";
        let project = host.project("one").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("127.0.0.1 answers", || ask("127.0.0.1", 8080));
        assert!(ask(HOST_ADDRESS, 8080).unwrap_err().contains("refused"));
    });
}

#[test]
fn a_port_without_a_host_port_gets_one_that_ps_shows() {
    host(|host| {
        let file = "services: { a: { image: test, command: naru-check listen 80, ports: ['80'] } }";
        let project = host.project("any").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        let container = project.until("a", "running");
        let publisher = &container["Publishers"][0];
        assert_eq!(publisher["TargetPort"], 80, "{container}");
        let port = u16::try_from(publisher["PublishedPort"].as_u64().unwrap()).unwrap();
        eventually("it answers", || ask("127.0.0.1", port));
    });
}

#[test]
fn a_published_port_answers_again_after_a_restart_of_the_container() {
    host(|host| {
        let file = "services: { a: { image: test, restart: always, ports: ['8080:80'], command: [sh, -c, \
                    'touch /tmp/stay; naru-check listen 80 & exec naru-check stays /tmp/stay'] } }";
        let project = host.project("again").file("compose.yaml", file);
        project.naru(["up", "-d"]).succeeds();
        eventually("it answers", || ask("127.0.0.1", 8080));
        project.naru(["exec", "-T", "a", "rm", "/tmp/stay"]).succeeds();
        project.until_logged("a", "listening on 80\nlistening on 80\n");
        eventually("it answers again", || ask("127.0.0.1", 8080));
    });
}
