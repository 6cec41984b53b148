//! A program run without openat2(2), as in a sandbox that is older than the call.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use naru_sys::seccomp::{Instruction, install};

/// The number of openat2(2), the same on every machine.
const OPENAT2: u32 = 437;

/// What to run, and what openat2 is answered with there.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The error
    errno: Errno,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Errno {
    /// Operation not permitted, as old filters of container engines say
    Eperm,
    /// Function not implemented, as kernels before 5.6 say
    Enosys,
}

/// Becomes the program.
pub(crate) fn run(options: &Options) -> Result<()> {
    let errno = match options.errno {
        Errno::Eperm => 1,
        Errno::Enosys => 38,
    };
    let give = |operand| Instruction { code: 0x06, jump_true: 0, jump_false: 0, operand };
    let filter = [
        Instruction { code: 0x20, jump_true: 0, jump_false: 0, operand: 0 },
        Instruction { code: 0x15, jump_true: 0, jump_false: 1, operand: OPENAT2 },
        give(0x0005_0000 | errno),
        give(0x7fff_0000),
    ];
    install(&filter, 0).context("cannot deny openat2 (only root can)")?;
    let (program, arguments) = options.command.split_first().context("there is no program")?;
    let error = Command::new(program).args(arguments).env("NARU_TEST_WITHOUT_OPENAT2", "1").exec();
    Err(error).with_context(|| format!("cannot run {program}"))
}
