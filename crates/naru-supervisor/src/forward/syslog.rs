//! Lines as messages to a syslog server, in the forms of Docker's driver.
//!
//! On a stream each message ends with a line feed; a datagram holds one message, and a line that is too long for it
//! becomes several. What has been given to the kernel and not been taken by the server when a connection breaks is lost,
//! as always with syslog.

use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use naru_compose::project::{Syslog, SyslogAddress, SyslogFormat};
use naru_state::log::{Line, Stream};
use naru_state::record::Container;

use super::Sink;
use crate::logging::host_name;

/// How long a server may take to accept a connection or a message.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of a line in one datagram: what surrounds it fits beside it.
const DATAGRAM: usize = 60 << 10;

/// Where the machine's own syslog is looked for, datagrams first.
const LOCAL: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

/// Severities of RFC 5424.
const ERROR: u8 = 3;
const INFORMATION: u8 = 6;

/// Sends one container's lines.
pub(super) struct Sender {
    settings: Syslog,
    tag: String,
    host: String,
    connection: Option<Connection>,
}

enum Connection {
    Stream(Box<dyn Write + Send>),
    Udp(UdpSocket),
    Unix(UnixDatagram),
}

impl Sender {
    pub(super) fn new(settings: Syslog, container: &Container) -> Self {
        let tag = container.logging.tag.clone();
        Self { settings, tag, host: host_name(), connection: None }
    }

    fn message(&self, severity: u8, time_ns: u64, text: &[u8]) -> Vec<u8> {
        let priority = self.settings.facility << 3 | severity;
        let (host, tag, pid) = (&self.host, &self.tag, std::process::id());
        let head = match self.settings.format {
            SyslogFormat::Unix => format!("<{priority}>{} {tag}[{pid}]: ", short_time(time_ns)),
            SyslogFormat::Rfc3164 => {
                format!("<{priority}>{} {host} {tag}[{pid}]: ", short_time(time_ns))
            }
            SyslogFormat::Rfc5424 => {
                format!("<{priority}>1 {:.0} {host} {tag} {pid} {tag} - ", timestamp(time_ns))
            }
            SyslogFormat::Rfc5424Micro => {
                format!("<{priority}>1 {:.6} {host} {tag} {pid} {tag} - ", timestamp(time_ns))
            }
        };
        [head.as_bytes(), text, b"\n"].concat()
    }

    fn deliver(&mut self, severity: u8, time_ns: u64, text: &[u8]) -> io::Result<()> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open(&self.settings.address)?,
        };
        // One that fails is not used again.
        let connection = connection.send(|text| self.message(severity, time_ns, text), text)?;
        self.connection = Some(connection);
        Ok(())
    }
}

impl Sink for Sender {
    fn send(&mut self, line: &Line) -> io::Result<()> {
        // As Docker: an empty line says nothing.
        if line.bytes.is_empty() {
            return Ok(());
        }
        let severity = if line.stream == Stream::Stderr { ERROR } else { INFORMATION };
        self.deliver(severity, line.time_ns, &line.bytes)
    }

    fn lost(&mut self, bytes: u64, time_ns: u64) -> io::Result<()> {
        self.deliver(ERROR, time_ns, format!("{bytes} bytes of output are missing here").as_bytes())
    }
}

impl Connection {
    fn open(address: &SyslogAddress) -> io::Result<Self> {
        match address {
            SyslogAddress::Local => local(),
            SyslogAddress::Unix(path) => unix_stream(path),
            SyslogAddress::Unixgram(path) => unix_datagram(path),
            SyslogAddress::Udp(host, port) => first_of(host, *port, |address| {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                    SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(Self::Udp(socket))
            }),
            SyslogAddress::Tcp(host, port) => first_of(host, *port, |address| {
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Self::Stream(Box::new(stream)))
            }),
        }
    }

    fn send(mut self, message: impl Fn(&[u8]) -> Vec<u8>, text: &[u8]) -> io::Result<Self> {
        match &mut self {
            Self::Stream(stream) => stream.write_all(&message(text))?,
            Self::Udp(socket) => {
                for part in text.chunks(DATAGRAM) {
                    socket.send(&message(part))?;
                }
            }
            Self::Unix(socket) => {
                for part in text.chunks(DATAGRAM) {
                    socket.send(&message(part))?;
                }
            }
        }
        Ok(self)
    }
}

fn local() -> io::Result<Connection> {
    let found = LOCAL.iter().find_map(|path| {
        let path = Path::new(path);
        unix_datagram(path).or_else(|_| unix_stream(path)).ok()
    });
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "this machine has no syslog"))
}

fn unix_stream(path: &Path) -> io::Result<Connection> {
    let stream = UnixStream::connect(path)?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(Connection::Stream(Box::new(stream)))
}

fn unix_datagram(path: &Path) -> io::Result<Connection> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(Connection::Unix(socket))
}

