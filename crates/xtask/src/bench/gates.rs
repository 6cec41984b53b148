//! What a start waits for and what it does not: the gates of a chain, many containers at once, the end of a patience.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Bench;
use super::installed::{IMAGE, Naru};
use super::table::{Other, Row, Samples, Table, Unit, clocked, gather};

/// The longest that all gates of the chain may take, in microseconds.
const MOST_GATES: f64 = 100_000.0;

/// How much later than asked for a wait may end, in microseconds.
const MOST_LATE: f64 = 100_000.0;

/// How much later than the middle one the slowest of many containers may run.
const MOST_SPREAD: f64 = 3.0;

/// Services of the chain.
const CHAIN: usize = 5;

/// Containers that are started at once.
const MANY: usize = 50;

/// How long is waited for what will not come, in seconds.
const PATIENCE: f64 = 1.0;

pub(crate) fn measure(bench: &Bench, table: &mut Table) -> Result<()> {
    let naru = Naru::prepare(bench)?;
    let folder = bench.share.join("gates");
    fs_err::create_dir_all(&folder)?;
    let project = |name: &str, text: &str| Project::write(&naru, bench, &folder, name, text);
    let chain = project("chain", &chain())?;
    let many = project(
        "many",
        &format!("  a: {{image: {IMAGE}, command: [sleep, \"3600\"], scale: {MANY}}}\n"),
    )?;
    let never = project(
        "never",
        &format!(
            "  a: {{image: {IMAGE}, command: [sleep, \"3600\"], healthcheck: {{test: [CMD, test, -e, /never], interval: 50ms}}}}\n"
        ),
    )?;
    let (mut gates, mut late): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
    let (mut slowest, mut middle): (Samples, Samples) = (Ok(Vec::new()), Ok(Vec::new()));
    // The first round warms caches up and is not counted.
    for round in 0..=bench.rounds {
        let starts = many.starts()?;
        let (of_gates, of_patience) = (chain.gates()?, never.late()?);
        if round > 0 {
            gather(&mut gates, Ok(vec![of_gates]));
            gather(&mut late, of_patience);
            gather(&mut slowest, Ok(starts.last().copied().into_iter().collect()));
            gather(&mut middle, Ok(vec![starts[starts.len() / 2]]));
        }
    }
    naru.remove();
    let none = |why: &str| [Other { name: "–", samples: Err(why.to_owned()), at_most: None }];
    table.row(&Row {
        what: &format!("all gates of a chain of {CHAIN} services that are healthy at once, their first checks included"),
        unit: Unit::Milliseconds,
        naru: &gates,
        at_most: Some(MOST_GATES),
        others: &none("docker compose looks every 500 ms, for the first time after 30 s"),
    });
    table.row(&Row {
        what: &format!("`up` of {MANY} containers, until the slowest runs"),
        unit: Unit::Milliseconds,
        naru: &slowest,
        at_most: None,
        others: &[Other {
            name: "the one in the middle",
            samples: middle,
            at_most: Some(MOST_SPREAD),
        }],
    });
    table.row(&Row {
        what: "`up --wait --wait-timeout 1`, how much later it ends",
        unit: Unit::Milliseconds,
        naru: &late,
        at_most: Some(MOST_LATE),
        others: &none("nothing to compare"),
    });
    Ok(())
}

/// Each waits for the one before it to be healthy.
fn chain() -> String {
    let service = |number: usize| {
        let waits = match number {
            0 => String::new(),
            _ => format!(", depends_on: {{s{}: {{condition: service_healthy}}}}", number - 1),
        };
        format!(
            "  s{number}: {{image: {IMAGE}, command: [sleep, \"3600\"], healthcheck: {{test: [CMD, \"true\"]}}{waits}}}\n"
        )
    };
    (0..CHAIN).map(service).collect()
}

/// A project with a file of its own.
struct Project<'a> {
    naru: &'a Naru,
    bench: &'a Bench,
    file: PathBuf,
}

impl<'a> Project<'a> {
    fn write(
        naru: &'a Naru,
        bench: &'a Bench,
        folder: &Path,
        name: &str,
        services: &str,
    ) -> Result<Self> {
        let file = folder.join(format!("{name}.yaml"));
        fs_err::write(&file, format!("name: naru-{name}\nservices:\n{services}"))?;
        Ok(Self { naru, bench, file })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.bench.naru);
        command.arg("-f").arg(&self.file).args(words);
        self.naru.with_directories(&mut command);
        command
    }

    fn run(&self, words: &[&str]) -> Result<()> {
        let output = self.command(words).output()?;
        ensure!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// The steps of an `up`: what, of which service, from when to when, in microseconds.
    fn up(&self) -> Result<Vec<Span>> {
        self.run(&["up", "-d"])?;
        let told = self.command(&["analyze", "--json"]).output()?.stdout;
        self.run(&["down", "-t", "0"])?;
        let told: Value = serde_json::from_slice(&told)?;
        let spans = told["spans"].as_array().context("no spans")?;
        spans.iter().map(|span| Span::of(span).context("a span without its times")).collect()
    }

    /// From the start of each service of the chain to the beginning of the next one's, all together.
    fn gates(&self) -> Result<f64> {
        let spans = self.up()?;
        let start = |number: usize| {
            let service = format!("s{number}");
            let found = spans.iter().find(|span| span.what == "start" && span.service == service);
            found.with_context(|| format!("{service} was not started"))
        };
        let gates = (1..CHAIN).map(|number| Ok(start(number)?.begin - start(number - 1)?.end));
        gates.sum()
    }

    /// When each container ran, after the beginning of `up`, sorted.
    fn starts(&self) -> Result<Vec<f64>> {
        let spans = self.up()?;
        let mut ends: Vec<f64> =
            spans.iter().filter(|span| span.what == "start").map(|span| span.end).collect();
        ensure!(ends.len() == MANY, "{} containers were started", ends.len());
        ends.sort_by(f64::total_cmp);
        Ok(ends)
    }

    /// How much later than asked for the wait for what never is healthy ends.
    fn late(&self) -> Result<Samples> {
        self.run(&["up", "-d"])?;
        let mut clock = Command::new(&self.bench.clock);
        clock.arg("end").arg(&self.bench.naru).arg("-f").arg(&self.file);
        clock.args(["up", "--wait", "--wait-timeout", &PATIENCE.to_string()]);
        let took = clocked(self.naru.with_directories(&mut clock));
        self.run(&["down", "-t", "0"])?;
        let late = took.map(|took| took.iter().map(|us| us - PATIENCE * 1e6).collect::<Vec<_>>());
        Ok(match late {
            Ok(late) if late.iter().any(|&us| us < 0.0) => Err("it ended too early".to_owned()),
            late => late,
        })
    }
}

/// A step of an `up`.
struct Span {
    what: String,
    service: String,
    begin: f64,
    end: f64,
}

impl Span {
    fn of(told: &Value) -> Option<Self> {
        Some(Self {
            what: told["what"].as_str()?.to_owned(),
            service: told["service"].as_str().unwrap_or_default().to_owned(),
            begin: told["begin_us"].as_f64()?,
            end: told["end_us"].as_f64()?,
        })
    }
}
