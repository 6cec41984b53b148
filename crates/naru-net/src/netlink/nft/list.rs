//! What the kernel lists of tables, chains and rules, of naru and of others.

use std::ffi::CStr;

use netlink_bindings::nftables::{
    ExprOps, IterableExprListAttrs, Nfgenmsg, OpGetruleDump, Request, TableFlags, VerdictCode,
};

use super::{COMMENT, INET, Place, header};
use crate::netlink::{Refused, Socket};

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedTable {
    pub(crate) name: String,
    /// A socket that is open owns it.
    pub(crate) is_owned: bool,
    pub(crate) comment: Option<String>,
}

/// A chain, with where it hooks in if it is a base chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedChain {
    pub(crate) place: Place,
    pub(crate) hook: Option<u32>,
    /// Translates addresses.
    pub(crate) is_nat: bool,
    /// What no rule decides about is dropped.
    pub(crate) drops: bool,
}

/// A rule, as far as naru has to know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListedRule {
    pub(crate) place: Place,
    pub(crate) handle: u64,
    pub(crate) comment: Option<String>,
    /// Drops or rejects every packet that reaches it.
    pub(crate) drops_all: bool,
    /// Where packets go from here.
    pub(crate) jumps_to: Option<String>,
}

/// All tables of the family `inet`.
pub(crate) fn tables(socket: &mut Socket) -> Result<Vec<ListedTable>, Refused> {
    let mut found = Vec::new();
    socket.replies(&Request::new().op_gettable_dump(&header(INET)), |(_, attributes)| {
        let flags = attributes.get_flags().unwrap_or(0);
        found.push(ListedTable {
            name: attributes.get_name().map(text).unwrap_or_default(),
            is_owned: flags & TableFlags::Owner as u32 != 0,
            comment: attributes.get_userdata().ok().and_then(read_comment),
        });
    })?;
    Ok(found)
}

/// The chains of all tables of all families.
pub(crate) fn chains(socket: &mut Socket) -> Result<Vec<ListedChain>, Refused> {
    let mut found = Vec::new();
    socket.replies(
        &Request::new().op_getchain_dump(&Nfgenmsg::new()),
        |(header, attributes)| {
            let (Ok(table), Ok(name)) = (attributes.get_table(), attributes.get_name()) else {
                return;
            };
            let hook = attributes.get_hook().ok().and_then(|hook| hook.get_num().ok());
            found.push(ListedChain {
                place: Place { family: header.nfgen_family, table: text(table), chain: text(name) },
                hook,
                is_nat: attributes.get_type().is_ok_and(|kind| kind == c"nat"),
                drops: hook.is_some() && attributes.get_policy() == Ok(VerdictCode::Drop as u32),
            });
        },
    )?;
    Ok(found)
}

/// The rules of a table of this family.
pub(crate) fn rules_of(
    socket: &mut Socket,
    (family, table): (u8, &str),
) -> Result<Vec<ListedRule>, Refused> {
    let mut request = Request::new().op_getrule_dump(&header(family));
    drop(request.encode().push_table_bytes(table.as_bytes()));
    list_rules(socket, &request)
}

/// The rules of all chains of all families.
#[cfg(test)]
pub(crate) fn rules(socket: &mut Socket) -> Result<Vec<ListedRule>, Refused> {
    list_rules(socket, &Request::new().op_getrule_dump(&Nfgenmsg::new()))
}

fn list_rules(
    socket: &mut Socket,
    request: &OpGetruleDump<'_>,
) -> Result<Vec<ListedRule>, Refused> {
    let mut found = Vec::new();
    socket.replies(request, |(header, attributes)| {
        let (Ok(table), Ok(chain)) = (attributes.get_table(), attributes.get_chain()) else {
            return;
        };
        let (drops_all, jumps_to) =
            attributes.get_expressions().map_or((false, None), |list| effect(&list));
        found.push(ListedRule {
            place: Place { family: header.nfgen_family, table: text(table), chain: text(chain) },
            handle: attributes.get_handle().unwrap_or(0),
            comment: attributes.get_userdata().ok().and_then(read_comment),
            drops_all,
            jumps_to,
        });
    })?;
    Ok(found)
}

/// Whether a rule drops everything, and the chain it jumps to.
fn effect(list: &IterableExprListAttrs<'_>) -> (bool, Option<String>) {
    let (mut is_unconditional, mut drops, mut jumps_to) = (true, false, None);
    for expression in list.get_elem() {
        let name = expression.get_name().unwrap_or_default();
        match expression.get_data() {
            Ok(ExprOps::Counter(_) | ExprOps::Log(_)) => {}
            Ok(ExprOps::Reject(_)) => drops = true,
            Ok(ExprOps::Immediate(immediate)) => {
                let Some(verdict) =
                    immediate.get_data().ok().and_then(|data| data.get_verdict().ok())
                else {
                    continue;
                };
                drops |= verdict.get_code() == Ok(VerdictCode::Drop as u32);
                jumps_to = verdict.get_chain().ok().map(text);
            }
            // `iptables -j REJECT` and `-j LOG` in their own form.
            Ok(ExprOps::Target(target)) => {
                drops |= target.get_name().is_ok_and(|name| name == c"REJECT");
            }
            _ => is_unconditional &= name == c"last",
        }
    }
    (is_unconditional && drops, jumps_to)
}

/// The comment among user data: entries of a kind, a length and a text.
fn read_comment(mut data: &[u8]) -> Option<String> {
    while let [kind, length, rest @ ..] = data {
        let (value, next) = rest.split_at_checked(usize::from(*length))?;
        if *kind == COMMENT {
            let value = value.strip_suffix(&[0]).unwrap_or(value);
            return Some(String::from_utf8_lossy(value).into_owned());
        }
        data = next;
    }
    None
}

fn text(name: &CStr) -> String {
    name.to_string_lossy().into_owned()
}
