//! `ps`: a container's processes, as JSON numbers or as the tables of ps(1).

use std::collections::HashMap;
use std::path::Path;

use anyhow::bail;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use naru_runtime::store::Store;

use crate::ui;

/// Clock ticks in a second, as /proc has them (`USER_HZ`, the same on every Linux).
const TICKS: u64 = 100;

/// Print the processes of a container.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A table for people, or numbers as JSON
    #[arg(short, long, value_enum, default_value = "table")]
    format: Format,
    /// The container's name
    #[arg(value_name = "CONTAINER")]
    id: String,
    /// Which table: `-ef` (the default), `-e -x` or `aux` of ps(1)
    #[arg(value_name = "PS OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
    options: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// A table of ps(1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    /// `-ef`
    Full,
    /// `-e -x`
    Short,
    /// `aux`
    User,
}

/// What /proc tells of a process.
#[derive(Debug)]
struct Process {
    pid: i32,
    user: String,
    parent: String,
    state: String,
    terminal: String,
    /// Processor time in ticks.
    time: u64,
    /// Ticks from boot to its start.
    start: u64,
    /// In KiB.
    virtual_size: u64,
    /// In KiB.
    resident: u64,
    command: String,
}

pub(crate) fn run(args: &Args, store: &Store) -> anyhow::Result<u8> {
    let container = super::open(store, &args.id)?;
    let pids = container.processes()?;
    if args.format == Format::Json {
        ui::print_json(&pids)?;
        return Ok(0);
    }
    let table = table(&args.options)?;
    let users = users();
    // One that has ended meanwhile is no line.
    let processes = pids.into_iter().filter_map(|pid| Process::read(pid, &users));
    let mut rows = vec![table.header()];
    let clock = Clock::read();
    rows.extend(processes.map(|process| table.row(&process, &clock)));
    ui::print_columns(&rows);
    Ok(0)
}

fn table(options: &[String]) -> anyhow::Result<Table> {
    let mut letters: Vec<char> = options.concat().chars().filter(|letter| *letter != '-').collect();
    letters.sort_unstable();
    letters.dedup();
    match letters.iter().collect::<String>().as_str() {
        "" | "ef" | "f" => Ok(Table::Full),
        "e" | "ex" | "x" | "ax" => Ok(Table::Short),
        "aux" | "au" | "u" | "ux" => Ok(Table::User),
        _ => bail!(
            "the ps options {:?} are not supported: -ef, -e -x and aux are",
            options.join(" ")
        ),
    }
}

impl Table {
    fn header(self) -> Vec<String> {
        let names: &[&str] = match self {
            Self::Full => &["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"],
            Self::Short => &["    PID", "TTY", "STAT", "TIME", "COMMAND"],
            Self::User => &[
                "USER", "PID", "%CPU", "%MEM", "VSZ", "RSS", "TTY", "STAT", "START", "TIME",
                "COMMAND",
            ],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn row(self, process: &Process, clock: &Clock) -> Vec<String> {
        let seconds = process.time / TICKS;
        let long = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
        let short = format!("{}:{:02}", seconds / 60, seconds % 60);
        let (pid, start) = (process.pid.to_string(), clock.at(process.start));
        let percent = clock.percent(process);
        let text = |text: &String| text.clone();
        match self {
            Self::Full => vec![
                text(&process.user),
                pid,
                text(&process.parent),
                format!("{percent:.0}"),
                start,
                text(&process.terminal),
                long,
                text(&process.command),
            ],
            Self::Short => vec![
                format!("{pid:>7}"),
                text(&process.terminal),
                text(&process.state),
                short,
                text(&process.command),
            ],
            Self::User => vec![
                text(&process.user),
                pid,
                format!("{percent:.1}"),
                format!("{:.1}", clock.share(process)),
                process.virtual_size.to_string(),
                process.resident.to_string(),
                text(&process.terminal),
                text(&process.state),
                start,
                short,
                text(&process.command),
            ],
        }
    }
}

impl Process {
    /// See proc_pid_stat(5).
    fn read(pid: i32, users: &HashMap<String, String>) -> Option<Self> {
        let file = |name: &str| fs_err::read_to_string(format!("/proc/{pid}/{name}"));
        let stat = file("stat").ok()?;
        let (front, rest) = stat.rsplit_once(')')?;
        let name = front.split_once('(')?.1;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let status = file("status").ok()?;
        let value = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            line.and_then(|line| line.split_whitespace().next()).unwrap_or("0").to_owned()
        };
        let uid = value("Uid:");
        let arguments = file("cmdline").ok()?.trim_end_matches('\0').replace('\0', " ");
        Some(Self {
            pid,
            user: users.get(&uid).cloned().unwrap_or(uid),
            parent: fields.get(1)?.to_string(),
            state: fields.first()?.to_string(),
            terminal: terminal(number(4)?),
            time: number(11)? + number(12)?,
            start: number(19)?,
            virtual_size: value("VmSize:").parse().unwrap_or(0),
            resident: value("VmRSS:").parse().unwrap_or(0),
            command: harmless(if arguments.is_empty() { format!("[{name}]") } else { arguments }),
        })
    }
}

/// What a process calls itself cannot steer the reader's terminal.
fn harmless(text: String) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// The name of a terminal by its device number.
fn terminal(device: u64) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }
}

