//! The few parts of the DNS wire format that the server looks at, and the answers it makes itself.
//!
//! Questions are taken apart here, byte by byte, because whatever a container sends has to be
//! looked at, also types and classes that no library knows; answers are built by `simple-dns`.

use std::net::IpAddr;

use simple_dns::rdata::{A, AAAA, OPT, PTR, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, Question as Asked, RCODE, ResourceRecord};

/// The length of the header.
const HEADER: usize = 12;
/// The longest name, by RFC 1035.
const LONGEST_NAME: usize = 255;
/// What every client takes by UDP, by RFC 1035.
const CLASSIC_UDP: usize = 512;
/// What naru itself says it takes by UDP: a size that is never fragmented.
const OWN_UDP: u16 = 1232;
/// The class IN.
const INTERNET: [u8; 2] = [0, 1];
/// The length of an empty pseudo record of that kind.
const OPT_LENGTH: usize = 11;
/// The length of a record with an IPv4 or an IPv6 address, the name being a reference to the question.
const SHORT_RECORD: usize = 16;
const LONG_RECORD: usize = 28;
/// In the third byte of a header: the answer was cut short.
const TRUNCATED: u8 = 0x02;
/// The type of the pseudo record in which clients say what they take.
const OPT_TYPE: u16 = 41;

/// One question, as sent by a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The name in lower case, without the final dot; empty for the root.
    pub name: String,
    /// What is asked for, by its number: 1 for an IPv4 address, 28 for IPv6, 12 for a name.
    pub kind: u16,
}

/// Number of the question type A.
pub const TYPE_A: u16 = 1;
/// Number of the question type PTR.
pub const TYPE_PTR: u16 = 12;
/// Number of the question type AAAA.
pub const TYPE_AAAA: u16 = 28;
/// Number of the question type ANY.
pub const TYPE_ANY: u16 = 255;

/// Types that ask for keys and for whole zones (TKEY, TSIG, IXFR, AXFR), between name servers only: a zone comes in many
/// packets.
const TRANSFERS: std::ops::RangeInclusive<u16> = 249..=252;

/// A query that can be answered or forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) question: Question,
    pub(crate) id: u16,
    /// Where the question section ends.
    question_end: usize,
    recursion_desired: bool,
    /// The size of an answer by UDP that the client takes.
    pub(crate) udp_size: usize,
    /// Where the pseudo record begins in which the client says what it takes.
    edns: Option<usize>,
}

/// Why a packet is no query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Malformed {
    /// Not worth an answer: no header, or itself an answer.
    Ignore,
    /// To be answered by an error.
    Refuse(Refusal),
}

/// The codes of RFC 1035 for a query that gets no proper answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    FormatError = 1,
    ServerFailure = 2,
    NotImplemented = 4,
    Refused = 5,
}

/// Takes a packet apart.
pub(crate) fn parse(packet: &[u8]) -> Result<Query, Malformed> {
    let header = packet.get(..HEADER).ok_or(Malformed::Ignore)?;
    if header[2] & 0x80 != 0 {
        return Err(Malformed::Ignore);
    }
    if header[2] & 0x78 != 0 {
        return Err(Malformed::Refuse(Refusal::NotImplemented));
    }
    let counts = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let malformed = Malformed::Refuse(Refusal::FormatError);
    if counts(4) != 1 {
        return Err(malformed);
    }
    let (name, end) = parse_name(packet, HEADER).ok_or(malformed)?;
    let tail = packet.get(end..end + 4).ok_or(malformed)?;
    let kind = u16::from_be_bytes([tail[0], tail[1]]);
    if tail[2..] != INTERNET || TRANSFERS.contains(&kind) {
        return Err(Malformed::Refuse(Refusal::Refused));
    }
    let edns = parse_edns(packet, end + 4, counts(6), counts(8), counts(10));
    Ok(Query {
        question: Question { name, kind },
        id: counts(0),
        question_end: end + 4,
        recursion_desired: header[2] & 1 != 0,
        udp_size: edns.map_or(CLASSIC_UDP, |size| usize::from(size).max(CLASSIC_UDP)),
        edns: edns.map(|_| end + 4),
    })
}

