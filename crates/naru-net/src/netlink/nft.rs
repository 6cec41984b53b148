//! nftables: one whole table replaced in one transaction, and what other tables do to forwarding.

use ipnetwork::IpNetwork;
use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::nftables::{
    Chained, ChainedFinal, CmpOps, CtKeys, MetaKeys, Nfgenmsg, PayloadBase, PushExprListAttrs,
    PushRuleAttrs, Registers, Request, VerdictCode,
};
use netlink_bindings::traits::{LookupFn, NetlinkChained};
use netlink_bindings::utils::{RequestBuf, nla_align_up};
use nix::libc;

use super::{Refused, Socket};
use crate::firewall::rules::{Chain, ChainKind, Hook, Match, Rule, Ruleset, Verdict};

/// Table family `inet`: IPv4 and IPv6 in one.
const INET: u8 = 1;
/// `NFPROTO_IPV4`, as packets carry it.
const IPV4: u8 = 2;
/// `NFPROTO_IPV6`.
const IPV6: u8 = 10;
/// `NFNL_SUBSYS_NFTABLES`, named in the batch header.
const SUBSYSTEM: u16 = 10;
/// Room for every message of a transaction.
const SEQUENCE_NUMBERS: u32 = 1 << 16;
/// Bits of `ct state`: established and related.
const KNOWN_CONNECTION: u32 = 2 | 4;
/// Offset of the source address in an IPv4 header.
const SOURCE_ADDRESS: u32 = 12;
/// Where an IPv6 header has it.
const SOURCE_ADDRESS_V6: u32 = 8;

const REGISTER: u32 = Registers::Reg1 as u32;

type Expressions<'a> = PushExprListAttrs<PushRuleAttrs<RequestBuf<'a>>>;

/// A base chain as listed: where it hooks in and whether its policy is to drop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BaseChain {
    pub(crate) table: String,
    pub(crate) name: String,
    pub(crate) hook: u32,
    pub(crate) drops: bool,
}

/// Replaces the table by this rule set, or makes it: all or nothing.
pub(crate) fn replace(socket: &mut Socket, ruleset: &Ruleset) -> Result<(), Refused> {
    let table = ruleset.table.as_bytes();
    transaction(socket, |batch| {
        // Making the table first lets the deletion succeed when there was none.
        batch.request().set_create().op_newtable_do(&family()).encode().push_name_bytes(table);
        batch.request().op_deltable_do(&family()).encode().push_name_bytes(table);
        batch.request().set_create().op_newtable_do(&family()).encode().push_name_bytes(table);
        for chain in &ruleset.chains {
            new_chain(batch, table, chain);
            for rule in &chain.rules {
                new_rule(batch, table, chain.name, rule);
            }
        }
    })
}

/// Deletes a table; that there is none is no error.
pub(crate) fn delete(socket: &mut Socket, table: &str) -> Result<(), Refused> {
    let outcome = transaction(socket, |batch| {
        batch.request().op_deltable_do(&family()).encode().push_name_bytes(table.as_bytes());
    });
    match outcome {
        Err(refused) if refused.is_absent() => Ok(()),
        outcome => outcome,
    }
}

/// The names of all tables of the family `inet`.
pub(crate) fn tables(socket: &mut Socket) -> Result<Vec<String>, Refused> {
    let mut names = Vec::new();
    socket.replies(&Request::new().op_gettable_dump(&family()), |(_, attributes)| {
        if let Ok(name) = attributes.get_name() {
            names.push(name.to_string_lossy().into_owned());
        }
    })?;
    Ok(names)
}

/// The base chains of all tables of all families.
pub(crate) fn base_chains(socket: &mut Socket) -> Result<Vec<BaseChain>, Refused> {
    let mut chains = Vec::new();
    socket.replies(&Request::new().op_getchain_dump(&Nfgenmsg::new()), |(_, attributes)| {
        let text = |name: &std::ffi::CStr| name.to_string_lossy().into_owned();
        let (Ok(hook), Ok(table), Ok(name)) =
            (attributes.get_hook(), attributes.get_table(), attributes.get_name())
        else {
            return;
        };
        chains.push(BaseChain {
            table: text(table),
            name: text(name),
            hook: hook.get_num().unwrap_or(u32::MAX),
            drops: attributes.get_policy() == Ok(VerdictCode::Drop as u32),
        });
    })?;
    Ok(chains)
}

