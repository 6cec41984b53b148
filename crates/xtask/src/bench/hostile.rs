//! `config` of files that mean harm: the slowest, and the one that takes the most memory. That each of them is refused
//! with the right words is what `tests/hostile` is for; here the release build is held to its time.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Bench;
use super::table::{Other, Row, Samples, Table, Unit, clocked};
use crate::task;

/// The longest that any of them may take, in microseconds.
const LONGEST: f64 = 2_000_000.0;

/// The most memory that any of them may take, in bytes.
const MOST_MEMORY: f64 = 64.0 * 1024.0 * 1024.0;

/// Rounds per file: what counts is the order of magnitude.
const ROUNDS: u32 = 3;

const SERVICE: &str = "services:\n  a:\n    image: x\n";

/// What the file is, and its text.
type File = (&'static str, fn() -> String);

const FILES: [File; 13] = [
    ("aliases that multiply", aliases),
    ("a mapping merged into itself", || {
        "services:\n  a: &a\n    <<: *a\n    image: x\n".to_owned()
    }),
    ("100,000 levels", || format!("x-a:\n  {}", "[".repeat(100_000))),
    ("a million keys", || (0..1_000_000).map(|n| format!("k{n}: 1\n")).collect()),
    ("files that include each other", || format!("include: [other.yaml]\n{SERVICE}")),
    ("services that extend each other across files", || {
        "services: {a: {extends: {file: other.yaml, service: a}}}\n".to_owned()
    }),
    ("a pipe as env_file", || format!("{SERVICE}    env_file: pipe\n")),
    ("an endless env_file", || format!("{SERVICE}    env_file: /dev/zero\n")),
    ("ten times all ports", || format!("{SERVICE}    ports: [{}]\n", ["'1-65535'"; 10].join(", "))),
    ("16,000 ports", || format!("{SERVICE}    ports: ['1-16000:1-16000']\n")),
    ("2,000 documents", || {
        (0..2_000).map(|n| format!("services: {{s{n}: {{image: x}}}}\n---\n")).collect()
    }),
    ("25,000 variables", || {
        let variables: String = (0..25_000).map(|n| format!("      - K{n}=v\n")).collect();
        format!("{SERVICE}    environment:\n{variables}")
    }),
    ("2,500 services", || {
        let services: String = (0..2_500).map(|n| format!("  s{n}: {{image: x}}\n")).collect();
        format!("{SERVICE}{services}")
    }),
];

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let folder = bench.share.join("hostile");
    if folder.exists() {
        fs_err::remove_dir_all(&folder)?;
    }
    let (mut slowest, mut largest) = (Worst::default(), Worst::default());
    for (number, (name, text)) in FILES.iter().enumerate() {
        let file = prepare(&folder.join(number.to_string()), &text())?;
        slowest.see(name, ended(bench, &file, &format!("--count={ROUNDS}"), &[]));
        largest.see(name, ended(bench, &file, "--count=1", &["--memory"]));
    }
    for (worst, what, unit, most) in [
        (slowest, "slowest", Unit::Milliseconds, LONGEST),
        (largest, "largest", Unit::Mebibytes, MOST_MEMORY),
    ] {
        let other = Err("docker compose never ends for two of them".to_owned());
        table.row(&Row {
            what: &format!("`config`, the {what} of {} hostile files: {}", FILES.len(), worst.name),
            unit,
            naru: &worst.samples,
            at_most: Some(most),
            others: &[Other { name: "nothing else", samples: other, at_most: None }],
        });
    }
    Ok(())
}

/// The file with the highest number so far, or the first that could not be measured.
struct Worst {
    name: &'static str,
    highest: f64,
    samples: Samples,
}

impl Default for Worst {
    fn default() -> Self {
        Self { name: "none", highest: 0.0, samples: Ok(Vec::new()) }
    }
}

impl Worst {
    fn see(&mut self, name: &'static str, samples: Samples) {
        let highest = samples.iter().flatten().copied().fold(0.0, f64::max);
        if self.samples.is_ok() && (samples.is_err() || highest > self.highest) {
            *self = Self { name, highest, samples };
        }
    }
}

/// A folder with this file, one that names it back, and a pipe that nobody writes to.
fn prepare(folder: &Path, text: &str) -> Result<PathBuf> {
    fs_err::create_dir_all(folder)?;
    let file = folder.join("compose.yaml");
    fs_err::write(&file, text)?;
    let back =
        "include: [compose.yaml]\nservices: {a: {extends: {file: compose.yaml, service: a}}}\n";
    fs_err::write(folder.join("other.yaml"), back)?;
    task::run(Command::new("mkfifo").arg(folder.join("pipe")))?;
    Ok(file)
}

fn ended(bench: &Bench, file: &Path, count: &str, flags: &[&str]) -> Samples {
    let mut naru = Command::new(&bench.clock);
    naru.arg(count).arg("end").args(flags).arg(&bench.naru).arg("-f").arg(file);
    clocked(naru.args(["config", "-q"]))
}

fn aliases() -> String {
    let level = |level: usize| {
        let uses = vec![format!("*a{}", level - 1); 9].join(", ");
        format!("x-{level}: &a{level} [{uses}]\n")
    };
    let levels: String = (1..12).map(level).collect();
    format!("x-0: &a0 [lol]\n{levels}{SERVICE}")
}
