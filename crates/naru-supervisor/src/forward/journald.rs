//! Lines as entries of systemd's journal, by its native protocol: one datagram an entry, `FIELD=value` and a line feed
//! each; values with line feeds as `FIELD`, a line feed, the length in 64 bits, the value, and a line feed. What is too
//! long for a datagram is passed as a sealed memory file.

use std::io::{self, IoSlice, Write};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use naru_state::log::{Line, Stream};
use naru_state::record::Container;
use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

use super::Sink;

/// Sends one container's lines.
pub(super) struct Sender {
    path: PathBuf,
    /// The fields that all its entries have.
    fields: Vec<u8>,
    socket: Option<UnixDatagram>,
}

impl Sender {
    pub(super) fn new(socket: &Path, container: &Container) -> Self {
        let mut fields = Vec::new();
        for (name, value) in &container.logging.attributes {
            let name = field_name(name);
            if !name.is_empty() {
                push(&mut fields, &name, value.as_bytes());
            }
        }
        for (name, value) in [
            ("CONTAINER_ID", container.id.short()),
            ("CONTAINER_ID_FULL", container.id.as_str()),
            ("CONTAINER_NAME", &container.name),
            ("CONTAINER_TAG", &container.logging.tag),
            ("IMAGE_NAME", &container.image),
            ("SYSLOG_IDENTIFIER", &container.logging.tag),
        ] {
            push(&mut fields, name, value.as_bytes());
        }
        Self { path: socket.to_owned(), fields, socket: None }
    }

    fn entry(&self, stream: Stream, time_ns: u64, text: &[u8], partial: bool) -> Vec<u8> {
        let mut entry = self.fields.clone();
        let priority: &[u8] = if stream == Stream::Stderr { b"3" } else { b"6" };
        push(&mut entry, "PRIORITY", priority);
        let since = SignedDuration::from_nanos_i128(i128::from(time_ns));
        let time = Timestamp::from_duration(since).unwrap_or(Timestamp::UNIX_EPOCH);
        push(&mut entry, "SYSLOG_TIMESTAMP", format!("{time:.9}").as_bytes());
        if partial {
            push(&mut entry, "CONTAINER_PARTIAL_MESSAGE", b"true");
        }
        push(&mut entry, "MESSAGE", text);
        entry
    }

    fn deliver(&mut self, entry: &[u8]) -> io::Result<()> {
        let socket = match self.socket.take() {
            Some(socket) => socket,
            None => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(&self.path)?;
                socket
            }
        };
        match socket.send(entry) {
            Err(error) if is_too_long(&error) => send_file(&socket, entry)?,
            sent => drop(sent?),
        }
        self.socket = Some(socket);
        Ok(())
    }
}

impl Sink for Sender {
    fn send(&mut self, line: &Line) -> io::Result<()> {
        let entry = self.entry(line.stream, line.time_ns, &line.bytes, !line.complete);
        self.deliver(&entry)
    }

    fn lost(&mut self, bytes: u64, time_ns: u64) -> io::Result<()> {
        let text = format!("{bytes} bytes of output are missing here");
        let entry = self.entry(Stream::Stderr, time_ns, text.as_bytes(), false);
        self.deliver(&entry)
    }
}

fn is_too_long(error: &io::Error) -> bool {
    let errno = error.raw_os_error();
    [rustix::io::Errno::MSGSIZE, rustix::io::Errno::NOBUFS]
        .iter()
        .any(|known| errno == Some(known.raw_os_error()))
}