/// Somebody else's table with one chain that drops all forwarded packets.
#[cfg(test)]
pub(crate) fn add_table_that_drops(socket: &mut Socket, table: &str) -> Result<(), Refused> {
    transaction(socket, |batch| {
        let name = table.as_bytes();
        batch.request().set_create().op_newtable_do(&family()).encode().push_name_bytes(name);
        batch
            .request()
            .set_create()
            .op_newchain_do(&family())
            .encode()
            .push_table_bytes(name)
            .push_name_bytes(b"forward")
            .push_type(c"filter")
            .push_policy(VerdictCode::Drop as u32)
            .nested_hook()
            .push_num(libc::NF_INET_FORWARD.cast_unsigned())
            .push_priority(0);
    })
}

fn transaction(
    socket: &mut Socket,
    fill: impl FnOnce(&mut Chained<'static>),
) -> Result<(), Refused> {
    let mut batch = Chained::new(socket.0.reserve_seq(SEQUENCE_NUMBERS));
    let mut frame = Nfgenmsg::new();
    frame.set_res_id(SUBSYSTEM);
    batch.request().op_batch_begin_do(&frame);
    fill(&mut batch);
    batch.request().op_batch_end_do(&frame);
    Ok(socket.0.request_chained(&Transaction::new(batch.finalize()))?.recv_all()?)
}

/// A batch of which only the last change is acknowledged: one acknowledgement for each would
/// overflow the socket's buffer at some 250 rules. A refusal of any change is reported all the same.
struct Transaction {
    batch: ChainedFinal<'static>,
    last_change: usize,
}

impl Transaction {
    fn new(mut batch: ChainedFinal<'static>) -> Self {
        /// The last message is the end of the batch.
        const FROM_END: usize = 2;
        /// Where a message header has its flags.
        const FLAGS: usize = 6;
        let last_change = batch.chain_len().saturating_sub(FROM_END);
        let acknowledge = u16::try_from(libc::NLM_F_ACK).expect("a flag of 16 bits");
        let buffer = batch.buf_mut();
        let (mut at, mut index) = (0, 0);
        while let Some(header) = buffer.get(at..at + Nlmsghdr::len()) {
            let length = u32::from_ne_bytes([header[0], header[1], header[2], header[3]]);
            let flags = u16::from_ne_bytes([header[FLAGS], header[FLAGS + 1]]) & !acknowledge;
            let flags = if index == last_change { flags | acknowledge } else { flags };
            buffer[at + FLAGS..at + FLAGS + 2].copy_from_slice(&flags.to_ne_bytes());
            at += nla_align_up(usize::try_from(length).expect("the buffer is in memory"));
            index += 1;
        }
        Self { batch, last_change }
    }
}

impl NetlinkChained for Transaction {
    fn protonum(&self) -> u16 {
        self.batch.protonum()
    }

    fn payload(&self) -> &[u8] {
        self.batch.payload()
    }

    fn chain_len(&self) -> usize {
        self.batch.chain_len()
    }

    fn get_index(&self, seq: u32) -> Option<usize> {
        NetlinkChained::get_index(&self.batch, seq)
    }

    fn name(&self, index: usize) -> &'static str {
        self.batch.name(index)
    }

    fn lookup(&self, index: usize) -> LookupFn {
        self.batch.lookup(index)
    }

    fn supports_ack(&self, index: usize) -> Option<bool> {
        (index < self.chain_len()).then_some(index == self.last_change)
    }
}

fn family() -> Nfgenmsg {
    Nfgenmsg { nfgen_family: INET, ..Default::default() }
}

fn new_chain(batch: &mut Chained<'static>, table: &[u8], chain: &Chain) {
    let kind = match chain.kind {
        ChainKind::Filter => c"filter",
        ChainKind::Nat => c"nat",
    };
    let hook = match chain.hook {
        Hook::Forward => libc::NF_INET_FORWARD,
        Hook::Postrouting => libc::NF_INET_POST_ROUTING,
    };
    batch
        .request()
        .set_create()
        .op_newchain_do(&family())
        .encode()
        .push_table_bytes(table)
        .push_name_bytes(chain.name.as_bytes())
        .push_type(kind)
        .push_policy(VerdictCode::Accept as u32)
        .nested_hook()
        .push_num(hook.cast_unsigned())
        .push_priority(chain.priority);
}

fn new_rule(batch: &mut Chained<'static>, table: &[u8], chain: &str, rule: &Rule) {
    let mut expressions = batch
        .request()
        .set_create()
        .set_append()
        .op_newrule_do(&family())
        .into_encoder()
        .push_table_bytes(table)
        .push_chain_bytes(chain.as_bytes())
        .nested_expressions();
    for condition in &rule.matches {
        expressions = push_match(expressions, condition);
    }
    drop(push_verdict(expressions, rule.verdict));
}

