//! `naru-bench` is the part of the benchmark that holds the clock: it does one thing again and again and prints how
//! long each time took, in microseconds, one per line.
//!
//! It is static and needs nothing, so that `cargo xtask bench` can run the same program on the host and inside the
//! root file system of the programs naru is compared with: what starting *it* costs is never part of a time.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a benchmark's tool: its output is its purpose"
)]

mod floor;
mod names;
mod networks;
mod runtime;
mod traffic;

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::{Parser, Subcommand};
use nix::sys::resource::{UsageWho, getrusage};
use runtime::Runtime;

/// Measures one thing, COUNT times.
#[derive(Debug, Parser)]
struct Arguments {
    /// How often
    #[arg(long, default_value_t = 1)]
    count: u32,
    /// How long nothing happens before each time, in milliseconds
    #[arg(long, default_value_t = 0)]
    quiet: u64,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The kernel operations that any container needs, and nothing else
    Floor {
        /// The root file system, whose /bin/true is run
        root: PathBuf,
        /// An empty folder for the overlay's upper and work folders
        scratch: PathBuf,
        /// Makes, joins and removes cgroups of this name in the hierarchies that naru uses
        #[arg(long)]
        cgroup: Option<String>,
    },
    /// naru's own runtime, with Docker's default confinement
    Runtime {
        /// The root file system, whose /bin/true is run
        root: PathBuf,
        /// An empty folder for the overlay's upper and work folders
        scratch: PathBuf,
    },
    /// A further process in a container that runs, by naru's own runtime
    Exec {
        /// The root file system, whose /bin/true is run beside its /bin/sleep
        root: PathBuf,
        /// An empty folder for the overlay's upper and work folders
        scratch: PathBuf,
    },
    /// Many containers that naru's own runtime starts at the same time, until all run
    Many {
        /// The root file system, whose /bin/sleep is run
        root: PathBuf,
        /// An empty folder for the overlay's upper and work folders
        scratch: PathBuf,
        /// How many
        #[arg(long, default_value_t = 200)]
        containers: usize,
    },
    /// What naru holds in memory for each of several containers that run under its own `init`, in bytes: no times
    Memory {
        /// The root file system, whose /bin/sleep is run
        root: PathBuf,
        /// An empty folder for the overlay's upper and work folders
        scratch: PathBuf,
        /// How many
        #[arg(long, default_value_t = 20)]
        containers: usize,
    },
    /// COUNT containers one after the other, and what is left of them: no times
    Cycles {
        /// The root file system, whose /bin/true is run
        root: PathBuf,
        /// An empty folder for the overlay's upper and work folders
        scratch: PathBuf,
    },
    /// A command, from its start to its end; `{n}` in an argument becomes the number of the time
    Command {
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
    /// Questions for a name at a steady rate, and the time that all but the slowest of the answers stay below
    Names(names::Questions),
    /// Questions for a name without any pause; prints how many
    Flood {
        /// The name
        name: String,
        /// For how long, in seconds
        #[arg(long, default_value_t = 3)]
        seconds: u64,
    },
    /// All of the network of several new network namespaces, by naru's own crate
    Join(networks::Containers),
    /// A server for the clients below; never ends
    Serve {
        /// Its port
        port: u16,
    },
    /// The median time of a byte to such a server and back
    Ping {
        /// The server's address and port
        to: std::net::SocketAddr,
        /// How many bytes
        #[arg(long, default_value_t = 4000)]
        times: usize,
    },
    /// Bytes from such a server, until all are there
    Bulk {
        /// The server's address and port
        to: std::net::SocketAddr,
        /// How many
        #[arg(long, default_value_t = 1 << 30)]
        bytes: u64,
    },
    /// Connections to such a server from several addresses, a byte to and fro on each
    Burst {
        /// The server's address and port
        to: std::net::SocketAddr,
        /// The eight addresses that they come from
        #[arg(long, value_delimiter = ',')]
        from: Vec<std::net::IpAddr>,
        /// How many there are
        #[arg(long, default_value_t = 20_000)]
        connections: usize,
        /// How many of them are open at the same time
        #[arg(long, default_value_t = 4_000)]
        at_once: usize,
    },
    /// A command that may accept what it is given or refuse it, but has to end by itself
    End {
        /// Prints the most memory that it used, in bytes, in place of times
        #[arg(long)]
        memory: bool,
        /// The program and its arguments
        #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<String>,
    },
}

fn main() {
    naru_runtime::run_role_if_asked();
    if let Err(error) = run(&Arguments::parse()) {
        eprintln!("naru-bench: {error:#}");
        std::process::exit(1);
    }
}

fn run(arguments: &Arguments) -> Result<()> {
    const PAUSE: [&str; 2] = ["/bin/sleep", "86400"];
    let quiet = Duration::from_millis(arguments.quiet);
    let mut once: Box<dyn FnMut(u32) -> Result<Duration>> = match &arguments.what {
        What::Floor { root, scratch, cgroup } => {
            let floor = floor::Floor::prepare(root, scratch, cgroup.as_deref())?;
            Box::new(move |_| clocked(|| floor.once()))
        }
        What::Runtime { root, scratch } => {
            let runtime = Runtime::prepare(root, scratch, &["/bin/true"])?;
            Box::new(move |_| clocked(|| runtime.once()))
        }
        What::Exec { root, scratch } => {
            let runtime = Runtime::prepare(root, scratch, &PAUSE)?;
            return runtime.further(arguments.count, quiet, show);
        }
        What::Many { root, scratch, containers } => {
            let runtime = Runtime::prepare(root, scratch, &PAUSE)?;
            let containers = *containers;
            Box::new(move |_| runtime.many(containers))
        }
        What::Memory { root, scratch, containers } => {
            let runtime = Runtime::prepare(root, scratch, &PAUSE)?;
            println!("{}", runtime.memory(*containers)?);
            return Ok(());
        }
        What::Cycles { root, scratch } => {
            let runtime = Runtime::prepare(root, scratch, &["/bin/true"])?;
            println!("{}", runtime.cycles(arguments.count)?);
            return Ok(());
        }
        What::Flood { name, seconds } => {
            println!("{}", names::flood(name, Duration::from_secs(*seconds))?);
            return Ok(());
        }
        What::Join(asked) => {
            for _ in 0..arguments.count {
                networks::join(asked)?.into_iter().for_each(show);
            }
            return Ok(());
        }
        What::Names(asked) => Box::new(|_| names::ask(asked)),
        What::Serve { port } => return traffic::serve(*port),
        What::Ping { to, times } => return exact(traffic::ping(*to, *times)?),
        What::Bulk { to, bytes } => return exact(traffic::bulk(*to, *bytes)?),
        What::Burst { to, from, connections, at_once } => {
            return exact(traffic::burst(*to, from, *connections, *at_once)?);
        }
        What::Command { words } => Box::new(|number| clocked(|| command(words, number))),
        What::End { memory: true, words } => {
            end(words)?;
            println!("{}", getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss() * 1024);
            return Ok(());
        }
        What::End { words, .. } => Box::new(|_| clocked(|| end(words))),
    };
    for number in 0..arguments.count {
        std::thread::sleep(quiet);
        show(once(number)?);
    }
    Ok(())
}

fn clocked(once: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let begin = Instant::now();
    once()?;
    Ok(begin.elapsed())
}

/// Prints a time of fractions of microseconds.
#[expect(clippy::unnecessary_wraps, reason = "the last thing that a measurement does")]
fn exact(microseconds: f64) -> Result<()> {
    println!("{microseconds:.3}");
    Ok(())
}

fn show(time: Duration) {
    println!("{}", time.as_micros());
}

/// Runs a command that ends with 0 or 1.
fn end(words: &[String]) -> Result<()> {
    let (program, arguments) = words.split_first().context("no command")?;
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = command.status().with_context(|| format!("cannot run {program}"))?;
    if !matches!(status.code(), Some(0 | 1)) {
        bail!("{program} ended with {status}");
    }
    Ok(())
}

fn command(words: &[String], number: u32) -> Result<()> {
    let (program, arguments) = words.split_first().context("no command")?;
    let arguments = arguments.iter().map(|word| word.replace("{n}", &number.to_string()));
    let output = Command::new(program)
        .args(arguments)
        // Where the clock was started from need not exist in the root file system it runs in.
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    if !output.status.success() {
        bail!(
            "{program} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
