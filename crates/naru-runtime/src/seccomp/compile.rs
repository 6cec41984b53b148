//! A compiler from the OCI form to classic BPF.
//!
//! The program checks the architecture, then finds the system call's number by binary search over
//! ranges that share a verdict, then compares arguments where a rule has conditions. All rules of
//! one system call are tried in their order; the first without conditions ends the search, and
//! what no rule matches gets the default action.
//!
//! Two things differ from a literal translation, both to be stricter or kinder than it:
//! arguments that the kernel itself cuts to 32 bits are compared as 32 bits, and a system call
//! that is newer than the table of names is answered with `ENOSYS`, so that C libraries fall back.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use naru_sys::seccomp::Instruction;
use oci_spec::runtime::{
    Arch, LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag,
    LinuxSeccompOperator, LinuxSyscall,
};

use super::table::Machine;
use crate::Error;

const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_GREATER: u16 = 0x25;
const JUMP_GREATER_EQUAL: u16 = 0x35;
const RETURN: u16 = 0x06;

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
const OFFSET_ARGUMENTS: u32 = 16;

const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ERRNO: u32 = 0x0005_0000;
const RETURN_LOG: u32 = 0x7ffc_0000;
const RETURN_NOTIFY: u32 = 0x7fc0_0000;
const ENOSYS: u32 = 38;
const EPERM: u32 = 1;
/// Numbers of the x32 ABI on x86-64 start here.
const X32: u32 = 0x4000_0000;

/// System calls whose arguments the kernel takes as `int` or `unsigned int`.
const NARROW: [(&str, usize); 4] =
    [("socket", 3), ("socketpair", 3), ("personality", 1), ("unshare", 1)];

/// A compiled filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    instructions: Vec<Instruction>,
}

/// What happens to a system call.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Return(u32),
    Rules(Vec<Rule>, u32),
}

/// Conditions that must all hold, and what then happens.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    conditions: Vec<(LinuxSeccompArg, bool)>,
    action: u32,
}

/// How far a condition's failing jump goes: past the rest of the rule.
const FAIL: u8 = u8::MAX;

impl Program {
    /// The program for `seccomp`, from the last call if that was for the same: nearly all
    /// containers have one profile, and compiling it costs as much as ten mounts.
    pub(crate) fn of(seccomp: &LinuxSeccomp) -> Result<Arc<Self>, Error> {
        static LAST: Mutex<Option<(LinuxSeccomp, Arc<Program>)>> = Mutex::new(None);
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((profile, program)) = last.as_ref()
            && profile == seccomp
        {
            return Ok(Arc::clone(program));
        }
        let program = Arc::new(Self::compile(seccomp)?);
        *last = Some((seccomp.clone(), Arc::clone(&program)));
        Ok(program)
    }

    /// Compiles `seccomp` for the machine naru runs on.
    pub(crate) fn compile(seccomp: &LinuxSeccomp) -> Result<Self, Error> {
        Self::compile_for(Machine::NATIVE, seccomp)
    }

    pub(super) fn compile_for(machine: Machine, seccomp: &LinuxSeccomp) -> Result<Self, Error> {
        check_architectures(machine, seccomp)?;
        let default = action(
            seccomp.default_action(),
            seccomp.default_errno_ret(),
            "linux.seccomp.defaultAction",
        )?;
        let calls: HashMap<&str, u32> = machine.system_calls().collect();
        let last = calls.values().copied().max().unwrap_or(0);
        let verdicts =
            verdicts(&calls, seccomp.syscalls().as_deref().unwrap_or_default(), default)?;
        let fallback = Verdict::Return(default);
        let sendmsg = calls.get("sendmsg").and_then(|number| verdicts.get(number));
        check_listener(seccomp, sendmsg.unwrap_or(&fallback))?;
        let ranges = ranges(&verdicts, default, last);

        let mut instructions = vec![
            load(OFFSET_ARCHITECTURE),
            Instruction { code: JUMP_EQUAL, jump_true: 1, jump_false: 0, operand: machine.audit() },
            give(RETURN_ERRNO | ENOSYS),
            load(OFFSET_NUMBER),
        ];
        if machine == Machine::X86_64 {
            let compare = JUMP_GREATER_EQUAL;
            instructions.push(Instruction {
                code: compare,
                jump_true: 0,
                jump_false: 1,
                operand: X32,
            });
            instructions.push(give(RETURN_ERRNO | ENOSYS));
        }
        instructions.extend(search(&ranges));
        if instructions.len() > 4096 {
            return Err(Error::invalid("linux.seccomp", "the filter is too long for the kernel"));
        }
        Ok(Self { instructions })
    }

