//! Medians and ratios as a markdown table.

use std::fmt;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// One program in one row: its samples, or why there are none.
pub(crate) type Samples = Result<Vec<f64>, String>;

/// What a row's numbers are.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// Given in microseconds, shown in milliseconds.
    Milliseconds,
    /// Given and shown in microseconds.
    Microseconds,
    /// Given in bytes, shown in MiB.
    Mebibytes,
}

impl Unit {
    fn show(self, value: f64) -> String {
        match self {
            Self::Milliseconds => format!("{:.2} ms", value / 1000.0),
            Self::Microseconds => format!("{value:.1} µs"),
            Self::Mebibytes => format!("{:.2} MiB", value / 1024.0 / 1024.0),
        }
    }
}

/// One comparison.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) what: &'a str,
    pub(crate) unit: Unit,
    pub(crate) naru: &'a Samples,
    /// The most that docs/SPECIFICATION.md allows naru's median to be.
    pub(crate) at_most: Option<f64>,
    pub(crate) others: &'a [Other<'a>],
}

/// A program that naru is compared with.
#[derive(Debug)]
pub(crate) struct Other<'a> {
    pub(crate) name: &'a str,
    pub(crate) samples: Samples,
    /// The most that docs/SPECIFICATION.md allows naru's median to be, as a multiple of this one's.
    pub(crate) at_most: Option<f64>,
}

/// All rows of a run.
#[derive(Debug)]
pub(crate) struct Table {
    rounds: u32,
    lines: Vec<String>,
    broken: Vec<String>,
}

impl Table {
    pub(crate) fn new(rounds: u32) -> Self {
        Self { rounds, lines: Vec::new(), broken: Vec::new() }
    }

    /// One line per program that naru is compared with in this row.
    pub(crate) fn row(&mut self, row: &Row<'_>) {
        let Row { what, unit, naru, .. } = row;
        let load = load();
        let ours = naru.as_ref().ok().and_then(|samples| median(samples));
        let shown = shown(naru, *unit);
        if let (Some(ours), Some(most)) = (ours, row.at_most)
            && ours > most
        {
            self.broken.push(format!("{what}: {shown}, promised at most {}", unit.show(most)));
        }
        for Other { name, samples, at_most } in row.others {
            let theirs = samples.as_ref().ok().and_then(|samples| median(samples));
            let value = self::shown(samples, *unit);
            let ratio = ours.zip(theirs).map(|(ours, theirs)| ours / theirs);
            let text = ratio.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}"));
            let promised = at_most.map_or_else(|| "–".to_owned(), |most| format!("{most}"));
            self.lines.push(format!(
                "| {what} | {shown} | {name} | {value} | {text} | {promised} | {load} |"
            ));
            if let (Some(ratio), Some(most)) = (ratio, at_most)
                && ratio > *most
            {
                self.broken.push(format!("{what}: {ratio:.2} of {name}, promised at most {most}"));
            }
        }
    }

    /// The promises that this run has not kept.
    pub(crate) fn broken(&self) -> &[String] {
        &self.broken
    }
}

fn shown(samples: &Samples, unit: Unit) -> String {
    match samples {
        Ok(samples) => {
            median(samples).map_or_else(|| "not measured".to_owned(), |value| unit.show(value))
        }
        Err(reason) => format!("not measured: {reason}"),
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "| what ({} rounds, medians) | naru | beside | it takes | naru / it | promised | load |",
            self.rounds
        )?;
        writeln!(f, "|---|--:|---|--:|--:|--:|--:|")?;
        self.lines.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}

/// The table as docs/benchmarks.md.
pub(crate) fn document(table: &str) -> String {
    let machine = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).stderr(Stdio::null()).output();
        output.map_or_else(
            |_| "unknown".to_owned(),
            |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
        )
    };
    format!(
        "# Benchmarks\n\nWritten by `cargo xtask bench --write`; numbers come from this file only.\n\
         Measured on {} processors, Linux {}. The columns on the right name what naru is compared with in the same \
         invocation, round by round; \"promised\" is the most that [the specification](SPECIFICATION.md) allows, and \"load\" is the load average of the last minute when the row was done. A ratio \
         below 1 means that naru takes less.\n\n{table}",
        machine("nproc", &[]),
        machine("uname", &["-r"]),
    )
}

/// Runs a command whose stdout is one number of microseconds per line.
pub(crate) fn clocked(command: &mut Command) -> Samples {
    let mut run = || -> Result<Vec<f64>> {
        let output = command.stdin(Stdio::null()).output().context("cannot start the clock")?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("{}", stderr.lines().next_back().unwrap_or("no message"));
        }
        let stdout = String::from_utf8_lossy(&output.stdout);
        stdout.lines().map(|line| Ok(line.trim().parse::<f64>()?)).collect()
    };
    run().map_err(|error| format!("{error:#}").replace('|', "/"))
}

/// Adds a round's samples; the first failure stays.
pub(crate) fn gather(all: &mut Samples, round: Samples) {
    match (all.as_mut(), round) {
        (Ok(all), Ok(round)) => all.extend(round),
        (Ok(_), Err(reason)) => *all = Err(reason),
        (Err(_), _) => {}
    }
}

fn median(samples: &[f64]) -> Option<f64> {
    let mut sorted = samples.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = *sorted.get(middle)?;
    if sorted.len() % 2 == 1 { Some(upper) } else { Some(f64::midpoint(sorted[middle - 1], upper)) }
}

fn load() -> String {
    let text = fs_err::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_shows_medians_and_their_ratio_and_says_what_is_missing() {
        let mut table = Table::new(3);
        table.row(&Row {
            what: "one",
            unit: Unit::Milliseconds,
            naru: &Ok(vec![1000.0, 3000.0, 2000.0]),
            at_most: Some(1500.0),
            others: &[
                Other { name: "runc", samples: Ok(vec![4000.0, 4000.0]), at_most: Some(0.4) },
                Other { name: "crun", samples: Err("not here".to_owned()), at_most: Some(0.1) },
            ],
        });
        let text = table.to_string();
        assert!(text.contains("| one | 2.00 ms | runc | 4.00 ms | 0.50 | 0.4 |"), "{text}");
        assert!(text.contains("| crun | not measured: not here | – | 0.1 |"), "{text}");
        assert_eq!(
            table.broken(),
            ["one: 2.00 ms, promised at most 1.50 ms", "one: 0.50 of runc, promised at most 0.4"]
        );
    }

    #[test]
    fn a_failed_round_fails_the_row() {
        let mut all = Ok(vec![1.0]);
        gather(&mut all, Ok(vec![2.0]));
        gather(&mut all, Err("gone".to_owned()));
        gather(&mut all, Ok(vec![3.0]));
        assert_eq!(all, Err("gone".to_owned()));
    }
}
