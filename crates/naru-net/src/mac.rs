//! Hardware addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MacAddress(pub [u8; 6]);

impl MacAddress {
    /// The address Docker gives to the interface with this IPv4 address: `02:42` and its four bytes.
    pub fn of(address: Ipv4Addr) -> Self {
        let [a, b, c, d] = address.octets();
        Self([0x02, 0x42, a, b, c, d])
    }

    /// [`MacAddress::of`] the first IPv4 address; of the last four bytes of the first IPv6 address where there is none.
    pub fn of_first(addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        let mut of_v6 = None;
        for address in addresses {
            match address {
                IpAddr::V4(address) => return Self::of(address),
                IpAddr::V6(address) => of_v6 = of_v6.or(Some(address)),
            }
        }
        let [.., a, b, c, d] = of_v6.map(|address| address.octets()).unwrap_or_default();
        Self([0x02, 0x42, a, b, c, d])
    }
}

/// Why a text is not the hardware address of an interface.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a hardware address of one interface")]
pub struct InvalidMac(String);

impl FromStr for MacAddress {
    type Err = InvalidMac;

    /// Six bytes in hexadecimal digits with `:` or `-` between them; no group address, which no interface can have.
    fn from_str(text: &str) -> Result<Self, InvalidMac> {
        let invalid = || InvalidMac(text.to_owned());
        let mut bytes = [0; 6];
        let mut parts = text.split([':', '-']);
        for byte in &mut bytes {
            let is_hexadecimal = |part: &&str| part.bytes().all(|byte| byte.is_ascii_hexdigit());
            let part = parts.next().filter(|part| part.len() == 2).filter(is_hexadecimal);
            let part = part.ok_or_else(invalid)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| invalid())?;
        }
        let is_group = bytes[0] & 1 == 1;
        let is_rest = parts.next().is_some() || bytes == [0; 6];
        if is_group || is_rest { Err(invalid()) } else { Ok(Self(bytes)) }
    }
}

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_without_ipv4_makes_hardware_addresses_of_ipv6() {
        let v6: IpAddr = "fd00::1:2".parse().unwrap();
        assert_eq!(MacAddress::of_first([v6]).to_string(), "02:42:00:01:00:02");
        let both = [v6, [10, 0, 0, 2].into()];
        assert_eq!(MacAddress::of_first(both).to_string(), "02:42:0a:00:00:02");
    }

    #[test]
    fn only_addresses_that_an_interface_can_have_are_taken() {
        let parsed: MacAddress = "92-d0-c6-0A-29-33".parse().unwrap();
        assert_eq!(parsed.to_string(), "92:d0:c6:0a:29:33");
        let wrong = [
            "",
            "92:d0:c6:0a:29",
            "92:d0:c6:0a:29:33:44",
            "93:d0:c6:0a:29:33",
            "92:d0:c6:0a:29:+3",
            "00:00:00:00:00:00",
            "92:d0:c6:0a:29:333",
        ];
        for text in wrong {
            assert!(text.parse::<MacAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_hardware_address_follows_from_the_ip_address_as_in_docker() {
        assert_eq!(MacAddress::of([10, 213, 0, 2].into()).to_string(), "02:42:0a:d5:00:02");
    }
}
