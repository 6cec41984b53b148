//! The network interfaces of a container and what went through them (proc_net_dev(5)).

use serde::{Deserialize, Serialize};

use super::{Container, Error};

/// What one network interface has moved since it exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStats {
    /// Its name in the container.
    pub name: String,
    /// What came in.
    pub received: Traffic,
    /// What went out.
    pub sent: Traffic,
}

/// One direction of an interface.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Bytes.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// Packets with errors.
    pub errors: u64,
    /// Packets that were dropped.
    pub dropped: u64,
}

impl Container {
    /// The interfaces of its network namespace, the loopback one excepted; none when it has ended.
    ///
    /// # Errors
    /// When /proc cannot be read.
    pub fn interfaces(&self) -> Result<Vec<InterfaceStats>, Error> {
        // The namespace is that of the process that was just looked at, or nobody's.
        let pid = self.pid()?;
        if pid == 0 {
            return Ok(Vec::new());
        }
        match fs_err::read_to_string(format!("/proc/{pid}/net/dev")) {
            Ok(text) => Ok(parse(&text)),
            Err(_) if self.process()?.is_none() => Ok(Vec::new()),
            Err(error) => Err(crate::Error::host("read the network interfaces", error).into()),
        }
    }
}

fn parse(text: &str) -> Vec<InterfaceStats> {
    let interface = |line: &str| {
        let (name, numbers) = line.split_once(':')?;
        let numbers: Vec<u64> =
            numbers.split_whitespace().map(|number| number.parse().unwrap_or(0)).collect();
        let traffic = |first: usize| {
            Some(Traffic {
                bytes: *numbers.get(first)?,
                packets: *numbers.get(first + 1)?,
                errors: *numbers.get(first + 2)?,
                dropped: *numbers.get(first + 3)?,
            })
        };
        let name = name.trim().to_owned();
        Some(InterfaceStats { name, received: traffic(0)?, sent: traffic(8)? })
    };
    text.lines().skip(2).filter_map(interface).filter(|one| one.name != "lo").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interfaces_are_read_with_both_directions() {
        let text = "Inter-|   Receive  |  Transmit\n face |bytes packets |bytes packets\n    \
                    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n  eth0:100 2 3 4 0 0 0 0 200 5 6 7 0 0 0 0\n";
        let [eth0] = &parse(text)[..] else { panic!("{:?}", parse(text)) };
        assert_eq!(eth0.name, "eth0");
        assert_eq!(eth0.received, Traffic { bytes: 100, packets: 2, errors: 3, dropped: 4 });
        assert_eq!(eth0.sent, Traffic { bytes: 200, packets: 5, errors: 6, dropped: 7 });
    }
}