fn send_file(socket: &UnixDatagram, entry: &[u8]) -> io::Result<()> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut file = std::fs::File::from(memfd_create("journal-entry", flags)?);
    file.write_all(entry)?;
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE | SealFlags::SEAL;
    fcntl_add_seals(&file, seals)?;
    let descriptors = [file.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut beside = SendAncillaryBuffer::new(&mut space);
    beside.push(SendAncillaryMessage::ScmRights(&descriptors));
    sendmsg(socket, &[IoSlice::new(&[])], &mut beside, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn push(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    // Broken UTF-8 is no text for the journal either way; a line feed would begin another field.
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

/// Upper case letters, digits and underscores, of which none begins it: others belong to the journal.
fn field_name(name: &str) -> String {
    let letters = name.chars().map(|c| match c.to_ascii_uppercase() {
        c @ ('A'..='Z' | '0'..='9') => c,
        _ => '_',
    });
    letters.skip_while(|&c| c == '_').collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::os::fd::OwnedFd;
    use std::os::unix::fs::FileExt;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};

    use super::*;

    fn container() -> Container {
        serde_json::from_value(serde_json::json!({
            "version": 1, "id": "b".repeat(64), "name": "shop-web-1", "service": "web", "number": 1,
            "fingerprint": null, "image": "nginx", "image_id": "i", "command": [], "hostname": "h",
            "created_ns": 0, "attachments": [], "ports": [], "volumes": {}, "anonymous_volumes": [],
            "depends_on": {}, "labels": {}, "stop_signal": 15, "stop_grace": {"secs": 1, "nanos": 0},
            "tty": false,
            "logging": {"driver": "journald", "options": {}, "tag": "the tag",
                "attributes": {"com.example/tier": "two\nlines", "__": "x"}}
        }))
        .unwrap()
    }

    /// What the journal makes of a message.
    fn parse(mut bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut fields = BTreeMap::new();
        while !bytes.is_empty() {
            let end = bytes.iter().position(|&byte| byte == b'\n').unwrap();
            let (name, value, rest) = match bytes[..end].iter().position(|&byte| byte == b'=') {
                Some(equals) => (&bytes[..equals], &bytes[equals + 1..end], &bytes[end + 1..]),
                None => {
                    let length = bytes[end + 1..end + 9].try_into().unwrap();
                    let from = end + 9;
                    let to = from + usize::try_from(u64::from_le_bytes(length)).unwrap();
                    assert_eq!(bytes[to], b'\n');
                    (&bytes[..end], &bytes[from..to], &bytes[to + 1..])
                }
            };
            fields.insert(String::from_utf8(name.to_vec()).unwrap(), value.to_vec());
            bytes = rest;
        }
        fields
    }

    fn receive(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 20];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut slices = [io::IoSliceMut::new(&mut buffer)];
        let received = recvmsg(socket, &mut slices, &mut beside, RecvFlags::CMSG_CLOEXEC).unwrap();
        let file: Option<OwnedFd> = beside.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        match file {
            Some(file) => {
                let file = std::fs::File::from(file);
                let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
                let mut content = vec![0; length];
                file.read_exact_at(&mut content, 0).unwrap();
                assert!(file.write_at(b"x", 0).is_err(), "it is sealed");
                content
            }
            None => buffer[..received.bytes].to_vec(),
        }
    }

    #[test]
    fn an_entry_has_the_fields_of_dockers_driver_and_a_long_one_comes_as_a_sealed_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut sender = Sender::new(&path, &container());
        let line = |text: &[u8], stream| Line {
            time_ns: 1_700_000_000_000_000_001,
            stream,
            generation: 1,
            bytes: text.to_vec(),
            complete: true,
            continues: false,
        };
        sender.send(&line(b"MESSAGE=not\xff a field", Stream::Stderr)).unwrap();
        let fields = parse(&receive(&journal));
        let text = |name: &str| String::from_utf8_lossy(&fields[name]).into_owned();
        assert_eq!(fields["MESSAGE"], b"MESSAGE=not\xff a field");
        assert_eq!((text("PRIORITY"), text("CONTAINER_ID")), ("3".into(), "b".repeat(12)));
        assert_eq!(
            (text("CONTAINER_NAME"), text("IMAGE_NAME")),
            ("shop-web-1".into(), "nginx".into())
        );
        assert_eq!(
            (text("CONTAINER_TAG"), text("SYSLOG_IDENTIFIER")),
            ("the tag".into(), "the tag".into())
        );
        assert_eq!(text("SYSLOG_TIMESTAMP"), "2023-11-14T22:13:20.000000001Z");
        assert_eq!(text("COM_EXAMPLE_TIER"), "two\nlines");
        assert!(!fields.contains_key("") && !fields.contains_key("CONTAINER_PARTIAL_MESSAGE"));
        let long = vec![b'x'; 900 << 10];
        sender.send(&line(&long, Stream::Stdout)).unwrap();
        let fields = parse(&receive(&journal));
        assert_eq!(
            (fields["MESSAGE"].len(), fields["PRIORITY"].as_slice()),
            (long.len(), &b"6"[..])
        );
        sender.lost(17, 0).unwrap();
        let fields = parse(&receive(&journal));
        assert_eq!(fields["MESSAGE"], b"17 bytes of output are missing here");
    }
}
