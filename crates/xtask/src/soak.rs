//! `cargo xtask soak`: tests that are short in `cargo xtask test`, for as long as one wants.

use anyhow::{Result, bail};
use clap::{Args, Subcommand};

use crate::bench;
use crate::task::{self, cargo, step};

/// More deaths than there are durable steps in a command: each has one before and one after it.
const EACH: u64 = 100_000;

/// What is run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Kill keeper and supervisor at random under connections, names, logs and exit codes
    Deaths(Duration),
    /// Kill keeper and supervisor while a container writes at full speed
    Logs(Kills),
    /// Bring a project up and down again and again, and compare what is there afterwards
    Cycles(Cycles),
    /// Kill whichever process is about to make the n-th change of the world, during up, down, restart and recreate
    Sweep(Sweep),
    /// Ask for names, with glibc and musl, while a neighbour is restarted again and again
    Names(Lookups),
    /// Kill before and after each durable step by its name: files renamed, brought to disk, made and removed
    Steps,
    /// Let the n-th write of `up` fail: no space, no quota, read-only, no descriptors
    Errors(Failures),
    /// Try the races of the attacks on the runtime and through Compose files
    Attacks(Attacks),
    /// Cut the power of the file system under NARU_ROOT in the middle of commands
    Powercut(Cuts),
    /// Press Ctrl-C at random moments of `up`, once or twice
    Interrupts(Interrupts),
    /// Let ten services be probed and write, and compare naru's memory
    Memory(Probes),
    /// Make a Postgres anew whose init script is slow, with somebody who connects as soon as it is ready
    Readiness(Runs),
    /// Make and remove containers with the runtime alone, and compare descriptors, mounts, cgroups, processes and threads
    Containers(Containers),
}

/// For how long.
#[derive(Debug, Args)]
pub(crate) struct Duration {
    /// Seconds of random deaths
    #[arg(long, default_value_t = 600)]
    seconds: u64,
}

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Kills {
    /// Deaths
    #[arg(long, default_value_t = 1000)]
    kills: u64,
}

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Cycles {
    /// Times up and down
    #[arg(long, default_value_t = 1000)]
    cycles: u64,
}

/// How many.
#[derive(Debug, Args)]
pub(crate) struct Sweep {
    /// Deaths in each command, spread over all its changes
    #[arg(long, default_value_t = 500)]
    deaths: u64,
}

/// How many.
#[derive(Debug, Args)]
pub(crate) struct Failures {
    /// Failures of each kind, spread over all writes
    #[arg(long, default_value_t = 200)]
    failures: u64,
}

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Lookups {
    /// Lookups with each library, with IPv6 and without; there is a restart for every hundred
    #[arg(long, default_value_t = 10_000)]
    lookups: u64,
}

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Attacks {
    /// Attempts at each race
    #[arg(long, default_value_t = 2000)]
    attempts: u64,
}

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Cuts {
    /// Power cuts
    #[arg(long, default_value_t = 500)]
    cuts: u64,
}

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Interrupts {
    /// Moments in the foreground, and as many in the background
    #[arg(long, default_value_t = 100)]
    moments: u64,
}

/// How many.
#[derive(Debug, Args)]
pub(crate) struct Probes {
    /// Probes of each service, five a second; by default as many as come in a day at Docker's interval
    #[arg(long, default_value_t = 2880)]
    probes: u64,
}

/// How often.
#[derive(Debug, Args)]
pub(crate) struct Runs {
    /// Fresh databases
    #[arg(long, default_value_t = 50)]
    runs: u64,
}

/// How many.
#[derive(Debug, Args)]
pub(crate) struct Containers {
    /// Containers, one after the other
    #[arg(long, default_value_t = 10_000)]
    count: u64,
}

/// Runs it, as root.
pub(crate) fn run(command: &Command) -> Result<()> {
    if !task::is_root() {
        bail!("the scenarios start real containers: run `cargo xtask soak` as root");
    }
    match command {
        Command::Deaths(Duration { seconds }) => {
            step("deaths of every process, each way once", || {
                tests("test(/^scenario::(deaths|survival|upgrade)::/)", "NARU_SOAK_SECONDS", 30)
            })?;
            step("random deaths", || {
                tests("test(/^scenario::survival::random_deaths/)", "NARU_SOAK_SECONDS", *seconds)
            })
        }
        Command::Logs(Kills { kills }) => step(&format!("{kills} deaths under a flood"), || {
            tests("test(/^scenario::survival::flood::/)", "NARU_SOAK_KILLS", *kills)
        }),
        Command::Cycles(Cycles { cycles }) => step("up and down", || {
            tests("test(/^scenario::lifecycle::(ten_times|many_ups)/)", "NARU_SOAK_CYCLES", *cycles)
        }),
        Command::Sweep(Sweep { deaths }) => step("a death at any system call", || {
            tests("test(/^scenario::sweep::/)", "NARU_SOAK_DEATHS", *deaths)
        }),
        Command::Names(Lookups { lookups }) => step(&format!("{lookups} lookups"), || {
            tests("test(/^scenario::resolvers::u2_/)", "NARU_SOAK_LOOKUPS", *lookups)
        }),
        Command::Steps => step("a death at each durable step", || {
            tests("test(/^scenario::failpoints::/)", "NARU_SOAK_STEPS", EACH)
        }),
        Command::Errors(Failures { failures }) => step("errors of any write", || {
            tests("test(/^scenario::errors::/)", "NARU_SOAK_ERRORS", *failures)
        }),
        Command::Attacks(Attacks { attempts }) => {
            step("attacks", || tests("test(/attacks::/)", "NARU_TEST_ATTEMPTS", *attempts))
        }
        Command::Powercut(Cuts { cuts }) => {
            step("power cuts", || tests("test(/^scenario::powercut::/)", "NARU_SOAK_CUTS", *cuts))
        }
        Command::Interrupts(Interrupts { moments }) => step("Ctrl-C", || {
            tests("test(/^scenario::interrupt::/)", "NARU_SOAK_INTERRUPTS", *moments)
        }),
        Command::Memory(Probes { probes }) => step(&format!("{probes} probes"), || {
            tests("test(/^scenario::heavy::probes/)", "NARU_SOAK_PROBES", *probes)
        }),
        Command::Readiness(Runs { runs }) => step(&format!("{runs} fresh databases"), || {
            tests("test(/^scenario::heavy::who_waits/)", "NARU_SOAK_RUNS", *runs)
        }),
        Command::Containers(Containers { count }) => {
            step(&format!("{count} containers"), || bench::cycles(*count))
        }
    }
}

fn tests(filter: &str, variable: &str, value: u64) -> Result<()> {
    let arguments = [
        "nextest",
        "run",
        "--locked",
        "-p",
        "naru",
        "-p",
        "naru-runtime",
        "--profile",
        "soak",
        "-E",
        filter,
    ];
    task::run(cargo(arguments).env(variable, value.to_string()))
}
