//! `naru-check` looks at a container from inside, and acts in it as a test asks.
//!
//! Tests put it into a minimal image. `naru-check report` prints what it sees as JSON; the other words make it a
//! server, a client, a process that ends in a given way. It is static, asks the kernel only, and needs nothing else in
//! the image.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::exit,
    reason = "a test's tool: its output is its purpose"
)]

mod attack;
mod network;
mod report;

use std::io::{BufWriter, Write as _};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::SignalFd;

const USAGE: &str = "usage: naru-check report | listen PORT | listen-at ADDRESS PORT | listen-udp PORT | connect HOST PORT | \
     connect-udp HOST PORT | resolve NAME | sleep [SECONDS] | exit CODE | print LINES | pour LINES | trap [ignore|signalfd] | \
     write PATH TEXT | read PATH | notify TEXT | stays PATH | count MILLISECONDS | \
     attack NAME …";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if let Err(error) = act(&words) {
        eprintln!("naru-check: {error:#}");
        std::process::exit(1);
    }
}

fn act(words: &[&str]) -> Result<()> {
    match words {
        ["report"] => println!("{:#}", report::everything()),
        ["listen", port] => network::listen(port.parse()?)?,
        ["listen-at", address, port] => network::listen_at(address.parse()?, port.parse()?)?,
        ["listen-udp", port] => network::listen_udp(port.parse()?)?,
        ["connect", host, port] => print!("{}", network::connect(host, port.parse()?)?),
        ["connect-udp", host, port] => print!("{}", network::connect_udp(host, port.parse()?)?),
        ["resolve", name] => {
            for address in network::resolve(name)? {
                println!("{address}");
            }
        }
        ["sleep"] => pause(),
        ["sleep", seconds] => std::thread::sleep(Duration::from_secs_f64(seconds.parse()?)),
        ["exit", code] => std::process::exit(code.parse()?),
        ["print", lines] => print_lines(lines.parse()?)?,
        ["pour", lines] => pour_lines(lines.parse()?)?,
        ["trap"] => trap(false)?,
        ["trap", "ignore"] => trap(true)?,
        ["trap", "signalfd"] => trap_from_descriptor()?,
        ["write", path, text] => fs_err::write(path, format!("{text}\n"))?,
        ["read", path] => print!("{}", fs_err::read_to_string(path)?),
        ["notify", text] => notify(text)?,
        ["stays", path] => stays_while(path),
        ["count", milliseconds] => count(Duration::from_millis(milliseconds.parse()?))?,
        ["attack", attack @ ..] if attack::act(attack) => {}
        _ => bail!(USAGE),
    }
    Ok(())
}

/// Counts aloud, one number at a time, and begins no process for that.
fn count(pause: Duration) -> Result<()> {
    let mut out = std::io::stdout();
    for number in 1_u64.. {
        writeln!(out, "{number}")?;
        out.flush()?;
        std::thread::sleep(pause);
    }
    Ok(())
}

fn pause() -> ! {
    loop {
        std::thread::park();
    }
}

/// Numbered lines, odd ones to stdout and even ones to stderr, so that both streams are proved whole.
fn print_lines(lines: u64) -> Result<()> {
    let (mut odd, mut even) = (BufWriter::new(std::io::stdout()), std::io::stderr());
    for number in 1..=lines {
        if number % 2 == 1 {
            writeln!(odd, "line {number}")?;
        } else {
            writeln!(even, "line {number}")?;
        }
    }
    odd.flush()?;
    Ok(())
}

/// Numbered lines of 100 bytes to stdout, as fast as somebody takes them.
fn pour_lines(lines: u64) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, std::io::stdout());
    let mut line = [b'0'; 100];
    line[99] = b'\n';
    for _ in 0..lines {
        // Counted in the text itself: formatting would be slower than writing.
        for digit in line[..99].iter_mut().rev() {
            *digit = if *digit == b'9' { b'0' } else { *digit + 1 };
            if *digit != b'0' {
                break;
            }
        }
        out.write_all(&line)?;
    }
    out.flush()?;
    Ok(())
}

/// The signals that `trap` waits for, blocked.
fn blocked() -> Result<SigSet> {
    let all = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1];
    let signals: SigSet = all.into_iter().collect();
    signals.thread_block().context("cannot block the signals")?;
    Ok(signals)
}

/// Says that it waits for SIGTERM and SIGINT; ends with 0 on the first, or says so and goes on when it ignores them.
fn trap(ignore: bool) -> Result<()> {
    let signals = blocked()?;
    println!("ready");
    loop {
        let signal = signals.wait().context("cannot wait for a signal")?;
        println!("got {signal}");
        if !ignore {
            return Ok(());
        }
    }
}

/// As [`trap`], by signalfd(2): no thread ever waits in sigwait(3).
fn trap_from_descriptor() -> Result<()> {
    let descriptor = SignalFd::new(&blocked()?).context("cannot make a descriptor of signals")?;
    println!("ready");
    let told = descriptor.read_signal().context("cannot read a signal")?;
    let number = told.context("there is no signal")?.ssi_signo;
    println!("got {}", Signal::try_from(i32::try_from(number)?)?);
    Ok(())
}

/// Sends one datagram to the socket that `NOTIFY_SOCKET` names (sd_notify(3)).
fn notify(text: &str) -> Result<()> {
    let path = std::env::var("NOTIFY_SOCKET").context("NOTIFY_SOCKET is not set")?;
    let socket = std::os::unix::net::UnixDatagram::unbound()?;
    socket.send_to(text.as_bytes(), &path).with_context(|| format!("cannot send to {path}"))?;
    Ok(())
}

/// Ends with 1 when `path` is gone, for health checks and restarts that a test steers by a file; and not before who came
/// from outside has ended: the process that removed the file would be taken along, and how that ends were open.
fn stays_while(path: &str) {
    while std::path::Path::new(path).exists() || has_visitors() {
        std::thread::sleep(Duration::from_millis(10));
    }
    std::process::exit(1);
}

/// Whether a process runs in this pid namespace whose parent is outside: `exec` has begun it, or a probe.
fn has_visitors() -> bool {
    let entries = fs_err::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers.filter(|pid| *pid != 1).any(|pid| {
        let stat = fs_err::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit(')').next().map(str::split_whitespace);
        let (state, parent) = fields.map(|mut fields| (fields.next(), fields.next())).unzip();
        state.flatten().is_some_and(|state| state != "Z") && parent.flatten() == Some("0")
    })
}
