//! The few instructions of bpf(2) that the guard needs, with labels for jumps.

use naru_sys::bpf::Instruction;

/// A place in the program that jumps lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// Registers that calls leave alone.
pub(super) const CONTEXT: u8 = 6;
pub(super) const STATE: u8 = 7;
pub(super) const KIND: u8 = 8;
pub(super) const AT: u8 = 9;
/// The result of a call, and of the program; also for what is compared at once.
const RESULT: u8 = 0;
const FIRST: u8 = 1;
const FRAME: u8 = 10;

/// `BPF_FUNC_skb_load_bytes`.
const LOAD_BYTES: i32 = 26;

const MOVE_REGISTER: u8 = 0xbf;
const MOVE: u8 = 0xb7;
const ADD: u8 = 0x07;
const ADD_REGISTER: u8 = 0x0f;
const SHIFT_LEFT: u8 = 0x67;
const AND_32: u8 = 0x54;
const LOAD_4: u8 = 0x61;
const LOAD_2: u8 = 0x69;
const LOAD_1: u8 = 0x71;
const CALL: u8 = 0x85;
const EXIT: u8 = 0x95;
const JUMP: u8 = 0x05;
/// With 32 bits, as constants are sign-extended to 64 (Linux 5.1).
const JUMP_EQUAL: u8 = 0x16;
const JUMP_NOT_EQUAL: u8 = 0x56;

/// Where in the frame bytes are read from.
#[derive(Debug, Clone, Copy)]
pub(super) enum From {
    /// So many bytes after its beginning.
    Offset(i32),
    /// At the offset in [`AT`].
    At,
}

/// A program under construction.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    code: Vec<Instruction>,
    labels: Vec<Option<usize>>,
    jumps: Vec<(usize, Label)>,
}

impl Assembler {
    /// A label that is to be placed later.
    pub(super) fn label(&mut self) -> Label {
        self.labels.push(None);
        Label(self.labels.len() - 1)
    }

    /// Jumps to this label lead here.
    pub(super) fn place(&mut self, label: Label) {
        self.labels[label.0] = Some(self.code.len());
    }

    /// Whether something leads to a label: what nothing leads to is refused by the kernel.
    pub(super) fn is_used(&self, label: Label) -> bool {
        self.jumps.iter().any(|(_, to)| *to == label)
    }

    /// The finished program.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        for (from, to) in self.jumps {
            let to = self.labels[to.0].expect("every label is placed");
            self.code[from].offset = i16::try_from(to - from - 1).expect("programs are short");
        }
        self.code
    }

    fn push(&mut self, code: u8, (to, from): (u8, u8), offset: i16, operand: i32) {
        self.code.push(Instruction { code, registers: to | from << 4, offset, operand });
    }

    /// Keeps the context that the program is called with.
    pub(super) fn keep_context(&mut self) {
        self.push(MOVE_REGISTER, (CONTEXT, FIRST), 0, 0);
    }

    pub(super) fn set(&mut self, register: u8, value: i32) {
        self.push(MOVE, (register, 0), 0, value);
    }

    pub(super) fn add(&mut self, register: u8, value: i32) {
        self.push(ADD, (register, 0), 0, value);
    }

    /// Ends with this result.
    pub(super) fn end(&mut self, result: i32) {
        self.set(RESULT, result);
        self.push(EXIT, (0, 0), 0, 0);
    }

    pub(super) fn jump(&mut self, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(JUMP, (0, 0), 0, 0);
    }

    pub(super) fn jump_if(&mut self, register: u8, value: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(JUMP_EQUAL, (register, 0), 0, value);
    }

    pub(super) fn jump_unless(&mut self, register: u8, value: i32, to: Label) {
        self.jumps.push((self.code.len(), to));
        self.push(JUMP_NOT_EQUAL, (register, 0), 0, value);
    }

    /// Copies bytes of the frame onto the stack; jumps when it is too short.
    pub(super) fn copy(&mut self, from: From, to: i16, length: i32, too_short: Label) {
        self.push(MOVE_REGISTER, (1, CONTEXT), 0, 0);
        match from {
            From::Offset(offset) => self.set(2, offset),
            From::At => self.push(MOVE_REGISTER, (2, AT), 0, 0),
        }
        self.push(MOVE_REGISTER, (3, FRAME), 0, 0);
        self.add(3, to.into());
        self.set(4, length);
        self.push(CALL, (0, 0), 0, LOAD_BYTES);
        self.jump_unless(RESULT, 0, too_short);
    }

    /// A byte of the stack into a register.
    pub(super) fn read_byte(&mut self, register: u8, at: i16) {
        self.push(LOAD_1, (register, FRAME), at, 0);
    }

    /// Two bytes of the stack into a register, as they lie there.
    pub(super) fn read_pair(&mut self, register: u8, at: i16) {
        self.push(LOAD_2, (register, FRAME), at, 0);
    }

    /// Adds 8 for each unit of the byte at `at`, and 8 more, to a register (RFC 8200, 4.3).
    pub(super) fn skip_header(&mut self, register: u8, at: i16) {
        self.push(LOAD_1, (RESULT, FRAME), at, 0);
        self.add(RESULT, 1);
        self.push(SHIFT_LEFT, (RESULT, 0), 0, 3);
        self.push(ADD_REGISTER, (register, RESULT), 0, 0);
    }

    /// Jumps unless the bytes of the stack at `at` are these, where `mask` has bits.
    pub(super) fn jump_unless_equal(&mut self, at: i16, bytes: &[u8], mask: &[u8], to: Label) {
        let mut done = 0;
        while done < bytes.len() {
            let place = at + i16::try_from(done).expect("addresses are short");
            let left = bytes.len() - done;
            let (code, size) = match place {
                place if place % 4 == 0 && left >= 4 => (LOAD_4, 4),
                place if place % 2 == 0 && left >= 2 => (LOAD_2, 2),
                _ => (LOAD_1, 1),
            };
            let range = done..done + size;
            let (value, bits) = (number(&bytes[range.clone()]), number(&mask[range]));
            done += size;
            if bits == 0 {
                continue;
            }
            self.push(code, (RESULT, FRAME), place, 0);
            if mask[done - size..done].iter().any(|byte| *byte != 0xff) {
                self.push(AND_32, (RESULT, 0), 0, bits);
            }
            self.jump_unless(RESULT, value & bits, to);
        }
    }
}

/// Bytes as a number that is loaded from where they lie.
fn number(bytes: &[u8]) -> i32 {
    let number = match bytes {
        [a, b, c, d] => u32::from_ne_bytes([*a, *b, *c, *d]),
        [a, b] => u16::from_ne_bytes([*a, *b]).into(),
        [a] => (*a).into(),
        _ => 0,
    };
    number.cast_signed()
}
