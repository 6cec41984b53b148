//! The forms of the kernel's files.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::{IoEntry, MemoryUse};
use crate::Error;
use crate::cgroup::{cgroup_error, files, is_gone};

/// A limit of v1 at or above this is none: the kernel rounds the largest number down to whole pages.
const V1_UNLIMITED: u64 = 1 << 62;

/// A file's text, or nothing when there is no such file; some exist and have nothing to tell.
pub(super) fn text(directory: &Path, name: &str) -> Result<Option<String>, Error> {
    let path = directory.join(name);
    match files::read(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_gone(&error) || is_unsupported(&error) => Ok(None),
        Err(source) => Err(cgroup_error("read", &path, source)),
    }
}

/// Pressure that was switched off at boot, counters of a scheduler that is not in use.
fn is_unsupported(error: &io::Error) -> bool {
    let numbers = [rustix::io::Errno::OPNOTSUPP, rustix::io::Errno::INVAL];
    numbers.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// A single number; `max`, and what is not there, is nothing.
pub(super) fn number(directory: &Path, name: &str) -> Result<Option<u64>, Error> {
    Ok(text(directory, name)?.and_then(|text| text.trim().parse().ok()))
}

/// Lines of a name and a number.
pub(super) fn table(text: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| {
        let (name, value) = line.split_once(' ')?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(line).collect()
}

/// Numbers in a line, as nanoseconds.
pub(super) fn nanoseconds(text: &str) -> Vec<Duration> {
    let words = text.split_whitespace().filter_map(|word| word.parse().ok());
    words.map(Duration::from_nanos).collect()
}

/// One kind of memory of v1, by the beginning of its files' names.
pub(super) fn v1_memory(directory: &Path, prefix: &str) -> Result<Option<MemoryUse>, Error> {
    let read = |name: &str| number(directory, &format!("{prefix}{name}"));
    let Some(usage) = read("usage_in_bytes")? else { return Ok(None) };
    Ok(Some(MemoryUse {
        usage,
        peak: read("max_usage_in_bytes")?,
        limit: read("limit_in_bytes")?.filter(|limit| *limit < V1_UNLIMITED),
        failures: read("failcnt")?.unwrap_or(0),
    }))
}

/// Lines of v1: `MAJOR:MINOR Operation NUMBER`; the last is a total without a device.
pub(super) fn v1_io(text: &str) -> Vec<IoEntry> {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (major, minor) = device(words.next()?)?;
        let operation = words.next()?.to_lowercase();
        Some(IoEntry { major, minor, operation, value: words.next()?.parse().ok()? })
    };
    text.lines().filter_map(line).collect()
}

/// `io.stat` of v2: bytes and operations by device.
pub(super) fn v2_io(text: &str) -> (Vec<IoEntry>, Vec<IoEntry>) {
    let (mut bytes, mut operations) = (Vec::new(), Vec::new());
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(device) else { continue };
        for (name, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, operation) = match name {
                "rbytes" => (&mut bytes, "read"),
                "wbytes" => (&mut bytes, "write"),
                "dbytes" => (&mut bytes, "discard"),
                "rios" => (&mut operations, "read"),
                "wios" => (&mut operations, "write"),
                "dios" => (&mut operations, "discard"),
                _ => continue,
            };
            let Ok(value) = value.parse() else { continue };
            list.push(IoEntry { major, minor, operation: operation.to_owned(), value });
        }
    }
    (bytes, operations)
}

fn device(word: &str) -> Option<(u32, u32)> {
    let (major, minor) = word.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `rdma.current` or `rdma.max`: handles and objects by device; `max` is nothing.
pub(super) fn rdma(text: &str) -> BTreeMap<String, (Option<u64>, Option<u64>)> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let (mut handles, mut objects) = (None, None);
        for word in words {
            match word.split_once('=') {
                Some(("hca_handle", value)) => handles = value.parse().ok(),
                Some(("hca_object", value)) => objects = value.parse().ok(),
                _ => {}
            }
        }
        Some((name, (handles, objects)))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_counters_of_v1_and_v2_have_the_same_form() {
        let v1 = v1_io("254:0 Read 4096\n254:0 Write 512\n254:0 Total 4608\nTotal 4608\n");
        let seen: Vec<_> = v1
            .iter()
            .map(|e| format!("{}:{} {} {}", e.major, e.minor, e.operation, e.value))
            .collect();
        assert_eq!(seen, ["254:0 read 4096", "254:0 write 512", "254:0 total 4608"]);
        let line = "254:0 rbytes=4096 wbytes=512 rios=2 wios=1 dbytes=0 dios=0\n7:0 \n";
        let (bytes, operations) = v2_io(line);
        assert_eq!(bytes[0], v1[0]);
        assert_eq!(operations.iter().map(|entry| entry.value).collect::<Vec<_>>(), [2, 1, 0]);
    }

    #[test]
    fn rdma_without_a_limit_has_none() {
        let found = rdma("mlx5_0 hca_handle=2 hca_object=max\n");
        assert_eq!(found["mlx5_0"], (Some(2), None));
    }
}