/// The host's names of users, by their numbers.
fn users() -> HashMap<String, String> {
    let text = fs_err::read_to_string(Path::new("/etc/passwd")).unwrap_or_default();
    let user = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        Some((fields.nth(1)?.to_owned(), name))
    };
    text.lines().filter_map(user).collect()
}

/// The time now and since boot, and the size of memory.
struct Clock {
    now: Timestamp,
    /// Seconds since boot.
    uptime: f64,
    /// In KiB.
    memory: f64,
}

impl Clock {
    fn read() -> Self {
        let first = |file: &str| {
            let text = fs_err::read_to_string(file).unwrap_or_default();
            text.split_whitespace().find_map(|word| word.parse::<f64>().ok()).unwrap_or(0.0)
        };
        Self {
            now: Timestamp::now(),
            uptime: first("/proc/uptime"),
            memory: first("/proc/meminfo"),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks of a machine's life")]
    fn age(&self, start: u64) -> f64 {
        (self.uptime - start as f64 / TICKS as f64).max(0.0)
    }

    /// The time of day it started, or the day when that is longer ago.
    #[expect(clippy::cast_possible_truncation, reason = "seconds of a machine's life")]
    fn at(&self, start: u64) -> String {
        let age = self.age(start);
        let seconds = self.now.as_second() - age as i64;
        let time = Timestamp::from_second(seconds).unwrap_or_default().to_zoned(TimeZone::system());
        let form = if age < 86_400.0 { "%H:%M" } else { "%b%d" };
        time.strftime(form).to_string()
    }

    #[expect(clippy::cast_precision_loss, reason = "ticks of a machine's life")]
    fn percent(&self, process: &Process) -> f64 {
        let age = self.age(process.start);
        if age > 0.0 { process.time as f64 / TICKS as f64 / age * 100.0 } else { 0.0 }
    }

    #[expect(clippy::cast_precision_loss, reason = "a size of memory")]
    fn share(&self, process: &Process) -> f64 {
        if self.memory > 0.0 { process.resident as f64 / self.memory * 100.0 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_ps_choose_a_table() {
        let choose = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            table(&words).ok()
        };
        assert_eq!(choose(&[]), Some(Table::Full));
        assert_eq!(choose(&["-ef"]), Some(Table::Full));
        assert_eq!(choose(&["-e", "-x"]), Some(Table::Short));
        assert_eq!(choose(&["aux"]), Some(Table::User));
        assert_eq!(choose(&["-o", "pid"]), None);
    }

    #[test]
    fn terminals_have_names() {
        assert_eq!(terminal(0), "?");
        assert_eq!(terminal(136 << 8 | 3), "pts/3");
        assert_eq!(terminal(4 << 8 | 1), "tty1");
    }
}