fn push_match<'a>(list: Expressions<'a>, condition: &Match) -> Expressions<'a> {
    match condition {
        Match::In(name) => compare(meta(list, MetaKeys::Iifname), CmpOps::Eq, &padded(name)),
        Match::Out(name) => compare(meta(list, MetaKeys::Oifname), CmpOps::Eq, &padded(name)),
        Match::NotOut(name) => compare(meta(list, MetaKeys::Oifname), CmpOps::Neq, &padded(name)),
        Match::NotInPrefix(prefix) => {
            compare(meta(list, MetaKeys::Iifname), CmpOps::Neq, prefix.as_bytes())
        }
        Match::NotOutPrefix(prefix) => {
            compare(meta(list, MetaKeys::Oifname), CmpOps::Neq, prefix.as_bytes())
        }
        Match::KnownConnection => {
            let list = list
                .nested_elem()
                .nested_data_ct()
                .push_dreg(REGISTER)
                .push_key(CtKeys::State as u32)
                .end_nested()
                .end_nested();
            let list = mask(list, &KNOWN_CONNECTION.to_ne_bytes());
            compare(list, CmpOps::Neq, &0u32.to_ne_bytes())
        }
        Match::Source(IpNetwork::V4(network)) => {
            let (mask, wanted) = (network.mask().octets(), network.network().octets());
            source(list, (IPV4, SOURCE_ADDRESS), &mask, &wanted)
        }
        Match::Source(IpNetwork::V6(network)) => {
            let (mask, wanted) = (network.mask().octets(), network.network().octets());
            source(list, (IPV6, SOURCE_ADDRESS_V6), &mask, &wanted)
        }
    }
}

/// That the packet is of a protocol and comes from an address of which the bits of `mask` are those of `wanted`.
fn source<'a>(
    list: Expressions<'a>,
    (protocol, offset): (u8, u32),
    bits: &[u8],
    wanted: &[u8],
) -> Expressions<'a> {
    let length = u32::try_from(bits.len()).expect("an address has at most 16 bytes");
    let list = meta(list, MetaKeys::Nfproto);
    let list = compare(list, CmpOps::Eq, &[protocol])
        .nested_elem()
        .nested_data_payload()
        .push_dreg(REGISTER)
        .push_base(PayloadBase::NetworkHeader as u32)
        .push_offset(offset)
        .push_len(length)
        .end_nested()
        .end_nested();
    let list = mask(list, bits);
    compare(list, CmpOps::Eq, wanted)
}

fn meta(list: Expressions<'_>, key: MetaKeys) -> Expressions<'_> {
    list.nested_elem()
        .nested_data_meta()
        .push_dreg(REGISTER)
        .push_key(key as u32)
        .end_nested()
        .end_nested()
}

fn compare<'a>(list: Expressions<'a>, operation: CmpOps, value: &[u8]) -> Expressions<'a> {
    list.nested_elem()
        .nested_data_cmp()
        .push_sreg(REGISTER)
        .push_op(operation as u32)
        .nested_data()
        .push_value(value)
        .end_nested()
        .end_nested()
        .end_nested()
}

/// Keeps the bits of `mask` in the register.
fn mask<'a>(list: Expressions<'a>, mask: &[u8]) -> Expressions<'a> {
    let length = u32::try_from(mask.len()).expect("a mask has at most 16 bytes");
    list.nested_elem()
        .nested_data_bitwise()
        .push_sreg(REGISTER)
        .push_dreg(REGISTER)
        .push_len(length)
        .nested_mask()
        .push_value(mask)
        .end_nested()
        .nested_xor()
        .push_value(&[0; 16][..mask.len()])
        .end_nested()
        .end_nested()
        .end_nested()
}

fn push_verdict(list: Expressions<'_>, verdict: Verdict) -> Expressions<'_> {
    let code = match verdict {
        Verdict::Accept => VerdictCode::Accept,
        Verdict::Drop => VerdictCode::Drop,
        Verdict::Masquerade => return list.nested_elem().push_name(c"masq").end_nested(),
    };
    list.nested_elem()
        .nested_data_immediate()
        .push_dreg(Registers::RegVerdict as u32)
        .nested_data()
        .nested_verdict()
        .push_code(code as u32)
        .end_nested()
        .end_nested()
        .end_nested()
        .end_nested()
}

/// An interface name as the kernel compares it: all 16 bytes.
fn padded(name: &str) -> [u8; libc::IFNAMSIZ] {
    let mut bytes = [0; libc::IFNAMSIZ];
    let length = name.len().min(libc::IFNAMSIZ - 1);
    bytes[..length].copy_from_slice(&name.as_bytes()[..length]);
    bytes
}