/// A name without compression, which has no place in a question; ends after its last byte.
fn parse_name(packet: &[u8], start: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = start;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        // The root, which ends it, is a byte too.
        if length > 63 || at + length - start >= LONGEST_NAME {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        for byte in packet.get(at..at + length)? {
            // A dot or a strange byte inside a label must not look like another name.
            match byte {
                b'.' | b'\\' | 0..=b' ' | 0x7f.. => name.push_str(&format!("\\{byte:03}")),
                _ => name.push(char::from(byte.to_ascii_lowercase())),
            }
        }
        at += length;
    }
}

/// The size in the client's OPT record. Only the usual form is looked for: no other records before
/// it than the question.
fn parse_edns(packet: &[u8], at: usize, answers: u16, authority: u16, more: u16) -> Option<u16> {
    if answers != 0 || authority != 0 || more == 0 {
        return None;
    }
    let record = packet.get(at..at + 5)?;
    let kind = u16::from_be_bytes([record[1], record[2]]);
    (record[0] == 0 && kind == OPT_TYPE).then(|| u16::from_be_bytes([record[3], record[4]]))
}

/// What a local answer says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// These names, for an address.
    Names(Vec<String>),
    /// The name exists, but has nothing of the type asked for.
    Nothing,
    /// There is no such name.
    NoName,
    /// The question cannot be answered.
    Failure,
}

/// Builds the answer to a query. Names live as long as a container does: clients shall ask again.
pub(crate) fn reply(packet: &[u8], query: &Query, reply: &Reply) -> Vec<u8> {
    const SECONDS_TO_LIVE: u32 = 0;
    let mut answer = Packet::new_reply(query.id);
    answer.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if query.recursion_desired {
        answer.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    if query.edns.is_some() {
        let opt = OPT { udp_packet_size: OWN_UDP, version: 0, opt_codes: Vec::new() };
        *answer.opt_mut() = Some(opt);
    }
    *answer.rcode_mut() = match reply {
        Reply::NoName => RCODE::NameError,
        Reply::Failure => RCODE::ServerFailure,
        Reply::Addresses(_) | Reply::Names(_) | Reply::Nothing => RCODE::NoError,
    };
    let Some(asked) = asked(packet, query) else { return refuse(packet, Refusal::FormatError) };
    let data: Vec<RData<'_>> = match reply {
        Reply::Addresses(addresses) => {
            addresses.iter().map(|address| address_data(*address)).collect()
        }
        Reply::Names(names) => names
            .iter()
            .filter_map(|name| Name::new(name).ok())
            .map(|name| RData::PTR(PTR(name)))
            .collect(),
        Reply::Nothing | Reply::NoName | Reply::Failure => Vec::new(),
    };
    answer.answers = data
        .into_iter()
        .map(|data| ResourceRecord::new(asked.qname.clone(), CLASS::IN, SECONDS_TO_LIVE, data))
        .collect();
    answer.questions.push(asked);
    answer.build_bytes_vec_compressed().unwrap_or_else(|_| refuse(packet, Refusal::ServerFailure))
}

fn address_data(address: IpAddr) -> RData<'static> {
    match address {
        IpAddr::V4(address) => RData::A(A::from(address)),
        IpAddr::V6(address) => RData::AAAA(AAAA::from(address)),
    }
}

/// [`reply`] for a client that asks by UDP: of many addresses as many as fit, with the note that there are more.
/// Clients that know TCP ask again by it, and those that do not have some to go on with.
pub(crate) fn reply_udp(packet: &[u8], query: &Query, full: &Reply) -> Vec<u8> {
    let answer = reply(packet, query, full);
    let Reply::Addresses(addresses) = full else { return fit_udp(answer, query) };
    if answer.len() <= query.udp_size {
        return answer;
    }
    let fixed = query.question_end + OPT_LENGTH;
    let longest = if addresses.iter().any(IpAddr::is_ipv6) { LONG_RECORD } else { SHORT_RECORD };
    let fitting = query.udp_size.saturating_sub(fixed) / longest;
    let some = Reply::Addresses(addresses.iter().take(fitting).copied().collect());
    let mut answer = reply(packet, query, &some);
    answer[2] |= TRUNCATED;
    fit_udp(answer, query)
}

/// The question as the client wrote it, letter case included, which some clients check.
fn asked<'a>(packet: &'a [u8], query: &Query) -> Option<Asked<'a>> {
    let mut labels = Vec::new();
    let mut at = HEADER;
    while let Some(length) = packet.get(at).copied().filter(|length| *length != 0) {
        let label = packet.get(at + 1..at + 1 + usize::from(length))?;
        labels.push(simple_dns::Label::new(label).ok()?);
        at += 1 + usize::from(length);
    }
    let name = Name::new_with_labels(&labels);
    let kind = simple_dns::TYPE::from(query.question.kind);
    Some(Asked::new(name, kind.into(), CLASS::IN.into(), false))
}

