//! Packets, well and badly formed.

use simple_dns::{QTYPE, TYPE};

use super::*;

fn packet(name: &str, kind: u16) -> Vec<u8> {
    let mut packet = Packet::new_query(0x1234);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let kind = QTYPE::TYPE(TYPE::from(kind));
    packet.questions.push(Asked::new(Name::new(name).unwrap(), kind, CLASS::IN.into(), false));
    packet.build_bytes_vec().unwrap()
}

#[test]
fn a_question_of_a_type_no_library_knows_is_understood() {
    let query = parse(&packet("Example.ORG", 65)).unwrap();
    assert_eq!(query.question, Question { name: "example.org".into(), kind: 65 });
    assert_eq!((query.id, query.udp_size), (0x1234, 512));
}

#[test]
fn an_answer_repeats_the_question_and_holds_all_addresses() {
    let packet = packet("WEB", TYPE_A);
    let query = parse(&packet).unwrap();
    let addresses = vec![[10, 213, 1, 2].into(), [10, 213, 1, 3].into()];
    let answer = reply(&packet, &query, &Reply::Addresses(addresses));
    assert!(answers(&answer, &packet, &query));

    let parsed = Packet::parse(&answer).unwrap();
    assert_eq!(parsed.questions[0].qname.to_string(), "WEB");
    assert_eq!(parsed.answers.len(), 2);
    assert!(parsed.has_flags(PacketFlag::RECURSION_AVAILABLE | PacketFlag::RECURSION_DESIRED));
}

#[test]
fn an_answer_that_does_not_fit_is_cut_to_the_question_and_says_so() {
    let packet = packet("web", TYPE_A);
    let query = parse(&packet).unwrap();
    let addresses = (0..100).map(|n| [10, 213, 1, n].into()).collect();
    let answer = fit_udp(reply(&packet, &query, &Reply::Addresses(addresses)), &query);
    assert!(answer.len() <= 512 && is_truncated(&answer));
    assert!(Packet::parse(&answer).unwrap().answers.is_empty());
}

#[test]
fn an_answer_to_another_question_is_not_taken() {
    let sent = packet("example.org", TYPE_A);
    let query = parse(&sent).unwrap();
    let mut answer = reply(&sent, &query, &Reply::Nothing);
    assert!(answers(&answer, &sent, &query));
    set_id(&mut answer, 0x4321);
    assert!(!answers(&answer, &sent, &query));
    let other = packet("example.com", TYPE_A);
    let other = reply(&other, &parse(&other).unwrap(), &Reply::Nothing);
    assert!(!answers(&other, &sent, &query));
    assert!(!answers(&sent, &sent, &query), "a query is no answer");
}

#[test]
fn dots_and_strange_bytes_inside_a_label_do_not_look_like_another_name() {
    let mut bytes = packet("axb.org", TYPE_A);
    bytes[HEADER + 2] = b'.';
    assert_eq!(parse(&bytes).unwrap().question.name, "a\\046b.org");
}

#[test]
fn malformed_packets_are_refused_or_ignored() {
    let good = packet("example.org", TYPE_A);
    assert_eq!(parse(&[]), Err(Malformed::Ignore));
    assert_eq!(parse(&good[..11]), Err(Malformed::Ignore));
    assert_eq!(parse(&good[..20]), Err(Malformed::Refuse(Refusal::FormatError)));

    let mut pointer = good.clone();
    pointer[HEADER] = 0xc0;
    pointer[HEADER + 1] = 0x0c;
    assert_eq!(parse(&pointer), Err(Malformed::Refuse(Refusal::FormatError)));

    let mut two_questions = good.clone();
    two_questions[5] = 2;
    assert_eq!(parse(&two_questions), Err(Malformed::Refuse(Refusal::FormatError)));

    let mut update = good;
    update[2] |= 5 << 3;
    assert_eq!(parse(&update), Err(Malformed::Refuse(Refusal::NotImplemented)));
    let refusal = refuse(&update, Refusal::NotImplemented);
    assert_eq!((refusal.len(), refusal[0], refusal[3] & 0x0f), (12, 0x12, 4));
}

#[test]
fn no_packet_makes_the_parser_or_the_answer_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let good = packet("a.long.name.in.example.org", TYPE_A);
    for _ in 0..100_000 {
        let mut bytes = good.clone();
        for _ in 0..random() % 8 {
            let at = usize::try_from(random()).unwrap() % bytes.len();
            bytes[at] = random().to_le_bytes()[0];
        }
        bytes.truncate(usize::try_from(random()).unwrap() % (good.len() + 1));
        if let Ok(query) = parse(&bytes) {
            let answer = reply(&bytes, &query, &Reply::Addresses(vec![[10, 0, 0, 1].into()]));
            assert!(answer.len() >= HEADER);
            assert!(fit_udp(answer, &query).len() <= query.udp_size);
        }
    }
}
