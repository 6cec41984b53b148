//! Packets changed at random, and what is promised of every one of them.
//!
//! As an ordinary test some thousand of a fixed seed; `cargo xtask fuzz dns` runs it for as long as one wants. The
//! variables by which that tells how long, and where the current input is kept, are those of naru-compose's targets.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::dns::zone::{View, Zone};

/// Inputs of an ordinary test.
const FEW: u64 = 20_000;

const NAME: &str = "any_packet_keeps_the_promises_of_the_name_server";

#[test]
fn any_packet_keeps_the_promises_of_the_name_server() {
    if let Some(input) = variable("NARU_FUZZ_INPUT") {
        return promises(&fs_err::read(input).unwrap()).unwrap();
    }
    let number = |name| variable(name).and_then(|text| text.parse::<u64>().ok());
    let seconds = number("NARU_FUZZ_SECONDS").map(Duration::from_secs);
    let directory = variable("NARU_FUZZ_DIRECTORY").map(PathBuf::from);
    let mut random = Random(number("NARU_FUZZ_SEED").unwrap_or(1).wrapping_mul(0x9e37_79b9) | 1);
    let (begin, mut count) = (Instant::now(), 0);
    while seconds.map_or(count < FEW, |seconds| begin.elapsed() < seconds) {
        let input = random.packet();
        if let Some(directory) = &directory {
            fs_err::write(directory.join(NAME), &input).unwrap();
        }
        if let Err(broken) = promises(&input) {
            panic!("{broken}\n--- the packet: {input:02x?}");
        }
        count += 1;
    }
    if let Some(directory) = directory {
        fs_err::write(directory.join(format!("{NAME}.count")), count.to_string()).unwrap();
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::vars().find_map(|(own, value)| (own == name).then_some(value))
}

/// What holds for every packet, whoever sent it.
fn promises(input: &[u8]) -> Result<(), String> {
    let query = match parse(input) {
        Err(Malformed::Ignore) => return Ok(()),
        Err(Malformed::Refuse(code)) => {
            let refusal = refuse(input, code);
            let is_whole = refusal.len() == HEADER && refusal[..2] == input[..2];
            return if is_whole { Ok(()) } else { Err(format!("refused by {refusal:02x?}")) };
        }
        Ok(query) => query,
    };
    let same = same_name(input, &query);
    if !same {
        return Err(format!("{:?} is not the name that was asked for", query.question.name));
    }
    drop(Zone::default().lookup(&query.question, &View { forward: true, ..View::default() }));
    let addresses = |address: &str, count| Reply::Addresses(vec![address.parse().unwrap(); count]);
    for made in [
        addresses("10.0.0.1", 1),
        addresses("10.0.0.1", 100),
        addresses("fd00::1", 40),
        Reply::Names(vec!["shop-web-1.shop_default".into()]),
        Reply::Nothing,
        Reply::NoName,
        Reply::Failure,
    ] {
        let answer = reply(input, &query, &made);
        // The other reader knows no type 0, for instance; what it takes as a question it takes as an answer.
        let is_readable = Packet::parse(input).is_err() || Packet::parse(&answer).is_ok();
        if !answers(&answer, input, &query) || !is_readable {
            return Err(format!("{made:?} is answered by {answer:02x?}"));
        }
        let short = reply_udp(input, &query, &made);
        let is_cut = short.len() < answer.len();
        if short.len() > query.udp_size || is_cut && !is_truncated(&short) {
            return Err(format!("{made:?} is cut to {short:02x?}"));
        }
    }
    let sent = for_udp(input.to_vec(), &query);
    let changed = sent.iter().zip(input).filter(|(one, other)| one != other).count();
    if sent.len() != input.len() || changed > 2 {
        return Err(format!("sent on as {sent:02x?}"));
    }
    // Whatever a name server sends.
    let (_, _, _) = (answers(input, &sent, &query), is_denial(input), is_failure(input));
    Ok(())
}

/// Held against another reader, as far as that takes the packet and the name has no strange bytes.
fn same_name(input: &[u8], query: &Query) -> bool {
    let Ok(other) = Packet::parse(input) else { return true };
    let other = other.questions[0].qname.to_string().to_ascii_lowercase();
    let is_plain = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.');
    !is_plain(&other) || !is_plain(&query.question.name) || other == query.question.name
}

/// Numbers that look random and are the same for the same seed (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 16).unwrap_or(0) % limit.max(1)
    }

    /// A good packet after a few changes.
    fn packet(&mut self) -> Vec<u8> {
        let names = ["a.long.name.in.example.org", "web", "2.0.0.10.in-addr.arpa", "x.shop.a"];
        let mut bytes = packet(names[self.below(names.len())], [1, 28, 12, 255][self.below(4)]);
        if self.below(2) == 0 {
            bytes.extend([0, 0, 41, 16, 0, 0, 0, 0x80, 0, 0, 0]);
            bytes[HEADER - 1] = 1;
        }
        for _ in 0..self.below(5) {
            let at = self.below(bytes.len());
            let end = (at + self.below(20)).min(bytes.len());
            // Lengths, references to the name itself and to the end, and counts are what parsers stumble over.
            let telling = [0, 1, 12, 63, 64, 0x80, 0xc0, 0xff];
            match self.below(5) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = telling[self.below(telling.len())],
                2 => drop(bytes.drain(at..end)),
                3 => {
                    let copy = bytes[at..end].repeat(self.below(30));
                    bytes.splice(at..at, copy).for_each(drop);
                }
                _ => bytes.truncate(at),
            }
            if bytes.is_empty() {
                break;
            }
        }
        bytes
    }
}
