//! The few fields of a program's header that say for which machine it is and what loads it.

/// The few fields of an ELF header that are needed, in its own byte order and width.
pub(super) struct Elf<'a> {
    head: &'a [u8],
    wide: bool,
    little: bool,
    machine: u16,
}

const X86: u16 = 3;
pub(super) const X86_64: u16 = 62;
pub(super) const AARCH64: u16 = 183;
pub(super) const RISCV: u16 = 243;

impl<'a> Elf<'a> {
    pub(super) fn new(head: &'a [u8]) -> Option<Self> {
        let (wide, little) = (*head.get(4)? == 2, *head.get(5)? == 1);
        let mut elf = Self { head, wide, little, machine: 0 };
        elf.machine = u16::try_from(elf.number(18, 2)?).ok()?;
        Some(elf)
    }

    pub(super) fn runs_here(&self) -> bool {
        match std::env::consts::ARCH {
            "x86_64" => self.little && matches!(self.machine, X86_64 | X86),
            "aarch64" => self.little && self.machine == AARCH64,
            "riscv64" => self.little && self.wide && self.machine == RISCV,
            // Other machines have variants that only their kernel can tell apart.
            _ => true,
        }
    }

    pub(super) fn machine_name(&self) -> String {
        match (self.machine, self.wide) {
            (X86, _) => "x86".to_owned(),
            (X86_64, _) => "x86_64".to_owned(),
            (AARCH64, _) => "aarch64".to_owned(),
            (40, _) => "arm".to_owned(),
            (RISCV, true) => "riscv64".to_owned(),
            (RISCV, false) => "riscv32".to_owned(),
            (21, _) => if self.little { "powerpc64le" } else { "powerpc64" }.to_owned(),
            (22, _) => "s390x".to_owned(),
            (8, _) => "mips".to_owned(),
            (258, _) => "loongarch64".to_owned(),
            (other, _) => format!("ELF machine {other}"),
        }
    }

    /// The path in the program header of type PT_INTERP.
    pub(super) fn loader(&self) -> Option<String> {
        const INTERPRETER: u64 = 3;
        let (offset, size, count) = if self.wide {
            (self.number(32, 8)?, self.number(54, 2)?, self.number(56, 2)?)
        } else {
            (self.number(28, 4)?, self.number(42, 2)?, self.number(44, 2)?)
        };
        for index in 0..count {
            let header = usize::try_from(offset.checked_add(index * size)?).ok()?;
            if self.number(header, 4)? != INTERPRETER {
                continue;
            }
            let (at, length) = if self.wide {
                (self.number(header.checked_add(8)?, 8)?, self.number(header.checked_add(32)?, 8)?)
            } else {
                (self.number(header.checked_add(4)?, 4)?, self.number(header.checked_add(16)?, 4)?)
            };
            let at = usize::try_from(at).ok()?;
            let end = at.checked_add(usize::try_from(length).ok()?)?;
            let text = self.head.get(at..end)?.split(|byte| *byte == 0).next()?;
            return String::from_utf8(text.to_vec()).ok();
        }
        None
    }

    fn number(&self, at: usize, width: usize) -> Option<u64> {
        let bytes = self.head.get(at..at.checked_add(width)?)?;
        let add = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
        Some(if self.little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    }
}