    /// As bytes, for the way to the process inside.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.instructions
            .iter()
            .flat_map(|instruction| {
                let mut bytes = [0; 8];
                bytes[..2].copy_from_slice(&instruction.code.to_ne_bytes());
                bytes[2] = instruction.jump_true;
                bytes[3] = instruction.jump_false;
                bytes[4..].copy_from_slice(&instruction.operand.to_ne_bytes());
                bytes
            })
            .collect()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Vec<Instruction> {
        let (instructions, _) = bytes.as_chunks::<8>();
        instructions
            .iter()
            .map(|&[a, b, jump_true, jump_false, c, d, e, f]| Instruction {
                code: u16::from_ne_bytes([a, b]),
                jump_true,
                jump_false,
                operand: u32::from_ne_bytes([c, d, e, f]),
            })
            .collect()
    }
}

/// The flags of the OCI form as the kernel's.
pub(crate) fn filter_flags(seccomp: &LinuxSeccomp) -> Result<u32, Error> {
    seccomp.flags().iter().flatten().try_fold(0, |flags, flag| {
        Ok(flags
            | match flag {
                // The filter is installed by a process of one thread.
                LinuxSeccompFilterFlag::SeccompFilterFlagTsync => 0,
                LinuxSeccompFilterFlag::SeccompFilterFlagLog => 1 << 1,
                LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => 1 << 2,
                // Meaningless, and an error of the kernel, where nobody listens.
                LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
                    if notifies(seccomp) {
                        1 << 5
                    } else {
                        0
                    }
                }
            })
    })
}

/// The native architecture must be among the listed ones; the others are answered with `ENOSYS`.
fn check_architectures(machine: Machine, seccomp: &LinuxSeccomp) -> Result<(), Error> {
    let Some(listed) = seccomp.architectures() else { return Ok(()) };
    let native = match machine {
        Machine::X86_64 => Arch::ScmpArchX86_64,
        Machine::Aarch64 => Arch::ScmpArchAarch64,
    };
    if listed.is_empty() || listed.contains(&native) || listed.contains(&Arch::ScmpArchNative) {
        return Ok(());
    }
    Err(Error::invalid("linux.seccomp.architectures", "this machine's is not among them"))
}

/// Whether some call is to be answered by an agent at `listenerPath`.
pub(crate) fn notifies(seccomp: &LinuxSeccomp) -> bool {
    let rules = seccomp.syscalls().iter().flatten().map(LinuxSyscall::action);
    let mut actions = rules.chain([seccomp.default_action()]);
    actions.any(|action| action == LinuxSeccompAction::ScmpActNotify)
}

/// The agent has to be reachable: it is told of the listener by sendmsg(2), when the filter is there.
fn check_listener(seccomp: &LinuxSeccomp, verdict: &Verdict) -> Result<(), Error> {
    let path = seccomp.listener_path().as_ref();
    if path.is_none() && seccomp.listener_metadata().is_some() {
        let reason = "there is no listenerPath";
        return Err(Error::invalid("linux.seccomp.listenerMetadata", reason));
    }
    if !notifies(seccomp) {
        return Ok(());
    }
    if seccomp.default_action() == LinuxSeccompAction::ScmpActNotify {
        let action = seccomp.default_action();
        return Err(Error::unsupported_value("linux.seccomp.defaultAction", action));
    }
    let asks = |rule: &&LinuxSyscall| rule.action() == LinuxSeccompAction::ScmpActNotify;
    let mut asked = seccomp.syscalls().iter().flatten().filter(asks).flat_map(LinuxSyscall::names);
    if asked.any(|name| name == "write") {
        let reason = "SCMP_ACT_NOTIFY cannot be used for the write syscall";
        return Err(Error::invalid("linux.seccomp.syscalls", reason));
    }
    if !path.is_some_and(|path| path.is_absolute()) {
        let reason = "SCMP_ACT_NOTIFY needs the absolute path of a socket";
        return Err(Error::invalid("linux.seccomp.listenerPath", reason));
    }
    if ![Verdict::Return(RETURN_ALLOW), Verdict::Return(RETURN_LOG)].contains(verdict) {
        let reason = "sendmsg, by which the listener is handed to its agent, is not allowed";
        return Err(Error::invalid("linux.seccomp.syscalls", reason));
    }
    Ok(())
}

