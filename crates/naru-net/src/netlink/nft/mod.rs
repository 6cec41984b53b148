//! nftables: one whole table replaced in one transaction, and what other tables do to forwarding.

mod encode;
mod list;

use netlink_bindings::builtin::Nlmsghdr;
use netlink_bindings::nftables::{Chained, ChainedFinal, Nfgenmsg, TableFlags, VerdictCode};
use netlink_bindings::traits::{LookupFn, NetlinkChained};
use netlink_bindings::utils::nla_align_up;
use nix::libc;

use super::{Refused, Socket, may_be_sent_again};
use crate::firewall::language::{Rule, Ruleset};
#[cfg(test)]
pub(crate) use list::rules;
pub(crate) use list::{ListedChain, ListedRule, ListedTable, chains, rules_of, tables};

/// Table family `inet`: IPv4 and IPv6 in one.
pub(crate) const INET: u8 = 1;
/// `NFNL_SUBSYS_NFTABLES`, named in the batch header.
const SUBSYSTEM: u16 = 10;
/// Room for every message of a transaction.
const SEQUENCE_NUMBERS: u32 = 1 << 16;
/// The kind of a comment among the user data of a table and of a rule.
const COMMENT: u8 = 0;

/// A chain, by all that names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The number of the table's family.
    pub(crate) family: u8,
    pub(crate) table: String,
    pub(crate) chain: String,
}

/// Whether nobody else may change a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ownership {
    /// Anybody may change, flush and delete it.
    Common,
    /// Only the socket that made it may, and who comes after that has been closed (Linux 6.9).
    Owned,
}

/// Replaces the table by this rule set, or makes it: all or nothing.
pub(crate) fn replace(
    socket: &mut Socket,
    ruleset: &Ruleset,
    ownership: Ownership,
) -> Result<(), Refused> {
    let name = ruleset.table.as_bytes();
    let flags = match ownership {
        Ownership::Common => 0,
        Ownership::Owned => TableFlags::Owner as u32 | TableFlags::Persist as u32,
    };
    transaction(socket, |batch| {
        // Making the table first lets the deletion succeed when there was none.
        batch.request().set_create().op_newtable_do(&header(INET)).encode().push_name_bytes(name);
        batch.request().op_deltable_do(&header(INET)).encode().push_name_bytes(name);
        let mut table = batch
            .request()
            .set_create()
            .op_newtable_do(&header(INET))
            .into_encoder()
            .push_name_bytes(name)
            .push_flags(flags);
        if let Some(text) = &ruleset.comment {
            table = table.push_userdata(&comment(text));
        }
        drop(table);
        for chain in &ruleset.chains {
            encode::new_chain(batch, (INET, &ruleset.table), chain, VerdictCode::Accept);
            let (table, chain_name) = (ruleset.table.clone(), chain.name.to_owned());
            let place = Place { family: INET, table, chain: chain_name };
            for rule in &chain.rules {
                encode::append_rule(batch, &place, rule);
            }
        }
    })
}

/// Deletes a table; that there is none is no error.
pub(crate) fn delete(socket: &mut Socket, table: &str) -> Result<(), Refused> {
    let outcome = transaction(socket, |batch| {
        let name = table.as_bytes();
        batch.request().op_deltable_do(&header(INET)).encode().push_name_bytes(name);
    });
    match outcome {
        Err(refused) if refused.is_absent() => Ok(()),
        outcome => outcome,
    }
}

/// Adds rules at the top of somebody's chain, in this order, each with this comment.
pub(crate) fn insert(
    socket: &mut Socket,
    place: &Place,
    rules: &[Rule],
    text: &str,
) -> Result<(), Refused> {
    transaction(socket, |batch| {
        for rule in rules.iter().rev() {
            encode::insert_rule(batch, place, rule, &comment(text));
        }
    })
}

/// Deletes rules; that one is gone already is no error.
pub(crate) fn delete_rules(socket: &mut Socket, rules: &[ListedRule]) -> Result<(), Refused> {
    for rule in rules {
        let outcome = transaction(socket, |batch| {
            batch
                .request()
                .op_delrule_do(&header(rule.place.family))
                .into_encoder()
                .push_table_bytes(rule.place.table.as_bytes())
                .push_chain_bytes(rule.place.chain.as_bytes())
                .push_handle(rule.handle);
        });
        match outcome {
            Err(refused) if refused.is_absent() => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// A comment as `nft` writes it into the user data.
fn comment(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len() + 1).expect("comments are short");
    [&[COMMENT, length], text.as_bytes(), &[0]].concat()
}

fn header(family: u8) -> Nfgenmsg {
    Nfgenmsg { nfgen_family: family, ..Default::default() }
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
    let transaction = Transaction::new(batch.finalize());
    match socket.0.request_chained(&transaction) {
        Ok(mut replies) => return Ok(replies.recv_all()?),
        Err(error) => may_be_sent_again(error)?,
    }
    Ok(socket.0.request_chained(&transaction)?.recv_all()?)
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

#[cfg(test)]
pub(crate) mod foreign;