/// The first address of the host that can be had.
fn first_of(
    host: &str,
    port: u16,
    open: impl Fn(SocketAddr) -> io::Result<Connection>,
) -> io::Result<Connection> {
    let mut result = Err(io::ErrorKind::NotFound.into());
    for address in naru_net::dns::lookup(host)? {
        result = open((address, port).into());
        if result.is_ok() {
            break;
        }
    }
    result
}

fn timestamp(time_ns: u64) -> Timestamp {
    let since = SignedDuration::from_nanos_i128(i128::from(time_ns));
    Timestamp::from_duration(since).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// `Jan  2 15:04:05`, in local time, as RFC 3164 wants it.
fn short_time(time_ns: u64) -> String {
    timestamp(time_ns).to_zoned(TimeZone::system()).strftime("%b %e %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::TcpListener;
    use std::os::unix::net::UnixListener;

    use super::*;

    fn sender(address: SyslogAddress, format: SyslogFormat) -> Sender {
        let settings = Syslog { address, facility: 16, format };
        Sender { settings, tag: "tag".into(), host: "host".into(), connection: None }
    }

    fn line(text: &[u8], stream: Stream) -> Line {
        Line {
            time_ns: 1_700_000_000_123_456_789,
            stream,
            generation: 1,
            bytes: text.to_vec(),
            complete: true,
            continues: false,
        }
    }

    #[test]
    fn messages_have_the_forms_of_dockers_driver() {
        let text = |format| {
            let sender = sender(SyslogAddress::Local, format);
            let message = sender.message(INFORMATION, 1_700_000_000_123_456_789, b"hello");
            let message = String::from_utf8(message).unwrap();
            message.replace(&std::process::id().to_string(), "PID")
        };
        let local = short_time(1_700_000_000_000_000_000);
        assert_eq!(local.len(), 15);
        assert_eq!(text(SyslogFormat::Unix), format!("<134>{local} tag[PID]: hello\n"));
        assert_eq!(text(SyslogFormat::Rfc3164), format!("<134>{local} host tag[PID]: hello\n"));
        let expected = "<134>1 2023-11-14T22:13:20Z host tag PID tag - hello\n";
        assert_eq!(text(SyslogFormat::Rfc5424), expected);
        let expected = "<134>1 2023-11-14T22:13:20.123456Z host tag PID tag - hello\n";
        assert_eq!(text(SyslogFormat::Rfc5424Micro), expected);
    }

    #[test]
    fn messages_go_to_every_kind_of_server_and_long_lines_in_several_datagrams() {
        let folder = tempfile::tempdir().unwrap();
        let send = |address, text: &[u8]| {
            let mut sender = sender(address, SyslogFormat::Rfc5424);
            sender.send(&line(text, Stream::Stderr)).unwrap();
            sender.send(&line(b"", Stream::Stdout)).unwrap();
        };
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        send(SyslogAddress::Tcp("127.0.0.1".into(), tcp.local_addr().unwrap().port()), b"by tcp");
        let mut received = String::new();
        tcp.accept().unwrap().0.read_to_string(&mut received).unwrap();
        assert!(received.starts_with("<131>1 ") && received.ends_with(" - by tcp\n"), "{received}");
        let path = folder.path().join("stream");
        let unix = UnixListener::bind(&path).unwrap();
        send(SyslogAddress::Unix(path), b"by unix");
        let mut received = String::new();
        unix.accept().unwrap().0.read_to_string(&mut received).unwrap();
        assert!(received.ends_with(" - by unix\n"), "{received}");
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.set_read_timeout(Some(PATIENCE)).unwrap();
        let long = vec![b'x'; DATAGRAM + 10];
        send(SyslogAddress::Udp("127.0.0.1".into(), udp.local_addr().unwrap().port()), &long);
        let mut buffer = vec![0; 70_000];
        let first = udp.recv(&mut buffer).unwrap();
        let second = udp.recv(&mut buffer).unwrap();
        assert!(first > DATAGRAM && second < 200, "{first} {second}");
        assert!(buffer[..second].ends_with(b" - xxxxxxxxxx\n"));
        let path = folder.path().join("datagram");
        let unix = UnixDatagram::bind(&path).unwrap();
        send(SyslogAddress::Unixgram(path), b"by datagram");
        let length = unix.recv(&mut buffer).unwrap();
        assert!(buffer[..length].ends_with(b" - by datagram\n"));
    }

    #[test]
    fn a_server_that_was_away_is_connected_to_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stream");
        let mut sender = sender(SyslogAddress::Unix(path.clone()), SyslogFormat::Unix);
        sender.send(&line(b"one", Stream::Stdout)).unwrap_err();
        let listener = UnixListener::bind(&path).unwrap();
        sender.send(&line(b"two", Stream::Stdout)).unwrap();
        drop(listener.accept().unwrap());
        while sender.send(&line(b"three", Stream::Stdout)).is_ok() {}
        sender.send(&line(b"four", Stream::Stdout)).unwrap();
        drop(sender);
        let mut received = String::new();
        listener.accept().unwrap().0.read_to_string(&mut received).unwrap();
        assert!(received.ends_with(": four\n"), "{received}");
    }
}
