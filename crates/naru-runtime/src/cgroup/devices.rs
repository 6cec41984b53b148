//! Device access: lines for the v1 controller, a program for v2.
//!
//! The kernel's documents: Documentation/admin-guide/cgroup-v1/devices.rst, and "Device controller" in
//! Documentation/admin-guide/cgroup-v2.rst.

mod rule;

use std::os::fd::AsFd;
use std::path::Path;

use naru_sys::bpf::{self, Instruction};
use oci_spec::runtime::LinuxResources;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::Error;
use rule::Rule;

/// Writes for the v1 controller, in order.
pub(super) fn v1_lines(resources: &LinuxResources) -> Result<Vec<(&'static str, String)>, Error> {
    Ok(rule::all(resources)?.iter().flat_map(Rule::lines).collect())
}

/// Writes for a v1 group that processes are in: what changes from `list`, the text of `devices.list`, and
/// nothing else, so that no device is denied for a moment that was and will be allowed.
pub(super) fn v1_changes(
    resources: &LinuxResources,
    list: &str,
) -> Result<Vec<(&'static str, String)>, Error> {
    let rules = rule::all(resources)?;
    let Some((wanted, current)) = rule::allowed(&rules).zip(rule::parse_list(list)) else {
        return v1_lines(resources);
    };
    let more = wanted.iter().filter_map(|rule| rule.beyond(&current));
    let less = current.iter().filter_map(|rule| rule.beyond(&wanted));
    let less = less.map(|rule| Rule { allow: false, ..rule });
    Ok(more.chain(less).flat_map(|rule| rule.lines()).collect())
}

/// Attaches a program that enforces the rules to a v2 group, in place of the one that may be there; at no
/// moment is a device allowed that neither allows.
pub(super) fn attach_filter(directory: &Path, resources: &LinuxResources) -> Result<(), Error> {
    let rules = rule::all(resources)?;
    if rules.is_empty() {
        return Ok(());
    }
    let attach = || {
        let program = bpf::load_device_filter(&program(&rules))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let group = rustix::fs::open(directory, flags, Mode::empty())?;
        let earlier = bpf::attached_device_filters(group.as_fd())?;
        if let [only] = earlier.as_slice() {
            return bpf::replace_device_filter(group.as_fd(), program.as_fd(), only.as_fd());
        }
        bpf::attach_device_filter(group.as_fd(), program.as_fd())?;
        earlier.iter().try_for_each(|old| bpf::detach_device_filter(group.as_fd(), old.as_fd()))
    };
    attach().map_err(|errno: Errno| Error::Cgroup {
        action: "set the allowed devices of".to_owned(),
        path: directory.to_owned(),
        source: errno.into(),
    })
}

/// The rules as a program: it looks at them from the last to the first, and the first that fits
/// decides, which is what the v1 controller does with a list of writes.
///
/// The context (`struct bpf_cgroup_dev_ctx`) is the kind in the low and the access in the high half
/// of the first word, then major and minor.
fn program(rules: &[Rule]) -> Vec<Instruction> {
    let mut program = vec![
        instruction(LOAD_WORD, ACCESS | CONTEXT << 4, 0, 0),
        instruction(MOVE, KIND | ACCESS << 4, 0, 0),
        instruction(AND, KIND, 0, 0xffff),
        instruction(SHIFT_RIGHT, ACCESS, 0, 16),
        instruction(LOAD_WORD, MAJOR | CONTEXT << 4, 4, 0),
        instruction(LOAD_WORD, MINOR | CONTEXT << 4, 8, 0),
    ];
    for rule in rules.iter().rev() {
        let code = rule_code(rule);
        let is_last = code.len() == verdict(rule.allow).len();
        program.extend(code);
        if is_last {
            // It fits always; the kernel refuses programs with code that cannot be reached.
            return program;
        }
    }
    program.extend(verdict(true));
    program
}

/// One rule; each comparison that fails jumps past its end.
fn rule_code(rule: &Rule) -> Vec<Instruction> {
    let mut code = Vec::new();
    match rule.kind {
        'b' => code.push(instruction(JUMP_NOT_EQUAL, KIND, 0, 1)),
        'c' => code.push(instruction(JUMP_NOT_EQUAL, KIND, 0, 2)),
        _ => {}
    }
    let bits = [('m', 1), ('r', 2), ('w', 4)];
    let listed = bits.iter().filter(|(letter, _)| rule.access.contains(*letter));
    let access: i32 = listed.map(|(_, bit)| bit).sum();
    if access != 7 {
        // All that is wanted must be allowed; one thing that is denied is enough.
        code.push(instruction(MOVE, RESULT | ACCESS << 4, 0, 0));
        let (mask, leave) =
            if rule.allow { (!access & 7, JUMP_NOT_EQUAL) } else { (access, JUMP_EQUAL) };
        code.push(instruction(AND, RESULT, 0, mask));
        code.push(instruction(leave, RESULT, 0, 0));
    }
    for (register, number) in [(MAJOR, rule.major), (MINOR, rule.minor)] {
        if let Some(number) = number {
            code.push(instruction(JUMP_NOT_EQUAL, register, 0, number.cast_signed()));
        }
    }
    code.extend(verdict(rule.allow));
    let length = code.len();
    for (index, entry) in code.iter_mut().enumerate() {
        if entry.code == JUMP_EQUAL || entry.code == JUMP_NOT_EQUAL {
            entry.offset = i16::try_from(length - index - 1).unwrap_or(i16::MAX);
        }
    }
    code
}

fn verdict(allow: bool) -> [Instruction; 2] {
    [instruction(SET, RESULT, 0, allow.into()), instruction(EXIT, 0, 0, 0)]
}

fn instruction(code: u8, registers: u8, offset: i16, operand: i32) -> Instruction {
    Instruction { code, registers, offset, operand }
}

const LOAD_WORD: u8 = 0x61;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE: u8 = 0xbc;
const SET: u8 = 0xb7;
const JUMP_EQUAL: u8 = 0x15;
const JUMP_NOT_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

/// Registers: the result, the context, and what is loaded from it.
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const ACCESS: u8 = 2;
const KIND: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
