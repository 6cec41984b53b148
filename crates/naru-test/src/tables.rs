//! Firewall tables as other programs make them, in the network namespace of the test.

use std::ffi::CStr;

use netlink_bindings::nftables::{
    Chained, CmpOps, CtKeys, MetaKeys, Nfgenmsg, PushExprListAttrs, PushRuleAttrs, Registers,
    VerdictCode,
};
use netlink_bindings::utils::RequestBuf;
use netlink_socket2::NetlinkSocket;

/// Table families.
const ALL: u8 = 0;
const INET: u8 = 1;
const IPV4: u8 = 2;
/// `NFNL_SUBSYS_NFTABLES`.
const SUBSYSTEM: u16 = 10;
/// Hooks of `linux/netfilter.h`.
const INPUT: u32 = 1;
const FORWARD: u32 = 2;

const REGISTER: u32 = Registers::Reg1 as u32;

type Expressions<'a> = PushExprListAttrs<PushRuleAttrs<RequestBuf<'a>>>;

/// What Docker leaves on a host: `FORWARD` of the table `ip filter` drops what it does not know, after asking
/// `DOCKER-USER`, where users have their rules.
///
/// # Panics
/// When the kernel refuses.
pub fn as_docker() {
    transaction(|batch| {
        table(batch, IPV4, b"filter");
        chain(batch, (IPV4, b"filter", b"DOCKER-USER"), None);
        chain(batch, (IPV4, b"filter", b"FORWARD"), Some(FORWARD));
        let jump = rule(batch, (IPV4, b"filter", b"FORWARD"));
        drop(
            jump.nested_elem()
                .nested_data_immediate()
                .push_dreg(Registers::RegVerdict as u32)
                .nested_data()
                .nested_verdict()
                .push_code(VerdictCode::Jump as u32)
                .push_chain(c"DOCKER-USER"),
        );
    });
}

/// What `ufw default deny incoming` leaves: only loopback and answers come in.
///
/// # Panics
/// When the kernel refuses.
pub fn deny_incoming() {
    transaction(|batch| {
        let place: Place = (INET, b"strict", b"input");
        table(batch, INET, b"strict");
        chain(batch, place, Some(INPUT));
        let loopback = rule(batch, place)
            .nested_elem()
            .nested_data_meta()
            .push_dreg(REGISTER)
            .push_key(MetaKeys::Iifname as u32)
            .end_nested()
            .end_nested();
        accept(compare(loopback, CmpOps::Eq, b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
        let answers = rule(batch, place)
            .nested_elem()
            .nested_data_ct()
            .push_dreg(REGISTER)
            .push_key(CtKeys::State as u32)
            .end_nested()
            .end_nested();
        // NF_CT_STATE_BIT(IP_CT_ESTABLISHED).
        accept(compare(answers, CmpOps::Eq, &2_u32.to_ne_bytes()));
    });
}

/// `nft flush ruleset`: deletes all tables that nobody owns.
///
/// # Panics
/// When the kernel refuses.
pub fn flush() {
    transaction(|batch| {
        batch.request().op_deltable_do(&header(ALL)).encode();
    });
}

/// A chain: the family, the table and its own name.
type Place = (u8, &'static [u8], &'static [u8]);

fn transaction(fill: impl FnOnce(&mut Chained<'static>)) {
    let mut socket = NetlinkSocket::new();
    let mut batch = Chained::new(socket.reserve_seq(64));
    let mut frame = Nfgenmsg::new();
    frame.set_res_id(SUBSYSTEM);
    batch.request().op_batch_begin_do(&frame);
    fill(&mut batch);
    batch.request().op_batch_end_do(&frame);
    socket.request_chained(&batch.finalize()).unwrap().recv_all().unwrap();
}

fn header(family: u8) -> Nfgenmsg {
    Nfgenmsg { nfgen_family: family, ..Default::default() }
}

fn table(batch: &mut Chained<'static>, family: u8, name: &[u8]) {
    batch.request().set_create().op_newtable_do(&header(family)).encode().push_name_bytes(name);
}

/// A chain that others jump to, or one at a hook that drops what no rule decides about.
fn chain(batch: &mut Chained<'static>, (family, table, name): Place, hook: Option<u32>) {
    let request = batch.request().set_create();
    let mut request = request.op_newchain_do(&header(family));
    let chain = request.encode().push_table_bytes(table).push_name_bytes(name);
    if let Some(hook) = hook {
        let base = chain.push_type(c"filter").push_policy(VerdictCode::Drop as u32);
        drop(base.nested_hook().push_num(hook).push_priority(0));
    }
}

fn rule<'a>(batch: &'a mut Chained<'static>, (family, table, chain): Place) -> Expressions<'a> {
    batch
        .request()
        .set_create()
        .set_append()
        .op_newrule_do(&header(family))
        .into_encoder()
        .push_table_bytes(table)
        .push_chain_bytes(chain)
        .nested_expressions()
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

fn accept(list: Expressions<'_>) {
    drop(
        list.nested_elem()
            .nested_data_immediate()
            .push_dreg(Registers::RegVerdict as u32)
            .nested_data()
            .nested_verdict()
            .push_code(VerdictCode::Accept as u32),
    );
}

/// The names of all tables, in the family that they are in.
///
/// # Panics
/// When the kernel does not list them.
pub fn names() -> Vec<String> {
    let mut socket = NetlinkSocket::new();
    let request = netlink_bindings::nftables::Request::new().op_gettable_dump(&header(ALL));
    let mut replies = socket.request(&request).unwrap();
    let mut names = Vec::new();
    while let Some(reply) = replies.recv() {
        let (_, table) = reply.unwrap();
        names.push(table.get_name().map(CStr::to_string_lossy).unwrap().into_owned());
    }
    names
}
