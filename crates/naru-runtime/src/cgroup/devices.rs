//! Device access: lines for the v1 controller, a program for v2.

use std::os::fd::AsFd;
use std::path::Path;

use naru_sys::bpf::Instruction;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::Error;

/// One rule: allow or deny, type, numbers (none is any), access.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    allow: bool,
    kind: char,
    major: Option<u32>,
    minor: Option<u32>,
    access: String,
}

/// Writes for the v1 controller, in order.
pub(super) fn v1_lines(resources: &LinuxResources) -> Result<Vec<(&'static str, String)>, Error> {
    let number = |value: Option<u32>| value.map_or("*".to_owned(), |value| value.to_string());
    Ok(rules(resources)?
        .iter()
        .map(|rule| {
            let file = if rule.allow { "devices.allow" } else { "devices.deny" };
            let line = match rule.kind {
                'a' => "a".to_owned(),
                kind => {
                    let (major, minor) = (number(rule.major), number(rule.minor));
                    format!("{kind} {major}:{minor} {}", rule.access)
                }
            };
            (file, line)
        })
        .collect())
}

/// Attaches a program that enforces the rules to a v2 group.
pub(super) fn attach_filter(directory: &Path, resources: &LinuxResources) -> Result<(), Error> {
    let rules = rules(resources)?;
    if rules.is_empty() {
        return Ok(());
    }
    let attach = || {
        let program = naru_sys::bpf::load_device_filter(&program(&rules))?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let group = rustix::fs::open(directory, flags, Mode::empty())?;
        naru_sys::bpf::attach_device_filter(group.as_fd(), program.as_fd())
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

fn rules(resources: &LinuxResources) -> Result<Vec<Rule>, Error> {
    let rules = resources.devices().iter().flatten().enumerate();
    rules.map(|(index, rule)| self::rule(index, rule)).collect()
}

fn rule(index: usize, rule: &LinuxDeviceCgroup) -> Result<Rule, Error> {
    let field = |name: &str| format!("linux.resources.devices[{index}].{name}");
    let number = |value: Option<i64>, name: &str| match value {
        None | Some(-1) => Ok(None),
        Some(value) => u32::try_from(value)
            .map(Some)
            .map_err(|_| Error::invalid(field(name), format!("{value} is out of range"))),
    };
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => 'a',
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => 'c',
        Some(LinuxDeviceType::B) => 'b',
        Some(LinuxDeviceType::P) => {
            return Err(Error::invalid(field("type"), "a FIFO is no device"));
        }
    };
    let access = rule.access().clone().filter(|access| !access.is_empty());
    let access = access.unwrap_or_else(|| "rwm".to_owned());
    if access.chars().any(|letter| !"rwm".contains(letter)) {
        return Err(Error::invalid(field("access"), format!("{access} is not of r, w and m")));
    }
    let (major, minor) = (number(rule.major(), "major")?, number(rule.minor(), "minor")?);
    if kind == 'a' && (major.is_some() || minor.is_some()) {
        return Err(Error::unsupported_value(field("type"), "all types with a number"));
    }
    Ok(Rule { allow: rule.allow(), kind, major, minor, access })
}