fn action(action: LinuxSeccompAction, errno: Option<u32>, field: &str) -> Result<u32, Error> {
    let has_errno =
        [LinuxSeccompAction::ScmpActErrno, LinuxSeccompAction::ScmpActTrace].contains(&action);
    if errno.is_some() && !has_errno {
        return Err(Error::invalid(field, format!("{action} has no errno")));
    }
    let errno = errno.unwrap_or(EPERM) & 0xffff;
    Ok(match action {
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => 0,
        LinuxSeccompAction::ScmpActKillProcess => 0x8000_0000,
        LinuxSeccompAction::ScmpActTrap => 0x0003_0000,
        LinuxSeccompAction::ScmpActErrno => RETURN_ERRNO | errno,
        LinuxSeccompAction::ScmpActTrace => 0x7ff0_0000 | errno,
        LinuxSeccompAction::ScmpActLog => RETURN_LOG,
        LinuxSeccompAction::ScmpActAllow => RETURN_ALLOW,
        LinuxSeccompAction::ScmpActNotify => RETURN_NOTIFY,
    })
}

/// The rules by system call; names this machine does not have are skipped, as the OCI asks.
fn verdicts(
    calls: &HashMap<&str, u32>,
    syscalls: &[LinuxSyscall],
    default: u32,
) -> Result<BTreeMap<u32, Verdict>, Error> {
    let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
    for syscall in syscalls {
        let action = action(syscall.action(), syscall.errno_ret(), "linux.seccomp.syscalls")?;
        for name in syscall.names() {
            let Some(&number) = calls.get(name.as_str()) else { continue };
            let narrow =
                NARROW.iter().find(|(narrow, _)| narrow == name).map_or(0, |(_, count)| *count);
            let mut conditions = Vec::new();
            for argument in syscall.args().iter().flatten() {
                if argument.index() > 5 {
                    return Err(Error::invalid("linux.seccomp.syscalls.args", "index above 5"));
                }
                conditions.push((*argument, argument.index() < narrow));
            }
            let list = rules.entry(number).or_default();
            for conditions in alternatives(conditions) {
                if list.last().is_none_or(|last| !last.conditions.is_empty()) {
                    list.push(Rule { conditions, action });
                }
            }
        }
    }
    Ok(rules
        .into_iter()
        .map(|(number, rules)| match rules.first() {
            Some(rule) if rule.conditions.is_empty() => (number, Verdict::Return(rule.action)),
            _ => (number, Verdict::Rules(rules, default)),
        })
        .collect())
}

/// Conditions on different arguments have to hold together. One of several on the same argument is enough, as runc
/// and Docker's profiles mean it.
fn alternatives(conditions: Vec<(LinuxSeccompArg, bool)>) -> Vec<Vec<(LinuxSeccompArg, bool)>> {
    let mut places: Vec<usize> = conditions.iter().map(|(argument, _)| argument.index()).collect();
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0] == pair[1]) {
        return conditions.into_iter().map(|condition| vec![condition]).collect();
    }
    vec![conditions]
}

/// Ranges of numbers with one verdict, as their first number; they cover all numbers.
fn ranges(verdicts: &BTreeMap<u32, Verdict>, default: u32, last: u32) -> Vec<(u32, Verdict)> {
    let fallback = Verdict::Return(default);
    let mut ranges: Vec<(u32, Verdict)> = Vec::new();
    for number in 0..=last {
        let verdict = verdicts.get(&number).unwrap_or(&fallback);
        if ranges.last().is_none_or(|(_, previous)| previous != verdict) {
            ranges.push((number, verdict.clone()));
        }
    }
    let refuses = default & 0xffff_0000 == RETURN_ERRNO;
    ranges.push((last + 1, Verdict::Return(if refuses { RETURN_ERRNO | ENOSYS } else { default })));
    ranges
}

/// Binary search over the ranges, with the number in the accumulator.
fn search(ranges: &[(u32, Verdict)]) -> Vec<Instruction> {
    match ranges {
        [] => Vec::new(),
        [(_, verdict)] => verdict_code(verdict),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let low_code = search(low);
            let operand = high[0].0;
            let mut code = Vec::new();
            if let Ok(distance) = u8::try_from(low_code.len()) {
                code.push(Instruction {
                    code: JUMP_GREATER_EQUAL,
                    jump_true: distance,
                    jump_false: 0,
                    operand,
                });
            } else {
                let distance = u32::try_from(low_code.len()).unwrap_or(u32::MAX);
                code.push(Instruction {
                    code: JUMP_GREATER_EQUAL,
                    jump_true: 0,
                    jump_false: 1,
                    operand,
                });
                code.push(Instruction {
                    code: JUMP,
                    jump_true: 0,
                    jump_false: 0,
                    operand: distance,
                });
            }
            code.extend(low_code);
            code.extend(search(high));
            code
        }
    }
}

