//! The address of a name, for naru itself: it links no resolver of the C library.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use fs_err as fs;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, TYPE};

use super::upstream::Upstream;
use super::{hosts, message};

/// The addresses of `name`, as the host knows them: written as such, from `/etc/hosts`, or from its name servers. It
/// takes seconds where those do not answer.
///
/// # Errors
/// When nobody knows an address of it.
pub fn lookup(name: &str) -> io::Result<Vec<IpAddr>> {
    if let Ok(address) = name.parse() {
        return Ok(vec![address]);
    }
    let known = from_hosts(Path::new(hosts::FILE), name);
    if !known.is_empty() {
        return Ok(known);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut found = Vec::new();
    for kind in [TYPE::A, TYPE::AAAA] {
        found.extend(runtime.block_on(ask(name, kind))?);
    }
    match found.is_empty() {
        true => Err(io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"))),
        false => Ok(found),
    }
}

fn from_hosts(file: &Path, name: &str) -> Vec<IpAddr> {
    // Without the file there are just no names in it.
    let text = fs::read_to_string(file).unwrap_or_default();
    let is_it = |own: &str| own.eq_ignore_ascii_case(name);
    hosts::entries(&text).filter_map(|(address, own)| is_it(own).then_some(address)).collect()
}

async fn ask(name: &str, kind: TYPE) -> io::Result<Vec<IpAddr>> {
    let invalid = |_| io::Error::new(io::ErrorKind::InvalidInput, format!("{name:?} is no name"));
    let mut packet = Packet::new_query(0);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let asked = Name::new(name).map_err(invalid)?;
    packet.questions.push(Question::new(asked, QTYPE::TYPE(kind), CLASS::IN.into(), false));
    let packet = packet.build_bytes_vec().map_err(invalid)?;
    let query = message::parse(&packet).map_err(|_| io::ErrorKind::InvalidInput)?;
    let Some(answer) = Upstream::default().ask(&packet, &query).await else {
        return Err(io::Error::new(io::ErrorKind::TimedOut, "no name server answers"));
    };
    let answer = Packet::parse(&answer).map_err(io::Error::other)?;
    let addresses = answer.answers.iter().filter_map(|record| match &record.rdata {
        RData::A(a) => Some(IpAddr::from(a.address.to_be_bytes())),
        RData::AAAA(a) => Some(IpAddr::from(a.address.to_be_bytes())),
        _ => None,
    });
    Ok(addresses.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_names_of_the_hosts_file_need_no_server() {
        assert_eq!(lookup("192.0.2.1").unwrap(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        let file = std::env::temp_dir().join(format!("naru-hosts-{}", std::process::id()));
        let text = "# comment log\n192.0.2.7\tLog.example log # mine\n::1 log\n";
        fs::write(&file, text).unwrap();
        let found = |name| from_hosts(&file, name);
        assert_eq!(found("log.example"), ["192.0.2.7".parse::<IpAddr>().unwrap()]);
        assert_eq!(found("log").len(), 2);
        assert!(found("mine").is_empty());
        fs::remove_file(file).unwrap();
    }
}
