//! Names and numbers of system calls.

/// A machine that filters can be made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Machine {
    X86_64,
    Aarch64,
}

impl Machine {
    /// The one this program was built for.
    pub(super) const NATIVE: Self =
        if cfg!(target_arch = "x86_64") { Self::X86_64 } else { Self::Aarch64 };

    /// `AUDIT_ARCH_*`, as seccomp reports it.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// All names and numbers, by number.
    pub(super) fn system_calls(self) -> impl Iterator<Item = (&'static str, u32)> {
        let text = match self {
            Self::X86_64 => include_str!("../../data/syscalls.x86_64"),
            Self::Aarch64 => include_str!("../../data/syscalls.aarch64"),
        };
        text.lines().filter_map(|line| {
            let (name, number) = line.split_once(' ')?;
            Some((name, number.parse().ok()?))
        })
    }
}
