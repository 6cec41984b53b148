//! Tables of somebody else's, for tests.

use netlink_bindings::nftables::{Chained, VerdictCode};

use super::{INET, Place, Socket, encode, header, transaction};
use crate::firewall::language::{Chain, ChainKind, FILTER_PRIORITY, Hook, Rule};

/// Family `ip`, where `iptables` has its tables.
pub(crate) const IP: u8 = 2;

/// What a foreign table holds.
pub(crate) enum Content<'a> {
    /// A chain at hook forward, with what it does to packets that no rule decides about.
    Forward(VerdictCode),
    /// A chain that others jump to.
    Chain(&'a str),
    /// `POSTROUTING` of a table `nat`.
    Postrouting,
    /// A rule in a chain.
    Rule(&'a str, Rule),
    /// A jump from a chain to another.
    Jump(&'a str, &'a str),
}

/// Makes a table, or adds to it.
pub(crate) fn add(family: u8, table: &str, content: &[Content<'_>]) {
    transaction(&mut Socket::new(), |batch| {
        let name = table.as_bytes();
        batch.request().set_create().op_newtable_do(&header(family)).encode().push_name_bytes(name);
        for content in content {
            add_content(batch, family, table, content);
        }
    })
    .unwrap();
}

fn add_content(batch: &mut Chained<'static>, family: u8, table: &str, content: &Content<'_>) {
    let place = |chain: &str| Place { family, table: table.into(), chain: chain.into() };
    match content {
        Content::Forward(policy) => {
            let chain = base("FORWARD", ChainKind::Filter, Hook::Forward);
            encode::new_chain(batch, (family, table), &chain, *policy);
        }
        Content::Postrouting => {
            let chain = base("POSTROUTING", ChainKind::Nat, Hook::Postrouting);
            encode::new_chain(batch, (family, table), &chain, VerdictCode::Accept);
        }
        Content::Chain(name) => drop(
            batch
                .request()
                .set_create()
                .op_newchain_do(&header(family))
                .encode()
                .push_table_bytes(table.as_bytes())
                .push_name_bytes(name.as_bytes()),
        ),
        Content::Rule(chain, rule) => encode::append_rule(batch, &place(chain), rule),
        Content::Jump(from, to) => drop(
            batch
                .request()
                .set_create()
                .set_append()
                .op_newrule_do(&header(family))
                .into_encoder()
                .push_table_bytes(table.as_bytes())
                .push_chain_bytes(from.as_bytes())
                .nested_expressions()
                .nested_elem()
                .nested_data_immediate()
                .push_dreg(0)
                .nested_data()
                .nested_verdict()
                .push_code(VerdictCode::Jump as u32)
                .push_chain_bytes(to.as_bytes()),
        ),
    }
}

fn base(name: &'static str, kind: ChainKind, hook: Hook) -> Chain {
    Chain { name, kind, hook, priority: FILTER_PRIORITY, rules: Vec::new() }
}

/// Deletes every table that its deleter does not own, as `nft flush ruleset` does.
pub(crate) fn flush_ruleset() {
    const ALL: u8 = 0;
    transaction(&mut Socket::new(), |batch| {
        batch.request().op_deltable_do(&header(ALL)).encode();
    })
    .unwrap();
}

/// A table with one chain that drops all forwarded packets.
pub(crate) fn add_table_that_drops(table: &str) {
    add(INET, table, &[Content::Forward(VerdictCode::Drop)]);
}