fn verdict_code(verdict: &Verdict) -> Vec<Instruction> {
    match verdict {
        Verdict::Return(value) => vec![give(*value)],
        Verdict::Rules(rules, default) => {
            let mut code: Vec<Instruction> = rules.iter().flat_map(rule_code).collect();
            if rules.last().is_none_or(|rule| !rule.conditions.is_empty()) {
                code.push(give(*default));
            }
            code
        }
    }
}

/// The conditions, each jumping past the rule's end when it does not hold, then the return.
fn rule_code(rule: &Rule) -> Vec<Instruction> {
    let mut code: Vec<Instruction> = rule.conditions.iter().flat_map(condition_code).collect();
    code.push(give(rule.action));
    let length = code.len();
    for (index, instruction) in code.iter_mut().enumerate() {
        let to_end = u8::try_from(length - index - 1).unwrap_or(FAIL);
        if instruction.jump_true == FAIL {
            instruction.jump_true = to_end;
        }
        if instruction.jump_false == FAIL {
            instruction.jump_false = to_end;
        }
    }
    code
}

/// One comparison; [`FAIL`] stands for the way out. `narrow` compares the low 32 bits only.
fn condition_code((argument, narrow): &(LinuxSeccompArg, bool)) -> Vec<Instruction> {
    use LinuxSeccompOperator as Op;
    let offset = OFFSET_ARGUMENTS + 8 * u32::try_from(argument.index()).unwrap_or(0);
    let masked = argument.op() == Op::ScmpCmpMaskedEq;
    let (mask, value) = if masked {
        (argument.value(), argument.value_two().unwrap_or(0))
    } else {
        (u64::MAX, argument.value())
    };
    let (high, low) = (upper(value), lower(value));
    let jump =
        |code, jump_true, jump_false, operand| Instruction { code, jump_true, jump_false, operand };
    let mut code = Vec::new();
    if !narrow {
        code.push(load(offset + 4));
        if masked {
            code.push(jump(AND, 0, 0, upper(mask)));
        }
        // What a verdict by the upper half skips: load, (and,) compare of the lower half.
        let skip = if masked { 3 } else { 2 };
        match argument.op() {
            Op::ScmpCmpEq | Op::ScmpCmpMaskedEq => code.push(jump(JUMP_EQUAL, 0, FAIL, high)),
            Op::ScmpCmpNe => code.push(jump(JUMP_EQUAL, 0, skip, high)),
            Op::ScmpCmpGt | Op::ScmpCmpGe => {
                code.push(jump(JUMP_GREATER, skip + 1, 0, high));
                code.push(jump(JUMP_EQUAL, 0, FAIL, high));
            }
            Op::ScmpCmpLt | Op::ScmpCmpLe => {
                code.push(jump(JUMP_GREATER, FAIL, 0, high));
                code.push(jump(JUMP_EQUAL, 0, skip, high));
            }
        }
    }
    code.push(load(offset));
    if masked {
        code.push(jump(AND, 0, 0, lower(mask)));
    }
    code.push(match argument.op() {
        Op::ScmpCmpEq | Op::ScmpCmpMaskedEq => jump(JUMP_EQUAL, 0, FAIL, low),
        Op::ScmpCmpNe => jump(JUMP_EQUAL, FAIL, 0, low),
        Op::ScmpCmpGt => jump(JUMP_GREATER, 0, FAIL, low),
        Op::ScmpCmpGe => jump(JUMP_GREATER_EQUAL, 0, FAIL, low),
        Op::ScmpCmpLt => jump(JUMP_GREATER_EQUAL, FAIL, 0, low),
        Op::ScmpCmpLe => jump(JUMP_GREATER, FAIL, 0, low),
    });
    code
}

fn upper(value: u64) -> u32 {
    lower(value >> 32)
}

fn lower(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).unwrap_or(u32::MAX)
}

fn load(offset: u32) -> Instruction {
    Instruction { code: LOAD, jump_true: 0, jump_false: 0, operand: offset }
}

fn give(value: u32) -> Instruction {
    Instruction { code: RETURN, jump_true: 0, jump_false: 0, operand: value }
}
