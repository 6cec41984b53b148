//! The only place that prints: stdout is data; messages go to the log, and errors to stderr as well.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the one place of this program that does"
)]

use std::cell::RefCell;
use std::io::Write;
use std::time::SystemTime;

use anyhow::Context as _;
use jiff::Timestamp;
use naru_runtime::Stage;
use serde::Serialize;

use crate::arguments::{Global, LogFormat};

/// Where messages go.
#[derive(Debug)]
pub(crate) struct Ui {
    log: Option<RefCell<fs_err::File>>,
    format: LogFormat,
    debug: bool,
}

/// A line of the log in its JSON form, which containerd and podman read.
#[derive(Serialize)]
struct Line<'a> {
    level: &'a str,
    msg: &'a str,
    time: &'a str,
}

impl Ui {
    /// Opens the log.
    pub(crate) fn open(global: &Global) -> anyhow::Result<Self> {
        let open = |path| {
            let file = fs_err::OpenOptions::new().append(true).create(true).open(path);
            file.context("cannot open the log")
        };
        let log = global.log.as_ref().map(open).transpose()?.map(RefCell::new);
        Ok(Self { log, format: global.log_format, debug: global.debug })
    }

    /// Tells why the command failed, with its causes.
    pub(crate) fn error(&self, error: &anyhow::Error) {
        let text = describe(error);
        self.write("error", &text);
        if self.log.is_some() {
            say_line(&text);
        }
    }

    /// Tells what could not be done in full.
    pub(crate) fn warning(&self, text: &str) {
        self.write("warning", text);
    }

    /// Tells what is done, when that was asked for.
    pub(crate) fn debug(&self, text: &str) {
        if self.debug {
            self.write("debug", text);
        }
    }

    fn write(&self, level: &str, text: &str) {
        let time = time(SystemTime::now());
        let line = match self.format {
            LogFormat::Json => {
                let line = Line { level, msg: text, time: &time };
                serde_json::to_string(&line).unwrap_or_default()
            }
            LogFormat::Text if self.log.is_some() || level == "debug" => {
                format!("time=\"{time}\" level={level} msg={text:?}")
            }
            LogFormat::Text if level == "error" => text.to_owned(),
            LogFormat::Text => format!("{level}: {text}"),
        };
        match &self.log {
            // A full disk must not keep the command from its work.
            Some(log) => drop(log.borrow_mut().write_all(format!("{line}\n").as_bytes())),
            None => eprintln!("{line}"),
        }
    }
}

/// Data for stdout; a reader that has gone away is no failure.
pub(crate) fn print(text: &str) {
    drop(std::io::stdout().write_all(text.as_bytes()));
}

/// A value as one line of JSON on stdout.
pub(crate) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    let text = serde_json::to_string(value).context("cannot write JSON")?;
    print(&format!("{text}\n"));
    Ok(())
}

/// A value as JSON for people on stdout.
pub(crate) fn print_pretty(value: &impl Serialize) -> anyhow::Result<()> {
    let mut text = Vec::new();
    let indent = serde_json::ser::PrettyFormatter::with_indent(b"  ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut text, indent);
    value.serialize(&mut serializer).context("cannot write JSON")?;
    print(&format!("{}\n", String::from_utf8_lossy(&text)));
    Ok(())
}

/// Rows below a header, in columns.
pub(crate) fn print_table(rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(|column| width(column).max(9) + 3).collect();
    for row in rows {
        let cell = |(text, width): (&String, &usize)| format!("{text:width$}");
        let line: String = row.iter().zip(&widths).map(cell).collect();
        print(&format!("{}\n", line.trim_end()));
    }
}

/// Rows below a header, in narrow columns; the last one is as wide as it is.
pub(crate) fn print_columns(rows: &[Vec<String>]) {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(|column| width(column).max(5) + 1).collect();
    for row in rows {
        let cell = |(text, width): (&String, &usize)| format!("{text:width$}");
        let line: String = row.iter().zip(&widths).map(cell).collect();
        print(&format!("{}\n", line.trim_end()));
    }
}

/// A line on stderr.
pub(crate) fn say_line(text: &str) {
    eprintln!("{text}");
}

/// An error before there is a log.
pub(crate) fn say_plainly(error: &anyhow::Error) {
    say_line(&describe(error));
}

/// A time as RFC 3339 has it.
pub(crate) fn time(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or_default().to_string()
}

/// An error with its causes. A command that cannot be run is told in the words by which engines know it.
fn describe(error: &anyhow::Error) -> String {
    if let Some(text) = error.chain().find_map(command_failure) {
        return text;
    }
    let parts: Vec<String> = error.chain().map(|part| without_number(&part.to_string())).collect();
    let mut text = String::new();
    for part in parts {
        // A transparent error repeats its source.
        if !text.ends_with(&part) {
            text += if text.is_empty() { "" } else { ": " };
            text += &part;
        }
    }
    text
}

/// dockerd and podman look for these words to choose between the exit codes 126 and 127.
fn command_failure(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let runtime = match error.downcast_ref::<naru_runtime::store::Error>() {
        Some(naru_runtime::store::Error::Runtime(error)) => Some(error),
        _ => error.downcast_ref(),
    };
    let naru_runtime::Error::Setup { stage, text, source } = runtime? else {
        return None;
    };
    let reason = without_number(&source.to_string()).to_lowercase();
    let is_missing = source.kind() == std::io::ErrorKind::NotFound;
    match stage {
        Stage::Command => {
            let name = text.rsplit("the command ").next().unwrap_or_default();
            Some(match is_missing && !name.contains('/') {
                true => format!("exec: {name:?}: executable file not found in $PATH: {reason}"),
                false => format!("exec: {name:?}: stat {name}: {reason}"),
            })
        }
        Stage::Exec => {
            let name = text.rsplit("execute ").next().unwrap_or_default();
            Some(format!("exec {name}: {reason}"))
        }
        _ => None,
    }
}

/// The system's reason without `(os error 2)`.
fn without_number(text: &str) -> String {
    match text.rsplit_once(" (os error ") {
        Some((reason, number)) if number.ends_with(')') => reason.to_owned(),
        _ => text.to_owned(),
    }
}
