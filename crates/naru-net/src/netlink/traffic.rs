//! Programs that decide about what comes in by a link (tc-bpf(8)), one of naru's for each.

use std::os::fd::{AsRawFd, BorrowedFd};

use netlink_bindings::traits::{NetlinkRequest, Protocol};
use netlink_bindings::utils::{finalize_nested_header, find_attr, push_header, push_nested_header};
use nix::libc;

use super::{Refused, Socket};

/// `TC_H_INGRESS` and the handle of what is there (`linux/pkt_sched.h`).
const INGRESS: u32 = 0xffff_fff1;
const INGRESS_HANDLE: u32 = 0xffff_0000;
/// naru's filter: before all others, for all protocols (`ETH_P_ALL`), by a handle of its own.
const FILTER: u32 = 1;
const FIRST: u32 = 1 << 16;
const ALL_PROTOCOLS: u16 = 3;
/// The filter's name, by which it is known again.
const NAME: &[u8] = b"naru\0";

/// Attributes of `linux/rtnetlink.h` and `linux/pkt_cls.h`.
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_BPF_FD: u16 = 6;
const TCA_BPF_NAME: u16 = 7;
const TCA_BPF_FLAGS: u16 = 8;
/// The program's result is the verdict.
const DIRECT: u32 = 1;

/// Length of `struct tcmsg`.
pub(crate) const HEADER: usize = 20;

/// A message about queues or filters of a link.
struct Message {
    kind: u16,
    flags: libc::c_int,
    payload: Vec<u8>,
}

impl Message {
    fn new(kind: u16, flags: libc::c_int, link: u32, of: (u32, u32, u32)) -> Self {
        let (handle, parent, info) = of;
        let words = [0, link, handle, parent, info];
        let payload = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Self { kind, flags, payload }
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) {
        let length = u16::try_from(value.len()).expect("attributes are short");
        push_header(&mut self.payload, kind, length);
        self.payload.extend_from_slice(value);
    }
}

impl NetlinkRequest for Message {
    fn protocol(&self) -> Protocol {
        Protocol::Raw { protonum: 0, request_type: self.kind }
    }

    fn flags(&self) -> u16 {
        u16::try_from(self.flags).expect("flags of 16 bits")
    }

    fn payload(&self) -> &[u8] {
        &self.payload
    }

    type ReplyType<'buf> = &'buf [u8];

    fn decode_reply(buf: &[u8]) -> &[u8] {
        buf
    }
}

/// Lets this program decide about what comes in by a link, before anybody else's; an earlier one of naru's is replaced.
pub(crate) fn set_filter(
    socket: &mut Socket,
    link: u32,
    program: BorrowedFd<'_>,
) -> Result<(), Refused> {
    let create = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
    let mut queue = Message::new(libc::RTM_NEWQDISC, create, link, (INGRESS_HANDLE, INGRESS, 0));
    queue.attribute(TCA_KIND, b"ingress\0");
    match socket.acknowledged(&queue) {
        Err(refused) if refused.errno() == Some(libc::EEXIST) => {}
        outcome => outcome?,
    }
    let info = FIRST | u32::from(ALL_PROTOCOLS.to_be());
    let of = (FILTER, INGRESS_HANDLE, info);
    let mut filter = Message::new(libc::RTM_NEWTFILTER, libc::NLM_F_CREATE, link, of);
    filter.attribute(TCA_KIND, b"bpf\0");
    let options = push_nested_header(&mut filter.payload, TCA_OPTIONS);
    filter.attribute(TCA_BPF_FD, &program.as_raw_fd().to_ne_bytes());
    filter.attribute(TCA_BPF_NAME, NAME);
    filter.attribute(TCA_BPF_FLAGS, &DIRECT.to_ne_bytes());
    finalize_nested_header(&mut filter.payload, options);
    socket.acknowledged(&filter)
}

/// Whether a link has a filter of naru's.
pub(crate) fn has_filter(socket: &mut Socket, link: u32) -> Result<bool, Refused> {
    let of = (0, INGRESS_HANDLE, 0);
    let dump = Message::new(libc::RTM_GETTFILTER, libc::NLM_F_DUMP, link, of);
    let mut is_found = false;
    socket.replies(&dump, |reply| {
        let attributes = reply.get(HEADER..).unwrap_or_default();
        let name =
            find_attr(attributes, TCA_OPTIONS).and_then(|options| find_attr(options, TCA_BPF_NAME));
        is_found |= name == Some(NAME);
    })?;
    Ok(is_found)
}
