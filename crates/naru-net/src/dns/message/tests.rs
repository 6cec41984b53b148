//! Packets, well and badly formed.

mod fuzz;

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
    let names = (0..100).map(|n| format!("a-{n}.example")).collect();
    let answer = fit_udp(reply(&packet, &query, &Reply::Names(names)), &query);
    assert!(answer.len() <= 512 && is_truncated(&answer));
    assert!(Packet::parse(&answer).unwrap().answers.is_empty());
}

#[test]
fn of_many_addresses_as_many_come_by_udp_as_fit_with_a_note_that_there_are_more() {
    for (address, fit) in [("10.213.1.1", 30), ("fd00::1", 17)] {
        let packet = packet("web", TYPE_A);
        let query = parse(&packet).unwrap();
        let all = Reply::Addresses(vec![address.parse().unwrap(); 100]);
        let answer = reply_udp(&packet, &query, &all);
        assert!(answer.len() <= 512 && is_truncated(&answer));
        assert_eq!(Packet::parse(&answer).unwrap().answers.len(), fit);
        let few = Reply::Addresses(vec![address.parse().unwrap(); 3]);
        assert!(!is_truncated(&reply_udp(&packet, &query, &few)));
    }
}

fn with_edns(size: u16) -> Vec<u8> {
    let mut packet = packet("example.org", TYPE_A);
    let [high, low] = size.to_be_bytes();
    packet.extend([0, 0, 41, high, low, 0, 0, 0x80, 0, 0, 0]);
    packet[HEADER - 1] = 1;
    packet
}

#[test]
fn what_the_client_takes_is_honoured_and_told_on_as_what_is_never_fragmented() {
    let packet = with_edns(65_535);
    let query = parse(&packet).unwrap();
    assert_eq!(query.udp_size, 65_535);
    let sent = for_udp(packet.clone(), &query);
    assert_eq!(sent[..packet.len() - 8], packet[..packet.len() - 8]);
    assert_eq!(sent[packet.len() - 8..], [4, 0xd0, 0, 0, 0x80, 0, 0, 0], "1232, and the bit DO");
    let small = with_edns(600);
    let query = parse(&small).unwrap();
    assert_eq!(for_udp(small.clone(), &query), small);
    let names = (0..100).map(|n| format!("a-{n}.example")).collect();
    let answer = reply_udp(&small, &query, &Reply::Names(names));
    assert!(is_truncated(&answer) && Packet::parse(&answer).unwrap().opt().is_some());
}

#[test]
fn only_answers_without_an_answer_are_denials() {
    let packet = packet("example.org", TYPE_A);
    let query = parse(&packet).unwrap();
    let is = |made: &Reply| is_denial(&reply(&packet, &query, made));
    assert!(is(&Reply::Nothing) && is(&Reply::NoName));
    assert!(!is(&Reply::Failure) && !is(&Reply::Addresses(vec![[10, 0, 0, 1].into()])));
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
fn what_is_no_question_of_a_client_is_refused() {
    let with = |at_end: usize, bytes: [u8; 2]| {
        let mut packet = packet("example.org", TYPE_A);
        let at = packet.len() - at_end;
        packet[at..at + 2].copy_from_slice(&bytes);
        parse(&packet)
    };
    let refused = Err(Malformed::Refuse(Refusal::Refused));
    const CHAOS: [u8; 2] = [0, 3];
    const ANY_CLASS: [u8; 2] = [0, 255];
    for class in [CHAOS, ANY_CLASS, [0, 4], [0, 0]] {
        assert_eq!(with(2, class), refused, "class {class:?}");
    }
    for kind in [249, 250, 251, 252] {
        assert_eq!(with(4, [0, kind]), refused, "type {kind}");
    }
    assert_eq!(with(4, [0, 255]).unwrap().question.kind, TYPE_ANY);

    let mut none = packet("example.org", TYPE_A);
    none[5] = 0;
    assert_eq!(parse(&none), Err(Malformed::Refuse(Refusal::FormatError)));
}

#[test]
fn an_answer_is_never_answered() {
    // Sent in the name of the server itself, it would answer itself without end.
    let packet = packet("example.org", TYPE_A);
    let query = parse(&packet).unwrap();
    for made in [Reply::Nothing, Reply::Failure, Reply::Names(vec!["a.b".into()])] {
        assert_eq!(parse(&reply_udp(&packet, &query, &made)), Err(Malformed::Ignore));
    }
    assert_eq!(parse(&refuse(&packet, Refusal::Refused)), Err(Malformed::Ignore));
}

#[test]
fn names_of_255_bytes_are_understood_and_longer_ones_refused() {
    let labels = |last: usize| {
        let mut packet = packet("a", TYPE_A)[..HEADER].to_vec();
        for length in [63, 63, 63, last] {
            packet.push(u8::try_from(length).unwrap());
            packet.extend(std::iter::repeat_n(b'x', length));
        }
        packet.extend([0, 0, 1, 0, 1]);
        packet
    };
    // Four lengths, 250 letters and the root are 255 bytes.
    let longest = labels(61);
    let query = parse(&longest).unwrap();
    assert_eq!(query.question.name.len(), 253);
    let all = Reply::Addresses(vec![[10, 213, 1, 2].into(); 100]);
    let answer = reply_udp(&longest, &query, &all);
    assert!(answer.len() <= 512 && is_truncated(&answer));
    assert!(answers(&answer, &longest, &query));
    assert_eq!(parse(&labels(62)), Err(Malformed::Refuse(Refusal::FormatError)));
}