/// A bare header that says why there is no answer.
pub(crate) fn refuse(packet: &[u8], code: Refusal) -> Vec<u8> {
    let mut answer = vec![0; HEADER];
    if let Some(header) = packet.get(..HEADER) {
        answer[..2].copy_from_slice(&header[..2]);
        answer[2] = 0x80 | (header[2] & 0x79);
    }
    answer[3] = 0x80 | code as u8;
    answer
}

/// An answer that tells the client to ask again by TCP, when it does not fit; else the answer itself.
pub(crate) fn fit_udp(answer: Vec<u8>, query: &Query) -> Vec<u8> {
    if answer.len() <= query.udp_size {
        return answer;
    }
    let mut short = answer;
    // The header and the question, which every answer repeats in the same form.
    short.truncate(query.question_end);
    short[2] |= TRUNCATED;
    short[6..HEADER].fill(0);
    if query.edns.is_some() {
        // Who says what it takes is told the same (RFC 6891, 7).
        let [high, low] = OWN_UDP.to_be_bytes();
        short.extend([0, 0, 41, high, low, 0, 0, 0, 0, 0, 0]);
        short[HEADER - 1] = 1;
    }
    short
}

/// The question as it goes to a name server by UDP: what the client takes is cut to what is never fragmented.
pub(crate) fn for_udp(mut packet: Vec<u8>, query: &Query) -> Vec<u8> {
    if let Some(size) = query.edns.and_then(|at| packet.get_mut(at + 3..at + 5))
        && *size > OWN_UDP.to_be_bytes()[..]
    {
        size.copy_from_slice(&OWN_UDP.to_be_bytes());
    }
    packet
}

/// Whether the answer says that it was cut short.
pub(crate) fn is_truncated(answer: &[u8]) -> bool {
    answer.get(2).is_some_and(|flags| flags & TRUNCATED != 0)
}

/// Whether the answer says that there is no such name, or nothing of the type asked for: a server that knows other
/// names may know better.
pub(crate) fn is_denial(answer: &[u8]) -> bool {
    const NO_ERROR: u8 = 0;
    const NO_NAME: u8 = 3;
    match answer.get(3).map(|flags| flags & 0x0f) {
        Some(NO_NAME) => true,
        Some(NO_ERROR) => answer.get(6..8) == Some(&[0, 0]) && !is_truncated(answer),
        _ => false,
    }
}

/// Whether another server may know better.
pub(crate) fn is_failure(answer: &[u8]) -> bool {
    const SERVER_FAILURE: u8 = 2;
    const NOT_IMPLEMENTED: u8 = 4;
    const REFUSED: u8 = 5;
    answer
        .get(3)
        .is_none_or(|flags| matches!(flags & 0x0f, SERVER_FAILURE | NOT_IMPLEMENTED | REFUSED))
}

/// Whether `answer` answers `query` as it was sent upstream: the same id and the same question.
pub(crate) fn answers(answer: &[u8], sent: &[u8], query: &Query) -> bool {
    let same_question = || {
        let question = HEADER..query.question_end;
        match (answer.get(question.clone()), sent.get(question)) {
            (Some(answer), Some(sent)) => answer.eq_ignore_ascii_case(sent),
            _ => false,
        }
    };
    answer.len() >= query.question_end
        && answer[..2] == sent[..2]
        && answer[2] & 0x80 != 0
        && answer[4..6] == [0, 1]
        && same_question()
}

/// Writes the question as the client did, letter case included: some servers change it, and some clients check it.
pub(crate) fn set_question(answer: &mut [u8], packet: &[u8], query: &Query) {
    let question = HEADER..query.question_end;
    if let (Some(own), Some(asked)) = (answer.get_mut(question.clone()), packet.get(question)) {
        own.copy_from_slice(asked);
    }
}

/// Gives a packet another id.
pub(crate) fn set_id(packet: &mut [u8], id: u16) {
    if let Some(bytes) = packet.get_mut(..2) {
        bytes.copy_from_slice(&id.to_be_bytes());
    }
}

#[cfg(test)]
mod tests;
